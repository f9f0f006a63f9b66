"""kill -9 of the event worker at random points under load: nothing acknowledged is lost, nothing is applied twice.

GROSZ_TEST_KILL_ROUNDS=200 makes the long run; the seed is fixed, so the moments of the kills are the same each time.
"""

import asyncio
import collections
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from core.clock import SystemClock
from core.keys import event_owner
from segments.events import Event, Item, Kind, order_key
from tests.kit.profiles import PARTITIONS, EventRig, event_rig

ROUNDS = int(os.environ.get("GROSZ_TEST_KILL_ROUNDS", "6"))
USERS = [f"user-{number:017d}" for number in range(60)]
REPOSITORY = Path(__file__).resolve().parents[2]


def start_worker(url: str, number: int) -> subprocess.Popen[bytes]:
    """A worker process; its predecessor's leases were deleted, which stands for the seconds until they run out."""
    return subprocess.Popen([sys.executable, "-m", "tests.kit.event_worker", url, f"worker-{number}"], cwd=REPOSITORY)


async def feed(
    rig: EventRig, draw: random.Random, sent: dict[str, collections.Counter[str]], stop: asyncio.Event
) -> None:
    """Send page views, views and purchases as fast as they are acknowledged, and count what was acknowledged."""
    number = 0
    while not stop.is_set():
        batch = []
        for _ in range(20):
            number += 1
            user, kind = draw.choice(USERS), draw.choice((Kind.PAGE_VIEW, Kind.VIEW_ITEM, Kind.PURCHASE))
            batch.append(
                Event(
                    kind, 1, user, rig.clock.now_ms(), items=(Item("shoe", "shoes", 1_000_000),),
                    value_micros=1_000_000, order=order_key(f"order-{number}"),
                )
            )  # fmt: skip
        stored = await rig.log.append(batch)
        for event, durable in zip(batch, stored, strict=True):
            if durable:
                sent[event.user_id][event.kind] += 1
        await asyncio.sleep(0.03)


async def test_killing_the_worker_loses_no_event_and_applies_none_twice(valkey: str) -> None:
    draw = random.Random(20260301)
    sent: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    async with event_rig(valkey, SystemClock(), worker_id="judge") as rig:
        stop = asyncio.Event()
        feeding = asyncio.create_task(feed(rig, draw, sent, stop))
        for number in range(ROUNDS):
            worker = start_worker(valkey, number)
            try:
                while not await owned(rig):  # noqa: ASYNC110 another process, which takes a moment to start
                    await asyncio.sleep(0.02)
                await asyncio.sleep(draw.uniform(0.0, 0.4))
            finally:
                worker.send_signal(signal.SIGKILL)
                worker.wait()
            await rig.store.commands([("DEL", event_owner(partition)) for partition in range(PARTITIONS)])
        stop.set()
        await feeding
        await rig.store.commands([("DEL", "ev:workers")])
        await rig.settle()
        assert sum(map(sum, (counts.values() for counts in sent.values()))) > 20 * ROUNDS
        for user, counts in sent.items():
            facts = await rig.facts(user)
            assert facts is not None
            views = facts.products[0].views if facts.products else 0
            assert (facts.pages, views, facts.purchases, facts.purchases_micros) == (
                counts[Kind.PAGE_VIEW],
                counts[Kind.VIEW_ITEM],
                counts[Kind.PURCHASE],
                counts[Kind.PURCHASE] * 1_000_000,
            )


async def owned(rig: EventRig) -> bool:
    """Whether a worker holds every partition."""
    replies = await rig.store.commands([("EXISTS", event_owner(partition)) for partition in range(PARTITIONS)])
    return replies == [1] * PARTITIONS
