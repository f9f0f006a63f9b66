import asyncio
import contextlib
import logging

import numpy as np
import pytest
import redis.exceptions

from bidder.diagnosis.funnel import (
    FIVE_MINUTES_S,
    HOUR_S,
    KEPT_S,
    FunnelWriter,
    Rows,
    counts_by_line_item,
    encode_block,
    line_item_counts,
    merged,
    rows_of,
)
from bidder.targeting.counting import BIDS, COLUMNS, SEEN, Counts
from core import keys
from core.clock import ManualClock
from core.model import BudgetShare
from core.reasons import NoBid
from tests.kit.bid_port import until
from tests.kit.bidding import NOW_MS, TestBidder
from tests.kit.catalogues import catalogue, line_item
from tests.kit.layering import compiled_by_changes
from tests.kit.openrtb import raw_request


class Store:
    """What is written, with its time to live; refuses while `away`."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[bytes, int]] = {}
        self.sets: dict[str, set[str]] = {}
        self.away = False
        self.refused = 0

    async def set(self, name: str, value: bytes, *, ex: int) -> object:
        if self.away:
            self.refused += 1
            raise redis.exceptions.ConnectionError("away")
        self.values[name] = (value, ex)
        return True

    async def sadd(self, name: str, *values: str) -> object:
        self.sets.setdefault(name, set()).update(values)
        return 1

    async def expire(self, name: str, time: int) -> object:
        return True


def writer_of(bidder: TestBidder, store: Store, clock: ManualClock) -> FunnelWriter:
    writer = FunnelWriter(store, "p1", clock)
    writer.follow(bidder.snapshot.counts)
    return writer


def stored(store: Store, length: int, now_ms: int, line_item_id: int = 1) -> dict[str, int]:
    found = store.values.get(keys.funnel_block(length, now_ms // 1000 // length, "p1"))
    return line_item_counts([found[0]], line_item_id) if found else {}


def see(bidder: TestBidder, times: int = 1) -> None:
    for _ in range(times):
        bidder.screened(raw_request(regs={"gdpr": 0}))


async def test_each_window_has_a_block_that_grows_and_expires() -> None:
    bidder, store, clock = TestBidder(catalogue(line_item(1))), Store(), ManualClock(NOW_MS)
    writer = writer_of(bidder, store, clock)
    see(bidder)
    await writer.flush()
    see(bidder, 2)
    await writer.flush()
    for length in (FIVE_MINUTES_S, HOUR_S):
        assert stored(store, length, NOW_MS) == {"seen": 3}
        bucket = NOW_MS // 1000 // length
        assert store.values[keys.funnel_block(length, bucket, "p1")][1] == KEPT_S[length]
        assert store.sets[keys.funnel_processes(length, bucket)] == {"p1"}


async def test_a_new_window_starts_from_nothing() -> None:
    bidder, store, clock = TestBidder(catalogue(line_item(1))), Store(), ManualClock(NOW_MS)
    writer = writer_of(bidder, store, clock)
    see(bidder)
    await writer.flush()
    clock.advance(FIVE_MINUTES_S)
    await writer.flush()  # closes the old one
    see(bidder, 2)
    await writer.flush()
    assert stored(store, FIVE_MINUTES_S, NOW_MS) == {"seen": 1}
    assert stored(store, FIVE_MINUTES_S, clock.now_ms()) == {"seen": 2}


async def test_counts_survive_a_change_of_the_catalogue_and_shares_add_up() -> None:
    shares = (BudgetShare(10, 50),)
    first, second = TestBidder(catalogue(line_item(1, budget_shares=shares))), TestBidder(catalogue(line_item(1)))
    store, clock = Store(), ManualClock(NOW_MS)
    writer = writer_of(first, store, clock)
    see(first)
    writer.follow(second.snapshot.counts)
    see(second)
    await writer.flush()
    assert stored(store, HOUR_S, NOW_MS) == {"seen": 3}, "two pools of the first, one of the second"


async def test_nothing_is_written_of_positions_that_have_lost_their_line_item() -> None:
    store, clock = Store(), ManualClock(NOW_MS)
    before = catalogue(line_item(1, max_cpm_micros=1), line_item(2), line_item(3), version=1)
    present = catalogue(line_item(1), line_item(2), version=2)
    bidder = TestBidder(present, compiled=compiled_by_changes([before, present]))
    assert 0 in bidder.snapshot.index.lines.line_item
    writer = writer_of(bidder, store, clock)
    bidder.answer(raw_request())
    await writer.flush()
    blocks = [value for value, _ in store.values.values()]
    assert set(counts_by_line_item(blocks[:1])) == {1, 2}
    assert line_item_counts(blocks[:1], 1)["seen"] == 1


def test_all_positions_of_a_line_item_are_one_row() -> None:
    counts = np.zeros((COLUMNS, 6), np.int32)
    counts[SEEN], counts[BIDS, 1] = [1, 2, 4, 8, 16, 32], 1
    rows = rows_of(np.array([5, 7, 5, 5, 0, 5]), counts)
    assert (rows.line_items.tolist(), rows.counts[SEEN].tolist()) == ([5, 7], [1 + 4 + 8 + 32, 2])
    assert (rows.counts[BIDS].tolist(), rows.counts.sum()) == ([0, 1], 48)


def test_rows_of_other_line_items_add_up() -> None:
    def rows(*line_items: int) -> Rows:
        counts = np.zeros((COLUMNS, len(line_items)), np.int64)
        counts[SEEN] = line_items
        return Rows(np.array(line_items), counts)

    both = merged(rows(1, 3), rows(2, 3))
    assert (both.line_items.tolist(), both.counts[SEEN].tolist()) == ([1, 2, 3], [1, 2, 6])
    again = merged(both, rows(1, 2, 3))
    assert (again.line_items.tolist(), again.counts[SEEN].tolist()) == ([1, 2, 3], [2, 4, 9])


async def test_while_redis_is_away_the_counts_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bidder.diagnosis.funnel.WRITE_INTERVAL_S", 0.001)
    bidder, store, clock = TestBidder(catalogue(line_item(1))), Store(), ManualClock(NOW_MS)
    writer = writer_of(bidder, store, clock)
    see(bidder)
    store.away = True
    with caplog.at_level(logging.WARNING, "grosz.bidder.funnel"):
        running = asyncio.create_task(writer.run())
        await until(lambda: store.refused > 1)
        store.away = False
        await until(lambda: stored(store, HOUR_S, NOW_MS) == {"seen": 1})
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert "not written" in caplog.text


def test_blocks_of_several_processes_add_up_and_others_line_items_are_left_out() -> None:
    bidder = TestBidder(catalogue(line_item(1), line_item(2)))
    see(bidder, 2)
    taken = bidder.snapshot.counts.take()
    list(taken.fold())
    counts = taken.counts.astype(np.int64)
    block = encode_block({1: counts[:, 0], 2: counts[:, 1]})
    assert line_item_counts([block, block], 2) == {"seen": 4}
    assert line_item_counts([block], 9) == {}


def block(rows: dict[int, dict[int, int]]) -> bytes:
    counts: dict[int, Counts] = {}
    for number, columns in rows.items():
        counts[number] = np.zeros(COLUMNS, dtype=np.int64)
        for column, count in columns.items():
            counts[number][column] = count
    return encode_block(counts)


def test_all_line_items_at_once_are_the_same_sums_as_one_by_one() -> None:
    blocks = [
        block({7: {SEEN: 10, BIDS: 2, NoBid.FLOOR.index: 8}, 8: {SEEN: 10}}),
        block({7: {SEEN: 5, NoBid.SIZE.index: 5}, 9: {}}),
    ]
    everything = counts_by_line_item(blocks)
    assert set(everything) == {7, 8}
    assert everything == {number: line_item_counts(blocks, number) for number in (7, 8)}
    assert everything[7] == {"seen": 15, "bids": 2, "floor": 8, "size": 5}
