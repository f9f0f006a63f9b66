"""When batches leave, with a look-up that ends when the test says so."""

import asyncio
from typing import cast

import pytest

from bidder.decision.snapshot import Snapshot
from bidder.door import batching
from bidder.door.batching import ENOUGH, HOLD_S, MAX_BATCH, Batches, Waiting
from tests.kit.openrtb import auction_of

FIRST, SECOND = (cast(Snapshot, object()) for _ in range(2))  # only told apart here


class Rig:
    """Batches that were sent, as (size, snapshot)."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, Snapshot]] = []
        self.is_busy = False
        self.batches = Batches(lambda batch, snapshot: self.sent.append((len(batch), snapshot)), lambda: self.is_busy)

    def add(self, count: int, snapshot: Snapshot = FIRST) -> None:
        waiting: list[Waiting] = [(auction_of(), lambda _status, _body: None) for _ in range(count)]
        self.batches.add(waiting, snapshot)

    @property
    def sizes(self) -> list[int]:
        return [size for size, _snapshot in self.sent]


async def test_an_idle_process_sends_at_once() -> None:
    rig = Rig()
    rig.add(3)
    assert rig.sizes == [3]


async def test_what_comes_during_a_look_up_leaves_together_after_it() -> None:
    rig = Rig()
    rig.add(1)
    rig.add(2)
    rig.add(3)
    assert rig.sizes == [1]
    rig.batches.looked_up()
    assert rig.sizes == [1, 5]


async def test_nobody_waits_longer_than_the_limit_for_another_one_s_look_up() -> None:
    rig = Rig()
    rig.add(1)
    rig.add(2)
    await asyncio.sleep(HOLD_S * 20)
    assert rig.sizes == [1, 2]


async def test_enough_requests_leave_although_a_look_up_is_under_way() -> None:
    rig = Rig()
    rig.add(1)
    rig.add(ENOUGH)
    assert rig.sizes == [1, ENOUGH]


async def test_a_busy_process_holds_until_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "HOLD_S", 60.0)
    rig = Rig()
    rig.is_busy = True
    rig.add(ENOUGH - 1)
    assert rig.sizes == []
    rig.add(1)
    assert rig.sizes == [ENOUGH]
    rig.add(1)
    rig.batches.looked_up()
    assert rig.sizes == [ENOUGH], "busy still"
    rig.batches.leave()
    assert rig.sizes == [ENOUGH, 1]


async def test_no_batch_is_larger_than_the_limit() -> None:
    rig = Rig()
    rig.add(1)
    rig.add(ENOUGH - 1)
    rig.add(MAX_BATCH)
    assert rig.sizes == [1, ENOUGH - 1, MAX_BATCH]


async def test_requests_of_two_snapshots_are_never_in_one_batch() -> None:
    rig = Rig()
    rig.add(1)
    rig.add(2)
    rig.add(3, SECOND)
    rig.batches.looked_up()
    rig.batches.looked_up()
    assert rig.sent == [(1, FIRST), (2, FIRST), (3, SECOND)]


async def test_leaving_with_nothing_sends_nothing() -> None:
    rig = Rig()
    rig.batches.leave()
    assert rig.sizes == []
