"""Each exchange that is played finds what it would refuse, and writes prices as its documents say."""

from typing import Any

import pytest

from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from core.model import PriceEncryption
from loadtest.exchange.dialects import (
    ENCRYPTION_KEY,
    INTEGRITY_KEY,
    MANNERS,
    SEATS,
    as_exchange,
    encrypted_price,
    manner_of,
    plain_price,
)
from loadtest.judging.checks import Bid
from loadtest.traffic.scenario import ScenarioError, load_scenario
from loadtest.traffic.templates import make_templates
from pacing.notices.prices import PriceKeys, decrypt_price

RIGHT: dict[str, dict[str, Any]] = {
    "google": {"cid": SEATS["google"], "crid": "1-1"},
    "xandr": {"ext": {"appnexus": {"crcode": "1-1"}}},
    "pubmatic": {"adomain": ["a.example"], "cid": "1", "crid": "1-1", "iurl": "https://a.example/i.png", "attr": []},
    "index": {"adm": "<img src='https://t.example?p=${AUCTION_PRICE}'>", "adomain": ["a.example"]},
    "magnite": {},
    "bidswitch": {"adomain": ["a.example"], "crid": "1-1", "iurl": "https://a.example/i.png"},
    "smaato": {},
    "openx": {"adm": "<img src='https://t.example?p=${AUCTION_PRICE:OXCRYPT}'>"},
}


def kinds(name: str, *bids: dict[str, Any], seat: str | None = None, seats: int = 1) -> set[str]:
    """What the exchange finds wrong with bids, by rule."""
    of_seat = SEATS[name] if seat is None else seat
    found = MANNERS[name].judge([(of_seat, [Bid(**bid) for bid in bids])] * seats)
    return {violation.kind for violation in found}


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_a_right_bid_is_taken(name: str) -> None:
    assert kinds(name, RIGHT[name]) == set()


@pytest.mark.parametrize(
    ("name", "changes", "kind"),
    [
        ("google", {"cid": "7"}, "billing-id"),
        ("google", {"crid": "x" * 65}, "creative-id"),
        ("google", {"crid": ""}, "creative-id"),
        ("xandr", {"burl": "https://t.example"}, "version"),
        ("xandr", {"ext": {}}, "creative-id"),
        ("pubmatic", {"iurl": None}, "missing-member"),
        ("pubmatic", {"attr": [1, 2]}, "list"),
        ("pubmatic", {"nurl": "https://t.example"}, "win-notice"),
        ("index", {"adm": "<b>x</b>"}, "no-price-macro"),
        ("index", {"adomain": ["x" * 129]}, "domain"),
        ("bidswitch", {"crid": None}, "missing-member"),
        ("bidswitch", {"adm": "${AUCTION_PRICE}", "nurl": "https://t.example?p=${AUCTION_PRICE}"}, "price-macro"),
        ("openx", {"adm": "<img src='https://t.example?p=${AUCTION_PRICE}'>"}, "no-price-macro"),
    ],
)
def test_a_wrong_bid_is_refused_with_its_rule(name: str, changes: dict[str, Any], kind: str) -> None:
    assert kinds(name, RIGHT[name] | changes) == {kind}


@pytest.mark.parametrize("name", ["xandr", "pubmatic", "magnite"])
def test_another_seat_is_refused(name: str) -> None:
    assert kinds(name, RIGHT[name], seat="somebody") == {"seat"}


def test_too_many_bids_and_seats_are_refused() -> None:
    assert kinds("pubmatic", *[RIGHT["pubmatic"]] * 6) == {"too-many-bids"}
    assert kinds("pubmatic", *[RIGHT["pubmatic"]] * 5) == set()
    assert kinds("openx", RIGHT["openx"], seats=2) == {"seats"}


def test_which_forms_of_no_an_exchange_takes() -> None:
    refused = {"no-content": [], "empty-answer": []}  # type: dict[str, list[str]]
    for name, manner in MANNERS.items():
        if not manner.no_content:
            refused["no-content"].append(name)
        if not manner.empty_answers:
            refused["empty-answer"].append(name)
    assert refused == {"no-content": ["google"], "empty-answer": ["xandr", "smaato"]}


@pytest.mark.parametrize("cpm", [10_000, 1_230_000, 999_990_000])
def test_an_encrypted_price_is_what_the_bidder_reads(cpm: int) -> None:
    keys = PriceKeys(encryption=ENCRYPTION_KEY, integrity=INTEGRITY_KEY)
    first, second = encrypted_price(cpm, b"one"), encrypted_price(cpm, b"two")
    assert (
        decrypt_price(first, PriceEncryption.GOOGLE, keys) == decrypt_price(second, PriceEncryption.GOOGLE, keys) == cpm
    )
    assert first != second


def test_a_plain_price_has_two_decimals_or_six() -> None:
    assert (plain_price(1_230_000, b""), plain_price(1_234_567, b"")) == ("1.23", "1.234567")


def test_a_scenario_becomes_one_of_the_exchange() -> None:
    played = as_exchange(load_scenario("smoke"), "google")
    assert (played.dialect, played.notices.billing_event, played.notices.send) == ("google", "bill", True)
    body = make_templates(played.traffic, 1, 0)[0].body(b"1" * 20, b"u" * 22)
    request = decode_request(body, Tolerances())
    offered = {imp.ext.billing_id for imp in request.imp if imp.ext is not None}
    assert offered == {("77", SEATS["google"])}
    assert as_exchange(load_scenario("smoke"), "index").traffic.currency == "USD"


def test_an_exchange_that_nobody_plays_is_named() -> None:
    with pytest.raises(ScenarioError, match="no dialect 'triplelift'"):
        manner_of("triplelift")
