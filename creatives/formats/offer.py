"""What an impression offers to an ad, in plain values: the halves of a format meet here.

`bidder/openrtb/formats` reads an impression of the protocol into offers, one a format; everything from an offer to the
markup is `creatives/formats/NAME.py`. No type of the protocol occurs in an offer, so an ad can be chosen, rendered and
previewed for an offer that no bid request made.
"""

from collections.abc import Hashable
from typing import NamedTuple

import msgspec

Size = tuple[int, int]
"""Width and height in pixels."""

Shape = tuple[Hashable, ...]
"""What a creative and an offer must have in common for the one to fit into the other: of a banner its size. A shape of
any other format begins with the format's name, so that shapes of two formats are never equal. An offer may also have
shapes that stand for many sizes: `SizeRange`, `SizeRatio`."""


class SizeRange(NamedTuple):
    """Offered: every size between two, both included."""

    least_width: int
    most_width: int
    least_height: int
    most_height: int


class SizeRatio(NamedTuple):
    """Offered: every size of a ratio that is at least so wide (OpenRTB 2.6, flex ads)."""

    width: int
    height: int
    least_width: int


def fits(own: Shape, offered: Shape) -> bool:
    """Whether a creative of shape `own` fits into an offered one."""
    if own == offered:
        return True
    if not isinstance(offered, SizeRange | SizeRatio) or len(own) != 2:
        return False
    width, height = own
    if not isinstance(width, int) or not isinstance(height, int):
        return False
    if isinstance(offered, SizeRange):
        least_width, most_width, least_height, most_height = offered
        return least_width <= width <= most_width and least_height <= height <= most_height
    # Heights are whole pixels: 300 wide at 16:9 is 168.75 high.
    error = abs(width * offered.height - height * offered.width)
    return width >= offered.least_width and error < max(offered.width, offered.height)


class Offer(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """One format that an impression may be filled with. Lists are None where the request names none.

    A format that needs more than these declares a subclass; every member must be hashable, since offers are parts of
    the keys under which the ads that fit them are remembered.
    """

    format: str
    shapes: tuple[Shape, ...]
    """A creative fits that has one of them; best first."""
    sizes: tuple[Size, ...] = ()
    """Of the space on the page or screen, as far as known; the first is what the price is estimated for."""
    placement: int | None = None
    """Where on the page: AdCOM list "Placement Positions"."""
    blocked_types: tuple[int, ...] | None = None
    """OpenRTB 2.x, list "Banner Ad Types"."""
    blocked_attributes: tuple[int, ...] | None = None
    """AdCOM list "Creative Attributes"."""
    frameworks: tuple[int, ...] | None = None
    """AdCOM list "API Frameworks": those that are not listed are not supported."""
    mimes: tuple[str, ...] | None = None


def shape_text(shape: Shape) -> str:
    """A shape as a person reads it: `300x250`, `video 15`, `300..336x250..280`, `16:9 from 300`."""
    if isinstance(shape, SizeRange):
        return f"{shape.least_width}..{shape.most_width}x{shape.least_height}..{shape.most_height}"
    if isinstance(shape, SizeRatio):
        return f"{shape.width}:{shape.height} from {shape.least_width}"
    return ("x" if all(isinstance(part, int) for part in shape) else " ").join(map(str, shape))
