"""The doctor's first half: processes, Redis, the database, the catalogue's way to the bidders."""

import asyncio
from collections.abc import Iterator, Mapping

import aiohttp

from admin.diagnosis.findings import Finding
from admin.diagnosis.published import Commands
from admin.diagnosis.told import found
from admin.rates.store import STALE_DAYS, rates_in_force
from admin.store.catalogue import CatalogueStore
from admin.store.migrate import current, newest
from core import keys
from core.catalogue.version_report import GONE_MS, VersionReport, decode_report, forgotten
from core.errors import UnavailableError
from core.moments import duration_text, utc_day

# A role that is alive answers at once.
ASK_TIMEOUT_S = 2.0

# An admin says each second that the catalogue is current; this much silence is no accident.
SILENT_MS = 5_000

# From here on a server without eviction is about to refuse writes, so money and profiles stand still.
MEMORY_FULL_PERCENT = 98
MEMORY_HIGH_PERCENT = 80

# How Redis begins what it answers to everything while its append-only file cannot be written.
_DISK_FAULT = "MISCONF"

_CONSEQUENCE = {
    "bidder": "no bid request is answered",
    "tracker": "notices, impressions, clicks and shop events are lost or late",
    "worker": "budgets are not leased out, events are not applied to profiles",
    "admin": "no change reaches the bidders, and in the end they stop bidding",
}


async def check_roles(endpoints: Mapping[str, str]) -> list[Finding]:
    """Whether each role that is known by address can serve."""
    if not endpoints:
        return [found("processes.unknown")]
    timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        said = await asyncio.gather(*(_ask_role(session, url) for url in endpoints.values()))
    if len(endpoints) > 1 and not any(said):
        words = ", ".join(f"{role} at {url}" for role, url in endpoints.items())
        return [found("processes.none_answers", words=words)]
    return [_judge_role(role, url, text) for (role, url), text in zip(endpoints.items(), said, strict=True)]


async def _ask_role(session: aiohttp.ClientSession, url: str) -> str | None:
    """What a role says of itself; None where nothing answers."""
    try:
        async with session.get(f"{url}/readyz") as response:
            return (await response.text()).strip() or f"status {response.status}"
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


def _judge_role(role: str, url: str, text: str | None) -> Finding:
    if text is None:
        return found("processes.silent", role=role, url=url, effect=_CONSEQUENCE[role])
    if text != "ready":
        return found("processes.not_ready", role=role, fault=", ".join(text.splitlines()))
    return found("processes.ready", role=role, url=url)


async def ask_metrics(url: str | None) -> str | None:
    """The bidder's metrics, None where they cannot be had."""
    if url is None:
        return None
    timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/metrics") as response:
            return await response.text() if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


async def check_redis(redis: Commands) -> list[Finding]:
    """Whether Redis answers, has memory left, and can write to its disk; the latter two only where it answers."""
    try:
        await redis.commands([("GET", keys.CATALOGUE_VERSION)])
    except UnavailableError as error:
        reason = error.message.removeprefix("Redis is not available: ")
        if _DISK_FAULT in reason:
            return [found("redis.disk_full", reason=reason)]
        return [found("redis.silent", reason=reason)]
    try:
        (text,) = await redis.commands([("INFO",)])
    except UnavailableError:
        return [found("redis.answers"), found("redis.untold")]
    return list(judge_redis(_fields(text)))


def _fields(info: object) -> dict[str, str]:
    lines = info.decode("utf-8", "replace").splitlines() if isinstance(info, bytes) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)


def judge_redis(info: Mapping[str, str]) -> Iterator[Finding]:
    """Findings about the fields of INFO."""
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    size = f"{used / 2**20:.0f} MiB"
    percent = 100 * used // limit if limit else 0
    if percent >= MEMORY_FULL_PERCENT:
        yield found("redis.memory_full", size=size, percent=percent)
    elif percent >= MEMORY_HIGH_PERCENT:
        yield found("redis.memory_high", size=size, percent=percent)
    else:
        yield found("redis.memory", size=size)
    policy = info.get("maxmemory_policy", "noeviction")
    if limit and policy != "noeviction":
        yield found("redis.evicts", word=policy)
    failed = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(name, "ok") != "ok"
    ]
    if failed:
        yield found("redis.write_failed", words=", ".join(failed))
    elif info.get("aof_enabled") == "1":
        yield found("redis.durable")
    else:
        yield found("redis.not_durable")


