"""What an impression offers to an ad, in plain values: the halves of a format meet here.

`bidder/openrtb/formats` reads an impression of the protocol into offers, one a format; everything from an offer to the
markup is `creatives/formats/NAME.py`. No type of the protocol occurs in an offer, so an ad can be chosen, rendered and
previewed for an offer that no bid request made.
"""

from collections.abc import Hashable

import msgspec

Size = tuple[int, int]
"""Width and height in pixels."""

Shape = tuple[Hashable, ...]
"""What a creative and an offer must have in common for the one to fit into the other: of a banner its size. A shape of
any other format begins with the format's name, so that shapes of two formats are never equal."""


class Offer(msgspec.Struct, frozen=True, gc=False):
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
    """A shape as a person reads it: `300x250`, `video 15`."""
    return ("x" if all(isinstance(part, int) for part in shape) else " ").join(map(str, shape))
