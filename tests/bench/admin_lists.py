"""Speed of lists: every documented sort and filter, 50 out of 100,000 line items, on SQLite and PostgreSQL.

    scripts/bench admin_lists [--postgres] [--data DIR] [--only sorts|filters|pages] [--part 2/4]

Each query is asked alone, with the total, with a `q=` that few, that some and that all line items meet, by somebody who
may see everything, by a shop with a sixth of the line items (`shop`) and by one with seven (`small`).
A row a query: median, p99 (of so few rounds: the longest), and a mark where that is over the target. With `--data` the
database is kept in that directory and filled only once.
"""

import argparse
import asyncio
import contextlib
import gc
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import sqlalchemy as sa

from admin.api.line_items import RESOURCE
from admin.api.listing import ListedField, fields_of, reference_filters
from admin.seed.catalogue import demo_catalogue, seed_demo
from admin.store.catalogue import CatalogueStore
from admin.store.changes import SYSTEM
from admin.store.database import Database
from admin.store.kinds import LINE_ITEMS
from admin.store.migrate import migrate
from core.clock import ManualClock, SystemClock
from core.model import Budget, LineItem, Status
from core.redis.embedded import EmbeddedServer
from tests.kit.api import Caller, running_api
from tests.kit.postgres import PostgresServer, find_programs

TARGET_MS = 50.0
WRITTEN_AT_ONCE = 2_000
SHOP, SMALL = 3, 7
DAY_MS = 86_400_000
SEARCHES = {"few": "9999", "some": "item 77", "all": "item"}


async def fill(store: CatalogueStore, clock: ManualClock, count: int) -> None:
    """Brings the store to `count` line items: the demo shops', with values that differ in every field."""
    await seed_demo(store)
    templates = demo_catalogue().line_items
    large = [template for template in templates if template.advertiser_id != SMALL]
    small = [template for template in templates if template.advertiser_id == SMALL]
    left = count - len(templates)
    while left > 0:
        part = min(left, WRITTEN_AT_ONCE)
        clock.advance(60.0)
        async with store.write(SYSTEM) as writer:
            ids = await writer.reserve_ids(LINE_ITEMS, part)
            values = [
                _varied((small if number % 1000 == 0 else large)[number % (7 if number % 1000 == 0 else 41)], number)
                for number in ids
            ]
            await writer.insert(LINE_ITEMS, values)
        left -= part


def _varied(template: LineItem, number: int) -> LineItem:
    """A copy whose fields have few or many values, or often none."""
    start_ms = 1_800_000_000_000 + number * 7919 % 400 * DAY_MS if number % 2 else None
    return msgspec.structs.replace(
        template,
        id=number,
        name=f"Line item {number}",
        external_id=f"sku-{number * 7919 % 100_003}" if number % 2 else "",
        notes=f"season {number % 17}" if number % 10 == 0 else "",
        status=Status.ARCHIVED if number % 50 == 0 else Status.PAUSED if number % 20 == 0 else Status.ACTIVE,
        version=1 + number % 3,
        start_ms=start_ms,
        end_ms=start_ms + 30 * DAY_MS if start_ms and number % 3 else None,
        bid_micros=template.bid_micros + number * 31 % 997 * 10_000,
        min_cpm_micros=number % 5 * 100_000,
        daily_budget=Budget(template.daily_budget.micros, number % 100 * 1000 if number % 4 == 0 else None),
        total_budget=Budget(template.total_budget.micros, number % 1000 * 1000 if number % 100 == 0 else None),
        target_cpa_micros=number % 400 * 100_000 if number % 5 == 0 else None,
        target_roas_percent=100 + number % 300 if number % 7 == 0 else None,
        min_gap_s=number % 3 * 30,
        several_per_request=number % 6 == 0,
        spend_all=number % 9 == 0,
    )


def sorts() -> list[str]:
    """Every documented order."""
    return [f"sort={sign}{name}" for name in fields_of(LINE_ITEMS) for sign in ("", "-")]


def filters(row: dict[str, Any]) -> list[str]:
    """Every documented filter, with the value that a line item has; ranges from and up to it."""
    found = ["updated_after=2026-01-01T00:00:00Z", "created_after=2026-01-01T00:00:00Z"]
    for field in fields_of(LINE_ITEMS).values():
        text = quote(_text(field, row))
        found.append(f"{field.name}={text}")
        if field.has_range:
            found += [f"{field.name}.min={text}", f"{field.name}.max={text}"]
    found += [f"{name}={300 if name == 'creative_id' else 1}" for name in reference_filters(RESOURCE)]
    return found


def _text(field: ListedField, row: dict[str, Any]) -> str:
    value: Any = row
    for name in field.name.split("."):
        value = value[name]
    if isinstance(value, dict):
        value = value["amount"]
    if isinstance(value, bool):
        return str(value).lower()
    empty = {"integer": "0", "amount": "0", "moment": "2026-01-01T00:00:00Z"}
    return str(value) if value is not None else empty[field.kind]


