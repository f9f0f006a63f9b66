"""The funnel leaves the bidder: exact counts by line item and reason, for the last hour and the last day.

Each process writes whole blocks, one a five-minute and one an hour bucket, and replaces them every few seconds; a
reader adds up the processes' blocks. Two writes an interval, whatever the number of line items, and no
read-modify-write, so a crash loses at most the last interval and nothing is ever counted twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Iterator
from typing import Protocol

import msgspec
import numpy as np
import zstandard
from redis.exceptions import RedisError

from bidder.counting import COLUMNS, Counts, FunnelCounts, TakenCounts
from core import keys
from core.clock import Clock
from core.reasons import NO_BID_REASONS

# The funnel is fresh within this and a reader's own delay.
WRITE_INTERVAL_S = 5.0

# Rows that are added in one step, some 0.3 ms.
ROWS_A_STEP = 10_000

FIVE_MINUTES_S, HOUR_S = 300, 3600
# Blocks are kept a little longer than the window that is built from them.
KEPT_S = {FIVE_MINUTES_S: 2 * HOUR_S, HOUR_S: 26 * HOUR_S}

COLUMN_NAMES = (*(reason.name.lower() for reason in NO_BID_REASONS), "seen", "bids")


_log = logging.getLogger("grosz.bidder.funnel")


class FunnelStore(Protocol):
    """What is needed of redis-py's client."""

    def set(self, name: str, value: bytes, *, ex: int) -> Awaitable[object]: ...

    def sadd(self, name: str, *values: str) -> Awaitable[object]: ...

    def expire(self, name: str, time: int) -> Awaitable[object]: ...


class Block(msgspec.Struct, array_like=True):
    """Counts of some line items in one bucket: `counts` is int64 (line items, columns) in C order."""

    columns: tuple[str, ...]
    line_items: bytes
    counts: bytes


class _Bucket:
    """Counts of one span of time: line items ascending, one row each."""

    __slots__ = ("counts", "line_items", "number")

    def __init__(self, number: int) -> None:
        self.number = number  # unix seconds by the span's length
        self.line_items: Counts = np.zeros(0, np.int64)
        self.counts: Counts = np.zeros((0, COLUMNS), np.int64)

    def add(self, line_items: Counts, rows: Counts) -> Iterator[None]:
        """Add rows of ascending line items, a slice a step."""
        if not np.array_equal(line_items, self.line_items):
            self._make_room(line_items)
        at = self.line_items.searchsorted(line_items)
        for start in range(0, len(at), ROWS_A_STEP):
            self.counts[at[start : start + ROWS_A_STEP]] += rows[start : start + ROWS_A_STEP]
            yield

    def _make_room(self, line_items: Counts) -> None:
        old, counts = self.line_items, self.counts
        self.line_items = np.union1d(old, line_items)
        self.counts = np.zeros((len(self.line_items), COLUMNS), np.int64)
        self.counts[self.line_items.searchsorted(old)] = counts


class FunnelWriter:
    """Accumulates one process's counts by bucket and writes the current buckets."""

    def __init__(self, store: FunnelStore, process: str, clock: Clock) -> None:
        self._store = store
        self._process = process
        self._clock = clock
        self._source: FunnelCounts | None = None
        self._buckets: dict[int, _Bucket] = {}
        self._busy = asyncio.Lock()  # a new catalogue hands its counts over while blocks are being packed

    def follow(self, source: FunnelCounts) -> TakenCounts | None:
        """Count from another snapshot from now on; what the old one still holds, which `add` takes."""
        left = self._source.take() if self._source is not None else None
        self._source = source
        return left

    async def run(self) -> None:
        """Write every few seconds until cancelled. While Redis is away the counts wait for the next time."""
        while True:
            await asyncio.sleep(WRITE_INTERVAL_S)
            try:
                await self.flush()
            except (RedisError, OSError) as error:
                _log.warning("the funnel is not written: %s", error)

    async def flush(self) -> None:
        """Take, fold and write what was counted since the last time."""
        if self._source is not None:
            await self.add(self._source.take())
        now_s = self._clock.now_ms() // 1000
        async with self._busy:
            for length, bucket in list(self._buckets.items()):
                if len(bucket.line_items):
                    await self._write(length, bucket)
                if bucket.number != now_s // length:
                    del self._buckets[length]

    async def _write(self, length: int, bucket: _Bucket) -> None:
        # In a thread: compressing lets the bid path run, and takes 50 ms at 100,000 line items.
        block = await asyncio.to_thread(encode_block, bucket.line_items, bucket.counts)
        key = keys.funnel_block(length, bucket.number, self._process)
        await self._store.set(key, block, ex=KEPT_S[length])
        processes = keys.funnel_processes(length, bucket.number)
        await self._store.sadd(processes, self._process)
        await self._store.expire(processes, KEPT_S[length])

    async def add(self, taken: TakenCounts) -> None:
        """Fold counts into the current buckets, giving way to requests between two steps."""
        async with self._busy:
            for _step in taken.fold():
                await asyncio.sleep(0)
            line_items, rows = _by_line_item(taken)
            now_s = self._clock.now_ms() // 1000
            for length in KEPT_S:
                bucket = self._buckets.setdefault(length, _Bucket(now_s // length))
                for _step in bucket.add(line_items, rows):
                    await asyncio.sleep(0)


def _by_line_item(taken: TakenCounts) -> tuple[Counts, Counts]:
    """Ascending line items and their counts; shares of one line item are added up."""
    line_items, at = np.unique(taken.line_items, return_inverse=True)
    rows: Counts = np.zeros((len(line_items), COLUMNS), np.int64)
    if len(line_items) == len(at):
        rows[at] = taken.pairs
    else:
        np.add.at(rows, at, taken.pairs)
    return line_items, rows


def encode_block(line_items: Counts, counts: Counts) -> bytes:
    """Bytes of a block with a row of `counts` a line item; mostly zeros, so it packs to a tenth or less."""
    block = Block(COLUMN_NAMES, line_items.tobytes(), counts.tobytes())
    return zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(block))


def counts_by_line_item(blocks: Iterable[bytes]) -> dict[int, dict[str, int]]:
    """Sums over blocks for every line item in them: line item -> column name -> count, zeros left out."""
    totals: dict[int, dict[str, int]] = {}
    for data in blocks:
        block = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data), type=Block)
        rows = np.frombuffer(block.counts, dtype=np.int64).reshape(-1, len(block.columns))
        line_items = np.frombuffer(block.line_items, dtype=np.int64)
        filled, columns = rows.nonzero()
        counts = rows[filled, columns].tolist()
        for line_item, column, count in zip(line_items[filled].tolist(), columns.tolist(), counts, strict=True):
            own = totals.setdefault(line_item, {})
            name = block.columns[column]
            own[name] = own.get(name, 0) + count
    return totals


def line_item_counts(blocks: Iterable[bytes], line_item: int) -> dict[str, int]:
    """Sums over blocks for one line item: column name -> count, zeros left out."""
    totals: dict[str, int] = {}
    for data in blocks:
        block = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data), type=Block)
        rows = np.frombuffer(block.counts, dtype=np.int64).reshape(-1, len(block.columns))
        at = np.flatnonzero(np.frombuffer(block.line_items, dtype=np.int64) == line_item)
        for name, count in zip(block.columns, rows[at].sum(axis=0).tolist(), strict=True):
            if count:
                totals[name] = totals.get(name, 0) + count
    return totals
