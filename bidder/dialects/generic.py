"""What an exchange's configuration says of its dialect. An exchange with more quirks gets a module beside this one."""

from bidder.openrtb.enums import AuctionType
from bidder.openrtb.response import encode_no_bid
from core.model import Exchange, NoBidStyle
from core.reasons import NoBid

NO_CONTENT: tuple[int, bytes] = (204, b"")

# OpenRTB 2.5 ends its list of no-bid reasons here, and exchanges of that version may refuse a higher code.
LAST_REASON_OF_2_5 = 10
UNKNOWN_REASON = 0


def no_bid(exchange: Exchange, request_id: str, reason: NoBid) -> tuple[int, bytes]:
    """Status and body of 'no', in the exchange's style and version (OpenRTB 2.6 implementation notes 7.1)."""
    if exchange.no_bid_style is NoBidStyle.NO_CONTENT:
        return NO_CONTENT
    return 200, encode_no_bid(request_id, reason_code(exchange, reason))


def reason_code(exchange: Exchange, reason: NoBid) -> int:
    """The `nbr` of a reason, in the list of the exchange's version."""
    if reason.nbr > LAST_REASON_OF_2_5 and exchange.openrtb_version < "2.6":
        return UNKNOWN_REASON
    return reason.nbr


def is_first_price(exchange: Exchange, at: int | None) -> bool:
    """Whether a bid is charged as it stands, by the configuration or else by the `at` of the request or deal.

    A type we do not know counts as first price: bidding less than we would pay at most is the safe mistake.
    """
    if exchange.first_price is not None:
        return exchange.first_price
    return at is not None and at != AuctionType.SECOND_PRICE
