"""When feeds are loaded: at their interval, at once when asked, later after failures, and by one worker at a time."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from core.clock import ManualClock
from core.errors import ConflictError, UnavailableError
from core.telemetry.metrics import Telemetry
from creatives.feeds.loading import FeedJob
from creatives.feeds.reading import ReadOptions
from creatives.feeds.runs import Request, Run, RunOutcome
from creatives.feeds.schedule import FeedSchedule, PlannedFeed, State
from tests.kit.feeds import csv_feed
from tests.kit.products import Shop, product_shop

HOUR_S = 3_600


class Bench:
    """A schedule over a real store, whose loads end as the test says."""

    def __init__(self, shop: Shop, clock: ManualClock) -> None:
        self.shop = shop
        self.clock = clock
        self.jobs: list[FeedJob] = []
        self.outcome = RunOutcome.LOADED
        self.error: Exception | None = None
        job = FeedJob(feed_id=1, advertiser_id=1, url="https://szpilka.example/feed.xml")
        self.feeds = [PlannedFeed(job, HOUR_S, State.ACTIVE)]
        self.telemetry = Telemetry()
        self.schedule = FeedSchedule(shop.store, self.planned, self.load, clock, self.telemetry)

    async def planned(self) -> list[PlannedFeed]:
        return self.feeds

    async def load(self, job: FeedJob) -> Run:
        self.jobs.append(job)
        if self.error is not None:
            raise self.error
        run = Run(
            feed_id=job.feed_id, advertiser_id=job.advertiser_id, outcome=self.outcome, etag='"v1"',
            started_ms=self.clock.now_ms(), finished_ms=self.clock.now_ms(),
        )  # fmt: skip
        await self.shop.runs.record(run)
        return run

    async def look(self) -> int:
        """Look once; how many loads that began."""
        before = len(self.jobs)
        await self.schedule.look()
        await self.schedule.serve_requests()
        await self.loaded()
        return len(self.jobs) - before

    async def loaded(self) -> None:
        """Until every load that has begun has ended."""
        while self.schedule._running:
            await asyncio.gather(*self.schedule._running.values())
            await asyncio.sleep(0)  # what it does when one ends

    def metric(self, name: str) -> float:
        return sum(
            sample.value for family in self.telemetry.families() if family.name == name for sample in family.samples
        )


@pytest.fixture
async def bench(valkey: str, clock: ManualClock) -> AsyncIterator[Bench]:
    async with product_shop(valkey, clock) as shop:
        yield Bench(shop, clock)


async def test_a_feed_is_loaded_at_once_and_then_at_its_interval(bench: Bench) -> None:
    assert await bench.look() == 1
    assert await bench.look() == 0
    bench.clock.advance(HOUR_S - 1)
    assert await bench.look() == 0
    bench.clock.advance(2)
    assert bench.metric("grosz_feed_age_seconds") == HOUR_S + 1
    assert await bench.look() == 1
    assert await bench.look() == 0
    assert bench.metric("grosz_feed_age_seconds") == 0
    assert bench.jobs[0].validators.etag == ""
    assert bench.jobs[1].validators.etag == '"v1"'  # the server may say that nothing changed


async def test_a_failing_feed_is_tried_sooner_and_then_ever_later(bench: Bench) -> None:
    bench.outcome = RunOutcome.FAILED
    assert await bench.look() == 1
    assert bench.metric("grosz_feeds_failing") == 1
    waits = []
    for _ in range(4):
        waited = 0
        while not await bench.look():
            bench.clock.advance(30)
            waited += 30
        waits.append(waited)
    assert waits == [360, 720, 1_440, 2_880]
    bench.outcome = RunOutcome.LOADED
    bench.clock.advance(HOUR_S)
    assert await bench.look() == 1
    assert bench.metric("grosz_feeds_failing") == 0


async def test_what_is_asked_for_is_loaded_whatever_the_server_says(bench: Bench) -> None:
    await bench.look()
    await bench.shop.runs.request(1, Request(asked_ms=1, force=True))
    assert await bench.look() == 1
    assert (bench.jobs[-1].force, bench.jobs[-1].validators.etag) == (True, "")
    assert await bench.look() == 0  # a request is served once


async def test_a_feed_that_is_read_in_another_way_is_loaded_again_whatever_the_server_says(bench: Bench) -> None:
    await bench.look()
    mapped = ReadOptions(mapping={"margin": "custom_label_0"})
    job = msgspec.structs.replace(bench.feeds[0].job, options=mapped)
    bench.feeds = [msgspec.structs.replace(bench.feeds[0], job=job)]
    assert await bench.look() == 1
    assert (bench.jobs[-1].options, bench.jobs[-1].validators.etag) == (mapped, "")
    assert await bench.look() == 0


async def test_a_request_just_after_a_change_loads_what_was_changed(bench: Bench) -> None:
    await bench.look()
    mapped = ReadOptions(mapping={"margin": "custom_label_0"})
    job = msgspec.structs.replace(bench.feeds[0].job, options=mapped)
    bench.feeds = [msgspec.structs.replace(bench.feeds[0], job=job)]
    await bench.shop.runs.request(1, Request(asked_ms=1))
    await bench.schedule.serve_requests()  # before the schedule looks at what is configured again
    await bench.loaded()
    assert bench.jobs[-1].options == mapped


async def test_paused_feeds_wait_and_removed_ones_take_their_products_away(bench: Bench) -> None:
    await bench.shop.load(csv_feed(10))
    bench.feeds = [msgspec.structs.replace(bench.feeds[0], state=State.PAUSED)]
    bench.clock.advance(10 * HOUR_S)
    assert await bench.look() == 0
    assert len(await bench.shop.all()) == 10
    bench.feeds = [msgspec.structs.replace(bench.feeds[0], state=State.REMOVED)]
    assert await bench.look() == 0
    assert await bench.shop.all() == {}
    assert await bench.shop.runs.last(1, 1) == (None, None)


async def test_a_feed_without_an_address_is_only_uploaded(bench: Bench) -> None:
    bench.feeds = [PlannedFeed(FeedJob(feed_id=1, advertiser_id=1, url=""), HOUR_S, State.ACTIVE)]
    await bench.shop.runs.request(1, Request(asked_ms=1))
    assert await bench.look() == 0


@pytest.mark.parametrize("error", [ConflictError("another worker"), UnavailableError("the process died")])
async def test_a_load_that_could_not_be_done_is_tried_again(bench: Bench, error: Exception) -> None:
    bench.error = error
    assert await bench.look() == 1
    bench.error = None
    assert await bench.look() == 1
