"""A million customers as an audience: `python -m tests.bench.audience_list [--rows 1000000] [--known 0.05]`.

A share of the rows are persons who have logged in on a device; their profiles are of ordinary size. Times how long the
import takes from the CSV to the answer, its CPU time, what the list costs in Redis, and how long one worker takes from
there until every known device is in the audience.
"""

import argparse
import asyncio
import hashlib
import random
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from core.clock import SystemClock
from core.ids import new_user_id
from core.keys import ROSTER_NEWS, person
from core.model import Segment
from core.redis.embedded import EmbeddedServer
from segments.audiences.roster_import import RosterImporter
from segments.audiences.roster_news import RosterTeller
from segments.facts.event import person_digest
from tests.bench.freshness import shop_event
from tests.kit.profiles import EventRig, catalogue, event_rig

SEGMENTS = [Segment(id=7, advertiser_id=1, name="vip", rule="has list.vip")]
PIECE = 256 * 1024


def row(number: int) -> str:
    return hashlib.sha256(f"customer-{number}@example.pl".encode()).hexdigest()


async def known_devices(rig: EventRig, count: int) -> list[str]:
    """Devices of the first customers, by the way that their events take."""
    draw = random.Random(7)
    users: list[str] = []
    for first in range(0, count, 500):
        now_ms = rig.clock.now_ms()
        for _ in range(first, min(count, first + 500)):
            user = new_user_id()
            users.append(user)
            await rig.send(shop_event(draw, user, now_ms))
        await rig.settle()
    commands = [("SADD", person(1, person_digest(1, row(number)).hex()), user) for number, user in enumerate(users)]
    await rig.store.commands(commands)
    return users


async def pieces(rows: int) -> AsyncIterator[bytes]:
    """The file, as a browser sends it."""
    text = "email_sha256\n" + "".join(f"{row(number)}\n" for number in range(rows))
    raw = text.encode()
    for at in range(0, len(raw), PIECE):
        await asyncio.sleep(0)
        yield raw[at : at + PIECE]


async def memory(rig: EventRig) -> int:
    (info,) = await rig.store.commands([("INFO", "memory")])
    text = info.decode() if isinstance(info, bytes) else str(info)
    return int(next(line for line in text.splitlines() if line.startswith("used_memory:")).partition(":")[2])


async def run(url: str, rows: int, known: float) -> None:
    async with event_rig(url, SystemClock(), published=catalogue(SEGMENTS)) as rig:
        users = await known_devices(rig, round(rows * known))
        importer, before = RosterImporter(rig.store, rig.clock), await memory(rig)
        made = pieces(rows)
        first = await anext(made)

        async def all_pieces() -> AsyncIterator[bytes]:
            yield first
            async for piece in made:
                yield piece

        began, cpu = time.monotonic(), time.process_time()
        found = await importer.load(1, "vip", all_pieces(), replace=True, days=180)
        took, used = time.monotonic() - began, time.process_time() - cpu
        print(f"{found.rows} rows, {found.matched} of known persons: {took:.1f} s, {used:.1f} s of CPU here")
        print(f"in Redis: {(await memory(rig) - before) / found.rows:.0f} bytes a row, the news included")
        teller, began = RosterTeller(rig.store, lambda: {0}, rig.clock), time.monotonic()
        while await rig.store.commands([("ZCARD", ROSTER_NEWS)]) != [0]:
            if not await teller.step():
                await asyncio.sleep(0.05)
            await rig.settle()
        took = time.monotonic() - began
        inside = sum(bool(segments) for segments in await rig.segments_of(*users[:1_000]))
        print(f"{len(users)} devices heard of it within {took:.1f} s; of the first thousand {inside} are in")
        began = time.monotonic()
        again = await importer.load(1, "vip", pieces(rows), replace=True, days=180)
        print(f"replaced by itself: {time.monotonic() - began:.1f} s, {again.gone} gone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--known", type=float, default=0.05)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        try:
            asyncio.run(run(server.url, asked.rows, asked.known))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
