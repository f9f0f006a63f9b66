"""What an advertiser is told without asking: each thing once, again where it happens again, and not at night."""

import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from admin.mail.outbox import Outbox
from admin.products.desk import ProductDesk
from admin.reports.desk import ReportDesk
from admin.reports.documents import ReportAnswer, ReportRequest
from admin.reports.notifying import POLL_S, Notifier
from admin.store import tables
from core.clock import ManualClock, SystemClock
from core.config import MailSettings, RedisSettings
from core.network.headers import Edge
from core.redis.client import PipelinedRedis
from creatives.feeds.runs import Run, RunOutcome, RunStore
from creatives.products.store import ProductStore
from journal.rows import BILL, CONVERSION, JournalKind
from journal.segment import SegmentFrame
from segments.audiences.tag_health import TagHealth
from segments.facts.event import Event, Kind
from segments.profiles.store import ProfileStore
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api, TestTime, running_api
from tests.kit.journal_rows import JournalFolder, a_row

DAY_S, HOUR_S = 86_400, 3_600
HOOK = "https://shoes.example/told"
NOON = datetime.datetime(2026, 11, 17, 12, tzinfo=datetime.UTC)


class Telling:
    """A shop that wants to be told, and another that must hear nothing of it."""

    def __init__(
        self, api: Api, shops: tuple[Shop, Shop], clock: ManualClock, journal: JournalFolder, redis: PipelinedRedis
    ) -> None:
        (self.shop, self.other), self.api, self.clock, self.journal = shops, api, clock, journal
        time = TestTime(clock)
        database, profiles = api.store.database, ProfileStore(redis, time)
        self.tags, self.runs = TagHealth(profiles), RunStore(ProductStore(redis, time))
        self.desk = ReportDesk(journal.archive, api.store, clock)
        products = ProductDesk(redis, profiles, RedisSettings(), time)
        self.notifier = Notifier(
            api.store, Outbox(database, clock), self.desk, products, self.tags, MailSettings(), clock
        )  # fmt: skip

    async def told(self) -> list[str]:
        """What is new at this look, without the advertiser's name."""
        before = {row["id"] for row in await self._all()}
        count = await self.notifier.step()
        new = [row for row in await self._all() if row["id"] not in before]
        assert len(new) == count
        assert {(row["target"], row["advertiser_id"]) for row in new} <= {(HOOK, 1)}
        return [row["subject"].removeprefix("shoes: ") for row in new]

    async def due(self) -> list[datetime.datetime]:
        """When what waits is sent."""
        return [datetime.datetime.fromtimestamp(row["due_ms"] / 1000, datetime.UTC) for row in await self._all()]

    async def line_item(self, **changes: object) -> int:
        made = await self.shop.caller.made("/v1/line-items", self.shop.line_item(**changes))
        return int(made["id"])

    def store(self, kind: JournalKind, name: str, *rows: dict[str, Any]) -> None:
        now_ms = self.clock.now_ms()
        whole = [list(a_row(kind, **{"bid_ms": now_ms, "advertiser_id": 1, **row})) for row in rows]
        self.journal.converter.write(name, [SegmentFrame(kind.name, kind.names, whole)])

    def orders(self, line_item: int, count: int, spend_micros: int, name: str) -> None:
        """So many orders that a line item is credited for, and what it spent."""
        own = {"line_item_id": line_item, "currency": "PLN"}
        self.store(BILL, f"{name}b", {**own, "impressions": 1, "charge_micros": spend_micros, "entry": "bill"})
        self.store(
            CONVERSION, f"{name}c",
            *({**own, "at_ms": self.clock.now_ms(), "entry": "order", "credit": "click", "value_micros": 10**8,
               "row_id": f"{name}-{at}"} for at in range(count)),
        )  # fmt: skip

    async def _all(self) -> list[dict[str, Any]]:
        async with self.api.store.database.read() as connection:
            return [row._asdict() for row in await connection.execute(sa.select(tables.outbox))]


@pytest.fixture
async def telling(valkey: str, tmp_path: Path) -> AsyncIterator[Telling]:
    clock = ManualClock(round(NOON.timestamp() * 1000))
    journal = JournalFolder(tmp_path / "journal", clock)
    database = f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    async with running_api(database, valkey, clock, archive=journal.archive, edge=Edge("https://dsp.example")) as api:
        shop, other = await make_shop(api, "shoes"), await make_shop(api, "hats")
        asked = await shop.caller.post("/v1/reports/recipients", {"address": HOOK, "advertiser_id": 1})
        assert asked.status == 202, asked.body
        redis = await PipelinedRedis.open(valkey, clock=SystemClock())
        made = Telling(api, (shop, other), clock, journal, redis)
        yield made
        await made.desk.close()
        await redis.close()
    journal.close()


async def test_dear_orders_are_told_once_a_week_of_a_line_item_with_enough_of_them(telling: Telling) -> None:
    dear = await telling.line_item(target_cpa={"amount": "10.00"})
    within = await telling.line_item(target_cpa={"amount": "10.00"})
    few = await telling.line_item(target_cpa={"amount": "10.00"})
    free = await telling.line_item()
    telling.orders(dear, 5, 70_000_000, "dear")  # 14.00 each
    telling.orders(within, 5, 64_000_000, "within")  # 12.80 each: chance
    telling.orders(few, 4, 400_000_000, "few")
    telling.orders(free, 9, 900_000_000, "free")
    subject = f"orders of line item {dear} cost more than planned"
    assert await telling.told() == [subject]
    assert await telling.told() == []
    telling.clock.advance(6 * DAY_S)  # Monday of the next week, and the orders are of the last seven days still
    assert await telling.told() == [subject]


