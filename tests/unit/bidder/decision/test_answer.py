"""Bids of one answer are grouped by the seat that each is made by."""

import math
from typing import Any

import msgspec
import pytest

from core.model import Seat
from tests.kit.bidding import TestBidder, bids_of
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


def test_a_play_that_counts_as_several_is_paid_for_each_of_them_and_told_so() -> None:
    serving = TestBidder(catalogue(line_item(1)))
    imp = {"id": "1", "banner": {"w": 300, "h": 250}}
    (one,) = bids_of(serving.answer(raw_request(imp=[imp], regs={"gdpr": 0})))
    (several,) = bids_of(serving.answer(raw_request(imp=[{**imp, "qty": {"multiplier": 30.3}}], regs={"gdpr": 0})))
    assert several["price"] == one["price"], "a price is of a thousand impressions, however many one play is"
    claimed, alone = serving.claims(several), serving.claims(one)
    assert (claimed.multiplier_milli, alone.multiplier_milli) == (30_300, 1_000)
    assert claimed.reserved_micros == math.ceil(alone.reserved_micros * 30.3)
    for notice in ("nurl", "burl"):
        assert "&q=${AUCTION_MULTIPLIER}" in str(several[notice])
        assert "AUCTION_MULTIPLIER" not in str(one[notice])


@pytest.mark.parametrize(
    ("asked", "dialect", "expiry"),
    [
        (None, "generic", 300), (60, "generic", 300), (1_800, "generic", 1_800), (86_400, "generic", 3_600),
        (1_800, "pubmatic", 300),
    ],
)  # fmt: skip
def test_a_bid_waits_as_long_as_the_impression_takes_where_a_win_keeps_its_money(
    asked: int | None, dialect: str, expiry: int
) -> None:
    exchange = msgspec.structs.replace(EXCHANGE, dialect=dialect, default_currency="USD", seat="5")
    made = catalogue(line_item(1), exchanges=(exchange,))
    imp = {"id": "1", "banner": {"w": 300, "h": 250}, "exp": asked}
    (bid,) = bids_of(TestBidder(made).answer(raw_request(imp=[imp], regs={"gdpr": 0})))
    assert bid["exp"] == expiry
