"""Which impressions can be bid on, in which currency, above which floors."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bidder.dialects.table import speaker_of
from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction
from bidder.request.validate import check_request
from core.reasons import NoBid
from tests.kit.openrtb import EXCHANGE, FX, auction_of, corpus_lines

BANNER = {"w": 300, "h": 250}


def checked(auction: Auction) -> Auction:
    check_request(auction, FX)
    return auction


def with_imp(**members: object) -> Auction:
    return checked(auction_of(imp=[{"id": "1", "banner": BANNER, **members}]))


def codes(auction: Auction) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.code) for fault in auction.faults]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, "PLN"),
        ([], "PLN"),
        (["USD"], "USD"),
        (["JPY", "EUR", "USD"], "EUR"),
        (["eur "], "EUR"),
        (["JPY"], None),
    ],
)
def test_the_first_currency_with_a_rate_is_bid_in(offered: list[str] | None, chosen: str | None) -> None:
    auction = checked(auction_of(cur=offered))
    if chosen is None:
        assert auction.no_bid is NoBid.CURRENCY
    else:
        assert (auction.no_bid, auction.currency) == (None, chosen)


def test_an_exchange_that_settles_in_a_currency_without_rate_gets_no_bid() -> None:
    exchange = msgspec.structs.replace(EXCHANGE, default_currency="JPY")
    assert checked(auction_of(exchange)).no_bid is NoBid.CURRENCY


@pytest.mark.parametrize(
    ("members", "blocked"),
    [
        ({}, False),
        ({"wseat": []}, False),
        ({"wseat": ["other", "grosz"]}, False),
        ({"wseat": ["other"]}, True),
        ({"bseat": ["other"]}, False),
        ({"bseat": ["grosz"]}, True),
        ({"wseat": ["grosz"], "bseat": ["grosz"]}, True),
    ],
)
def test_seats_invited_and_blocked(members: dict[str, Any], blocked: bool) -> None:
    assert checked(auction_of(**members)).no_bid is (NoBid.SEAT_BLOCKED if blocked else None)


@pytest.mark.parametrize(("test", "is_test"), [(None, False), (0, False), (1, True), (True, True)])
def test_test_requests_are_marked(test: object, is_test: bool) -> None:
    assert checked(auction_of(test=test)).is_test is is_test


@pytest.mark.parametrize(
    ("members", "floor"),
    [
        ({}, 0),
        ({"bidfloor": 0}, 0),
        ({"bidfloor": -3.5}, 0),
        ({"bidfloor": 0, "bidfloorcur": "JPY"}, 0),
        ({"bidfloor": 1.5}, 6_000_000),  # USD where the impression does not say
        ({"bidfloor": 1.5, "bidfloorcur": "PLN"}, 1_500_000),
        ({"bidfloor": 1.5, "bidfloorcur": "pln"}, 1_500_000),
        ({"bidfloor": 1.5, "bidfloorcur": "EUR"}, 6_450_000),
        ({"bidfloor": 1e-7, "bidfloorcur": "PLN"}, 1),
        ({"bidfloor": 0.1 + 0.2, "bidfloorcur": "PLN"}, 300_001),  # 0.30000000000000004
        ({"bidfloor": 12.3700001, "bidfloorcur": "PLN"}, 12_370_001),
        ({"bidfloor": 0.07, "bidfloorcur": "PLN"}, 70_000),
    ],
)
def test_floors_become_micros_of_the_auction_s_currency(members: dict[str, object], floor: int) -> None:
    (impression,) = with_imp(**members).impressions
    assert impression.floor_cpm == floor


def test_a_converted_floor_is_rounded_up() -> None:
    auction = checked(auction_of(cur=["EUR"], imp=[{"id": "1", "banner": BANNER, "bidfloor": 1, "bidfloorcur": "PLN"}]))
    assert auction.impressions[0].floor_cpm == 232_559  # 1 / 4.3 is 0.2325581...


@pytest.mark.parametrize(
    "members",
    [
        {"bidfloor": 1, "bidfloorcur": "JPY"},
        {"bidfloor": 1, "bidfloorcur": "?"},
        {"bidfloor": 2e6, "bidfloorcur": "PLN"},
        {"bidfloor": 9e5, "bidfloorcur": "USD"},
        {"bidfloor": 1e14},
    ],
)
def test_an_impression_whose_floor_cannot_be_compared_is_left_out(members: dict[str, object]) -> None:
    auction = with_imp(**members)
    assert auction.no_bid is NoBid.INVALID_IMPRESSION
    assert codes(auction) == [("/imp/0/bidfloor", "bad_floor")]


def test_impressions_that_cannot_be_served_are_left_out_with_their_fault() -> None:
    auction = checked(
        auction_of(
            imp=[
                {"id": "a"},
                {"id": "b", "native": {"request": "{"}},
                {"id": "c", "banner": {"w": 300}},
                {"id": "d", "banner": BANNER},
            ]
        )
    )
    assert auction.no_bid is None
    assert [(impression.imp.id, impression.position) for impression in auction.impressions] == [("d", 3)]
    assert codes(auction) == [
        ("/imp/0", "no_format"),
        ("/imp/1/native/request", "bad_request"),
        ("/imp/2/banner", "no_size"),
    ]


def test_deals_carry_their_own_floors_and_auction_types() -> None:
    (impression,) = with_imp(
        bidfloor=9,
        bidfloorcur="PLN",
        pmp={
            "deals": [
                {"id": "plain"},
                {"id": "dollars", "bidfloor": 1},
                {"id": "fixed", "bidfloor": 2.5, "bidfloorcur": "PLN", "at": 3},
                {"id": "ours", "wseat": ["x", "grosz"]},
                {"id": "theirs", "wseat": ["x"]},
            ]
        },
    ).impressions
    assert impression.floor_cpm == 9_000_000
    assert impression.private_auction is False
    assert impression.deal_floors == {
        "plain": (0, 0), "dollars": (4_000_000, 0), "fixed": (2_500_000, 3), "ours": (0, 0),
    }  # fmt: skip


def test_a_fixed_price_is_not_raised_by_what_a_float_has_too_much() -> None:
    deal = {"id": "fixed", "bidfloor": 0.1 + 0.2, "bidfloorcur": "PLN", "at": 3}
    (impression,) = with_imp(pmp={"deals": [deal]}).impressions
    assert impression.deal_floors == {"fixed": (300_000, 3)}


def test_a_deal_that_is_offered_twice_at_different_prices_is_not_bid_on() -> None:
    deals = [
        {"id": "twice", "bidfloor": 1, "bidfloorcur": "PLN", "at": 3},
        {"id": "same", "bidfloor": 2, "bidfloorcur": "PLN"},
        {"id": "twice", "bidfloor": 7, "bidfloorcur": "PLN", "at": 1},
        {"id": "same", "bidfloor": 2, "bidfloorcur": "PLN"},
        {"id": "twice", "bidfloor": 1, "bidfloorcur": "PLN", "at": 3},
    ]
    auction = with_imp(pmp={"deals": deals})
    assert auction.impressions[0].deal_floors == {"same": (2_000_000, 0)}
    assert codes(auction) == [("/imp/0/pmp/deals/2", "unclear_deal")]


def test_faulty_deals_are_not_offered() -> None:
    deals = [{"bidfloor": 1}, {"id": ""}, {"id": "yen", "bidfloor": 1, "bidfloorcur": "JPY"}]
    auction = with_imp(pmp={"private_auction": 1, "deals": deals})
    (impression,) = auction.impressions
    assert impression.private_auction is True
    assert impression.deal_floors == {}
    assert codes(auction) == [
        ("/imp/0/pmp/deals/0", "no_deal_id"),
        ("/imp/0/pmp/deals/1", "no_deal_id"),
        ("/imp/0/pmp/deals/2/bidfloor", "bad_floor"),
    ]


def test_faulty_impressions_of_the_corpus_get_no_banner_bid(corpus: Path) -> None:
    """Lines that are about one impression leave nothing but sound impressions to bid on."""
    for line in corpus_lines(corpus / "invalid.jsonl"):
        if line["severity"] == "hard":
            continue
        auction = Auction(decode_request(line["body"].encode(), Tolerances()), EXCHANGE, 1.0, speaker_of(EXCHANGE))
        auction.request.cur = None
        check_request(auction, FX)
        faulty = {fault.pointer.split("/")[2] for fault in auction.faults}
        offered = {str(impression.position) for impression in auction.impressions}
        assert len(offered | faulty) == len(auction.request.imp), line["name"]
        for impression in auction.impressions:
            assert impression.offer.shapes
            assert all(width > 0 and height > 0 for width, height in impression.offer.sizes)


def test_recorded_requests_offer_banners_to_bid_on(corpus: Path) -> None:
    biddable = 0
    for line in corpus_lines(corpus / "requests.jsonl"):
        auction = checked(auction_of(**{**line["request"], "wseat": None}))
        biddable += bool(auction.impressions)
        assert bool(auction.impressions) is (auction.no_bid is None)
    assert biddable >= 390


UNREADABLE: tuple[object, ...] = (
    "99,50",
    "99 PLN",
    "1e16",
    "nan",
    1e16,
    1e308,
    int("9" * 400),
    {},
    [],
    [1.5],
    True,
    "",
    "1" * 50,
)


@pytest.mark.parametrize("floor", UNREADABLE, ids=lambda floor: repr(floor)[:20])
def test_a_floor_that_cannot_be_read_is_not_no_floor(floor: object) -> None:
    auction = checked(auction_of(imp=[{"id": "1", "banner": BANNER, "bidfloor": floor}, {"id": "2", "banner": BANNER}]))
    assert [impression.imp.id for impression in auction.impressions] == ["2"]
    assert codes(auction) == [("/imp/0/bidfloor", "bad_floor")]


@pytest.mark.parametrize("floor", UNREADABLE, ids=lambda floor: repr(floor)[:20])
def test_a_deal_whose_floor_cannot_be_read_is_not_bid_on(floor: object) -> None:
    auction = with_imp(pmp={"deals": [{"id": "d1", "bidfloor": floor}, {"id": "d2", "bidfloor": 1}]})
    assert list(auction.impressions[0].deal_floors) == ["d2"]


@pytest.mark.parametrize("floor", [-1, "-3", 0, "0", None])
def test_a_floor_that_no_price_is_below_limits_nothing(floor: object) -> None:
    assert with_imp(bidfloor=floor).impressions[0].floor_cpm == 0


@pytest.mark.parametrize("currency", [{}, ["PLN", "EUR"], True, "zloty"])
def test_a_floor_in_a_currency_that_cannot_be_read_is_not_one_in_dollars(currency: object) -> None:
    assert codes(with_imp(bidfloor=1.5, bidfloorcur=currency)) == [("/imp/0/bidfloor", "bad_floor")]


@pytest.mark.parametrize("multiplier", ["many", {}, 1e300, 10_001, 0, -1])
def test_an_impression_that_counts_as_nobody_knows_how_many_is_left_out(multiplier: object) -> None:
    assert codes(with_imp(qty={"multiplier": multiplier})) == [("/imp/0/qty", "multiplier")]


@pytest.mark.parametrize("multiplier", [50, 0.5])
def test_an_impression_that_counts_as_several_is_left_out_where_nobody_says_how_it_bills(multiplier: float) -> None:
    silent = msgspec.structs.replace(EXCHANGE, dialect="magnite")
    imp = {"id": "1", "banner": {"w": 300, "h": 250}, "qty": {"multiplier": multiplier}}
    assert codes(checked(auction_of(silent, imp=[imp]))) == [("/imp/0/qty", "multiplier")]


@pytest.mark.parametrize(
    ("multiplier", "thousandths"),
    [(50, 50_000), (0.5, 500), ("50", 50_000), (30.3, 30_300), (0.0001, 1), (14.2001, 14_201)],
)  # fmt: skip
def test_the_impressions_that_one_counts_as_are_rounded_up(multiplier: object, thousandths: int) -> None:
    auction = with_imp(qty={"multiplier": multiplier})
    assert auction.has_multipliers
    assert [each.multiplier_milli for each in auction.impressions] == [thousandths]


@pytest.mark.parametrize("quantity", [{}, {"multiplier": 1}, {"multiplier": 1.0}, {"multiplier": "1"}, None])
def test_an_impression_that_counts_once_is_bid_on(quantity: object) -> None:
    assert with_imp(qty=quantity).impressions


@pytest.mark.parametrize("seats", [{"a": 1}, [{}], [[]], [None, {}], True])
def test_a_list_of_seats_that_cannot_be_read_invites_nobody(seats: object) -> None:
    assert checked(auction_of(wseat=seats)).no_bid is NoBid.SEAT_BLOCKED


@pytest.mark.parametrize("flag", ["x", {}, [], 2])
def test_flags_that_cannot_be_read_are_set(flag: object) -> None:
    impression = with_imp(secure=flag, pmp={"private_auction": flag}).impressions[0]
    assert impression.imp.secure
    assert impression.private_auction


@pytest.mark.parametrize("at", ["first", {}, 2**40, "1,0"])
def test_an_auction_type_that_cannot_be_read_is_one_that_nobody_knows(at: object) -> None:
    assert auction_of(at=at).request.at == 0
