"""CPU of one look-up (HGETALL of a three-field profile) through the bid path's client and through redis-py.

`python -m tests.bench.redis_wire [--callers 32]` starts a server of its own in a temporary directory.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from core.clock import SystemClock
from core.redis.client import PipelinedRedis, control_redis
from core.redis.embedded import EmbeddedServer

USERS = 1000


async def cpu_us(look_up: Callable[[int], Awaitable[object]], callers: int, rounds: int) -> float:
    """CPU time of this process for one look-up, microseconds; `callers` wait at the same time."""

    async def caller(number: int) -> None:
        for turn in range(rounds):
            await look_up((number * rounds + turn) % USERS)

    before = time.process_time()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    return (time.process_time() - before) / (callers * rounds) * 1e6


async def compare(url: str, callers: int) -> None:
    """Interleaved rounds of both; prints medians."""
    clock = SystemClock()
    client = await PipelinedRedis.open(url, clock=clock)
    control = control_redis(url)
    fields = (b"i", b"12345678" * 8, b"17", b"x" * 60, b"m", b"y" * 12)
    await client.batch([("HSET", f"u:{{{user}}}", *fields) for user in range(USERS)], clock.monotonic() + 5)

    async def own(user: int) -> object:
        return await client.batch([(b"HGETALL", b"u:{%d}" % user)], clock.monotonic() + 5)

    async def facade(user: int) -> object:
        return await control.hgetall(f"u:{{{user}}}")

    async def whole_batch(user: int) -> object:
        commands = [(b"HGETALL", b"u:{%d}" % other) for other in range(user, user + 8)]
        return await client.batch(commands, clock.monotonic() + 5)

    results: dict[str, list[float]] = {"own": [], "own, 8 in a batch": [], "redis-py": []}
    for _ in range(5):
        results["own"].append(await cpu_us(own, callers, 2000))
        results["own, 8 in a batch"].append(await cpu_us(whole_batch, callers, 300) / 8)
        results["redis-py"].append(await cpu_us(facade, callers, 100))
    for name, measured in results.items():
        print(f"{callers:3} callers, {name}: {statistics.median(measured):.1f} us")
    await client.close()
    await control.aclose()


def main() -> None:
    """Measure with one caller and with many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedServer(Path(directory))
        server.start()
        try:
            uvloop.run(compare(server.url, 1))
            uvloop.run(compare(server.url, arguments.callers))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
