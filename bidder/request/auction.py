"""What the stages hand to each other: an `Auction` for each bid request, an `Impression` for each biddable offer in it.

An impression of the protocol that offers several formats is several `Impression`s here, one a format, which follow each
other and have the same `position`: each is matched and priced by itself, and one at most is bid on
(`bidder.decision.choose`).

Amounts are CPM micros of the auction's currency. Everything here lives for one request.
"""

from typing import NamedTuple

from bidder.dialects.table import speaker_of
from bidder.openrtb.types import BidRequest, Imp
from core.errors import Fault
from core.model import Exchange
from core.reasons import NoBid
from creatives.formats.offer import Offer, Shape


class Place(NamedTuple):
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


class Impression:
    """One impression that can be bid on, in one of the formats that it offers."""

    __slots__ = (
        "deal_floors", "eligible", "floor_cpm", "has_rivals", "imp", "offer", "placement", "position",
        "private_auction", "shapes",
    )  # fmt: skip

    def __init__(
        self,
        imp: Imp,
        position: int,
        floor_cpm: int,
        offer: Offer,
        deal_floors: dict[str, tuple[int, int]],
        private_auction: bool,
        has_rivals: bool = False,
    ) -> None:
        self.imp = imp
        self.position = position  # index in BidRequest.imp
        self.floor_cpm = floor_cpm
        self.offer = offer
        self.has_rivals = has_rivals  # whether it is offered in other formats, too: in those of the same position
        self.shapes: tuple[Shape, ...] = offer.shapes  # what creatives are matched by
        self.placement = offer.placement  # AdCOM "Placement Positions", None where unknown
        self.deal_floors = deal_floors  # exchange's deal id -> (floor CPM micros, auction type or 0)
        self.private_auction = private_auction
        self.eligible = 0  # set of line items, as a bitmap over the positions of the index


class Auction:
    """One bid request on its way through the stages."""

    __slots__ = (
        "arrival", "consent", "currency", "deadline", "exchange", "exchange_user", "faults", "impressions", "is_test",
        "no_bid", "place", "request", "speaker", "user_id",
    )  # fmt: skip

    def __init__(self, request: BidRequest, exchange: Exchange, deadline: float, arrival: float = 0.0) -> None:
        self.request = request
        self.exchange = exchange
        self.speaker = speaker_of(exchange)
        self.arrival = arrival  # monotonic seconds
        self.deadline = deadline  # monotonic seconds
        self.currency = ""
        self.impressions: list[Impression] = []
        self.consent: Consent | None = None
        self.user_id: str | None = None  # our cookie's user id, if the request has it and it may be used
        self.exchange_user: str | None = None  # the exchange's own id of the user, likewise
        self.no_bid: NoBid | None = None
        self.is_test = False
        self.place = NOWHERE
        self.faults: list[Fault] = []  # why impressions were left out, for explain
