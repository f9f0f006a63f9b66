"""From where in a request each of these is read; what becomes of it is tested with bidder.targeting.normalise."""

import pytest

from bidder.targeting import inventory
from bidder.targeting.categories import OF_WHO_MADE_IT
from tests.kit.openrtb import EXCHANGE, auction_of


@pytest.mark.parametrize(
    ("members", "agent"),
    [
        ({}, None),
        ({"device": {}}, None),
        ({"device": {"ua": "Firefox", "sua": {"browsers": [{"brand": "Edge"}]}}}, "Firefox"),
        ({"device": {"sua": {"browsers": [{"brand": "Edge"}, {"version": ["1"]}]}}}, ("Edge",)),
        ({"device": {"ua": "", "sua": {}}}, ""),
    ],
)
def test_the_agent_goes_before_the_brands(members: dict[str, object], agent: object) -> None:
    assert inventory.agent(auction_of(EXCHANGE, **members)) == agent


@pytest.mark.parametrize(
    ("members", "listed"),
    [
        ({}, ()),
        ({"dooh": {"id": "1"}}, ()),
        ({"site": {}}, ()),
        ({"site": {"cat": ["IAB1"]}}, ("IAB1",)),
        ({"site": {"cat": ["IAB1"], "cattax": 1, "pagecat": ["IAB2"]}}, ("IAB1", "IAB2")),
        ({"site": {"cat": ["1"], "sectioncat": ["2"], "cattax": 7}}, ((7, ("1", "2")),)),
        ({"app": {"cat": ["IAB1"], "content": {"cat": ["3"], "cattax": 2}}}, ("IAB1", (2, ("3",)))),
        ({"app": {"content": {"cat": ["IAB3"]}}}, ((None, ("IAB3",)),)),
        ({"site": {"publisher": {"cat": ["IAB7"]}}}, ((None, ("IAB7",), OF_WHO_MADE_IT),)),
        (
            {"app": {"cat": ["IAB1"], "publisher": {"cat": ["53"], "cattax": 7}}},
            ("IAB1", (7, ("53",), OF_WHO_MADE_IT)),
        ),
        ({"site": {"content": {"producer": {"cat": ["1"], "cattax": 2}}}}, ((2, ("1",), OF_WHO_MADE_IT),)),
        (
            {"dooh": {"content": {"cat": ["IAB3"]}, "publisher": {"cat": ["IAB7"]}}},
            ((None, ("IAB3",)), (None, ("IAB7",), OF_WHO_MADE_IT)),
        ),
    ],
)
def test_categories_come_with_their_taxonomy(members: dict[str, object], listed: tuple[object, ...]) -> None:
    assert inventory.categories(auction_of(EXCHANGE, **members)) == listed


@pytest.mark.parametrize("kind", ["site", "app", "dooh"])
def test_a_publisher_has_a_place_of_any_kind(kind: str) -> None:
    assert inventory.publisher(auction_of(EXCHANGE, **{kind: {"publisher": {"id": 815}}})) == "815"
    assert inventory.publisher(auction_of(EXCHANGE, **{kind: {"publisher": {}}})) is None
    assert inventory.environment(auction_of(EXCHANGE, **{kind: {"id": "1"}})) == kind


def test_venues_are_read_where_either_text_puts_them() -> None:
    members = {"venuetype": ["transit"], "venuetypeid": [101, "2"]}
    assert inventory.venues(auction_of(dooh=members)) == ("transit", "101", "2")
    assert inventory.venues(auction_of(site={})) == ()


def test_a_bundle_goes_before_the_store_and_that_before_the_exchange_s_id() -> None:
    members = {"bundle": "com.a", "storeurl": "https://store.example/?id=com.b", "id": "7"}
    assert inventory.app(auction_of(app=members)) == "com.a"
    assert inventory.app(auction_of(app={**members, "bundle": None})) == "com.b"
    assert inventory.app(auction_of(app={"id": "7", "storeurl": "https://store.example/"})) == "7"
    assert inventory.app(auction_of(site={})) is None
