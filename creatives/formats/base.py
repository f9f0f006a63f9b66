"""What a format consists of on the side of the ads: one `AdFormat` a module, joined in `creatives.formats.table`."""

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

import msgspec

from core.errors import Fault
from core.model import Creative
from creatives.formats.offer import Offer, Shape
from creatives.macros import Tracker


class Ad(msgspec.Struct, frozen=True):
    """A creative rendered for an offer, except for the token, which differs from bid to bid.

    `markup` has `creatives.macros.TOKEN` wherever the signed token belongs. A format that has more to tell
    the exchange (a duration, the version of a protocol) declares a subclass.
    """

    creative: Creative
    markup: str
    secure: bool
    """Whether an https page may load everything that the markup names."""
    types: frozenset[int] = frozenset()
    """Types of the ad that an offer may block: OpenRTB 2.x, list "Banner Ad Types"."""


class AdNotice(NamedTuple):
    """What people must be able to see of an ad (Digital Services Act, article 26)."""

    behalf: str
    paid: str
    chosen_by: tuple[int, ...]
    """What the ad was chosen by, as `dsaparams`: 1 a profile, 3 a precise place, 2 anything else."""


class AdFormat(msgspec.Struct, frozen=True):
    """One format: everything from an offer to markup."""

    name: str
    """The name in `core.model.Format`, by which the half in `bidder/openrtb/formats` is found."""

    shapes: Callable[[Creative], Iterable[Shape]]
    """The shapes of offers that a creative fits into; empty where it can be shown nowhere."""

    check: Callable[[Creative], list[Fault]]
    """What would keep a creative from being served, for whoever saves it; pointers are relative to the creative."""

    render: Callable[[Creative, Offer, Tracker], Ad]
    """The ad for an offer that has one of the creative's shapes."""

    admits: Callable[[Ad, Offer], bool]
    """Whether the offer's rules allow the ad; its shape fits already."""

    variant: Callable[[Offer], Hashable] = lambda _offer: None
    """The part of an offer that changes the ad: offers with equal variants share one rendered ad."""

    with_notice: Callable[[Ad, Offer, Tracker, AdNotice], Ad | None] = lambda _ad, _offer, _tracker, _notice: None
    """The ad that itself shows who paid for it and why, where the publisher does not; None where it cannot."""
