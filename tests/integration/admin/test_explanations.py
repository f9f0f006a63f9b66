"""Explanations and funnels through the API: what they say, how exact they are, and what other tenants' callers see."""

import struct
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from admin.api.reading import moment_text
from bidder.diagnosis.funnel import FIVE_MINUTES_S, encode_block
from bidder.targeting.counting import BIDS, COLUMNS, SEEN, Counts
from core import keys
from core.clock import ManualClock, SystemClock
from core.reasons import NoBid
from core.redis.client import PipelinedRedis
from core.ring import pack_record
from core.telemetry.metrics import Telemetry
from pacing.bank.bank import LeaseBank, calendar
from pacing.budgets.transitions import Transitions
from pacing.ledger.rows import LedgerWriter
from pacing.notices.delivery import CLICKS, IMPRESSIONS, SPEND_MICROS, WINS, DeliveryCounts, DeliveryWriter
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api
from tests.kit.ledger_store import MemoryLedgerStore

USER = "u" * 22
HOUR_S = 3_600


def bid_request(**changes: object) -> dict[str, Any]:
    """300x250 at a floor of 1.20, from a user whom nothing forbids to know."""
    return {
        "id": "1",
        "imp": [{"id": "a", "banner": {"w": 300, "h": 250}, "bidfloor": 1.2, "bidfloorcur": "PLN"}],
        "site": {"domain": "news.example"},
        "user": {"id": "theirs"},
        "regs": {"gdpr": 0},
        "cur": ["PLN"],
        **changes,
    }


class World:
    """The API with everything around it that a bid depends on."""

    def __init__(self, api: Api, redis: PipelinedRedis, clock: ManualClock) -> None:
        self.api = api
        self.clock = clock
        self.transitions = Transitions(redis, SystemClock(), time_ms=clock.now_ms)

    async def publish(self, *, with_budgets: bool = True) -> None:
        """Bring what was saved to the bidders' side, and its budgets into Redis as the worker does."""
        await self.api.publisher.publish()
        self.clock.advance(2)  # budgets are read again after a second
        catalogue = await self.api.store.catalogue(self.clock.now_ms())
        store = MemoryLedgerStore()
        advertisers = [advertiser.id for advertiser in catalogue.advertisers]
        writer = LedgerWriter(self.transitions, store, lambda: advertisers, Telemetry())
        if with_budgets:
            await LeaseBank(self.transitions, store, writer, lambda: catalogue, self.clock, Telemetry()).tick()

    async def command(self, *parts: bytes | str | int) -> object:
        return (await self.transitions.commands([parts]))[0]

    async def explained(self, shop: Shop, **changes: object) -> dict[str, Any]:
        body = {"exchange": "demo", "request": bid_request(), **changes}
        answer = await shop.caller.post("/v1/explain", body)
        assert answer.status == 200, answer.body
        explanation: dict[str, Any] = answer.body
        return explanation


def verdict(explanation: dict[str, Any], line_item: dict[str, Any]) -> dict[str, Any]:
    (found,) = [one for one in explanation["impressions"][0]["line_items"] if one["line_item_id"] == line_item["id"]]
    assert isinstance(found, dict)
    return found


def reasons(explanation: dict[str, Any], line_item: dict[str, Any]) -> dict[str, str]:
    """Reason -> detail."""
    return {one["reason"]: one.get("detail", "") for one in verdict(explanation, line_item)["reasons"]}


@pytest.fixture
async def world(api: Api, valkey: str, clock: ManualClock) -> AsyncIterator[World]:
    redis = await PipelinedRedis.open(valkey, clock=SystemClock())
    await (await api.caller()).made("/v1/exchanges", {"key": "demo", "default_currency": "PLN"})
    yield World(api, redis, clock)
    await redis.close()


