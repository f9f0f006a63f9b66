"""What an exchange's configuration says of its dialect. An exchange with more quirks gets a module beside this one."""

from bidder.openrtb.response import encode_no_bid
from core.model import AuctionType, Exchange, NoBidStyle
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


def auction_type(exchange: Exchange, at: int | None) -> AuctionType:
    """What a bid is charged by: as the exchange is configured, otherwise by the `at` of the request or deal.

    Without an `at` it is second price, OpenRTB's default. A type that we do not know counts as first price: we then
    never book less than the exchange may charge.
    """
    if exchange.first_price is not None:
        return AuctionType.FIRST_PRICE if exchange.first_price else AuctionType.SECOND_PRICE
    if at is None:
        return AuctionType.SECOND_PRICE
    return _AUCTION_TYPES.get(at, AuctionType.FIRST_PRICE)


_AUCTION_TYPES = {int(each): each for each in AuctionType}
