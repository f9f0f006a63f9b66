"""Event to biddable on one worker: `python -m tests.bench.freshness [--rate 2000] [--seconds 10]`.

Events are sent open-loop at the rate, to visitors of whom a profile of ordinary size is stored already; a sample of new
users is watched through the bid path's reader until their event shows, so the figure includes the log, the worker and
the read. Prints the rate held, the percentiles, and the CPU time that an event costs the worker.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import tempfile
import time
from pathlib import Path

from core.clock import SystemClock
from core.ids import new_user_id
from core.model import Segment
from core.redis.embedded import EmbeddedServer
from segments.facts.event import Event, Item, Kind
from tests.bench.profiles import write
from tests.kit.profiles import EventRig, catalogue, event_rig

RULES = (
    "cart.value >= 500 PLN and cart.age in 1h..14d",
    "purchases.count > 3",
    'visited "/promo/*" in 7d',
    "score >= 100",
    "lifecycle = exit",
)
SEGMENTS = [Segment(id=number + 1, advertiser_id=1, name="s", rule=RULES[number % len(RULES)]) for number in range(20)]
USERS = 20_000
TICK_S = 0.01


def work(url: str) -> None:
    """The worker's process."""

    async def run() -> None:
        async with event_rig(url, SystemClock(), published=catalogue(SEGMENTS)) as rig:
            await rig.worker.run()

    asyncio.run(run())


def shop_event(draw: random.Random, user: str, now_ms: int, seconds: int = 0) -> Event:
    """One of the usual mix."""
    kind = draw.choices(
        (Kind.PAGE_VIEW, Kind.VIEW_ITEM, Kind.ADD_TO_CART, Kind.PURCHASE), weights=(60, 30, 8, 2)
    )[0]  # fmt: skip
    item = Item(str(draw.randrange(5_000)), draw.choice(("shoes", "boots")), draw.randrange(20, 900) * 1_000_000)
    return Event(
        kind, 1, user, now_ms, path=f"/p/{draw.randrange(100)}", items=(item,), seconds=seconds,
        order=draw.randrange(1, 2**40),
    )  # fmt: skip


async def watch(rig: EventRig, draw: random.Random, waits: list[float], stop: asyncio.Event) -> None:
    """Time from an acknowledged event of a fresh user until the reader finds him."""
    while not stop.is_set():
        user = new_user_id()
        begin = time.monotonic()
        await rig.send(shop_event(draw, user, rig.clock.now_ms()))
        while True:
            batch = await rig.reader.fetch([(user, 0, None)], rig.clock.now_ms(), time.monotonic() + 5)
            if batch.found[0]:
                break
            await asyncio.sleep(0.002)
        waits.append(time.monotonic() - begin)
        await asyncio.sleep(0.02)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used; 0 where the system does not tell (it has no /proc)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(url: str, worker_pid: int, rate: int, seconds: float) -> None:
    """Feed for `seconds`."""
    draw = random.Random(11)
    users = [new_user_id() for _ in range(USERS)]
    async with event_rig(url, SystemClock(), worker_id="feeder") as rig:
        await write(rig.redis, users, 1, joined=False)
        while not await applied(rig, users[0]):  # noqa: ASYNC110 another process
            await asyncio.sleep(0.05)
        # Made beforehand: what this process does meanwhile is waited for by whoever watches.
        events = [shop_event(draw, draw.choice(users), rig.clock.now_ms()) for _ in range(int(rate * seconds) + rate)]
        waits: list[float] = []
        stop = asyncio.Event()
        watching = asyncio.create_task(watch(rig, draw, waits, stop))
        begin, sent, used_s = time.monotonic(), 0, cpu_s(worker_pid)
        while (elapsed := time.monotonic() - begin) < seconds:
            due = int(elapsed * rate) - sent
            if due > 0:
                assert all(await rig.log.append(events[sent : sent + due]))
                sent += due
            await asyncio.sleep(TICK_S)
        fed, used_s = time.monotonic() - begin, cpu_s(worker_pid) - used_s
        stop.set()
        await watching
        waits.sort()
        at = {share: waits[min(len(waits) - 1, int(share * len(waits)))] * 1000 for share in (0.5, 0.99, 1.0)}
        print(
            f"{sent / fed:.0f} events/s for {fed:.1f} s; event to biddable over {len(waits)} samples: "
            f"p50 {at[0.5]:.0f} ms, p99 {at[0.99]:.0f} ms, max {at[1.0]:.0f} ms; "
            f"worker {used_s / sent * 1e6:.0f} us CPU an event, {used_s / fed:.0%} of a core"
        )


async def applied(rig: EventRig, user: str) -> bool:
    """Whether the worker is up: it applied an event of this user."""
    before = await rig.facts(user)
    await rig.send(Event(Kind.PAGE_VIEW, 1, user, rig.clock.now_ms()))
    await asyncio.sleep(0.1)
    after = await rig.facts(user)
    return before is not None and after is not None and after.pages > before.pages


def main(rate: int, seconds: float) -> None:
    """One server, one worker process, this process feeding and watching."""
    with tempfile.TemporaryDirectory(prefix="grosz-bench-") as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        worker = multiprocessing.get_context("spawn").Process(target=work, args=(server.url,), daemon=True)
        worker.start()
        try:
            asyncio.run(measure(server.url, worker.pid or 0, rate, seconds))
        finally:
            worker.kill()
            worker.join()
            server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    main(arguments.rate, arguments.seconds)
