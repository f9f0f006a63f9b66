"""What the stages hand to each other: an `Auction` for each bid request, an `Impression` for each biddable offer in it.

An impression of the protocol that offers several formats is several `Impression`s here, one a format, which follow each
other and have the same `position`: each is matched and priced by itself, and one at most is bid on
(`bidder.decision.choose`).

Amounts are CPM micros of the auction's currency. Everything here lives for one request and never refers back, so the
garbage collector need not look at it (`gc=False`).
"""

import msgspec

from bidder.dialects.generic import Speaker
from bidder.openrtb.transparency import TransparencyAsked
from bidder.openrtb.types import BidRequest, Imp
from core.errors import Fault
from core.model import Exchange
from core.reasons import NoBid
from creatives.formats.offer import Offer


class Place(msgspec.Struct, frozen=True, gc=False):
    """A place in normal form; None where unknown."""

    country: str | None = None  # ISO 3166-1 alpha-3
    region: str | None = None  # as the exchange sends it
    city: str | None = None
    postcode: str | None = None
    point: tuple[float, float] | None = None  # (latitude, longitude), rounded
    accuracy_km: float | None = None  # of the point, where the sender says it or how it was found


NOWHERE = Place()


class Consent:
    """What the user permits, as flags (docs/consent.md). Set by the consent stage alone."""

    __slots__ = ("ads", "identifiers", "measurement", "precise_geo", "profile_write", "segments")

    def __init__(
        self,
        *,
        identifiers: bool,
        ads: bool,
        profile_write: bool,
        segments: bool,
        measurement: bool,
        precise_geo: bool,
    ) -> None:
        self.identifiers = identifiers  # purpose 1: cookie, device and exchange ids may be used
        self.ads = ads  # purpose 2: any ad may be selected with personal data
        self.profile_write = profile_write  # purpose 3
        self.segments = segments  # purpose 4 (with 1 and 2): retargeting, segments, carts
        self.measurement = measurement  # purpose 7
        self.precise_geo = precise_geo  # special feature 1


class Pod(msgspec.Struct, frozen=True, gc=False):
    """A commercial break: one impression of the protocol that takes several ads, or several that belong together.

    Also an impression whose floor depends on the length of the ad: a pod of one ad.
    """

    id: str  # "" for a pod of its own
    seconds: int  # of all its ads together; 0: each impression has lengths of its own
    most_ads: int
    separation: frozenset[int]
    """What no two of its ads may have in common: AdCOM list "Pod Deduplication"."""
    floor_cpm: int  # CPM micros of the auction's currency, where neither of the following is said
    per_second_cpm: int  # floor of each second; 0: none
    floors: tuple[tuple[int, int, int], ...]  # (least seconds, most seconds, floor CPM micros)

    def floor_of(self, seconds: int) -> int:
        """The floor of an ad of so many seconds; of ranges that overlap the dearest (OpenRTB 2.6, notes 7.11)."""
        found = [floor for least, most, floor in self.floors if least <= seconds <= most]
        if found:
            return max(found)
        return self.per_second_cpm * seconds or self.floor_cpm


ONE_IMPRESSION = 1_000
"""`Impression.multiplier_milli` of what counts as one impression."""


class Impression(msgspec.Struct, gc=False):
    """One impression that can be bid on, in one of the formats that it offers."""

    imp: Imp
    position: int  # index in BidRequest.imp
    floor_cpm: int
    offer: Offer
    deal_floors: dict[str, tuple[int, int]]  # exchange's deal id -> (floor CPM micros, auction type or 0)
    private_auction: bool
    has_rivals: bool = False  # whether it is offered in other formats, too: in those of the same position
    eligible: int = 0  # set of line items, as a bitmap over the positions of the index
    pod: Pod | None = None  # that it is part of
    pod_beside: Pod | None = None  # with a name, that a spot would be part of where other formats are offered, too
    multiplier_milli: int = ONE_IMPRESSION  # impressions that it counts as, in thousandths
    pod_index: int = 0  # which of the ads of a pod that one impression of the protocol offers


class Auction(msgspec.Struct, gc=False):
    """One bid request on its way through the stages."""

    request: BidRequest
    exchange: Exchange
    deadline: float  # monotonic seconds
    speaker: Speaker  # of the exchange: `bidder.dialects.table.speaker_of`
    arrival: float = 0.0  # monotonic seconds
    currency: str = ""
    impressions: list[Impression] = []
    consent: Consent | None = None
    user_id: str | None = None  # our cookie's user id, if the request has it and it may be used
    exchange_user: str | None = None  # the exchange's own id of the user, likewise
    no_bid: NoBid | None = None
    is_test: bool = False
    has_multipliers: bool = False  # whether any impression counts as several
    is_child: bool = False  # or may be one: only ads that are fit for children
    transparency: TransparencyAsked | None = None  # who pays, and how the ad was chosen, must be told
    place: Place = NOWHERE
    faults: list[Fault] = []  # why impressions were left out, for explain
