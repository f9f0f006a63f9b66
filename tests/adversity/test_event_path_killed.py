"""kill -9 of tracker, worker and server at random points while a shop sends events over HTTP: what was acknowledged is
applied once, and an order that is sent until it is acknowledged counts once.

GROSZ_TEST_KILL_ROUNDS=200 makes the long run.
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest

from core.clock import SystemClock
from core.keys import event_stream
from core.redis.embedded import EmbeddedServer
from tests.kit.event_feed import Feed, Happening
from tests.kit.fixtures import REPOSITORY, chosen_server, find_free_port
from tests.kit.profiles import PARTITIONS, EventRig, event_rig
from tests.kit.tracker import API_KEY

ROUNDS = int(os.environ.get("GROSZ_TEST_KILL_ROUNDS", "5"))
SEED = 20260302
SHOPS = 3
DRAINED_S = 60.0


class Running:
    """The three processes; each can be killed and is started again at once."""

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedServer(folder, program=chosen_server())
        self.port = find_free_port()
        self._started = 0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self.server.start()
        for name in ("tracker", "worker"):
            self._start(name)

    def kill(self, victim: str) -> None:
        if victim == "server":
            assert self.server.pid is not None
            os.kill(self.server.pid, 9)
            self.server.restart()
        else:
            self._end(victim)
            self._start(victim)

    def stop(self) -> None:
        for name in tuple(self._processes):
            self._end(name)
        self.server.stop()

    def _start(self, name: str) -> None:
        self._started += 1
        argument = str(self.port) if name == "tracker" else f"worker-{self._started}"
        command = [sys.executable, "-m", f"tests.kit.event_{name}", self.server.url, argument]
        self._processes[name] = subprocess.Popen(command, cwd=REPOSITORY)

    def _end(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait()


async def post(session: aiohttp.ClientSession, port: int, batch: Sequence[Happening]) -> list[bool]:
    """Whether each event is acknowledged. Raises an error of aiohttp for an answer that says nothing about events."""
    rows = [
        {"event": row.kind, "user_id": row.user, "items": [{"item_id": "shoe", "item_category": "shoes", "price": 1}],
         "value": 1, "transaction_id": row.order}
        for row in batch
    ]  # fmt: skip
    url, headers = f"http://127.0.0.1:{port}/e/1", {"X-API-Key": API_KEY}
    async with session.post(url, json={"events": rows}, headers=headers) as answer:
        document = await answer.json(content_type=None)
        if "results" not in document:
            answer.raise_for_status()
        return [result["status"] == "accepted" for result in document["results"]]


async def drained(rig: EventRig) -> None:
    """Wait until the worker has applied everything."""
    deadline = time.monotonic() + DRAINED_S
    while any(await rig.store.commands([("XLEN", event_stream(partition)) for partition in range(PARTITIONS)])):
        assert time.monotonic() < deadline, "the worker does not get through"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("victims", [("tracker",), ("server",), ("tracker", "worker", "server")], ids="-".join)
async def test_what_was_acknowledged_is_applied_once(victims: tuple[str, ...]) -> None:
    draw = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="grosz-") as folder:
        running = Running(Path(folder))
        running.start()
        try:
            feeds = [Feed(SEED + number) for number in range(SHOPS)]
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
                feeding = [
                    asyncio.create_task(feed.run(lambda batch: post(session, running.port, batch))) for feed in feeds
                ]
                while not all(feed.acknowledged for feed in feeds):  # noqa: ASYNC110 other processes
                    await asyncio.sleep(0.05)
                for _ in range(ROUNDS):
                    before = sum(feed.acknowledged.total() for feed in feeds)
                    await asyncio.sleep(draw.uniform(0.05, 0.5))
                    running.kill(draw.choice(victims))
                    while sum(feed.acknowledged.total() for feed in feeds) <= before:  # noqa: ASYNC110 as above
                        await asyncio.sleep(0.02)
                for feed in feeds:
                    feed.stop()
                await asyncio.gather(*feeding)
            async with event_rig(running.server.url, SystemClock(), worker_id="judge") as rig:
                await drained(rig)
                books = feeds[0]
                for feed in feeds[1:]:
                    books.acknowledged += feed.acknowledged
                    books.possible += feed.possible
                await books.check(rig)
        finally:
            running.stop()
