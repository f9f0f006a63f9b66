"""One thread at a time, whoever waits for it."""

import asyncio
import functools
import threading

import pytest

from core.turns import ThreadTurns


async def test_work_is_done_one_after_the_other_and_answers() -> None:
    turns, inside, seen = ThreadTurns(), threading.Lock(), []

    def work(number: int) -> int:
        assert inside.acquire(blocking=False), "two threads at once"
        seen.append(number)
        inside.release()
        return number

    assert await asyncio.gather(*(turns.run(functools.partial(work, at)) for at in range(20))) == list(range(20))
    assert seen == list(range(20))


async def test_a_turn_that_nobody_waits_for_any_more_ends_with_its_work() -> None:
    turns, begun, may_end = ThreadTurns(), threading.Event(), threading.Event()
    order: list[str] = []

    def slow() -> None:
        begun.set()
        assert may_end.wait(30)
        order.append("slow")

    first = asyncio.create_task(turns.run(slow))
    await asyncio.to_thread(begun.wait, 30)
    first.cancel()
    second = asyncio.create_task(turns.run(lambda: order.append("next")))
    for _ in range(10):
        await asyncio.sleep(0)
    assert order == []
    may_end.set()
    await second
    assert order == ["slow", "next"]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_what_work_raises_is_raised() -> None:
    turns = ThreadTurns()
    with pytest.raises(ZeroDivisionError):
        await turns.run(lambda: 1 // 0)
    assert await turns.run(lambda: 7) == 7
