"""What an exchange's configuration says of its dialect."""

import json

import msgspec
import pytest

from bidder.dialects.generic import Speaker
from core.model import AuctionType, Exchange, NoBidStyle
from core.reasons import NoBid

EXCHANGE = Exchange(id=1, key="demo")
WITH_REASONS = msgspec.structs.replace(EXCHANGE, no_bid_style=NoBidStyle.REASON_CODE)
OLDER = msgspec.structs.replace(WITH_REASONS, openrtb_version="2.5")


def test_no_bid_is_no_content_unless_configured() -> None:
    assert Speaker(EXCHANGE).no_bid("r", NoBid.NO_TIME) == (204, b"")
    status, body = Speaker(WITH_REASONS).no_bid("r", NoBid.NO_TIME)
    assert (status, json.loads(body)) == (200, {"id": "r", "seatbid": [], "nbr": 15})


def test_older_exchanges_hear_only_codes_they_know() -> None:
    assert Speaker(OLDER).reason_code(NoBid.NO_TIME) == 0
    assert Speaker(OLDER).reason_code(NoBid.NO_PROFILE) == 8
    assert json.loads(Speaker(OLDER).no_bid("r", NoBid.NO_TIME)[1])["nbr"] == 0


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, AuctionType.SECOND_PRICE),
        (1, AuctionType.FIRST_PRICE),
        (2, AuctionType.SECOND_PRICE),
        (3, AuctionType.FIXED_PRICE),
        (0, AuctionType.FIRST_PRICE),
        (501, AuctionType.FIRST_PRICE),
        (-2, AuctionType.FIRST_PRICE),
    ],
)
def test_the_request_s_auction_type_counts_unless_configured(at: int | None, expected: AuctionType) -> None:
    assert Speaker(EXCHANGE).auction_types[at] is expected
    first, second = (Speaker(msgspec.structs.replace(EXCHANGE, first_price=configured)) for configured in (True, False))
    assert first.auction_types[at] is AuctionType.FIRST_PRICE
    assert second.auction_types[at] is AuctionType.SECOND_PRICE
