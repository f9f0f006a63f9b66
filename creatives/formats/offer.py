"""What an impression offers to an ad, in plain values: the halves of a format meet here.

`bidder/openrtb/formats` reads an impression of the protocol into offers, one a format; everything from an offer to the
markup is `creatives/formats/NAME.py`. No type of the protocol occurs in an offer, so an ad can be chosen, rendered and
previewed for an offer that no bid request made.
"""

from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple

import msgspec

Size = tuple[int, int]
"""Width and height in pixels."""

Shape = tuple[Hashable, ...]
"""What a creative and an offer must have in common for the one to fit into the other: for banners, the size. A shape of
any other format begins with the format's name, so that shapes of two formats are never equal. An offer may also have
`OpenShape`s, which stand for many."""


class SizeRange(NamedTuple):
    """Offered: every size between two, both included."""

    least_width: int
    most_width: int
    least_height: int
    most_height: int

    def holds(self, own: Shape) -> bool:
        """Whether a creative of shape `own` fits."""
        size = _size(own)
        if size is None:
            return False
        return self.least_width <= size[0] <= self.most_width and self.least_height <= size[1] <= self.most_height


class SizeRatio(NamedTuple):
    """Offered: every size of a ratio that is at least so wide (OpenRTB 2.6, flex ads)."""

    width: int
    height: int
    least_width: int

    def holds(self, own: Shape) -> bool:
        """Whether a creative of shape `own` fits. Heights are whole pixels: 300 wide at 16:9 is 168.75 high."""
        size = _size(own)
        if size is None:
            return False
        error = abs(size[0] * self.height - size[1] * self.width)
        return size[0] >= self.least_width and error < max(self.width, self.height)


class AssetsNeeded(NamedTuple):
    """Offered: a native ad that has all these kinds of assets, as a set of bits."""

    kinds: int

    def holds(self, own: Shape) -> bool:
        """Whether a creative of shape `own`, which has the bits of what it can show, has them all."""
        has = own[1] if len(own) == 2 and own[0] == "native" else None
        return isinstance(has, int) and has & self.kinds == self.kinds


class DurationRange(NamedTuple):
    """Offered: every spot of a format from one length to another, in milliseconds, both included."""

    format: str
    least_ms: int
    most_ms: int

    def holds(self, own: Shape) -> bool:
        """Whether a spot of shape `own`, which has its format and its length, fits."""
        if len(own) != 2 or own[0] != self.format:
            return False
        return isinstance(own[1], int) and self.least_ms <= own[1] <= self.most_ms


OpenShape = SizeRange | SizeRatio | AssetsNeeded | DurationRange
"""Offered shapes that a creative fits without being equal to them. Each has a method `holds`."""


def _size(shape: Shape) -> Size | None:
    """The size that a banner's shape is."""
    if len(shape) != 2:
        return None
    width, height = shape
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def fits(own: Shape, offered: Shape) -> bool:
    """Whether a creative of shape `own` fits into an offered one."""
    return own == offered or (isinstance(offered, OpenShape) and offered.holds(own))


class Offer(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """One format that an impression may be filled with. Lists are None where the request names none.

    A format that needs more than these declares a subclass; every member must be hashable, since offers are parts of
    the keys under which the ads that fit them are remembered.
    """

    format: str
    shapes: tuple[Shape, ...]
    """A creative that has one of them fits; the best come first."""
    sizes: tuple[Size, ...] = ()
    """Sizes of the space on the page or screen, as far as known; a banner's price is estimated for the first."""
    placement: int | None = None
    """Where the ad stands on the page: AdCOM list "Placement Positions"."""
    blocked_types: tuple[int, ...] | None = None
    """OpenRTB 2.x, list "Banner Ad Types"."""
    blocked_attributes: tuple[int, ...] | None = None
    """AdCOM list "Creative Attributes"."""
    frameworks: tuple[int, ...] | None = None
    """AdCOM list "API Frameworks": those that are not listed are not supported."""
    mimes: tuple[str, ...] | None = None
    can_click: bool = True
    """False on screens in public places, which show pictures and spots: nobody can click there."""


_OTHER_NAMES: Final = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "text/javascript": "application/javascript",
    "application/x-javascript": "application/javascript",
}
"""What requests call a type, and what creatives do."""


def takes_mime(mimes: Sequence[str] | None, mime: str) -> bool:
    """Whether a place that names `mimes` shows files of a type. It may name a whole kind (`image/*`); none is any."""
    if not mimes:
        return True
    own = _one_name(mime)
    taken = (own, f"{own.partition('/')[0]}/*", "*/*")
    return any(_one_name(each) in taken for each in mimes)


def _one_name(mime: str) -> str:
    name = mime.strip().lower()
    return _OTHER_NAMES.get(name, name)


def shape_text(shape: Shape) -> str:
    """A shape as a person reads it: `300x250`, `video 15`, `300..336x250..280`, `16:9 from 300`."""
    if isinstance(shape, SizeRange):
        return f"{shape.least_width}..{shape.most_width}x{shape.least_height}..{shape.most_height}"
    if isinstance(shape, SizeRatio):
        return f"{shape.width}:{shape.height} from {shape.least_width}"
    if isinstance(shape, AssetsNeeded):
        return "native"
    return ("x" if all(isinstance(part, int) for part in shape) else " ").join(map(str, shape))
