"""Speed of the admin API: list, create, bulk create, publication, each against the figure of the specification.

    .venv/bin/python -m tests.bench.admin_api [--line-items 100000] [--database-url URL]

Runs the real application over HTTP on loopback, a real database and a real Redis, in this process. Figures are of this
machine at this moment; the targets are in docs/performance.md.
"""

import argparse
import asyncio
import gc
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from admin.seed.catalogue import demo_catalogue, seed_demo
from admin.store.catalogue import CatalogueStore
from admin.store.changes import SYSTEM
from admin.store.kinds import LINE_ITEMS
from bidder.compile.compiler import CatalogueCompiler
from core.catalogue.follower import read_whole
from core.clock import SystemClock
from core.model import LineItem
from core.redis.client import control_redis
from core.redis.embedded import EmbeddedServer
from tests.kit.api import Api, Caller, running_api

BULK = 10_000
ROUNDS = 200


async def fill(store: CatalogueStore, count: int, *, domains: int = 0) -> None:
    """Brings the store to `count` line items: copies of the demo shops'.

    With `domains` each copy is for one of so many sites, `news0.example` and on: a bid request then finds few of them.
    """
    await seed_demo(store)
    templates = demo_catalogue().line_items
    left = count - len(templates)
    while left > 0:
        part = min(left, BULK)
        async with store.write(SYSTEM) as writer:
            ids = await writer.reserve_ids(LINE_ITEMS, part)
            values = [_copy(templates[object_id % len(templates)], object_id, domains) for object_id in ids]
            await writer.insert(LINE_ITEMS, values)
        left -= part


def _copy(template: LineItem, object_id: int, domains: int) -> LineItem:
    targeting = template.targeting
    if domains:
        targeting = msgspec.structs.replace(targeting, domains_allow=(f"news{object_id % domains}.example",))
    return msgspec.structs.replace(template, id=object_id, name=f"Line item {object_id}", targeting=targeting)


async def timed(title: str, target: str, rounds: int, action: Callable[[int], Awaitable[Any]]) -> None:
    """Prints the median and p99 of an action."""
    times = []
    for number in range(rounds):
        started = time.perf_counter()
        await action(number)
        times.append(time.perf_counter() - started)
    times.sort()
    p50, p99 = times[len(times) // 2] * 1000, times[int(len(times) * 0.99)] * 1000
    print(f"{title:<46} p50 {p50:8.1f} ms  p99 {p99:8.1f} ms   target {target}")


def document(name: str) -> dict[str, Any]:
    """A line item as a shop would create it."""
    return {
        "advertiser_id": 1,
        "campaign_id": 100,
        "name": name,
        "goal": "cpc",
        "bid": {"amount": "1.20"},
        "max_cpm": {"amount": "20.00"},
        "targeting": {"countries": ["POL"], "page_keywords": ["szpilki", "stilettos"], "segments_any": [100]},
        "creative_ids": list(range(100, 119)),
        "daily_budget": {"spend": {"amount": "100.00"}},
        "caps": [{"impressions": 10, "window_s": 86400}],
    }


async def bench(api: Api, caller: Caller, count: int, redis_url: str) -> None:
    """All measurements."""
    lists = {
        "list 50, newest changes first": "sort=-updated_at",
        "list 50 by name, filtered, from a shop": "advertiser_id=3&status=active&sort=name&fields=name,bid,status",
        "list 50 with the total": "total=true&bid.min=1",
        "list 50 by part of the name": "q=9999",
    }
    for title, query in lists.items():
        await timed(f"{title} ({count:,})", "p99 < 50 ms", ROUNDS, lambda _, q=query: caller.get(f"/v1/line-items?{q}"))  # type: ignore[misc]  # the default binds the loop's value
    await timed("read one", "-", ROUNDS, lambda number: caller.get(f"/v1/line-items/{100 + number % 5}"))
    await timed(
        "create one", "< 30 ms", ROUNDS, lambda number: caller.made("/v1/line-items", document(f"one {number}"))
    )

    started = time.perf_counter()
    await api.publisher.publish()
    print(f"{'publish after changes':<46} {time.perf_counter() - started:8.2f} s")

    operations = [{"action": "create", "document": document(f"bulk {number}")} for number in range(BULK)]
    started = time.perf_counter()
    answer = await caller.post("/v1/line-items/bulk", {"operations": operations})
    created = time.perf_counter() - started
    print(f"{'bulk create of 10,000':<46} {created:8.2f} s    target < 20 s ({answer.body['failed']} failed)")
    started = time.perf_counter()
    await api.publisher.publish()
    published = time.perf_counter() - started
    redis = control_redis(redis_url)
    data, chain = await read_whole(redis)
    await redis.aclose()
    started = time.perf_counter()
    compiled = CatalogueCompiler().whole(data, chain.changes)
    took = time.perf_counter() - started
    print(f"{'publish 10,000 changes':<46} {published:8.2f} s    target < 5 s with the next line")
    print(f"{'compile what is published':<46} {took:8.2f} s    target < 10 s ({compiled.index.count:,} line items, "
          f"{len(data) / 1e6:.1f} MB)")  # fmt: skip


async def main() -> None:
    """Runs the bench in a directory of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--line-items", type=int, default=100_000)
    parser.add_argument("--database-url", default="")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="grosz-bench-"))
    server = EmbeddedServer(directory)
    server.start()
    try:
        url = arguments.database_url or f"sqlite+aiosqlite:///{directory / 'grosz.sqlite'}"
        async with running_api(url, server.url, SystemClock()) as api:
            started = time.perf_counter()
            await fill(api.store, arguments.line_items)
            print(f"{'fill the store':<46} {time.perf_counter() - started:8.2f} s")
            started = time.perf_counter()
            await api.publisher.start()
            print(f"{'first publication':<46} {time.perf_counter() - started:8.2f} s")
            gc.freeze()  # as the admin role does when it is ready
            caller = await api.caller(requests_per_minute=1_000_000)
            await bench(api, caller, arguments.line_items, server.url)
    finally:
        server.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    asyncio.run(main())
