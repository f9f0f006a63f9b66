"""CPU of the bid path's profile read, and memory a user: `python -m tests.bench.profiles [--users 100000]`.

Prints microseconds of this process's CPU a request for batches of 16, with hot fields alone and, for comparison, with
the cold halves in the same hash; then the server's memory a million users of one and of three shops.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from core.clock import SystemClock
from core.ids import new_user_id
from core.keys import user_facts, user_profile
from core.redis.client import PipelinedRedis
from core.redis.embedded import EmbeddedServer
from segments.facts.facts import CartLine, Entry, Facts, PathVisit, Product
from segments.facts.layout import pack_cold, pack_hot
from segments.profiles.reading import Command, ProfileBatch, ProfileReader, decode

BATCH = 16
ROUNDS = 2_000
SHOPS = 3
DAY_S = 86_400


def visitor(draw: random.Random, now_s: int) -> tuple[bytes, bytes]:
    """Packed halves of an ordinary visitor: a dozen products, two visits, six segments; one in five has a cart."""
    visits = sorted(now_s - draw.randrange(30 * DAY_S) for _ in range(2))
    facts = Facts(first_visit_s=visits[0], last_visit_s=visits[-1], visits=2, pages=9, score=21.5)
    facts.products = [
        Product(str(draw.randrange(10**6)), draw.choice(("shoes", "boots", "bags")), visits[-1] + at * 40,
                draw.randrange(20, 900) * 1_000_000)
        for at in range(12)
    ]  # fmt: skip
    facts.paths = [PathVisit(f"/c/{draw.randrange(50)}", visits[-1] + at * 30) for at in range(6)]
    facts.entries = [Entry(moment, "google", "organic", path="/") for moment in visits]
    facts.events = {"page_view": visits[-1], "view_item": visits[-1]}
    if draw.random() < 0.2:
        facts.cart, facts.cart_micros, facts.cart_idle_s = (
            [CartLine("7", "shoes", 640_000_000)],
            640_000_000,
            visits[-1],
        )
    windows = [(draw.randrange(1, 500), visits[-1], now_s + draw.randrange(1, 30 * DAY_S)) for _ in range(6)]
    return pack_hot(facts, windows, now_s, now_s + 60 * DAY_S), pack_cold(facts)


async def write(redis: PipelinedRedis, users: Sequence[str], shops: int, *, joined: bool) -> None:
    """Store profiles; `joined` puts both halves into one hash."""
    draw, now_s = random.Random(7), int(time.time())
    for start in range(0, len(users), 500):
        commands: list[Command] = []
        for user in users[start : start + 500]:
            for shop in range(1, shops + 1):
                hot, cold = visitor(draw, now_s)
                commands.append(("HSET", user_profile(user), shop, hot + cold if joined else hot))
                if not joined:
                    commands.append(("HSET", user_facts(user), shop, cold))
        await redis.batch(commands, time.monotonic() + 30)


async def memory(redis: PipelinedRedis) -> int:
    """The server's used memory in bytes."""
    (info,) = await redis.batch([("INFO", "memory")], time.monotonic() + 5)
    assert isinstance(info, bytes)
    return int(info.split(b"used_memory:")[1].split(b"\r\n")[0])


async def cpu_us(redis: PipelinedRedis, users: Sequence[str]) -> float:
    """CPU microseconds a request, everything included that runs in this process."""
    reader, draw = ProfileReader(redis), random.Random(3)
    batches = [[(draw.choice(users), 0, None) for _ in range(BATCH)] for _ in range(ROUNDS)]
    for batch in batches[:50]:
        await reader.fetch(batch, int(time.time() * 1000), time.monotonic() + 5)
    begin = time.process_time()
    for batch in batches:
        await reader.fetch(batch, int(time.time() * 1000), time.monotonic() + 5)
    return (time.process_time() - begin) / ROUNDS / BATCH * 1e6


async def decode_us(redis: PipelinedRedis, users: Sequence[str]) -> float:
    """CPU microseconds a request of command building and decoding alone, without the connection."""
    replies = await redis.batch([("HGETALL", user_profile(user)) for user in users[:BATCH]], time.monotonic() + 5)
    lookups = [(user, 0, None) for user in users[:BATCH]]
    best, built = float("inf"), 0
    for _ in range(5):
        begin = time.process_time()
        for _ in range(ROUNDS):
            batch = ProfileBatch([user[0] for user in lookups])
            asked = [(at, user) for at, user in enumerate(batch.user_ids) if user is not None]
            built += len([("HGETALL", user_profile(user)) for _, user in asked])
            decode(batch, [at for at, _ in asked], replies, 1_790_000_000_000)
        best = min(best, (time.process_time() - begin) / ROUNDS / BATCH * 1e6)
    assert built == 5 * ROUNDS * BATCH
    return best


async def main(count: int) -> None:
    """Print everything; one server, emptied between the parts."""
    with tempfile.TemporaryDirectory(prefix="grosz-bench-") as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        redis = await PipelinedRedis.open(server.url, clock=SystemClock())
        users = [new_user_id() for _ in range(count)]
        for shops in (1, SHOPS):
            for joined in (False, True):
                await redis.batch([("FLUSHALL", "SYNC")], time.monotonic() + 30)
                empty = await memory(redis)
                await write(redis, users, shops, joined=joined)
                used = (await memory(redis) - empty) / count
                name = "one hash " if joined else "two hashes"
                whole, own = await cpu_us(redis, users), await decode_us(redis, users)
                print(
                    f"{shops} shop(s), {name}: {used:6.0f} bytes a user = {used / 1000:.2f} GB a million; "
                    f"fetch {whole:5.1f} us, decode and commands {own:5.1f} us"
                )
        await redis.close()
        server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    asyncio.run(main(parser.parse_args().users))
