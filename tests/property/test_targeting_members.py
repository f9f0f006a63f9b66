"""Each member of targeting by itself, against its meaning in plain words: a field that is declared wrongly is named.

`tests.kit.naive_targeting` is written by hand and knows no `Field`; the other property tests mix all members.
"""

import collections
import random
from collections.abc import Callable

import msgspec
import pytest

from bidder.targeting.fields import FIELDS
from core.model import Catalogue, Targeting
from core.reasons import NoBid
from tests.kit.bidding import NOW_MS, TestBidder
from tests.kit.layering import compiled_in_layers
from tests.kit.naive_targeting import Json, failed, failed_for_user
from tests.kit.random_bidding import EXCHANGES, TARGETED, random_catalogue, random_request

REASON_OF = {member: field.reason for field in FIELDS for member in (field.allow, field.deny) if member}
LINE_ITEMS, REQUESTS = 10, 60

SPELT: dict[str, Callable[[str], str]] = {
    "cities": str.upper,
    "postcodes": " ".join,
    "operating_systems": str.upper,
    "browsers": str.title,
    "languages": str.upper,
    "domains_allow": lambda name: f"https://{name.upper()}/",
    "domains_deny": lambda name: f"{name.title()}.",
    "apps_allow": str.upper,
    "apps_deny": str.title,
    "page_paths": lambda path: path.replace("b", "%62"),
    "page_keywords": lambda words: words.upper().replace(" ", "  "),
    "page_keywords_deny": lambda words: words.title().replace(" ", "-"),
    "sellers_allow": str.upper,
    "sellers_deny": str.title,
}
"""Other ways to write what means the same."""


def naming(chance: random.Random, member: str, spelt: Callable[[str], str] | None = None) -> Catalogue:
    """Line items that name values of one member and target nothing besides."""
    values, _often, most = TARGETED[member]
    made = random_catalogue(chance, LINE_ITEMS, targeted=False)
    lines = []
    for line in made.line_items:
        named = chance.sample(values, chance.randint(1, min(most, len(values))))
        targeting = Targeting(**{member: tuple(map(spelt, named) if spelt else named)})
        lines.append(msgspec.structs.replace(line, targeting=targeting))
    return msgspec.structs.replace(made, line_items=tuple(lines))


def varied(chance: random.Random, request: Json) -> Json:
    """A random request that says some things in its other ways."""
    device = request["device"]
    if "lat" in device["geo"] and chance.random() < 0.5:
        device["geo"] |= {"type": 1, "accuracy": chance.choice((100, 20_000, 40_000))}
    if chance.random() < 0.3:
        device["os"] = chance.choice(("Android", "iOS", "Windows"))
    if chance.random() < 0.3:
        device["langb"] = device.pop("language")
    if "app" in request:
        request["app"]["bundle"] = chance.choice((str.upper, str.lower))(request["app"]["bundle"])
    for imp in request["imp"]:
        if chance.random() < 0.6:
            imp["audio"] = {"slotinpod": chance.choice((-1, 0, 1)), "podseq": chance.choice((-1, 0, 1))}
        for spot in (imp[kind] for kind in ("video", "audio") if kind in imp):
            if chance.random() < 0.4:
                spot["poddur"] = 60
    return request


@pytest.mark.parametrize("member", REASON_OF)
def test_a_member_admits_and_refuses_what_it_means(member: str) -> None:
    chance = random.Random(member)
    catalogue = naming(random.Random(member), member)
    written = naming(random.Random(member), member, SPELT.get(member))
    bidder = TestBidder(written, compiled=compiled_in_layers(chance, written))
    told: collections.Counter[bool] = collections.Counter()
    for number in range(REQUESTS):
        request, exchange = varied(chance, random_request(chance, number, plain=True)), chance.choice(EXCHANGES)
        found = bidder.matched(request, None, exchange.key)
        for imp, eligible in zip(request["imp"], found, strict=True):
            refused: dict[int, set[NoBid]] = {
                line.id: failed(catalogue, line, exchange, request, imp, NOW_MS)
                | failed_for_user(catalogue, line, 0, None, NOW_MS)
                for line in catalogue.line_items
            }
            assert {line_id for line_id, share in eligible if not share} == {
                line_id for line_id, reasons in refused.items() if not reasons
            }, (member, request)
            for reasons in refused.values():
                told[bool(reasons)] += not reasons or reasons == {REASON_OF[member]}
    assert told[True], f"nothing is refused for {member} alone: the test shows nothing"
    assert told[False], f"nothing is admitted: the test shows nothing of {member}"