def variants(query: str) -> list[str]:
    """The query alone, with the total, and with searches."""
    found = [query, f"{query}&total=true"]
    for text in SEARCHES.values():
        found += [f"{query}&q={quote(text)}", f"{query}&q={quote(text)}&total=true"]
    return found


async def measure(who: str, caller: Caller, query: str, rounds: int) -> bool:
    """Prints the row of a query; whether it holds the target."""
    times = []
    answer = await caller.get(f"/v1/line-items?{query}")
    assert answer.status == 200, answer.body
    for _ in range(rounds):
        started = time.perf_counter()
        await caller.get(f"/v1/line-items?{query}")
        times.append((time.perf_counter() - started) * 1000)
    times.sort()
    held = times[-1] < TARGET_MS
    total = answer.body.get("total", "")
    shown = query if len(query) < 90 else f"{query[:87]}..."
    print(
        f"{who:<6} {shown:<90} p50 {times[rounds // 2]:6.1f} ms  p99 {times[-1]:6.1f} ms  "
        f"{answer.body['count']:>3} {total:>7} {'' if held else 'OVER'}",
        flush=True,
    )
    return held


async def deep(caller: Caller, order: str, count: int) -> str:
    """The query of the page after half of all rows."""
    cursor, passed = "", 0
    while passed < count // 2:
        page = (await caller.get(f"/v1/line-items?{order}&limit=500&fields=id&cursor={cursor}")).body
        if page["next"] is None:
            break
        cursor, passed = page["next"], passed + page["count"]
    return f"{order}&cursor={cursor}"


async def bench(callers: dict[str, Caller], arguments: argparse.Namespace) -> None:
    """Measures what was asked for."""
    first = (await callers["all"].get("/v1/line-items?limit=1&id.min=70007")).body["items"][0]
    plans: list[tuple[str, str]] = []
    for who in callers:
        plans += [(who, query) for order in sorts() for query in variants(order) if arguments.only != "filters"]
        plans += [(who, query) for one in filters(first) for query in variants(one) if arguments.only != "sorts"]
    if arguments.only == "pages":
        plans = []
    part, _, parts = arguments.part.partition("/")
    chosen = plans[int(part) - 1 :: int(parts)]
    held = [await measure(who, callers[who], query, arguments.rounds) for who, query in chosen]
    if arguments.only in ("", "pages"):
        for order in sorts()[int(part) - 1 :: int(parts)]:
            query = await deep(callers["all"], order, arguments.line_items)
            held.append(await measure("all", callers["all"], query, arguments.rounds))
    print(f"{len(held)} queries, {held.count(False)} over {TARGET_MS:.0f} ms")


def add_arguments(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Which database, how often."""
    parser.add_argument("--line-items", type=int, default=100_000)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=rounds)


@contextlib.contextmanager
def directory_of(kept: Path | None) -> Iterator[Path]:
    """Where the database is: a directory that is kept, or one that goes with the bench."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    made = Path(tempfile.mkdtemp(prefix="grosz-bench-"))
    yield made
    shutil.rmtree(made)


@contextlib.asynccontextmanager
async def filled_database(directory: Path, arguments: argparse.Namespace) -> AsyncIterator[str]:
    """URL of the filled database."""
    server = None
    is_new = not (directory / ("data" if arguments.postgres else "grosz.sqlite")).exists()
    if arguments.postgres:
        programs = find_programs()
        assert programs is not None, "needs PostgreSQL: install the package `postgresql`"
        server = PostgresServer(programs, directory, memory="128MB")
        server.start()
        url = server.new_database() if is_new else server.url("test_1")
    else:
        url = f"sqlite+aiosqlite:///{directory / 'grosz.sqlite'}"
    if is_new:
        started = time.perf_counter()
        clock = ManualClock()
        database = Database.open(url)
        await migrate(database)
        await fill(CatalogueStore(database, clock), clock, arguments.line_items)
        if arguments.postgres:  # what its own autovacuum does within a minute
            async with database.engine.connect() as connection:
                autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await autocommit.execute(sa.text("VACUUM ANALYZE"))
        await database.close()
        print(f"filled in {time.perf_counter() - started:.1f} s")
    yield url
    if server is not None:
        server.stop()


async def main() -> None:
    """Runs the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, rounds=20)
    parser.add_argument("--only", choices=("", "sorts", "filters", "pages"), default="")
    parser.add_argument("--part", default="1/1")
    arguments = parser.parse_args()
    with directory_of(arguments.data) as directory, tempfile.TemporaryDirectory() as own:
        redis = EmbeddedServer(Path(own))
        redis.start()
        try:
            async with (
                filled_database(directory, arguments) as url,
                running_api(url, redis.url, SystemClock()) as api,
            ):
                gc.freeze()  # as the admin role does when it is ready
                sees = {"all": (), "shop": (SHOP,), "small": (SMALL,)}
                callers = {
                    who: await api.caller("read", advertisers=advertisers, requests_per_minute=1_000_000)
                    for who, advertisers in sees.items()
                }
                await bench(callers, arguments)
        finally:
            redis.stop()


if __name__ == "__main__":
    asyncio.run(main())
