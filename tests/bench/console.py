"""Server time of the console's pages at 100,000 line items.

    scripts/bench console [--postgres] [--data DIR] [--line-items 100000] [--rounds 10]

A row a page: median and longest time until the whole answer is here, the statements that the database was asked, the
steps of SQLite's machine that they took (thousands; a row that is looked at takes about ten), and the answer's size as
it is and packed. The database is the one of `admin_lists`: with `--data` it is kept and filled only once; every line
item has spent today. Clocks are of this machine at this moment; statements and steps are the same everywhere.
"""

import argparse
import asyncio
import gc
import gzip
import struct
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from admin.store import tables
from admin.store.database import Database
from core import keys
from core.clock import SystemClock
from core.redis.client import control_redis
from core.redis.embedded import EmbeddedServer
from pacing.bank.bank import calendar
from tests.bench.admin_lists import add_arguments, directory_of, filled_database
from tests.kit.api import Api, running_api
from tests.kit.console import Browser, person
from tests.kit.statements import Statements

TARGET_MS = 300.0
PAGES = (
    "/",
    "/line-items",
    "/line-items?status=active&sort=name",
    "/line-items?q=9999",
    "/line-items?advertiser_id=3",
    "/campaigns",
    "/creatives",
    "/segments",
    "/advertisers",
    "/line-items/{id}",
    "/line-items/{id}/delivery",
    "/line-items/{id}/findings",
    "/line-items/new",
    "/campaigns/100",
    "/start",
    "/explain",
    "/attention",
    "/advertisers/3/shop",
)


async def spend(url: str, redis_url: str) -> None:
    """Lets every line item have spent today, by the money counters and by the ledger's sums."""
    database, redis = Database.open(url), control_redis(redis_url)
    columns = tables.line_items.c
    async with database.read() as connection:
        found = (await connection.execute(sa.select(columns.id, columns.advertiser_id, columns.campaign_id))).all()
    day = calendar("Europe/Warsaw", SystemClock().now_ms()).day
    sums = []
    for start in range(0, len(found), 5_000):
        pipeline = redis.pipeline()
        for one, owner, campaign in found[start : start + 5_000]:
            level = struct.pack("<10q", -1, one * 1_000, 0, 0, 0, -1, one % 100, 0, 0, 0)
            pipeline.execute_command("HSET", keys.money_levels(owner), f"d{one}@{day}", level)
            place = {"advertiser_id": owner, "campaign_id": campaign, "line_item_id": one, "share": 0, "day": day}
            money = {"exchange_id": 1, "currency": "PLN", "charge_micros": one * 1_000, "impressions": one % 100}
            sums.append(place | money)
        await pipeline.execute()
    async with database.write() as connection:
        await connection.execute(sa.delete(tables.ledger_days))
        await connection.execute(sa.insert(tables.ledger_days), sums)
    await redis.aclose()
    await database.close()


async def measure(browser: Browser, path: str, statements: Statements, rounds: int) -> bool:
    """Prints the row of a page; whether it holds the target."""
    answer = await browser.get(path)
    assert answer.status == 200, (path, answer.text)
    times = []
    for _ in range(rounds):
        statements.start()
        started = time.perf_counter()
        answer = await browser.get(path)
        times.append((time.perf_counter() - started) * 1000)
    times.sort()
    body = answer.text.encode()
    packed, held = len(gzip.compress(body)), times[rounds // 2] < TARGET_MS
    print(
        f"{path:<40} p50 {times[rounds // 2]:7.1f} ms  longest {times[-1]:7.1f} ms  {statements.count:>3} statements "
        f"{statements.steps // 1000:>6} k steps {len(body) / 1024:7.1f} KiB {packed / 1024:6.1f} KiB packed"
        f"{'' if held else '  OVER'}",
        flush=True,
    )
    return held


async def bench(api: Api, arguments: argparse.Namespace) -> None:
    """Measures every page."""
    browser = await person(api, email=f"{time.time_ns()}@szpilka.example")
    one = 100 if arguments.line_items < 1_000 else arguments.line_items // 2
    statements = Statements(api.store.database)
    paths = [path.format(id=one) for path in PAGES if not arguments.only or path.startswith(arguments.only)]
    held = [await measure(browser, path, statements, arguments.rounds) for path in paths]
    print(f"{len(held)} pages, {held.count(False)} over {TARGET_MS:.0f} ms")


async def main() -> None:
    """Runs the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, rounds=10)
    parser.add_argument("--only", default="", help="pages whose address begins so")
    arguments = parser.parse_args()
    with directory_of(arguments.data) as directory, tempfile.TemporaryDirectory() as own:
        redis = EmbeddedServer(Path(own))
        redis.start()
        try:
            async with (
                filled_database(directory, arguments) as url,
                running_api(url, redis.url, SystemClock()) as api,
            ):
                await spend(url, redis.url)
                await api.publisher.publish()
                gc.freeze()  # as the admin role does when it is ready
                await bench(api, arguments)
        finally:
            redis.stop()


if __name__ == "__main__":
    asyncio.run(main())
