"""What a format consists of on the side of the ads: one `AdFormat` a module, joined in `creatives.formats.table`."""

from collections.abc import Callable, Hashable, Iterable

import msgspec

from core.errors import Fault
from core.model import Creative
from creatives.formats.offer import Offer, Shape
from creatives.macros import Tracker


class Ad(msgspec.Struct, frozen=True):
    """A creative rendered for an offer, except for the token, which every bid has its own of.

    `markup` has `creatives.macros.TOKEN` wherever the signed token belongs. A format that has more to tell
    the exchange (a duration, the version of a protocol) declares a subclass.
    """

    creative: Creative
    markup: str
    secure: bool
    """Whether an https page may load everything that the markup names."""
    types: frozenset[int] = frozenset()
    """What an offer may block: OpenRTB 2.x, list "Banner Ad Types"."""


class AdFormat(msgspec.Struct, frozen=True):
    """One format: everything from an offer to markup."""

    name: str
    """As in `core.model.Format`, and as the half in `bidder/openrtb/formats` has it."""

    shapes: Callable[[Creative], Iterable[Shape]]
    """What offers a creative fits into; empty where it can be shown nowhere."""

    check: Callable[[Creative], list[Fault]]
    """What would keep a creative from being served, for whoever saves it; pointers are relative to the creative."""

    render: Callable[[Creative, Offer, Tracker], Ad]
    """The ad for an offer that has one of the creative's shapes."""

    admits: Callable[[Ad, Offer], bool]
    """Whether the offer's rules allow the ad; its shape fits already."""

    variant: Callable[[Offer], Hashable] = lambda _offer: None
    """What of an offer changes the markup: offers with equal variants share one rendered ad."""
