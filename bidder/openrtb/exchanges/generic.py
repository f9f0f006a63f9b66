"""The dialect that an exchange's configuration can express; an exchange with more quirks gets a subclass of its own."""

from bidder.openrtb import codec, response
from bidder.openrtb.codec import Malformed
from bidder.openrtb.enums import AuctionType
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import BidRequest
from core.model import Exchange, NoBidStyle
from core.reasons import NoBid

NO_CONTENT: tuple[int, bytes] = (204, b"")

# OpenRTB 2.5 ends its list of no-bid reasons here, and exchanges of that version may refuse a higher code.
LAST_REASON_OF_2_5 = 10
UNKNOWN_REASON = 0


class ExchangeAdapter:
    """Reads and answers requests as one exchange wants it. One object a configured exchange, kept across snapshots.

    Holds the exchange's counters: `tolerances` (deviations forgiven) and `malformed` (refused bodies by reason).
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.tolerances = Tolerances()
        self.malformed: dict[str, int] = {}
        self._knows_all_reasons = exchange.openrtb_version >= "2.6"

    def decode(self, body: bytes) -> BidRequest:
        """The request in `body`; raises Malformed, after counting it."""
        try:
            return codec.decode_request(body, self.tolerances)
        except Malformed as malformed:
            self.malformed[malformed.reason] = self.malformed.get(malformed.reason, 0) + 1
            raise

    def no_bid(self, request_id: str, reason: NoBid) -> tuple[int, bytes]:
        """Status and body of a no-bid."""
        if self.exchange.no_bid_style is NoBidStyle.NO_CONTENT:
            return NO_CONTENT
        known = self._knows_all_reasons or reason.nbr <= LAST_REASON_OF_2_5
        return 200, response.encode_no_bid(request_id, reason.nbr if known else UNKNOWN_REASON)

    def is_first_price(self, at: int | None) -> bool:
        """Whether a bid is charged as it stands, by the request's or a deal's `at`.

        A type we do not know counts as first price: bidding less than we would pay at most is the safe mistake.
        """
        if self.exchange.first_price is not None:
            return self.exchange.first_price
        return at is not None and at != AuctionType.SECOND_PRICE
