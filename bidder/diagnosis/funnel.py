"""The funnel leaves the bidder: exact counts by line item and reason, for the last hour and the last day.

Each process writes whole blocks, one a five-minute and one an hour bucket, and replaces them every few seconds; a
reader adds up the processes' blocks. Two writes an interval, whatever the number of line items, and no
read-modify-write, so a crash loses at most the last interval and nothing is ever counted twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import zstandard
from redis.exceptions import RedisError

from bidder.targeting.counting import Counts, FunnelCounts, TakenCounts, Window
from core import keys
from core.clock import Clock
from core.reasons import NO_BID_REASONS

# The funnel is fresh within this and a reader's own delay.
WRITE_INTERVAL_S = 5.0

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


class Rows(NamedTuple):
    """Counts by line item: ids without repetition, ascending, and int64 (columns, ids)."""

    line_items: Counts
    counts: Counts


def rows_of(line_items: Counts, counts: Window) -> Rows:
    """Counts by position, summed over the positions of each line item; the arrays are copies."""
    order = line_items.argsort(kind="stable")
    order = order[line_items[order].searchsorted(1) :]  # line item 0 stands where none is any more
    ids, starts, sizes = np.unique(line_items[order], return_index=True, return_counts=True)
    found = np.zeros((len(counts), len(ids)), np.int64)
    for column in np.flatnonzero(counts.any(axis=1)).tolist():
        found[column] = counts[column, order[starts]]
        # Few line items have shares, and those a few: quicker than numpy's reduceat over all rows (30 against 450 ms).
        for share in range(1, sizes.max(initial=0)):
            having = np.flatnonzero(sizes > share)
            found[column, having] += counts[column, order[starts[having] + share]]
    return Rows(ids, found)


def nothing_of(rows: Rows) -> Rows:
    """Zero counts for the same line items. Columns in which nothing is counted take no memory, as they do in a copy."""
    return Rows(rows.line_items, np.zeros(rows.counts.shape, np.int64))


def merged(known: Rows, more: Rows) -> Rows:
    """The sums of both; `known` may be written to."""
    ids, counts = known
    if not np.array_equal(ids, more.line_items):
        ids = np.union1d(known.line_items, more.line_items)
        counts = np.zeros((len(known.counts), len(ids)), np.int64)
        _add(counts, ids, known)
    _add(counts, ids, more)
    return Rows(ids, counts)


def _add(counts: Counts, ids: Counts, more: Rows) -> None:
    at = ids.searchsorted(more.line_items)
    for column in np.flatnonzero(more.counts.any(axis=1)).tolist():
        counts[column, at] += more.counts[column]


class FunnelWriter:
    """Accumulates one process's counts by bucket and writes the current buckets.

    At 100,000 line items each reason that was counted is 0.8 MB of numbers in each bucket: they are added and packed in
    a thread, in numpy and zstandard, which leave the interpreter to the event loop meanwhile.
    """

    def __init__(self, store: FunnelStore, process: str, clock: Clock) -> None:
        self._store = store
        self._process = process
        self._clock = clock
        self._source: FunnelCounts | None = None
        self._left: list[TakenCounts] = []
        self._buckets: dict[int, tuple[int, Rows]] = {}
        self._working = asyncio.Lock()

    def follow(self, source: FunnelCounts) -> None:
        """Count from another snapshot from now on; what the old one still holds goes out with the next flush."""
        if self._source is not None:
            self._left.append(self._source.take())
        self._source = source

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
        left, self._left = self._left, []
        for taken in left:
            await self._add(taken)
        if self._source is not None:
            await self._add(self._source.take())
        now_s = self._clock.now_ms() // 1000
        async with self._working:
            for length, (bucket, rows) in list(self._buckets.items()):
                key = keys.funnel_block(length, bucket, self._process)
                await self._store.set(key, await asyncio.to_thread(encode_rows, rows), ex=KEPT_S[length])
                processes = keys.funnel_processes(length, bucket)
                await self._store.sadd(processes, self._process)
                await self._store.expire(processes, KEPT_S[length])
                if bucket != now_s // length:
                    del self._buckets[length]

    async def _add(self, taken: TakenCounts) -> None:
        """Fold counts into the current buckets, giving way to requests between two steps."""
        for _step in taken.fold():
            await asyncio.sleep(0)
        async with self._working:
            await asyncio.to_thread(self._accumulate, taken)

    def _accumulate(self, taken: TakenCounts) -> None:
        now_s = self._clock.now_ms() // 1000
        rows = rows_of(taken.line_items, taken.counts) if taken.counts.any() else None
        taken.recycle()
        if rows is None:
            return
        for length in KEPT_S:
            bucket, known = self._buckets.get(length, (now_s // length, None))
            self._buckets[length] = (bucket, merged(nothing_of(rows) if known is None else known, rows))


def encode_block(counts: Mapping[int, Counts]) -> bytes:
    """Bytes of a block of rows by line item."""
    return encode_rows(Rows(np.fromiter(counts, dtype=np.int64), np.stack(list(counts.values()), axis=1)))


def encode_rows(rows: Rows) -> bytes:
    """Bytes of a block: only columns in which something was counted. Mostly zeros, so it packs to a tenth or less."""
    counted = np.flatnonzero(rows.counts.any(axis=1))
    columns = tuple(COLUMN_NAMES[column] for column in counted.tolist())
    counts = np.ascontiguousarray(rows.counts[counted].T)
    block = Block(columns, rows.line_items.tobytes(), counts.tobytes())
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
