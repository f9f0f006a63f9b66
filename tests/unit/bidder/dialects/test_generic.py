"""What an exchange's configuration says of its dialect."""

import json

import msgspec
import pytest

from bidder.dialects.generic import Speaker
from core.model import Exchange, NoBidStyle
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


@pytest.mark.parametrize(("at", "first"), [(None, False), (1, True), (2, False), (3, True), (501, True)])
def test_the_request_s_auction_type_counts_unless_configured(at: int | None, first: bool) -> None:
    assert Speaker(EXCHANGE).is_first_price(at) is first
    for configured in (True, False):
        assert Speaker(msgspec.structs.replace(EXCHANGE, first_price=configured)).is_first_price(at) is configured
