"""When feeds are loaded: each at its interval, at once when somebody asks, later and later while it fails.

Several workers may run this at a time: a feed's lock lets one of them load it, and what was done is read from its runs.
"""

import asyncio
import enum
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import ConflictError, UnavailableError
from core.telemetry.metrics import Merge, Telemetry
from creatives.feeds.fetching import Validators
from creatives.feeds.loading import FeedJob
from creatives.feeds.runs import Request, Run, RunOutcome, RunStore
from creatives.products.store import ProductStore

log = logging.getLogger(__name__)

# A load that somebody asks for begins within a second; the list of feeds, and when each is due, can wait longer.
REQUEST_POLL_S: Final = 0.5
DUE_POLL_S: Final = 15.0
# A feed that failed is tried again after a tenth of its interval, doubled each time, up to the interval itself.
RETRY_SHARE: Final = 10
MIN_RETRY_S: Final = 60
# Runs at a time: each is a process of its own with 100 to 200 MiB.
RUNS_AT_ONCE: Final = 2


class State(enum.StrEnum):
    """What is to be done with a feed."""

    ACTIVE = "active"
    PAUSED = "paused"  # its products stay as they are
    REMOVED = "removed"  # its products are forgotten


class PlannedFeed(msgspec.Struct, frozen=True):
    """A feed as it is configured. Without an address it is only loaded from uploads."""

    job: FeedJob
    refresh_s: int
    state: State


Feeds = Callable[[], Awaitable[Sequence[PlannedFeed]]]
Load = Callable[[FeedJob], Awaitable[Run]]


class FeedSchedule:
    """Loads feeds when they are due. `load` loads one; in which process is its business."""

    def __init__(self, store: ProductStore, feeds: Feeds, load: Load, clock: Clock, telemetry: Telemetry) -> None:
        self._store = store
        self._runs = RunStore(store)
        self._feeds = feeds
        self._load = load
        self._clock = clock
        self._planned: dict[int, PlannedFeed] = {}
        self._failures: dict[int, int] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(RUNS_AT_ONCE)
        self._outcomes = telemetry.counter("grosz_feed_runs_total", "Runs of product feeds.", ("outcome",))
        telemetry.gauge("grosz_feeds_loading", "Product feeds that are being loaded.").labels().follow(
            lambda: float(len(self._running))
        )
        self._failing = telemetry.gauge(
            "grosz_feeds_failing", "Product feeds whose last run failed or was refused."
        ).labels()
        self._failing.follow(lambda: float(sum(count > 0 for count in self._failures.values())))
        self._seen_ms: dict[int, int] = {}  # by active feed with an address: when its products were last confirmed
        telemetry.gauge(
            "grosz_feed_age_seconds",
            "Age of the products of the active feed that was loaded, or found unchanged, the longest ago.",
            merge=Merge.MAX,
        ).labels().follow(self._oldest_s)

    async def run(self) -> None:
        """Work until cancelled; running loads end with their processes."""
        looked = -DUE_POLL_S
        waits = False
        try:
            while True:
                try:
                    if self._clock.monotonic() - looked >= DUE_POLL_S:
                        looked = self._clock.monotonic()
                        await self.look()
                    await self.serve_requests()
                    waits = False
                except UnavailableError as error:
                    if not waits:  # logged once: the loop passes here twice a second
                        log.warning("feeds wait: %s", error.message)
                    waits = True
                await asyncio.sleep(REQUEST_POLL_S)
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def look(self) -> None:
        """Read what is configured, forget what was removed, start what is due."""
        before, self._planned = self._planned, {planned.job.feed_id: planned for planned in await self._feeds()}
        for feed_id, planned in self._planned.items():
            advertiser_id = planned.job.advertiser_id
            if planned.state is State.REMOVED:
                await self._store.remove(advertiser_id, feed_id)
                await self._runs.forget(advertiser_id, feed_id)
                self._failures.pop(feed_id, None)
                self._seen_ms.pop(feed_id, None)
                continue
            last, good = await self._runs.last(advertiser_id, feed_id)
            self._failures[feed_id] = _failures(last, self._failures.get(feed_id, 0))
            if planned.state is not State.ACTIVE or not planned.job.url:
                self._seen_ms.pop(feed_id, None)
                continue
            if good is not None:
                is_unchanged = last is not None and last.outcome is RunOutcome.UNCHANGED
                self._seen_ms[feed_id] = last.finished_ms if last is not None and is_unchanged else good.finished_ms
            if feed_id in before and before[feed_id].job.options != planned.job.options:
                self._start(planned, None, force=False)  # read in another way, whether or not it has changed
            elif self._is_due(planned, last):
                self._start(planned, good, force=False)

    def _oldest_s(self) -> float:
        """Seconds since the products of the stalest feed were confirmed; 0 before any feed was loaded."""
        oldest = min(self._seen_ms.values(), default=None)
        return 0.0 if oldest is None else max(0, self._clock.now_ms() - oldest) / 1000

    async def serve_requests(self) -> None:
        """Start what was asked for."""
        requests = await self._runs.requests()
        # The configuration is read anew: somebody may have changed a feed a moment ago and want it loaded in that way.
        present = {planned.job.feed_id: planned for planned in await self._feeds()} if requests else {}
        for feed_id, request in requests.items():
            await self._runs.take(feed_id)
            planned = present.get(feed_id)
            if planned is not None and planned.state is not State.REMOVED and planned.job.url:
                await self._serve(planned, request)

    async def _serve(self, planned: PlannedFeed, request: Request) -> None:
        """Serve one request. The feed is read again even if the server says that it has not changed."""
        self._start(planned, None, force=request.force)

    def _is_due(self, planned: PlannedFeed, last: Run | None) -> bool:
        if last is None:
            return True
        failures = self._failures[planned.job.feed_id]
        wait_s = planned.refresh_s
        if failures:
            retry_s = max(MIN_RETRY_S, planned.refresh_s // RETRY_SHARE) * 2 ** min(failures - 1, 10)
            wait_s = min(planned.refresh_s, retry_s)
        return self._clock.now_ms() >= last.started_ms + wait_s * 1000

    def _start(self, planned: PlannedFeed, good: Run | None, *, force: bool) -> None:
        feed_id = planned.job.feed_id
        if feed_id in self._running:
            return
        validators = Validators(good.etag, good.last_modified) if good else Validators()
        job = msgspec.structs.replace(planned.job, validators=validators, force=force)
        task = asyncio.create_task(self._run_one(job), name=f"feed {feed_id}")
        self._running[feed_id] = task
        task.add_done_callback(lambda _: self._running.pop(feed_id, None))

    async def _run_one(self, job: FeedJob) -> None:
        async with self._places:
            try:
                run = await self._load(job)
            except ConflictError:
                return  # another worker loads it
            except UnavailableError as error:
                log.warning("feed %d was not loaded: %s", job.feed_id, error.message)
                self._outcomes.labels("died").inc()
                self._failures[job.feed_id] = self._failures.get(job.feed_id, 0) + 1
                return
        self._outcomes.labels(run.outcome.value).inc()
        self._failures[job.feed_id] = _failures(run, self._failures.get(job.feed_id, 0) + 1)
        if run.outcome in (RunOutcome.REFUSED, RunOutcome.FAILED):
            log.warning("feed %d: %s", job.feed_id, run.message)


def _failures(last: Run | None, known: int) -> int:
    """How many runs have failed in a row, as far as this process knows: `known` if the last one failed."""
    if last is None or last.outcome in (RunOutcome.LOADED, RunOutcome.UNCHANGED):
        return 0
    return max(1, known)