async def test_a_bid_is_explained_with_its_price_and_the_losers_with_theirs(world: World, shop: Shop) -> None:
    dear = await shop.caller.made("/v1/line-items", shop.line_item(bid={"amount": "5"}))
    cheap = await shop.caller.made("/v1/line-items", shop.line_item(bid={"amount": "1.05"}))
    await world.publish()
    explanation = await world.explained(shop)
    assert explanation["outcome"] == "bid"
    assert explanation["impressions"][0]["winner"] == dear["id"]
    assert verdict(explanation, dear)["price"]["bid_cpm"] == "5.00"
    assert verdict(explanation, dear)["creative_id"] == shop.creative["id"]
    assert reasons(explanation, cheap) == {"floor": "floor 1.20 PLN, your bid 1.05"}
    only = await world.explained(shop, line_item_id=cheap["id"])
    assert [one["line_item_id"] for one in only["impressions"][0]["line_items"]] == [cheap["id"]]


async def test_stopped_line_items_say_what_stops_them(world: World, shop: Shop) -> None:
    now_s = world.clock.now_ms() // 1000
    paused = await shop.caller.made("/v1/line-items", shop.line_item(status="paused"))
    later = await shop.caller.made("/v1/line-items", shop.line_item(start="2026-12-01T00:00:00Z"))
    hours = await shop.caller.made("/v1/line-items", shop.line_item(targeting={"hours_of_week": [8]}))
    assert now_s == 1_790_000_000  # Monday 2026-09-21 16:13 in Warsaw
    await world.publish()
    explanation = await world.explained(shop)
    assert reasons(explanation, paused)["inactive"] == f"line item {paused['id']} is paused"
    assert reasons(explanation, later) == {"outside_flight": "flight starts 2026-12-01 00:00 UTC"}
    text = "it is Monday 16:00 in Europe/Warsaw, next targeted Monday 08:00"
    assert reasons(explanation, hours) == {"daypart": text}


async def test_a_spent_budget_is_named_with_its_level(world: World, shop: Shop) -> None:
    spent = await shop.caller.made(
        "/v1/line-items", shop.line_item(daily_budget={"spend": {"amount": "100"}}, pacing="asap")
    )
    await world.publish()
    assert (await world.explained(shop))["impressions"][0]["winner"] == spent["id"]
    day = calendar("Europe/Warsaw", world.clock.now_ms()).day
    level = struct.pack("<10q", 100_000_000, 100_000_000, 0, 0, 0, -1, 20_000, 0, 0, 0)
    await world.command("HSET", keys.money_levels(shop.advertiser["id"]), f"d{spent['id']}@{day}", level)
    world.clock.advance(2)
    assert reasons(await world.explained(shop), spent) == {
        "budget_spent": "line item daily budget 100.00 of 100.00 PLN spent"
    }


async def test_budgets_that_the_worker_has_not_entered_are_told_from_spent_ones(world: World, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item())
    await world.publish(with_budgets=False)
    found = reasons(await world.explained(shop), line_item)
    assert list(found) == ["no_lease"]
    assert "the worker role" in found["no_lease"]


async def test_a_cap_says_when_it_is_free_again(world: World, shop: Shop) -> None:
    line_item = await shop.caller.made(
        "/v1/line-items",
        shop.line_item(caps=[{"impressions": 2, "window_s": 86_400}], min_gap_s=HOUR_S),
    )
    await world.publish()
    now_s = world.clock.now_ms() // 1000
    ring = pack_record(line_item["id"], now_s - 2 * HOUR_S) + pack_record(line_item["id"], now_s - 60)
    await world.command("HSET", keys.user_profile(USER), "i", ring)
    explanation = await world.explained(shop, user_id=USER)
    found = reasons(explanation, line_item)
    assert found["frequency_cap"].startswith("line item cap 2 of 2 in 24 h, free again at ")
    assert found["min_gap"].startswith("minimum gap 1 h, next at ")
    assert explanation["user"]["impressions_remembered"] == 2
    assert (await world.explained(shop))["impressions"][0]["winner"] == line_item["id"], "nobody in particular"


