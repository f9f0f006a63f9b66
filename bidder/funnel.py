"""The funnel leaves the bidder: exact counts by line item and reason, for the last hour and the last day.

Each process writes whole blocks, one a five-minute and one an hour bucket, and replaces them every few seconds; a
reader adds up the processes' blocks. Two writes an interval, whatever the number of line items, and no
read-modify-write, so a crash loses at most the last interval and nothing is ever counted twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import Protocol

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray
from redis.exceptions import RedisError

from bidder.counting import FunnelCounts, TakenCounts
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


class FunnelWriter:
    """Accumulates one process's counts by bucket and writes the current buckets."""

    def __init__(self, store: FunnelStore, process: str, clock: Clock) -> None:
        self._store = store
        self._process = process
        self._clock = clock
        self._source: FunnelCounts | None = None
        self._buckets: dict[int, tuple[int, dict[int, NDArray[np.int64]]]] = {}

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
        for length, (bucket, counts) in list(self._buckets.items()):
            if counts:
                key = keys.funnel_block(length, bucket, self._process)
                await self._store.set(key, encode_block(counts), ex=KEPT_S[length])
                processes = keys.funnel_processes(length, bucket)
                await self._store.sadd(processes, self._process)
                await self._store.expire(processes, KEPT_S[length])
            if bucket != now_s // length:
                del self._buckets[length]

    async def add(self, taken: TakenCounts) -> None:
        """Fold counts into the current buckets, giving way to requests between two steps."""
        for _step in taken.fold():
            await asyncio.sleep(0)
        now_s = self._clock.now_ms() // 1000
        for length in KEPT_S:
            bucket, counts = self._buckets.get(length, (now_s // length, {}))
            self._buckets[length] = (bucket, counts)
            for line_item, row in zip(taken.line_items.tolist(), taken.pairs, strict=True):
                known = counts.get(line_item)
                counts[line_item] = row.copy() if known is None else known + row


def encode_block(counts: dict[int, NDArray[np.int64]]) -> bytes:
    """Bytes of a block; mostly zeros, so it packs to a tenth or less."""
    line_items = np.fromiter(counts, dtype=np.int64)
    block = Block(COLUMN_NAMES, line_items.tobytes(), np.stack(list(counts.values())).tobytes())
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
