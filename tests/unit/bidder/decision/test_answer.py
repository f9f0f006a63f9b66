"""Bids of one answer are grouped by the seat that each is made by."""

from typing import Any

import msgspec
import pytest

from core.model import Seat
from tests.kit.bidding import TestBidder
from tests.kit.catalogues import EXCHANGE, catalogue, line_item
from tests.kit.openrtb import raw_request

BANNER = {"w": 300, "h": 250}
SEATS = (Seat(1, "first"), Seat(2, "second"), Seat(2, "campaign", campaign_id=9))


def bidder(*seats: Seat) -> TestBidder:
    """Two shops of which the second bids less."""
    lines = (line_item(1), line_item(2, advertiser=2, bid_micros=1_500_000))
    made = catalogue(*lines, exchanges=(msgspec.structs.replace(EXCHANGE, seats=seats),))
    return TestBidder(made)


def answer(asked: TestBidder, **members: object) -> Any:  # noqa: ANN401 - JSON
    imps = [{"id": str(number), "banner": BANNER} for number in (1, 2)]
    return asked.answer(raw_request(imp=imps, regs={"gdpr": 0}, **members))


def seats_of(response: Any) -> dict[str, list[str]]:  # noqa: ANN401 - JSON
    return {seat["seat"]: [bid["adomain"][0] for bid in seat["bid"]] for seat in response["seatbid"]}


def test_without_seats_of_their_own_all_bid_by_the_exchange_s() -> None:
    assert seats_of(answer(bidder())) == {"grosz": ["shop1.example", "shop2.example"]}


def test_each_advertiser_bids_by_its_seat() -> None:
    assert seats_of(answer(bidder(*SEATS))) == {"first": ["shop1.example"], "second": ["shop2.example"]}


def test_who_has_no_seat_bids_by_the_exchange_s() -> None:
    assert seats_of(answer(bidder(SEATS[1]))) == {"grosz": ["shop1.example"], "second": ["shop2.example"]}


def test_a_campaign_s_seat_comes_before_its_advertiser_s() -> None:
    own = Seat(2, "campaign", campaign_id=2)
    assert seats_of(answer(bidder(SEATS[1], own)))["campaign"] == ["shop2.example"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"wseat": ["second"]}, {"second": ["shop2.example"]}),
        ({"wseat": ["first", "second"]}, {"first": ["shop1.example"], "second": ["shop2.example"]}),
        ({"bseat": ["first"]}, {"second": ["shop2.example"]}),
        ({"wseat": ["grosz"]}, None),
        ({"wseat": ["other"]}, None),
    ],
)
def test_only_seats_that_are_invited_bid(members: dict[str, list[str]], expected: dict[str, list[str]] | None) -> None:
    found = answer(bidder(*SEATS), **members)
    assert (seats_of(found) if found else None) == expected
