"""Explanations and funnels for the API and the command line: what the bidders would do, asked from outside of them.

The same code as the bid path runs on a snapshot of its own, compiled from the published catalogue. Money is looked at
as it stands in Redis: a pool is affordable here when its budgets have anything left, since which process holds a lease
at this moment is an accident.
"""

import asyncio
import datetime
from collections.abc import Mapping
from typing import Protocol

import msgspec

from bidder.artefact import Model
from bidder.catalogue import compile_bytes
from bidder.explain import Explainer, Explanation
from bidder.funnel import FIVE_MINUTES_S, HOUR_S, line_item_counts
from bidder.snapshot import Compiled, Snapshot
from core import keys
from core.clock import Clock
from core.errors import NotFoundError, UnavailableError
from pacing.bank import calendar
from pacing.leases import LeaseBook
from pacing.levels import Level, decode_levels, level_names
from pacing.pools import UNLIMITED, PoolSpec

# A budget that limits nothing counts as this much: more than any bid, and far from the end of 64 bits.
PLENTY = 10**15
MINUTE_MS = 60_000

LAST_HOUR_BUCKETS = 12
LAST_DAY_BUCKETS = 24


class MoneyState(Protocol):
    """What is needed of redis-py's client."""

    async def hgetall(self, name: str) -> Mapping[bytes, bytes]: ...

    async def get(self, name: str) -> bytes | None: ...

    async def smembers(self, name: str) -> set[bytes]: ...

    async def mget(self, keys: list[str]) -> list[bytes | None]: ...


class Funnel(msgspec.Struct, frozen=True):
    """Exact counts of one line item. A reason counts the impressions on which it applied; several may apply to one."""

    line_item_id: int
    last_hour: dict[str, int]
    last_day: dict[str, int]
    as_of: str


class ExplainDesk:
    """Follows the catalogue lazily: it is compiled when somebody asks, not at each change."""

    def __init__(self, redis: MoneyState, explainer: Explainer, model: Model, track_url: str, clock: Clock) -> None:
        self._redis = redis
        self._explainer = explainer
        self._model = model
        self._track_url = track_url
        self._clock = clock
        self._version = -1
        self._compiled: Compiled | None = None
        self._compiling = asyncio.Lock()

    async def explain(
        self, body: bytes, exchange_key: str, *, line_item_id: int | None = None, user_id: str | None = None
    ) -> Explanation:
        """Explain a bid request on an exchange. Raises Malformed, NotFoundError, UnavailableError."""
        compiled = await self._current()
        if exchange_key not in compiled.index.exchanges:
            known = ", ".join(sorted(compiled.index.exchanges)) or "none"
            raise NotFoundError(f"no active exchange has the key '{exchange_key}'", hint=f"there is: {known}")
        if line_item_id is not None and line_item_id not in compiled.index.by_line_item:
            raise NotFoundError(f"line item {line_item_id} is not in the published catalogue")
        snapshot = Snapshot(compiled, self._model, await self._book(compiled), self._track_url)
        snapshot.live.refresh(self._clock.now_ms(), snapshot.book)
        return await self._explainer.explain(body, exchange_key, snapshot, line_item_id=line_item_id, user_id=user_id)

    async def funnel(self, line_item_id: int) -> Funnel:
        """What happened to a line item in the last hour and day, fresh within seconds."""
        now_ms = self._clock.now_ms()
        hour = await self._blocks(FIVE_MINUTES_S, LAST_HOUR_BUCKETS, now_ms)
        day = await self._blocks(HOUR_S, LAST_DAY_BUCKETS, now_ms)
        as_of = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC).isoformat(timespec="seconds")
        return Funnel(line_item_id, line_item_counts(hour, line_item_id), line_item_counts(day, line_item_id), as_of)

    async def _blocks(self, length_s: int, count: int, now_ms: int) -> list[bytes]:
        newest = now_ms // 1000 // length_s
        names: list[str] = []
        for bucket in range(newest - count + 1, newest + 1):
            processes = await self._redis.smembers(keys.funnel_processes(length_s, bucket))
            names += [keys.funnel_block(length_s, bucket, process.decode()) for process in processes]
        return [block for block in await self._redis.mget(names) if block is not None] if names else []

    async def _current(self) -> Compiled:
        """The published catalogue, compiled."""
        async with self._compiling:
            version = int(await self._redis.get(keys.CATALOGUE_VERSION) or -1)
            if self._compiled is None or version != self._version:
                data = await self._redis.get(keys.CATALOGUE_SNAPSHOT)
                if data is None:
                    raise UnavailableError("no catalogue is published", hint="is the admin role running?")
                # In a thread: the API has no deadline of milliseconds, and goes on answering meanwhile.
                self._compiled = await asyncio.to_thread(compile_bytes, data)
                self._version = self._compiled.index.version
            return self._compiled

    async def _book(self, compiled: Compiled) -> LeaseBook:
        """A book that holds for each pool what its budgets have left."""
        book = LeaseBook()
        book.bind(compiled.pools)
        levels: dict[int, dict[str, Level]] = {}
        timezones = dict(
            zip(compiled.index.lines.advertiser.tolist(), compiled.index.lines.timezone.tolist(), strict=True)
        )
        now_ms = self._clock.now_ms()
        for position, pool in enumerate(compiled.pools):
            owner = pool.advertiser_id
            if owner not in levels:
                levels[owner] = decode_levels(await self._redis.hgetall(keys.money_levels(owner)))
            day = calendar(compiled.index.timezones[timezones[owner]], now_ms).day
            campaign = int(compiled.index.lines.campaign[position])
            micros, impressions = left_in(levels[owner], pool, campaign, day)
            if micros > 0 and impressions > 0:
                book.grant(position, 1, micros, impressions, now_ms + MINUTE_MS)
        return book


def left_in(levels: Mapping[str, Level], pool: PoolSpec, campaign_id: int, day: int) -> tuple[int, int]:
    """(micros, impressions) that every budget of a pool still allows, what is leased included."""
    micros = impressions = PLENTY
    for name in level_names(pool.line_item_id, pool.share, campaign_id, day):
        level = levels.get(name)
        if level is None:
            continue
        if level.micros.budget != UNLIMITED:
            micros = min(micros, level.micros.free + level.micros.exposure)
        if level.impressions.budget != UNLIMITED:
            impressions = min(impressions, level.impressions.free + level.impressions.exposure)
    return micros, impressions
