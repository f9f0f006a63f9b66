"""The published supply table: read, changed by what was read or fetched, and kept current on a schedule."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from admin.supply.crawling import Crawler, Declared, FetchedFile, declared_in
from core import keys
from core.clock import Clock
from core.errors import ConflictError, GroszError
from core.supply import SupplyFile, SupplyTable, decode_table, encode_table
from core.telemetry.metrics import Telemetry

log = logging.getLogger("grosz.supply")

# After a round in which nothing could be had.
RETRY_S: Final = 600.0

# A command and the schedule may write at the same time; the second one begins again.
TRIES: Final = 5

_REPLACE: Final = """
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('INCR', KEYS[2])
return 1
"""


class SupplyDesk:
    """Reads and changes the table in Redis."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock

    async def table(self) -> SupplyTable:
        """What is published."""
        return (await self._read())[1]

    async def _read(self) -> tuple[bytes, SupplyTable]:
        version: Any = await self._redis.get(keys.SUPPLY_VERSION)
        data: Any = await self._redis.get(keys.SUPPLY_TABLE)
        return version or b"", await asyncio.to_thread(decode_table, data) if data else SupplyTable()

    async def take(self, found: Iterable[FetchedFile]) -> SupplyTable:
        """Put files in, take those out that are gone; what could not be had stays as it was. Raises ConflictError."""
        found = list(found)
        for _ in range(TRIES):
            version, table = await self._read()
            changed = _changed(table, found, self._clock.now_ms())
            data = await asyncio.to_thread(encode_table, changed)
            call: Any = self._redis.eval(_REPLACE, 2, keys.SUPPLY_TABLE, keys.SUPPLY_VERSION, version, data)
            if await call:
                return changed
        raise ConflictError("the supply table is changed by somebody else", hint="try again")

    async def crawl(self, crawler: Crawler, wanted: list[Declared]) -> list[FetchedFile]:
        """Fetch files and publish what came."""
        found = await crawler.fetch(wanted, self._clock.now_ms())
        await self.take(found)
        return found


def _changed(table: SupplyTable, found: Iterable[FetchedFile], now_ms: int) -> SupplyTable:
    members: dict[str, dict[str, SupplyFile]] = {
        name: dict(files) for name, files in (("sites", table.sites), ("apps", table.apps), ("systems", table.systems))
    }
    for each in found:
        files = members[each.declared.kind.member]
        if each.file is not None:
            files[each.declared.domain] = each.file
        elif not each.problem:
            files.pop(each.declared.domain, None)
    return msgspec.structs.replace(table, made_ms=now_ms, **members)


def outcomes(found: Iterable[FetchedFile]) -> Mapping[str, int]:
    """How many files were read, are gone, and could not be had."""
    counts = {"read": 0, "gone": 0, "failed": 0}
    for each in found:
        counts["read" if each.file is not None else "failed" if each.problem else "gone"] += 1
    return counts


class SupplyLoop:
    """The admin role's schedule: fetches the declared files now, then every `refresh_s` seconds."""

    def __init__(
        self, desk: SupplyDesk, crawler: Crawler, domains: str, refresh_s: float, telemetry: Telemetry
    ) -> None:
        self._desk = desk
        self._crawler = crawler
        self._domains = Path(domains)
        self._refresh_s = refresh_s
        self._files = telemetry.counter(
            "grosz_supply_fetches_total",
            "Declared ads.txt, app-ads.txt and sellers.json files by what came of fetching them.",
            ("outcome",),
        )

    async def run(self) -> None:
        """Fetch until cancelled."""
        while True:
            pause_s = await self.step()
            await asyncio.sleep(pause_s)

    async def step(self) -> float:
        """One round; seconds until the next."""
        try:
            text = await asyncio.to_thread(self._domains.read_text, "utf-8")
            found = await self._desk.crawl(self._crawler, declared_in(text.splitlines()))
        except (OSError, UnicodeDecodeError) as error:
            log.warning("supply.domains cannot be read: %s", error)
            return min(RETRY_S, self._refresh_s)
        except GroszError as error:
            log.warning("the supply table stays as it is: %s", error)
            return min(RETRY_S, self._refresh_s)
        counts = outcomes(found)
        for outcome, count in counts.items():
            self._files.labels(outcome).inc(count)
        for each in found:
            if each.problem:
                log.info("%s of %s: %s", each.declared.kind, each.declared.domain, each.problem)
        log.info("supply table: %d files read, %d gone, %d failed", *counts.values())
        return self._refresh_s if counts["read"] or not counts["failed"] else min(RETRY_S, self._refresh_s)
