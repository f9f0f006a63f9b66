"""The doctor's look at products: feeds that fail or grow old, and events whose ids no feed has."""

from collections.abc import Sequence
from typing import Final

from admin.diagnosis.findings import Finding
from admin.diagnosis.published import Commands
from admin.diagnosis.told import found
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
        return [found("products.no_feed")]
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
    return [found("products.loaded", count=len(planned), all=f"{products:,}"), *findings]


def _of_feed(planned: PlannedFeed, last: Run | None, good: Run | None, now_ms: int) -> list[Finding]:
    feed_id = planned.job.feed_id
    if last is None:
        return [found("products.feed_awaited" if planned.job.url else "products.feed_unsent", id=feed_id)]
    if last.outcome in (RunOutcome.REFUSED, RunOutcome.FAILED):
        return [found("products.feed_failed", id=feed_id, fault=last.message, all=f"{last.products:,}")]
    loaded_ms = max(run.finished_ms for run in (last, good) if run is not None)
    if planned.job.url and now_ms - loaded_ms > OLD_INTERVALS * planned.refresh_s * 1000:
        return [found("products.feed_old", id=feed_id, count=(now_ms - loaded_ms) // 3_600_000)]
    return []


async def _of_ids(store: ProductStore, advertiser_id: int) -> list[Finding]:
    report = await match_ids(store, advertiser_id)
    return [
        found(
            "products.ids_unknown",
            id=advertiser_id,
            share=f"{event.rate:.0%}",
            word=event.event,
            words=", ".join(event.examples[:3]),
        )
        for event in report.events
        if event.ids >= MIN_IDS and event.rate * 100 < MATCH_PERCENT
    ]
