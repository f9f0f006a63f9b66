import gc
import tracemalloc

import pytest

from bidder.targeting.bitmaps import UnpackedRows
from bidder.targeting.dimensions import Allowed, Group, PositionLists
from bidder.targeting.field import Values, one
from bidder.targeting.memory import Memo, MemoryBudget, bytes_of
from core.reasons import NoBid
from tests.kit.bidding import TestBidder
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

MIB = 1024 * 1024


class Sack(Memo):
    """A memo that only says what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten = 0

    def forget(self) -> None:
        self.nbytes = 0
        self.forgotten += 1


def joined(budget: MemoryBudget, *sizes: int) -> list[Sack]:
    sacks = [Sack() for _ in sizes]
    for sack, size in zip(sacks, sizes, strict=True):
        sack.join(budget)
        sack.take(size)
    return sacks


def test_where_all_hold_too_much_those_that_hold_most_forget() -> None:
    budget = MemoryBudget(100)
    small, large, middle = joined(budget, 10, 60, 25)
    small.take(10)
    assert (small.nbytes, large.nbytes, middle.nbytes) == (20, 0, 25)
    assert budget.used == 45
    small.take(50)
    assert [sack.forgotten for sack in (small, large, middle)] == [0, 1, 0]


def test_what_alone_is_too_large_is_all_that_is_left_and_goes_next() -> None:
    budget = MemoryBudget(100)
    first, second = joined(budget, 10, 20)
    first.take(1_000)
    assert (first.forgotten, second.forgotten) == (1, 1)
    second.take(10)
    assert (first.nbytes, second.nbytes, budget.used) == (0, 10, 10)


def test_a_memo_that_has_ended_is_not_counted_for_ever() -> None:
    budget = MemoryBudget(100)
    kept, gone = joined(budget, 30, 60)
    del gone
    gc.collect()
    kept.take(30)
    assert kept.forgotten == 0
    assert budget.used == 60


def test_a_memo_brings_what_it_holds_to_another_budget() -> None:
    first, second = MemoryBudget(100), MemoryBudget(100)
    (sack,) = joined(first, 40)
    sack.join(second)
    sack.join(second)
    assert (first.used, second.used) == (0, 40)
    sack.take(70)
    assert sack.forgotten == 1


def test_what_is_reserved_is_not_there_for_others() -> None:
    budget = MemoryBudget(100)
    budget.reserve(60)
    first, second = joined(budget, 30, 20)
    assert (first.nbytes, second.nbytes) == (0, 20)


@pytest.mark.parametrize("length", [1, 30, 3_000])
def test_keys_that_senders_make_up_take_about_what_is_said(length: int) -> None:
    """By the allocator: never more than the estimate by a fifth, and not a third of it."""
    count = 20_000
    lists = PositionLists()
    lists.add(0, ("a",))
    dimensions = [Allowed(reason, count, lists, Values(one)) for reason in (NoBid.DOMAIN, NoBid.APP)]
    group, budget = Group(dimensions), MemoryBudget(2 * MIB)
    group.join(budget)
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        most = 0
        for number in range(10_000 if length < 1_000 else 1_500):
            text = f"{number}".rjust(length, "x")
            group.resolve((text, number), [(text,), (number,)])
            if number % 100 == 0:
                most = max(most, tracemalloc.get_traced_memory()[0] - start)
        held = sum(memo.nbytes for memo in (group, *dimensions))
        now = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    assert most <= 1.2 * budget.most
    assert held / 3 <= now <= 1.2 * held + MIB // 4, "an estimate, in both directions"


def test_unpacked_rows_say_what_they_hold() -> None:
    rows, budget = UnpackedRows(1_000), MemoryBudget(200_000)
    rows.join(budget)
    for number in range(2_000):
        assert rows.positions([number, number + 1])[0].tolist() == [at for at in range(12) if number >> at & 1]
        assert 0 < rows.nbytes <= 200_000


def test_all_memos_of_a_snapshot_share_one_budget() -> None:
    bidder = TestBidder(catalogue(line_item(1)))
    memory = bidder.snapshot.memory
    memory.most = memory.used + 300_000
    for number in range(3_000):
        bidder.answer(
            raw_request(
                regs={"gdpr": 0}, badv=[f"shop{number}.test"], wlang=[f"l{number}"],
                imp=[{"id": "1", "banner": {"w": 300, "h": 250, "pos": number}}],
            )
        )  # fmt: skip
        assert memory.used <= memory.most


def test_the_size_of_a_key_is_that_of_its_texts() -> None:
    assert bytes_of(("a" * 1_000, None, (1, 2))) >= 1_000
    assert bytes_of("ż" * 1_000) >= 2_000
