"""How bids and refusals are put in OpenRTB as it is written, which every other dialect begins with.

A `Speaker` speaks for one exchange: it has the exchange's settings and the data of its dialect (`core.dialects`). A
dialect with quirks that data cannot say is a subclass in a module beside this one.
"""

from collections.abc import Collection, Sequence
from typing import Final, cast

import msgspec

from bidder.openrtb.enums import CONTENT_1_0, EVERYBODY
from bidder.openrtb.formats.table import CODECS
from bidder.openrtb.non_bids import with_non_bids
from bidder.openrtb.response import encode_no_bid, encode_response
from bidder.openrtb.types import BidRequest, Imp
from core.dialects import spoken_by
from core.errors import Fault
from core.model import AuctionType, BillingEvent, Creative, Exchange, NoBidStyle, SellerCheck
from core.reasons import NoBid
from core.supply import plain_seller
from creatives.formats.base import Ad
from creatives.formats.native import NativeAd
from creatives.macros import TOKEN, Tracker
from creatives.preview.page import preview_path

NO_CONTENT: tuple[int, bytes] = (204, b"")

# OpenRTB 2.5 ends its list of no-bid reasons here, and exchanges of that version may refuse a higher code.
LAST_REASON_OF_2_5 = 10
UNKNOWN_REASON = 0

# How long we wait for the impression, told to the exchange as `exp` (OpenRTB 2.6 section 4.2.3): implementation notes
# 7.2 say 60 s for web, 300 s for app banners. Leases outlast it (docs/money.md).
BID_EXPIRY_S = 300

MIN_TO_WIN: Final = "m=${AUCTION_MIN_TO_WIN}"
"""Query member of each notice: the least bid that would have won (OpenRTB 2.6 section 4.4.1), where it is filled in."""

ADDED_IN: Final = {
    "burl": "2.5", "lurl": "2.5", "tactic": "2.5", "language": "2.5", "apis": "2.6", "mtype": "2.6", "cattax": "2.6"
}  # fmt: skip
"""The version that each of these members of a bid came with; all others are as old as 2.4."""


# A bid on an impression that is shown later may be billed later, where a win notice keeps its money for it
# (pacing.budgets.timing.WIN_HOLD_MS).
LONGEST_EXPIRY_S = 3_600


class AuctionTypes(dict[int | None, AuctionType]):
    """The auction type that bids are charged by, for the `at` of a request or deal.

    The exchange's settings decide, otherwise `at`. Without an `at` it is second price, OpenRTB's default. A type that
    we do not know counts as first price: we then never book less than the exchange may charge. So does a fixed price
    (3), which only deals have: what an open auction would fix, nobody has agreed.
    """

    __slots__ = ("_otherwise",)

    def __init__(self, first_price: bool | None) -> None:
        super().__init__()
        self._otherwise = AuctionType.SECOND_PRICE if first_price is False else AuctionType.FIRST_PRICE
        if first_price is None:
            self[None] = self[2] = AuctionType.SECOND_PRICE

    def __missing__(self, at: int | None) -> AuctionType:
        return self._otherwise


