"""Lists for the shops' own pages: one process at 500 questions a second, and the costly strategy at 100 a second.

A shop of 20,000 products with a model, 2,000 visitors with profiles; questions are sent open-loop over real HTTP, of
all kinds of pages. On a machine that others use as well, read the CPU time a question, not the clock.
"""

import argparse
import asyncio
import multiprocessing
import random
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp

from core.clock import SystemClock
from core.ids import new_user_id
from core.network.headers import Edge
from core.network.proxies import Proxies
from core.redis.embedded import EmbeddedServer
from creatives.products.sessions import Interaction, ProductTouch
from segments.facts.event import Event, Item, Kind
from tests.bench.freshness import cpu_s
from tests.bench.recommend import made_log
from tests.kit.feeds import csv_feed
from tests.kit.page_lists import OWN, PageShop, page_shop

NO_ANSWER_S = 60.0  # what a refusal counts as
PRODUCTS, SESSIONS, USERS, VIEWS = 20_000, 40_000, 2_000, 6


def serve(url: str, told: Connection) -> None:
    """The tracker's process."""

    async def run() -> None:
        edge = Edge("", Proxies(["127.0.0.1"]))
        async with page_shop(url, SystemClock(), elapsed=time.monotonic, edge=edge) as site:
            watching = asyncio.create_task(site.desk.watch())
            await site.models.get(1)
            told.send(site.client.port)
            await asyncio.Event().wait()
            watching.cancel()

    asyncio.run(run())


async def stocked(site: PageShop, draw: random.Random) -> list[str]:
    """Products, tables, and visitors with profiles; their ids."""
    await site.products.load(csv_feed(PRODUCTS))
    now_s = site.rig.clock.now_ms() // 1000
    rows = [
        Interaction(number, now_s - 90_000 + place, ProductTouch.VIEW, product)
        for number, (_, products) in enumerate(made_log(PRODUCTS, SESSIONS))
        for place, product in enumerate(products)
    ]
    await site.fit(rows)
    users: list[str] = [new_user_id() for _ in range(USERS)]
    for user in users:
        items = [str(1 + draw.randrange(PRODUCTS)) for _ in range(VIEWS)]
        kinds = [Kind.VIEW_ITEM] * (VIEWS - 1) + [Kind.ADD_TO_CART]
        await site.rig.send(*(
            Event(kind, 1, user, now_s * 1000, items=(Item(one),)) for kind, one in zip(kinds, items, strict=True)
        ))  # fmt: skip
    await site.rig.settle()
    return users


async def load(port: int, users: list[str], rate: int, seconds: int, strategy: str, draw: random.Random) -> list[float]:
    """Answer times of questions at a rate, from when each was due."""
    contexts = ("home", "cart", "product:{}", "product:{}")
    times: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as client:

        async def ask(due: float) -> None:
            context = draw.choice(contexts).format(1 + draw.randrange(PRODUCTS))
            address = ".".join(str(draw.randrange(1, 255)) for _ in range(4))
            headers = {**OWN, "Cookie": f"grosz_uid={draw.choice(users)}", "X-Forwarded-For": address}
            query = {"gdpr": "0", "context": context} | ({"strategy": strategy} if strategy else {})
            async with client.get(f"http://127.0.0.1:{port}/r/1", params=query, headers=headers) as answer:
                await answer.read()
            times.append(time.monotonic() - due if answer.status == 200 else NO_ANSWER_S)

        asking: set[asyncio.Task[None]] = set()
        began = time.monotonic()
        for number in range(rate * seconds):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(ask(due))
            asking.add(task)
            task.add_done_callback(asking.discard)
        await asyncio.gather(*asking)
    return times


async def measure(url: str, rate: int, seconds: int) -> None:
    draw = random.Random(1)
    async with page_shop(url, SystemClock()) as site:
        users = await stocked(site, draw)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(url, there), daemon=True)
    process.start()
    port = await asyncio.to_thread(here.recv)
    await load(port, users, 100, 5, "", draw)  # products come into memory
    for wanted, strategy in ((rate, ""), (100, "next")):
        before = cpu_s(process.pid or 0)
        times = sorted(await load(port, users, wanted, seconds, strategy, draw))
        used = (cpu_s(process.pid or 0) - before) / len(times)
        p50, p99 = statistics.median(times) * 1e3, times[int(len(times) * 0.99)] * 1e3
        kind = strategy or "each page's own strategies"
        print(f"{wanted} a second, {kind}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, CPU {used * 1e6:.0f} us a question")
    process.terminate()
    process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        try:
            asyncio.run(measure(server.url, options.rate, options.seconds))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
