"""The bytes of a response against its types."""

import json
from pathlib import Path

import msgspec
import pytest

from bidder.openrtb.response import Bid, BidResponse, SeatBid, encode_no_bid, encode_response, quote
from tests.kit.schemas import schema_faults

BID = Bid(
    id="b1", impid="ż\"1\\", price=1.05, adid="9", nurl="https://t.example/n", adm='<a href="x">\n</a>',
    adomain=("shop.example",), cid="4", crid="9-1", cat=("IAB18",), attr=(1,), language="pl", w=300, h=250, mtype=1,
    exp=300, dealid="D", iurl="https://t.example/i.png",
)  # fmt: skip


def test_joined_bytes_say_what_the_types_say(corpus: Path) -> None:
    bid = msgspec.json.encode(BID)
    joined = encode_response("r-ż", [("seat", [[bid[:5], bid[5:]], [bid]]), ("", [[bid]])], "PLN", "resp1")
    expected = BidResponse(
        id="r-ż", seatbid=(SeatBid((BID, BID), "seat"), SeatBid((BID,))), bidid="resp1", cur="PLN"
    )  # fmt: skip
    assert msgspec.json.decode(joined, type=BidResponse) == expected
    assert json.loads(joined) == json.loads(msgspec.json.encode(expected))
    assert schema_faults(corpus, "openrtb-2.6-202606-bid-response", json.loads(joined)) == []


def test_a_no_bid_carries_its_code() -> None:
    body = json.loads(encode_no_bid('a"b', 8))
    assert body == {"id": 'a"b', "seatbid": [], "nbr": 8}


@pytest.mark.parametrize("text", ["", "plain", 'a"b\\c', "\n\t\x00\x1f\x7f", "ż€𝄞", "\u2028", "</script>"])
def test_quoted_text_reads_back(text: str) -> None:
    assert json.loads(quote(text)) == text


def test_a_lone_surrogate_cannot_be_sent() -> None:
    assert quote("a\ud800b") == b'"a?b"'
