"""kill -9 of the event worker at random points under load: nothing acknowledged is lost, nothing is applied twice.

GROSZ_TEST_KILL_ROUNDS=200 makes the long run; the seed is fixed, so the moments of the kills are the same each time.
"""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest

from core.clock import SystemClock
from core.keys import EVENT_WORKERS, event_owner
from tests.kit.event_feed import Feed, Happening, as_event
from tests.kit.fixtures import REPOSITORY
from tests.kit.profiles import PARTITIONS, EventRig, event_rig

ROUNDS = int(os.environ.get("GROSZ_TEST_KILL_ROUNDS", "8"))
# Of these each lasts as long as a lease and its renewal.
TAKEOVERS = max(2, ROUNDS // 10)
SEED = 20260301
# A lease, its renewal, and a process that is starved by other tests.
TAKEOVER_S = 30.0

Worker = subprocess.Popen[bytes]


def start_worker(url: str, name: str) -> Worker:
    return subprocess.Popen([sys.executable, "-m", "tests.kit.event_worker", url, name], cwd=REPOSITORY)


def end(workers: Iterable[Worker]) -> None:
    for worker in workers:
        worker.kill()
        worker.wait()


@contextlib.asynccontextmanager
async def fed(url: str) -> AsyncIterator[tuple[EventRig, Feed]]:
    """A feed straight into the log; in the end what waits is applied and the books are compared."""
    async with event_rig(url, SystemClock(), worker_id="judge") as rig:

        async def send(batch: Sequence[Happening]) -> list[bool]:
            return await rig.log.append([as_event(happening, rig.clock.now_ms()) for happening in batch])

        feed = Feed(SEED)
        feeding = asyncio.create_task(feed.run(send))
        try:
            yield rig, feed
        finally:
            feed.stop()
            await feeding
        await give_back(rig)
        await rig.settle()
        assert not feed.possible, "the log itself was never away"
        await feed.check(rig)


async def owners(rig: EventRig) -> list[str]:
    """The worker of each partition that has one."""
    replies = await rig.store.commands([("GET", event_owner(partition)) for partition in range(PARTITIONS)])
    return [reply.decode().partition(":")[0] for reply in replies if isinstance(reply, bytes)]


async def until_owned(rig: EventRig, names: set[str]) -> None:
    """Wait until exactly these workers hold all partitions, each its share."""
    deadline = time.monotonic() + TAKEOVER_S
    while True:
        held = await owners(rig)
        share = PARTITIONS // len(names)
        if len(held) == PARTITIONS and set(held) == names and all(held.count(name) >= share for name in names):
            return
        assert time.monotonic() < deadline, f"{names} do not hold everything: {held}"
        await asyncio.sleep(0.02)


async def give_back(rig: EventRig) -> None:
    """Stands for the seconds until dead workers' leases run out."""
    keys = [event_owner(partition) for partition in range(PARTITIONS)]
    await rig.store.commands([("DEL", key) for key in (*keys, EVENT_WORKERS)])


async def test_killing_the_worker_loses_no_event_and_applies_none_twice(valkey: str) -> None:
    draw = random.Random(SEED)
    async with fed(valkey) as (rig, feed):
        for number in range(ROUNDS):
            worker = start_worker(valkey, f"worker-{number}")
            try:
                await until_owned(rig, {f"worker-{number}"})
                await asyncio.sleep(draw.uniform(0.0, 0.4))
            finally:
                end([worker])
            await give_back(rig)
        assert feed.acknowledged.total() > 20 * ROUNDS


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_another_worker_takes_over_from_one_that_is_killed_or_frozen_under_load(
    valkey: str, fault: signal.Signals
) -> None:
    """A frozen one wakes up behind its lease, in the middle of whatever it was doing, and must not do it."""
    draw = random.Random(SEED)
    workers = {name: start_worker(valkey, name) for name in ("worker-a", "worker-b")}
    try:
        async with fed(valkey) as (rig, _):
            for number in range(TAKEOVERS):
                await until_owned(rig, set(workers))
                await asyncio.sleep(draw.uniform(0.0, 0.4))
                victim, survivor = draw.sample(sorted(workers), 2)
                workers[victim].send_signal(fault)
                await until_owned(rig, {survivor})
                if fault is signal.SIGSTOP:
                    workers[victim].send_signal(signal.SIGCONT)
                else:
                    end([workers.pop(victim)])
                    workers[f"worker-{number}"] = start_worker(valkey, f"worker-{number}")
            await until_owned(rig, set(workers))
            end(workers.values())
    finally:
        end(workers.values())