class Speaker:
    """Speaks for one exchange: answers in its dialect, made once per exchange and catalogue."""

    __slots__ = (
        "_price", "_says_nothing", "_seat_of", "auction_types", "dialect", "exchange", "inventory_deny", "is_choosy",
        "longest_expiry_s", "max_bids", "seats", "sellers_allow", "sellers_deny",
    )  # fmt: skip

    has_rules = False
    """Whether `refuses` has anything to say; most exchanges do not."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.dialect = spoken_by(exchange)
        self.max_bids = self.dialect.max_bids
        keeps = self.dialect.win_notice and self.dialect.billing_event is not BillingEvent.WIN
        self.longest_expiry_s = LONGEST_EXPIRY_S if keeps else BID_EXPIRY_S
        """Seconds after a bid in which its bill may come, where the impression is shown that late (`imp.exp`)."""
        self._seat_of = {(each.advertiser_id, each.campaign_id): each.seat for each in exchange.seats}
        self.seats = frozenset((exchange.seat, *self._seat_of.values()))
        self._price = f"p={self.dialect.price_macro}&c=${{AUCTION_CURRENCY}}"
        self.auction_types = AuctionTypes(self.dialect.first_price)
        self.inventory_deny = frozenset(map(str.casefold, exchange.inventory_deny))
        self.sellers_allow = frozenset(map(plain_seller, exchange.sellers_allow))
        self.sellers_deny = frozenset(map(plain_seller, exchange.sellers_deny))
        self.is_choosy = bool(
            exchange.complete_chains
            or exchange.humans_only
            or self.inventory_deny
            or self.sellers_allow
            or self.sellers_deny
            or exchange.seller_check is not SellerCheck.OFF
        )
        """Whether something keeps whole requests of the exchange from being bid on (`bidder.targeting.quality`)."""
        self._says_nothing = self.dialect.no_bid_style is NoBidStyle.NO_CONTENT

    def no_bid(self, request_id: str, reason: NoBid) -> tuple[int, bytes]:
        """Status and body of 'no', in the exchange's style and version (OpenRTB 2.6 sections 2.1, 7.1)."""
        if self._says_nothing:
            return NO_CONTENT
        if self.dialect.no_bid_style is NoBidStyle.EMPTY:
            return 200, encode_no_bid(request_id)
        return 200, encode_no_bid(request_id, self.reason_code(reason))

    def with_non_bids(
        self, request: BidRequest, response: bytes | None, reason: NoBid, invalid: frozenset[int]
    ) -> bytes:
        """An answer to a request that asks for the reason of each impression without a bid; no `response`: no bid."""
        answer = encode_no_bid(request.id) if response is None else response
        return with_non_bids(answer, request, self.exchange.seat, self.reason_code(reason), invalid)

    def shed(self) -> tuple[int, bytes]:
        """Status and body of 'no' to a request that was not read, so that its id is not known."""
        return (200, b"{}") if self.dialect.no_bid_style is NoBidStyle.EMPTY else NO_CONTENT

    def reason_code(self, reason: NoBid) -> int:
        """The `nbr` of a reason, in the list of the exchange's version."""
        if reason.nbr > LAST_REASON_OF_2_5 and min(self.exchange.openrtb_version, self.dialect.version) < "2.6":
            return UNKNOWN_REASON
        return reason.nbr

    def seat_of(self, advertiser_id: int, campaign_id: int) -> str:
        """The seat that bids of a campaign are made by: its own, its advertiser's, or the exchange's usual one."""
        found = self._seat_of.get((advertiser_id, campaign_id)) or self._seat_of.get((advertiser_id, None))
        return found or self.exchange.seat

    def may_bid(self, invited: Collection[str] | None, blocked: Collection[str] | None) -> bool:
        """Whether any of our seats may bid (OpenRTB 2.6 section 3.2.1, `wseat` and `bseat`)."""
        if blocked and EVERYBODY in blocked:
            return False
        return any((not invited or seat in invited) and (not blocked or seat not in blocked) for seat in self.seats)

    def refuses(self, _imp: Imp) -> Fault | None:
        """Why the exchange's own members keep us from bidding on an impression, which the pointer is relative to."""
        return None

    def members(self, ad: Ad, advertiser_domain: str, campaign_id: int, track_url: str) -> dict[str, object]:
        """Members of a bid that are the same in every auction; `TOKEN` stands where the token goes.

        `advertiser_domain` is that of creatives that name none, `track_url` the tracker's public address.
        """
        creative, price = ad.creative, self._price
        members: dict[str, object] = {
            "adid": str(creative.id),
            "nurl": f"{track_url}/n/win/{TOKEN}?{price}&{MIN_TO_WIN}",
            "burl": f"{track_url}/n/bill/{TOKEN}?{price}&{MIN_TO_WIN}",
            "lurl": f"{track_url}/n/loss/{TOKEN}?r=${{AUCTION_LOSS}}&{MIN_TO_WIN}",
            "adm": self._markup(ad),
            "adomain": [domain] if (domain := creative.advertiser_domain or advertiser_domain) else [],
            "iurl": sample_url(creative, track_url),
            "cid": self.seat_of(creative.advertiser_id, campaign_id)
            if self.dialect.campaign_is_seat
            else str(campaign_id),
            "crid": f"{creative.id}-{creative.version}",
            "cat": creative.categories,
            # Named though it is the default: an exchange whose request uses another taxonomy could read them in that.
            "cattax": CONTENT_1_0 if creative.categories else "",
            "attr": creative.attributes,
            "apis": creative.apis,
            "language": creative.language,
            **CODECS[creative.format].write(ad),
            "exp": BID_EXPIRY_S,
        }
        if self.dialect.billing_event is not BillingEvent.BILL:
            del members["burl"]
        if not self.dialect.win_notice:
            del members["nurl"]
        for name in self.dialect.one_value_lists:
            members[name] = list(cast(Sequence[object], members[name]))[:1]
        kept = self.dialect.sent_when_empty
        return {
            name: value
            for name, value in members.items()
            if (value not in ("", (), []) or name in kept) and self.sends(name)
        }

    def _markup(self, ad: Ad) -> object:
        """The markup as the exchange takes it."""
        dialect = self.dialect
        if not isinstance(ad, NativeAd):
            return ad.markup
        text = ad.markup if ad.is_wrapped or not dialect.native_root else f'{{"native":{ad.markup}}}'
        return msgspec.json.decode(text) if dialect.native_as_object else text

    def sends(self, member: str) -> bool:
        """Whether a member of a bid is part of the version that the exchange speaks."""
        return ADDED_IN.get(member, "") <= self.dialect.version

    def tracker(self, track_url: str) -> Tracker:
        """Where markup for this exchange reports to."""
        dialect = self.dialect
        price = self._price if dialect.price_in_markup else ""
        return Tracker(track_url, price, dialect.click_macro, dialect.click_macro_encoded)

    def answer(self, request_id: str, bids: Sequence[tuple[str, Sequence[bytes]]], currency: str, bid_id: str) -> bytes:
        """JSON of a whole answer, its bids grouped by seat.

        `bids` has each bid as its seat and a JSON object in parts; `bid_id` is our own id of the answer.
        """
        if not self._seat_of:
            return encode_response(request_id, [(self.exchange.seat, [bid for _seat, bid in bids])], currency, bid_id)
        by_seat: dict[str, list[Sequence[bytes]]] = {}
        for seat, bid in bids:
            by_seat.setdefault(seat, []).append(bid)
        return encode_response(request_id, list(by_seat.items()), currency, bid_id)


def sample_url(creative: Creative, track_url: str) -> str:
    """An absolute address of a picture of the ad: its own, or the one that the tracker has of it."""
    for url in (creative.sample_url, creative.image_url):
        if url.startswith(("https://", "http://")):
            return url
    return track_url + preview_path(creative)
