"""The doctor's first half: processes, Redis, the database, the catalogue's way to the bidders."""

import asyncio
from collections.abc import Iterator, Mapping

import aiohttp

from admin.diagnosis.findings import Finding, fine, note, stop
from admin.diagnosis.published import Commands
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
        return [note("processes", "not looked at: their addresses are known only on a machine of `grosz up`")]
    timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        said = await asyncio.gather(*(_ask_role(session, url) for url in endpoints.values()))
    if len(endpoints) > 1 and not any(said):
        text = f"no role answers ({', '.join(f'{role} at {url}' for role, url in endpoints.items())})"
        return [stop("processes", text, "start `grosz up`, or see its log if it should be running")]
    return [_judge_role(role, url, text) for (role, url), text in zip(endpoints.items(), said, strict=True)]


async def _ask_role(session: aiohttp.ClientSession, url: str) -> str | None:
    """What a role says of itself; None where nothing answers."""
    try:
        async with session.get(f"{url}/readyz") as response:
            return (await response.text()).strip() or f"status {response.status}"
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


def _judge_role(role: str, url: str, text: str | None) -> Finding:
    advice = "see its log; `grosz up` starts a dead role again by itself"
    if text is None:
        return stop("processes", f"the {role} does not answer at {url}: {_CONSEQUENCE[role]}", f"start it; {advice}")
    if text != "ready":
        return stop("processes", f"the {role} cannot serve ({', '.join(text.splitlines())})", advice)
    return fine("processes", f"the {role} answers at {url}")


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
            return [stop("redis", f"Redis cannot write to its disk: {reason}", "make room there; it goes on by itself")]
        advice = "start it; bidders go on with the leases they have, then stop bidding"
        return [stop("redis", f"Redis does not answer: {reason}", advice)]
    try:
        (text,) = await redis.commands([("INFO",)])
    except UnavailableError:
        return [fine("redis", "Redis answers"), note("redis", "its memory and disk cannot be asked for")]
    return list(judge_redis(_fields(text)))


def _fields(info: object) -> dict[str, str]:
    lines = info.decode("utf-8", "replace").splitlines() if isinstance(info, bytes) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)


def judge_redis(info: Mapping[str, str]) -> Iterator[Finding]:
    """Findings about the fields of INFO."""
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    mebibytes = f"{used / 2**20:.0f} MiB"
    percent = 100 * used // limit if limit else 0
    if percent >= MEMORY_FULL_PERCENT:
        yield stop("redis", f"its memory is full ({mebibytes}, {percent} % of maxmemory)", "raise maxmemory")
    elif percent >= MEMORY_HIGH_PERCENT:
        yield note("redis", f"its memory is nearly full ({mebibytes}, {percent} % of maxmemory)", "raise maxmemory")
    else:
        yield fine("redis", f"Redis answers and uses {mebibytes}")
    policy = info.get("maxmemory_policy", "noeviction")
    if limit and policy != "noeviction":
        yield note("redis", f"it may evict budget counters ({policy})", "set maxmemory-policy noeviction")
    failed = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(name, "ok") != "ok"
    ]
    if failed:
        yield stop("redis", f"it cannot write to its disk ({', '.join(failed)})", "free space, then see its log")
    elif info.get("aof_enabled") == "1":
        yield fine("redis", "it keeps every write across a restart (append-only file)")
    else:
        yield note(
            "redis",
            "a restart loses what was written since its last snapshot",
            "set appendonly yes, as docs/money.md says",
        )


async def check_database(store: CatalogueStore) -> list[Finding]:
    """Whether the database answers, with the schema of this installation."""
    try:
        schema = await current(store.database)
    except UnavailableError as error:
        return [stop("database", f"the database does not answer: {error.message}", error.hint)]
    if schema != newest():
        text = f"its schema is {schema or 'empty'}, this installation needs {newest()}"
        return [stop("database", text, "run `grosz migrate`, or restart the admin role")]
    return [fine("database", f"the database answers, schema {schema}")]


async def check_rates(store: CatalogueStore, now_ms: int) -> list[Finding]:
    """How old the exchange rates are; nothing where the database cannot be read (check_database has said so)."""
    try:
        if await current(store.database) != newest():
            return []
        async with store.database.read() as connection:
            found = await rates_in_force(connection)
    except UnavailableError:
        return []
    age = found.age_days(utc_day(now_ms))
    if age is None or not found.rates:
        return []
    advice = "set admin.fx_source to 'ecb', or run `grosz fx refresh` each working day"
    text = f"the exchange rates are of {found.as_of} ({found.source})"
    return [
        note("exchange rates", f"{text}: {age} days old", advice) if age > STALE_DAYS else fine("exchange rates", text)
    ]


async def check_catalogue(redis: Commands, store: CatalogueStore | None, now_ms: int, max_age_s: int) -> list[Finding]:
    """Whether the catalogue comes from the store to Redis, and from there to every bidder."""
    version, alive, reported = await redis.commands(
        [("GET", keys.CATALOGUE_VERSION), ("GET", keys.CATALOGUE_ALIVE), ("HGETALL", keys.CATALOGUE_EFFECTIVE)]
    )
    if not isinstance(version, bytes):
        return [stop("catalogue", "no catalogue is published", "start the admin role")]
    published = int(version)
    findings = [_age(int(alive) if isinstance(alive, bytes) else 0, published, now_ms, max_age_s)]
    stored = await _stored_version(store)
    if stored is not None and stored > published:
        text = f"the last change (version {stored}) is not published, bidders can have version {published}"
        findings.append(stop("catalogue", text, "wait a second; if it stays, see the admin role's log"))
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
        return fine("catalogue", f"version {version} is published and current")
    seconds = silent_ms // 1000
    if seconds >= max_age_s:
        text = f"the catalogue is stale: no admin role for {seconds} s, so bidders have stopped bidding"
    else:
        text = f"the catalogue is stale: no admin role for {seconds} s; bidders stop after {duration_text(max_age_s)}"
    return stop("catalogue", text, "start the admin role")


def _bidders(versions: Mapping[str, VersionReport], published: int, max_age_s: int) -> Iterator[Finding]:
    if not versions:
        yield stop("bidders", f"no bidder has reported for {GONE_MS // 1000} s", "start the bidder role")
        return
    behind = [name for name, report in sorted(versions.items()) if report.version < published]
    refusing = {name: report for name, report in versions.items() if name in behind and report.refused}
    if refusing:
        report = next(iter(refusing.values()))
        text = (
            f"{', '.join(sorted(refusing))} cannot install version {report.refused} ({report.reason}): no change is "
            f"effective, and bidding on version {report.version} stops {duration_text(max_age_s)} after the refusal"
        )
        advice = "undo the last changes (the change log has them), or run admin and bidders of one release"
        yield stop("bidders", text, advice)
    elif behind:
        text = f"{', '.join(behind)} run an older catalogue than version {published}"
        yield stop("bidders", text, "wait a second; if it stays, see the bidder's log")
    else:
        processes = "1 bidder process runs" if len(versions) == 1 else f"{len(versions)} bidder processes run"
        yield fine("bidders", f"{processes} version {published}")