async def test_prices_of_orders_are_asked_for_once_an_hour(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    dear = await telling.line_item(target_cpa={"amount": "10.00"})
    answer, asked = telling.desk.answer, list[frozenset[int] | None]()

    async def counted(request: ReportRequest, advertisers: frozenset[int] | None) -> ReportAnswer:
        asked.append(advertisers)
        return await answer(request, advertisers)

    monkeypatch.setattr(telling.desk, "answer", counted)
    for _ in range(12):
        assert await telling.told() == []
        telling.clock.advance(POLL_S)
    assert asked == [frozenset({1})]  # the other shop has no target
    telling.orders(dear, 5, 70_000_000, "dear")
    assert await telling.told() == [f"orders of line item {dear} cost more than planned"]
    assert len(asked) == 2


async def test_a_refused_feed_is_told_once_and_again_after_it_was_good(telling: Telling) -> None:
    body = {"advertiser_id": 1, "name": "all", "url": "https://shoes.example/feed.xml"}
    feed = int((await telling.shop.caller.made("/v1/feeds", body))["id"])

    async def ran(outcome: RunOutcome) -> None:
        telling.clock.advance(HOUR_S)
        at = telling.clock.now_ms()
        await telling.runs.record(Run(
            feed_id=feed, advertiser_id=1, outcome=outcome, message="half of it is gone", hint="look", finished_ms=at
        ))  # fmt: skip

    await ran(RunOutcome.LOADED)
    assert await telling.told() == []
    heard = []
    for outcome in (RunOutcome.REFUSED, RunOutcome.FAILED, RunOutcome.LOADED, RunOutcome.FAILED, RunOutcome.UNCHANGED):
        await ran(outcome)
        heard.append(await telling.told())
    subject = [f"feed {feed} was refused"]
    assert heard == [subject, [], [], subject, []]


async def test_pages_that_fall_silent_are_told_once_for_each_silence(telling: Telling) -> None:
    async def came(kind: Kind, count: int) -> None:
        now_ms = telling.clock.now_ms()
        events = [Event(kind, 1, f"{at:022d}", now_ms) for at in range(count)]
        await telling.tags.count(events, now_ms)

    for _day in range(4):
        telling.clock.advance(DAY_S)
        await came(Kind.PURCHASE, 40)
        await came(Kind.SEARCH, 3)  # seldom enough for a day without any
    telling.clock.advance(DAY_S - 60)
    assert await telling.told() == []
    telling.clock.advance(HOUR_S)
    assert await telling.told() == ["no purchase has come for a day"]
    assert await telling.told() == []
    await came(Kind.PURCHASE, 40)
    assert await telling.told() == []
    telling.clock.advance(DAY_S + 1)
    assert await telling.told() == ["no purchase has come for a day"]


async def test_the_end_of_a_flight_and_a_budget_are_told_once(telling: Telling) -> None:
    end = (NOON + datetime.timedelta(days=4)).strftime("%Y-%m-%dT%H:%M:%SZ")
    item = await telling.line_item(end=end)
    assert await telling.told() == []
    telling.clock.advance(DAY_S + 1)
    assert await telling.told() == [f"line item {item} ends soon"]
    telling.clock.advance(DAY_S)
    assert await telling.told() == []
    telling.clock.advance(4 * DAY_S)  # it is over
    assert await telling.told() == []


async def test_who_wants_to_be_told_of_all_advertisers_is_told_of_each_once(telling: Telling) -> None:
    end = (NOON + datetime.timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await telling.line_item(end=end)
    hats = telling.other
    await hats.caller.made("/v1/line-items", hats.line_item(end=end))
    owner = await telling.api.caller()
    for address in (HOOK, "https://agency.example/told"):
        assert (await owner.post("/v1/reports/recipients", {"address": address})).status == 202
    assert await telling.notifier.step() == 4
    async with telling.api.store.database.read() as connection:
        rows = list(await connection.execute(sa.select(tables.outbox.c.target, tables.outbox.c.advertiser_id)))
    assert sorted(map(tuple, rows)) == [
        ("https://agency.example/told", 1), ("https://agency.example/told", 2), (HOOK, 1), (HOOK, 2),
    ]  # fmt: skip
    assert await telling.notifier.step() == 0


@pytest.mark.parametrize(("hour", "due"), [(12, 0), (20, 10)])
async def test_at_night_nothing_is_sent(telling: Telling, hour: int, due: int) -> None:
    """Hours of UTC; in Warsaw, where the shop is, it is one later, and quiet from 21 to 7."""
    telling.clock.advance((hour - 12) % 24 * HOUR_S)
    now = datetime.datetime.fromtimestamp(telling.clock.now_ms() / 1000, datetime.UTC)
    async with telling.api.store.database.write() as connection:
        await connection.execute(sa.insert(tables.approvals).values(
            creative_id=1, exchange_id=5, advertiser_id=1, creative_version=1, state="rejected", reason="too loud",
            reference="", changed_ms=telling.clock.now_ms(), attempts=0, problem="", revision=0,
        ))  # fmt: skip
    assert await telling.told() == ["creative 1 was rejected"]
    assert await telling.due() == [now + datetime.timedelta(hours=due)]
