"""The doctor's look at products: feeds that fail or grow old, and events whose ids no feed has."""

from collections.abc import Sequence
from typing import Final

from admin.diagnosis.findings import Finding, fine, note
from admin.diagnosis.published import Commands
from admin.products.matching import match_ids
from admin.store.database import Database
from admin.store.feeds import planned_feeds
from core.clock import Clock
from creatives.feeds.runs import Run, RunOutcome, RunStore
from creatives.feeds.schedule import PlannedFeed, State
from creatives.products.store import Command, ProductStore

# Above 90 % is right; below 75 % ids of variants stand against ids of products, or worse (docs/feeds.md).
MATCH_PERCENT: Final = 75
# A few ids say nothing.
MIN_IDS: Final = 20
# A feed that has not been loaded for so many of its intervals is old.
OLD_INTERVALS: Final = 3
# Shops whose ids are compared; each costs some milliseconds.
MAX_SHOPS: Final = 50


class _Batch:
    """The doctor's connection, with the method that product tables call."""

    def __init__(self, redis: Commands) -> None:
        self._redis = redis

    async def batch(self, commands: Sequence[Command], deadline: float) -> list[object]:  # noqa: ARG002 - it has its own
        return await self._redis.commands(commands)


async def check_products(redis: Commands, database: Database | None, clock: Clock) -> list[Finding]:
    """Findings of all feeds; nothing here stops delivery. Raises UnavailableError."""
    if database is None:
        return []
    planned = [one for one in await planned_feeds(database) if one.state is not State.REMOVED]
    if not planned:
        return [note("products", "no product feed is set up", "see docs/feeds.md; ads then show no products")]
    store = ProductStore(_Batch(redis), clock)
    runs = RunStore(store)
    findings: list[Finding] = []
    products = 0
    for one in planned:
        last, good = await runs.last(one.job.advertiser_id, one.job.feed_id)
        products += good.read if good else 0
        findings += _of_feed(one, last, good, clock.now_ms())
    for advertiser_id in sorted({one.job.advertiser_id for one in planned})[:MAX_SHOPS]:
        findings += await _of_ids(store, advertiser_id)
    return [fine("products", f"{len(planned)} feeds with {products:,} products"), *findings]


def _of_feed(planned: PlannedFeed, last: Run | None, good: Run | None, now_ms: int) -> list[Finding]:
    name, advice = f"feed {planned.job.feed_id}", f"see `grosz feed report {planned.job.feed_id}`"
    if last is None:
        wait = "the worker loads it within seconds" if planned.job.url else "upload it, or give it an address"
        return [note("products", f"{name} was never loaded", wait)]
    if last.outcome in (RunOutcome.REFUSED, RunOutcome.FAILED):
        return [note("products", f"{name}: {last.message}; {last.products:,} products stay", advice)]
    loaded_ms = max(run.finished_ms for run in (last, good) if run is not None)
    if planned.job.url and now_ms - loaded_ms > OLD_INTERVALS * planned.refresh_s * 1000:
        hours = (now_ms - loaded_ms) // 3_600_000
        return [note("products", f"{name} was loaded {hours} hours ago", "is the worker role up, is the feed paused?")]
    return []


async def _of_ids(store: ProductStore, advertiser_id: int) -> list[Finding]:
    report = await match_ids(store, advertiser_id)
    return [
        note(
            "products",
            f"advertiser {advertiser_id}: {event.rate:.0%} of the ids of {event.event} are in its feeds",
            f"such as {', '.join(event.examples[:3])}; see `grosz products match {advertiser_id}`",
        )
        for event in report.events
        if event.ids >= MIN_IDS and event.rate * 100 < MATCH_PERCENT
    ]