async def test_another_advertisers_line_items_are_not_told_of(world: World, shop: Shop) -> None:
    rival = await make_shop(world.api, "rival")
    theirs = await rival.caller.made("/v1/line-items", rival.line_item(bid={"amount": "6"}, name="secret plan"))
    mine = await shop.caller.made("/v1/line-items", shop.line_item())
    await world.publish()
    now_s = world.clock.now_ms() // 1000
    await world.command("HSET", keys.user_profile(USER), "i", pack_record(theirs["id"], now_s - 60))
    explanation = await world.explained(shop, user_id=USER)
    (impression,) = explanation["impressions"]
    assert set(impression) == {"impression_id", "format", "winner", "line_items"}
    assert impression["winner"] == mine["id"], "the auction is among the asker's own"
    assert [one["line_item_id"] for one in impression["line_items"]] == [mine["id"]]
    assert reasons(explanation, mine) == {}
    assert explanation["user"] == {
        "user_id": None, "found": False, "segments": [], "shops": [], "impressions_remembered": 0
    }  # fmt: skip
    assert (await world.explained(rival, user_id=USER))["user"]["impressions_remembered"] == 1
    owner = await world.api.caller()
    everything = (await owner.post("/v1/explain", {"exchange": "demo", "request": bid_request()})).body
    assert everything["impressions"][0]["winner"] == theirs["id"]
    assert len(everything["impressions"][0]["line_items"]) == 2


async def test_another_advertisers_line_item_is_as_if_it_did_not_exist(world: World, shop: Shop) -> None:
    rival = await make_shop(world.api, "rival")
    theirs = await rival.caller.made("/v1/line-items", rival.line_item())
    await world.publish()
    details = []
    for number in (theirs["id"], 4_000_000_000):
        body = {"exchange": "demo", "request": bid_request(), "line_item_id": number}
        asked, funnel = (
            await shop.caller.post("/v1/explain", body),
            await shop.caller.get(f"/v1/line-items/{number}/funnel"),
        )
        assert (asked.status, funnel.status) == (404, 404)
        details.append([one.body["detail"].replace(str(number), "N") for one in (asked, funnel)])
    assert details[0] == details[1]


async def test_what_cannot_be_explained_is_refused_with_the_place_of_the_fault(world: World, shop: Shop) -> None:
    nobody = await world.api.anonymous.post("/v1/explain", {"exchange": "demo", "request": bid_request()})
    assert nobody.status == 401
    before = await shop.caller.post("/v1/explain", {"exchange": "demo", "request": bid_request()})
    assert before.status == 503, "nothing is published yet"
    await world.publish()
    cases: list[tuple[object, int, dict[str, str]]] = [
        ({"exchange": "demo", "request": {"id": "1"}}, 422, {"/request": "no_impression"}),
        ({"exchange": "demo", "request": "text"}, 422, {"/request": "type"}),
        ({"exchange": "demo"}, 422, {"/request": "missing"}),
        ({"exchange": "none", "request": bid_request()}, 404, {}),
        ({"exchange": "demo", "request": bid_request(), "user_id": "short"}, 422, {"/user_id": "pattern"}),
        ({"exchange": "demo", "request": bid_request(ext={"x": "y" * 300_000})}, 413, {}),
    ]
    for body, status, codes in cases:
        answer = await shop.caller.post("/v1/explain", body)
        assert (answer.status, set(answer.codes)) == (status, set(codes)), answer.body


