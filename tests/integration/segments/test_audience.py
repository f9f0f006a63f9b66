"""`grosz audience`: everything that counts visitors, against a real server."""

import asyncio
import dataclasses
import json
import re
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from admin.cli import app
from core.catalogue.codec import encode_catalogue
from core.clock import SystemClock
from core.ids import new_user_id
from core.keys import CATALOGUE_SNAPSHOT, WEBHOOK_DEAD
from core.model import Exchange, Segment
from core.redis.client import control_redis
from segments.audiences.counting import ProfileCounter
from segments.audiences.hooks import MAX_ATTEMPTS, Delivery
from segments.audiences.ready_made import READY_MADE
from segments.facts.event import Event, Item, Kind, order_key
from segments.profiles.scanning import ServerScanner
from tests.kit.profiles import SHOES, catalogue, event_rig

SEGMENTS = [
    Segment(id=3, advertiser_id=1, name="all", rule="everyone"),
    Segment(id=4, advertiser_id=1, name="buyers", rule="purchases.count > 0"),
    Segment(id=5, advertiser_id=2, name="readers", rule="everyone"),
]
BUYERS, LOOKERS = 3, 5


@dataclasses.dataclass
class Answer:
    code: int
    text: str


@pytest.fixture
def shop(valkey: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Eight visitors of one shop, three of them buyers of 200 PLN, and one visitor of another."""
    monkeypatch.setenv("GROSZ_REDIS_URL", valkey)
    published = catalogue(SEGMENTS, exchanges=[Exchange(id=5, key="demo")])

    async def happen() -> None:
        async with event_rig(valkey, SystemClock(), published=published) as rig:
            await rig.store.commands([("SET", CATALOGUE_SNAPSHOT, encode_catalogue(published))])
            now_ms = rig.clock.now_ms()
            for number in range(BUYERS + LOOKERS):
                user = new_user_id()
                await rig.send(Event(Kind.VIEW_ITEM, 1, user, now_ms, items=(Item("a", "shoes"),)))
                if number < BUYERS:
                    order = order_key(f"A-{number}")
                    await rig.send(Event(Kind.PURCHASE, 1, user, now_ms, value_micros=200_000_000, order=order))
            await rig.send(Event(Kind.PAGE_VIEW, 2, new_user_id(), now_ms))
            await rig.settle()
            await rig.leases.release_all()

    asyncio.run(happen())
    return valkey


def audience(*arguments: str) -> Answer:
    result = CliRunner().invoke(app, ["audience", *arguments])
    return Answer(result.exit_code, result.output)


def test_segments_of_an_advertiser_are_counted(shop: str) -> None:
    rows = [line.split() for line in audience("sizes", "1").text.splitlines()]
    assert rows == [["segment", "name", "visitors"], ["3", "all", "8"], ["4", "buyers", "3"]]


def test_two_segments_of_one_advertiser_overlap_and_those_of_two_are_refused(shop: str) -> None:
    assert audience("overlap", "3", "4").text == "3\n"
    assert audience("overlap", "3", "5").code != 0
    assert audience("overlap", "3", "99").code != 0


def test_a_tag_that_fires_is_seen(shop: str) -> None:
    rows = {line.split()[0]: line.split()[-3:] for line in audience("tags", "1").text.splitlines()[1:]}
    assert rows == {"view_item": ["8", "0", "0.0"], "purchase": ["3", "0", "0.0"]}


def test_a_rule_that_is_no_segment_is_counted(shop: str) -> None:
    assert audience("count", "1", 'viewed category "shoes" and purchases.count = 0').text == f"{LOOKERS}\n"
    assert audience("count", "1", "scoer > 1").code != 0


def test_a_matrix_adds_up_to_all_visitors_of_the_advertiser(shop: str) -> None:
    lines = audience("matrix", "1", "lifetime_value:100,500", "lifecycle").text.splitlines()
    cells = [int(cell) for line in lines[1:] for cell in line.split("  ")[1:] if cell.strip().isdigit()]
    assert sum(cells) == BUYERS + LOOKERS
    assert sorted(cell for cell in cells if cell) == [BUYERS, LOOKERS]
    rules = audience("matrix", "1", "lifetime_value:100,500", "last_visit:7d,30d", "--rules").text
    assert "last_visit < 7d ago" in rules


@pytest.mark.parametrize("bounds", ["lifetime_value:7d", "last_visit:100", "scoer:1,2", "score:x"])
def test_a_bound_that_makes_no_sense_is_refused(shop: str, bounds: str) -> None:
    assert audience("matrix", "1", bounds, "lifecycle").code != 0


def test_progress_and_matches_are_shown(shop: str) -> None:
    assert audience("progress").text.startswith("no pass runs")
    assert audience("matches", "demo").text.startswith("day")
    assert audience("matches", "nobody").code != 0


def test_hooks_that_were_given_up_are_shown_and_called_again(shop: str) -> None:
    async def give_up() -> None:
        async with event_rig(shop, SystemClock()) as rig:
            packed = msgspec.msgpack.encode(Delivery(4, b"{}", MAX_ATTEMPTS - 1))
            await rig.store.commands(
                [("XADD", WEBHOOK_DEAD, "*", "id", "d1", "delivery", packed, "reason", "answered 500")]
            )

    asyncio.run(give_up())
    assert re.search(r"^20\S+ \S+ +4 +d1 +answered 500$", audience("hooks").text, re.MULTILINE)
    assert audience("hooks", "--send-again").text == "1 calls are made again\n"
    assert "d1" not in audience("hooks").text


async def test_beyond_the_bound_a_count_is_scaled_up(valkey: str) -> None:
    async with event_rig(valkey, SystemClock()) as rig, control_redis(valkey) as plain:
        for _ in range(600):
            await rig.send(Event(Kind.PAGE_VIEW, 1, new_user_id(), rig.clock.now_ms()))
        await rig.settle()
        counter = ProfileCounter(rig.store, ServerScanner(plain), rig.clock, most=200)
        found = await counter.count(SHOES, ["everyone", "purchases.count > 0"])
        assert 200 <= found.asked < 400
        assert 0 < found.share < 1
        assert abs(found.visitors[0] - 600) < 60
        assert found.visitors[1] == 0


@pytest.fixture
def own_shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """The only advertiser of a new installation, which counts in euros."""
    monkeypatch.setenv("GROSZ_DATA_DIRECTORY", str(tmp_path))
    made = CliRunner().invoke(
        app, ["advertiser", "create", "--json", "--set", "name=Shoes", "--set", "domain=buty.example",
              "--set", "currency=EUR"],
    )  # fmt: skip
    return int(json.loads(made.stdout)["id"])


def test_a_ready_made_segment_is_switched_on_in_the_shops_currency(own_shop: int) -> None:
    switched = audience(
        "switch-on", str(own_shop), "cart_abandoners", "at_least=500", "delay=30m", "--name", "Big carts"
    )
    assert switched.code == 0, switched.text
    listed = json.loads(CliRunner().invoke(app, ["segment", "list", "--json"]).stdout)["items"]
    assert [(row["name"], row["advertiser_id"], row["rule"]) for row in listed] == [
        ("Big carts", own_shop, "cart.value >= 500 EUR and cart.age in 30m..14d and not purchased since cart")
    ]


def test_a_dry_run_switches_nothing_on(own_shop: int) -> None:
    tried = audience("switch-on", str(own_shop), "buyers", "--dry-run")
    assert "last_purchase in 90d" in tried.text
    assert json.loads(CliRunner().invoke(app, ["segment", "list", "--json"]).stdout)["items"] == []


@pytest.mark.parametrize(
    "arguments",
    [("buyer",), ("cross_sell", "bought=a"), ("buyers", "within=soon"), ("buyers", "since=1d"), ("buyers", "90d")],
)
def test_what_cannot_be_switched_on_is_refused(own_shop: int, arguments: tuple[str, ...]) -> None:
    assert audience("switch-on", str(own_shop), *arguments).code == 1
    assert json.loads(CliRunner().invoke(app, ["segment", "list", "--json"]).stdout)["items"] == []


def test_every_ready_made_segment_is_listed_with_its_parameters() -> None:
    listed = audience("ready-made").text
    for segment in READY_MADE.values():
        assert f"{segment.key}: {segment.summary}" in listed
        assert all(f"    {parameter.name}: {parameter.summary}" in listed for parameter in segment.parameters)
