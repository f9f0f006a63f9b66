"""Each rule is broken once in an answer that was right."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from bidder.openrtb.judge import AnswerTerms, faults_of_answer, faults_of_bid
from tests.kit.openrtb import FX, request_of

Json = dict[str, Any]

TERMS = AnswerTerms("PLN", frozenset({"grosz"}), "${AUCTION_PRICE}")
REQUEST: Json = {
    "id": "r1", "cur": ["PLN"], "wseat": ["grosz"], "badv": ["rival.example"], "bcat": ["IAB7", "IAB8-5"],
    "wlang": ["pl"],
    "imp": [
        {
            "id": "1", "bidfloor": 0.25, "bidfloorcur": "USD", "secure": 1,
            "banner": {"format": [{"w": 300, "h": 250}, {"w": 320, "h": 50}], "battr": [3], "api": [5]},
            "pmp": {"deals": [
                {"id": "d1", "bidfloor": 1.5, "bidfloorcur": "PLN", "wadomain": ["shop.example"]},
                {"id": "fixed", "bidfloor": 2.0, "bidfloorcur": "PLN", "at": 3, "wseat": ["grosz"]},
                {"id": "others", "bidfloorcur": "PLN", "wseat": ["x"]},
            ]},
        }
    ],
}  # fmt: skip
BID: Json = {
    "id": "1", "impid": "1", "price": 2.0, "w": 300, "h": 250, "mtype": 1, "adomain": ["www.shop.example"],
    "crid": "1-1", "cat": ["IAB22"], "attr": [1], "apis": [5], "language": "pl", "iurl": "https://cdn.example/a.png",
    "adm": '<a href="https://t.example/c"></a><svg xmlns="http://www.w3.org/2000/svg"/>',
    "burl": "https://t.example/n/bill/x?p=${AUCTION_PRICE}",
}  # fmt: skip


def kinds(bid: Json, request: Json = REQUEST, seat: str = "grosz", currency: str = "PLN") -> list[str]:
    """What is wrong, by rule."""
    return [fault.kind for fault in faults_of_bid(request_of(**request), bid, seat, currency, TERMS, FX)]


@pytest.mark.parametrize(("falls_back", "price", "faults"), [(False, 0.5, []), (True, 0.5, ["floor"]), (True, 1.0, [])])
def test_a_deal_without_a_floor_has_the_impression_s_where_the_exchange_says_so(
    falls_back: bool, price: float, faults: list[str]
) -> None:
    offered = {**REQUEST["imp"][0], "pmp": {"deals": [{"id": "open"}]}}
    terms = TERMS._replace(deal_floor_else_impression=falls_back)
    request = request_of(**{**REQUEST, "imp": [offered]})
    bid = BID | {"dealid": "open", "price": price}
    assert [fault.kind for fault in faults_of_bid(request, bid, "grosz", "PLN", terms, FX)] == faults


@pytest.mark.parametrize(("price", "faults"), [(0.3, ["floor"]), (0.31, [])])
def test_a_price_is_compared_with_the_floor_as_it_was_sent(price: float, faults: list[str]) -> None:
    floored = {**REQUEST["imp"][0], "bidfloor": 0.1 + 0.2, "bidfloorcur": "PLN"}  # 0.30000000000000004
    assert kinds(BID | {"price": price}, {**REQUEST, "imp": [floored]}) == faults


@pytest.mark.parametrize("regs", [{"dsa": {"dsarequired": 3}}, {"ext": {"dsa": {"dsarequired": 3}}}])
def test_a_bid_that_names_nobody_who_pays_is_a_fault_wherever_it_was_asked_for(regs: Json) -> None:
    assert kinds(BID, {**REQUEST, "regs": regs}) == ["transparency"]


@pytest.mark.parametrize(("price", "faults"), [(1.5, []), (1.51, ["deal_price"])])
def test_a_deal_without_a_type_has_the_request_s(price: float, faults: list[str]) -> None:
    assert kinds(BID | {"dealid": "d1", "price": price}, REQUEST | {"at": 3}) == faults


@pytest.mark.parametrize("deal", [{}, {"dealid": "d1"}, {"dealid": "fixed"}])
def test_a_right_bid_has_no_fault(deal: Json) -> None:
    assert kinds(BID | deal) == []


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"impid": "2"}, "impression"),
        ({"price": 0.99}, "floor"),  # 0.25 USD are 1.00 PLN
        ({"price": 0}, "price"),
        ({"price": -1}, "price"),
        ({"price": True}, "price"),
        ({"price": "2"}, "price"),
        ({"price": float("inf")}, "price"),
        ({"price": 2.005}, "price"),
        ({"price": 1.49, "dealid": "d1"}, "floor"),
        ({"price": 2.01, "dealid": "fixed"}, "deal_price"),
        ({"dealid": "unknown"}, "deal"),
        ({"dealid": "others"}, "deal"),
        ({"dealid": "d1", "adomain": ["another.example"]}, "deal"),
        ({"w": 320, "h": 250}, "size"),
        ({"mtype": 2}, "format"),
        ({"adomain": ["shop.rival.example"]}, "blocked_advertiser"),
        ({"cat": ["IAB7-3"]}, "blocked_category"),
        ({"cat": ["IAB8-5"]}, "blocked_category"),
        ({"attr": [3]}, "blocked_attribute"),
        ({"apis": [5, 7]}, "framework"),
        ({"language": "en"}, "language"),
        ({"adm": ""}, "markup"),
        ({"adm": '<img src="http://cdn.example/a.png">'}, "secure"),
        ({"adm": "fetch('http:\\/\\/cdn.example')"}, "secure"),
        ({"adm": '<img src="https://t.example/@TOKEN@">'}, "macro"),
        ({"burl": "https://t.example/n/bill/x"}, "macro"),
        ({"iurl": "data:image/svg+xml,x"}, "sample_image"),
    ],
)
def test_a_broken_rule_is_named(changes: Json, kind: str) -> None:
    assert kinds(BID | changes) == [kind]


@pytest.mark.parametrize(
    "changes",
    [
        {"cat": ["IAB8-50"]},  # another category that begins alike
        {"cat": ["IAB70"]},
        {"adomain": ["notrival.example"]},
        {"adm": '<img src="http://127.0.0.1:8081/a">'},
        {"mtype": 0},
        {"w": 320, "h": 50},
        {"price": 1.0},
        {"language": "pl-PL"},
    ],
)
def test_what_only_looks_like_a_fault_is_none(changes: Json) -> None:
    assert kinds(BID | changes) == []


FLEX: Json = {"format": [{"wratio": 4, "hratio": 1, "wmin": 320}]}
FULL_SCREEN: Json = {"w": 320, "h": 480, "ext": {"prebid": {"interstitial": {"minwidthperc": 80, "minheightperc": 60}}}}


@pytest.mark.parametrize(
    ("banner", "device", "bid", "fits"),
    [
        (FLEX, {}, {"w": 320, "h": 80, "wratio": 4, "hratio": 1}, True),
        (FLEX, {}, {"w": 300, "h": 75, "wratio": 4, "hratio": 1}, False),
        ({"format": [{"wratio": 4, "hratio": 1}]}, {}, {"w": 320, "h": 80}, False),
        ({"wmin": 300, "wmax": 320, "hmin": 50, "hmax": 250}, {}, {"w": 310, "h": 60}, True),
        ({"wmin": 300, "wmax": 320, "hmin": 50, "hmax": 250}, {}, {"w": 321, "h": 60}, False),
        ({"wmin": 300, "wmax": 320, "hmin": 50}, {}, {"w": 310, "h": 60}, False),
        ({"w": 1, "h": 1}, FULL_SCREEN, {"w": 300, "h": 300}, True),
        ({"w": 1, "h": 1}, FULL_SCREEN, {"w": 300, "h": 250}, False),
        ({"w": 1, "h": 1}, {"w": 320, "h": 480}, {"w": 300, "h": 300}, False),
    ],
)  # fmt: skip
def test_a_size_may_be_a_ratio_a_range_or_a_part_of_the_screen(
    banner: Json, device: Json, bid: Json, fits: bool
) -> None:
    request = {"id": "r1", "imp": [{"id": "1", "banner": banner}], "device": device}
    assert kinds(BID | {"apis": []} | bid, request) == ([] if fits else ["size"])


def test_private_auctions_take_bids_on_deals_alone() -> None:
    private = copy.deepcopy(REQUEST)
    private["imp"][0]["pmp"]["private_auction"] = 1
    assert kinds(BID, private) == ["private_auction"]
    assert kinds(BID | {"dealid": "d1"}, private) == []


@pytest.mark.parametrize(
    ("seat", "request_members"), [("x", {}), ("grosz", {"wseat": ["x"]}), ("grosz", {"bseat": ["grosz"]})]
)
def test_seats_are_ours_and_invited(seat: str, request_members: Json) -> None:
    assert set(kinds(BID, REQUEST | request_members, seat)) == {"seat"}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda answer: answer.update(id="r2"), "id"),
        (lambda answer: answer.update(cur="EUR"), "currency"),
        (lambda answer: answer["seatbid"][0]["bid"].append(BID), "bid_id"),
        (lambda answer: answer["seatbid"][0].update(bid=[BID | {"id": ""}]), "bid_id"),
    ],
)
def test_an_answer_echoes_its_request(change: Callable[[Json], object], kind: str) -> None:
    answer: Json = {"id": "r1", "cur": "PLN", "seatbid": [{"seat": "grosz", "bid": [BID]}]}
    assert list(faults_of_answer(request_of(**REQUEST), answer, TERMS)) == []
    change(answer)
    assert [fault.kind for fault in faults_of_answer(request_of(**REQUEST), answer, TERMS)] == [kind]


@pytest.mark.parametrize(
    ("asked", "told", "found"),
    [
        ({"dsarequired": 1}, {}, []),
        ({"dsarequired": 2, "pubrender": 1}, {}, ["transparency"]),
        ({"dsarequired": 2, "pubrender": 1}, {"behalf": "A", "paid": "B", "adrender": 0}, []),
        ({"dsarequired": 3}, {"behalf": "A", "paid": "B", "adrender": 0}, ["transparency"]),
        ({"dsarequired": 3, "pubrender": 2, "datatopub": 2}, {"behalf": "A", "paid": "B"}, ["transparency"]),
    ],
)
def test_who_pays_is_told_where_it_must_be(asked: Json, told: Json, found: list[str]) -> None:
    bid = BID | ({"ext": {"dsa": told}} if told else {})
    assert kinds(bid, REQUEST | {"regs": {"gdpr": 0, "ext": {"dsa": asked}}}) == found