async def check_database(store: CatalogueStore) -> list[Finding]:
    """Whether the database answers, with the schema of this installation."""
    try:
        schema = await current(store.database)
    except UnavailableError as error:
        return [found("database.silent", reason=error.message, hint=error.hint)]
    if schema != newest():
        return [found("database.schema", word=schema or "empty", other=newest())]
    return [found("database.answers", word=schema)]


async def check_rates(store: CatalogueStore, now_ms: int) -> list[Finding]:
    """How old the exchange rates are; nothing where the database cannot be read (check_database has said so)."""
    try:
        if await current(store.database) != newest():
            return []
        async with store.database.read() as connection:
            rates = await rates_in_force(connection)
    except UnavailableError:
        return []
    age = rates.age_days(utc_day(now_ms))
    if age is None or not rates.rates:
        return []
    code = "exchange_rates.old" if age > STALE_DAYS else "exchange_rates.current"
    return [found(code, day=str(rates.as_of), source=rates.source, count=age)]


async def check_catalogue(redis: Commands, store: CatalogueStore | None, now_ms: int, max_age_s: int) -> list[Finding]:
    """Whether the catalogue comes from the store to Redis, and from there to every bidder."""
    version, alive, reported = await redis.commands(
        [("GET", keys.CATALOGUE_VERSION), ("GET", keys.CATALOGUE_ALIVE), ("HGETALL", keys.CATALOGUE_EFFECTIVE)]
    )
    if not isinstance(version, bytes):
        return [found("catalogue.none")]
    published = int(version)
    findings = [_age(int(alive) if isinstance(alive, bytes) else 0, published, now_ms, max_age_s)]
    stored = await _stored_version(store)
    if stored is not None and stored > published:
        findings.append(found("catalogue.unpublished", version=stored, count=published))
    flat = reported if isinstance(reported, list) else []
    reported_by = dict(zip(flat[0::2], flat[1::2], strict=True))
    gone = set(forgotten(reported_by, now_ms))
    reports = {
        process.decode(): decode_report(report) for process, report in reported_by.items() if process not in gone
    }
    living = {process: report for process, report in reports.items() if report.seen_ms > now_ms - GONE_MS}
    return [*findings, *_bidders(living, published, max_age_s)]


async def _stored_version(store: CatalogueStore | None) -> int | None:
    try:
        return None if store is None else await store.version()
    except UnavailableError:
        return None  # check_database has said so


def _age(alive_ms: int, version: int, now_ms: int, max_age_s: int) -> Finding:
    silent_ms = now_ms - alive_ms
    if silent_ms < SILENT_MS:
        return found("catalogue.current", version=version)
    seconds = silent_ms // 1000
    if seconds >= max_age_s:
        return found("catalogue.expired", seconds=seconds)
    return found("catalogue.stale", seconds=seconds, duration=duration_text(max_age_s))


def _bidders(versions: Mapping[str, VersionReport], published: int, max_age_s: int) -> Iterator[Finding]:
    if not versions:
        yield found("bidders.silent", seconds=GONE_MS // 1000)
        return
    behind = [name for name, report in sorted(versions.items()) if report.version < published]
    refusing = {name: report for name, report in versions.items() if name in behind and report.refused}
    if refusing:
        report = next(iter(refusing.values()))
        yield found(
            "bidders.refuse",
            processes=", ".join(sorted(refusing)),
            version=report.refused,
            reason=report.reason,
            count=report.version,
            duration=duration_text(max_age_s),
        )
    elif behind:
        yield found("bidders.behind", processes=", ".join(behind), version=published)
    else:
        code = "bidders.one_current" if len(versions) == 1 else "bidders.current"
        yield found(code, count=len(versions), version=published)