async def write_requests(world: World, length_s: int, age_s: int, rows: dict[int, dict[int, int]]) -> None:
    """Counts as a bidder process writes them: line item -> column -> count, in the bucket of `age_s` ago."""
    counts: dict[int, Counts] = {}
    for line_item, columns in rows.items():
        counts[line_item] = np.zeros(COLUMNS, dtype=np.int64)
        for column, count in columns.items():
            counts[line_item][column] = count
    bucket = (world.clock.now_ms() // 1000 - age_s) // length_s
    await world.command("SET", keys.funnel_block(length_s, bucket, f"p{age_s}"), encode_block(counts))
    await world.command("SADD", keys.funnel_processes(length_s, bucket), f"p{age_s}")


async def test_a_funnel_goes_from_requests_to_spend(world: World, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item())
    own = {SEEN: 100, BIDS: 30, NoBid.FLOOR.index: 50, NoBid.SIZE.index: 20}
    await write_requests(world, FIVE_MINUTES_S, 0, {line_item["id"]: own, 99: {SEEN: 7}})
    await write_requests(world, FIVE_MINUTES_S, 54 * 60, {line_item["id"]: {SEEN: 1}})
    await write_requests(world, FIVE_MINUTES_S, 61 * 60, {line_item["id"]: {SEEN: 1_000}})
    await write_requests(world, HOUR_S, 0, {line_item["id"]: {SEEN: 100}})
    await write_requests(world, HOUR_S, 22 * HOUR_S, {line_item["id"]: {SEEN: 400}})
    delivery = DeliveryCounts(world.clock)
    for what, number in ((WINS, 9), (IMPRESSIONS, 8), (CLICKS, 2), (SPEND_MICROS, 1_250_000), ("loss.102", 4)):
        delivery.add(line_item["id"], what, number)
    await DeliveryWriter(delivery, world.transitions).write()
    answer = await shop.caller.get(f"/v1/line-items/{line_item['id']}/funnel")
    assert answer.status == 200
    assert answer.body["currency"] == "PLN"
    assert answer.body["as_of"] == moment_text(world.clock.now_ms())
    hour, day = answer.body["last_hour"], answer.body["last_day"]
    shown = {name: hour[name] for name in ("requests", "bids", "wins", "impressions", "clicks", "spend")}
    assert shown == {"requests": 101, "bids": 30, "wins": 9, "impressions": 8, "clicks": 2, "spend": "1.25"}
    assert [(one["reason"], one["count"]) for one in hour["reasons"]] == [("floor", 50), ("size", 20)]
    assert hour["reasons"][0]["hint"] == NoBid.FLOOR.hint
    assert hour["losses"] == [{"code": "102", "count": 4, "text": "lost to a higher bid"}]
    assert (day["requests"], day["wins"]) == (500, 9)


async def test_a_line_item_that_nothing_happened_to_has_an_empty_funnel(world: World, shop: Shop) -> None:
    line_item = await shop.caller.made("/v1/line-items", shop.line_item())
    funnel = (await shop.caller.get(f"/v1/line-items/{line_item['id']}/funnel")).body
    assert funnel["last_hour"] == funnel["last_day"]
    assert funnel["last_day"] == {
        "requests": 0, "reasons": [], "bids": 0, "wins": 0, "losses": [], "impressions": 0, "clicks": 0,
        "invalid_clicks": 0, "spend": "0.00",
    }  # fmt: skip


async def test_the_doctor_is_asked_for_everything_by_those_who_may_see_it(world: World, shop: Shop) -> None:
    rival = await make_shop(world.api, "rival")
    theirs = await rival.caller.made("/v1/line-items", rival.line_item())
    mine = await shop.caller.made("/v1/line-items", shop.line_item(status="paused"))
    await world.publish()
    assert (await shop.caller.get("/v1/doctor")).status == 403
    hidden = await shop.caller.get(f"/v1/doctor?line_item_id={theirs['id']}")
    assert (hidden.status, hidden.body["code"]) == (404, "no_such_object")
    own = (await shop.caller.get(f"/v1/doctor?line_item_id={mine['id']}")).body
    assert own["delivers"] is False
    assert {one["line_item_id"] for one in own["findings"]} == {mine["id"]}
    paused = {"line_item.paused": "warning.paused"}
    assert paused.items() <= {one["code"]: one["advice_code"] for one in own["findings"]}.items()
    owner = await world.api.caller("read")
    report = (await owner.get("/v1/doctor")).body
    areas = [one["area"] for one in report["findings"]]
    assert areas[:5] == ["processes", "database", "redis", "redis", "catalogue"]
    stopped = {one["text"] for one in report["findings"] if one["severity"] == "stop"}
    assert {"no bidder has reported for 15 s", "no bid request has arrived"} <= stopped
    assert "1 line items are paused" in {one["text"] for one in report["findings"]}
    assert {"count": 1} in [one["parts"] for one in report["findings"] if one["code"] == "line_items.paused"]
