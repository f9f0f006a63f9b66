"""`grosz audience`: who is in which segment, whether the tags fire, how well cookie sync matches."""

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Annotated

import msgspec
import typer

from admin.cli import ready_made
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, print_json
from admin.cli.profiles import Profiles, open_profiles
from admin.cli.settings import ConfigFile
from core.clock import SystemClock
from core.errors import InputError, NotFoundError
from core.model import Advertiser, Catalogue, Status
from core.money import MICROS_PER_UNIT
from core.redis.client import control_cluster, control_redis
from core.telemetry.metrics import Telemetry
from segments.audiences.counting import Counted, ProfileCounter
from segments.audiences.dead_letters import DeadLetter, read_dead_letters, send_again
from segments.audiences.matrix import Matrix, axis, counted, matrix
from segments.audiences.sizes import SegmentSizes
from segments.audiences.tag_health import TagHealth
from segments.events.member_notes import MemberNote, MemberNotes
from segments.identity.cookie_sync import CookieSync
from segments.identity.persons import Identities
from segments.profiles.metrics import IntakeMetrics
from segments.profiles.scanning import ClusterScanner, Scanner, ServerScanner
from segments.rules.vocabulary import Type, fact_named
from segments.worker.reindex import Progress, read_progress

app = typer.Typer(no_args_is_help=True, help="Segment sizes, overlaps, matrices, tag health and match rates.")
app.add_typer(ready_made.app)

AdvertiserArgument = Annotated[int, typer.Argument(metavar="ADVERTISER", help="Its number.")]
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}


@app.command("sizes")
def sizes_command(
    advertiser_id: AdvertiserArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigFile = None
) -> None:
    """Visitors in each active segment now.

    Example: grosz audience sizes 1
    """

    async def run() -> list[list[str]]:
        async with open_profiles(config, data) as profiles:
            catalogue, sizes = await profiles.catalogue(), SegmentSizes(profiles.store)
            _advertiser(catalogue, advertiser_id)
            now_ms = SystemClock().now_ms()
            return [
                [str(segment.id), segment.name, str(await sizes.size(segment.id, now_ms))]
                for segment in catalogue.segments
                if segment.advertiser_id == advertiser_id and segment.status is Status.ACTIVE
            ]

    _table(["segment", "name", "visitors"], asyncio.run(run()), as_json)


@app.command("overlap")
def overlap_command(
    left: Annotated[int, typer.Argument(metavar="SEGMENT")],
    right: Annotated[int, typer.Argument(metavar="SEGMENT")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Visitors who are in both of two segments of one advertiser now.

    Example: grosz audience overlap 1 2
    """

    async def run() -> int:
        async with open_profiles(config, data) as profiles:
            owners = {row.id: row.advertiser_id for row in (await profiles.catalogue()).segments}
            for segment in (left, right):
                if segment not in owners:
                    raise NotFoundError(f"there is no segment {segment}", hint="see `grosz segment list`")
            if owners[left] != owners[right]:
                raise InputError("the segments are not of one advertiser", hint="shops learn nothing of each other")
            return await SegmentSizes(profiles.store).overlap(left, right, SystemClock().now_ms())

    both = asyncio.run(run())
    if as_json:
        print_json({"segments": [left, right], "visitors": both})
    else:
        typer.echo(str(both))


@app.command("tags")
def tags_command(
    advertiser_id: AdvertiserArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigFile = None
) -> None:
    """When each event last came, and how often today, yesterday, and a day of the last week.

    Example: grosz audience tags 1
    """

    async def run() -> tuple[list[list[str]], list[MemberNote]]:
        async with open_profiles(config, data) as profiles:
            _advertiser(await profiles.catalogue(), advertiser_id)
            report = await TagHealth(profiles.store).report(advertiser_id, SystemClock().now_ms())
            notes = await MemberNotes(profiles.store, IntakeMetrics(Telemetry())).report(advertiser_id)
        rows = [
            [row.event, _moment(row.last_ms), str(row.today), str(row.yesterday), f"{row.daily_mean:.1f}"]
            for row in report
        ]
        return rows, notes

    rows, notes = asyncio.run(run())
    heads = ["event", "last", "today", "yesterday", "daily mean"]
    if as_json:
        print_json({"events": [dict(zip(heads, row, strict=True)) for row in rows], "ignored": notes})
        return
    _table(heads, rows)
    for note in notes:
        typer.echo(f"ignored: '{note.written}' stands where '{note.meant}' was probably meant, {_moment(note.last_ms)}")


@app.command("matches")
def matches_command(
    exchange: Annotated[str, typer.Argument(metavar="EXCHANGE", help="Its name in URLs.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Cookie sync by day and browser: how many browsers brought our cookie back.

    Example: grosz audience matches demo
    """

    async def run() -> list[list[str]]:
        async with open_profiles(config, data) as profiles:
            found = next((row for row in (await profiles.catalogue()).exchanges if row.key == exchange), None)
            if found is None:
                raise NotFoundError(f"there is no exchange {exchange}", hint="see `grosz exchange list`")
            clock, sizes = SystemClock(), SegmentSizes(profiles.store)
            identities = Identities(profiles.store, sizes, clock)
            sync = CookieSync(profiles.store, identities, clock, IntakeMetrics(Telemetry()))
            return [
                [
                    row.day,
                    row.browser,
                    *map(str, (row.returning, row.new, row.refused, row.opted_out)),
                    f"{row.rate:.0%}",
                ]
                for row in await sync.match_rates(found.id)
            ]

    _table(["day", "browser", "returning", "new", "refused", "opted out", "rate"], asyncio.run(run()), as_json)


@app.command("hooks")
def hooks_command(
    again: Annotated[bool, typer.Option("--send-again", help="Make the calls again, with all their tries.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Audience hooks that were given up after their last try; they are kept for 30 days.

    Example: grosz audience hooks --send-again
    """

    async def run() -> tuple[list[DeadLetter], int]:
        async with open_profiles(config, data) as profiles:
            letters = await read_dead_letters(profiles.store)
            sent = await send_again(profiles.store, letters, SystemClock().now_ms()) if again else 0
            return letters, sent

    letters, sent = asyncio.run(run())
    if again:
        if as_json:
            print_json({"sent_again": sent})
        else:
            typer.echo(f"{sent} calls are made again")
        return
    rows = [
        [_moment(letter.given_up_ms), str(letter.delivery.webhook_id), letter.delivery_id, letter.reason]
        for letter in letters
    ]
    _table(["given up", "webhook", "delivery", "reason"], rows, as_json)


@app.command("progress")
def progress_command(as_json: JsonOption = False, data: DataOption = None, config: ConfigFile = None) -> None:
    """How far the background pass is that brings changed rules to existing profiles.

    Example: grosz audience progress
    """

    async def run() -> Progress:
        async with open_profiles(config, data) as profiles:
            return await read_progress(profiles.store)

    progress = asyncio.run(run())
    if as_json:
        print_json(progress)
    elif not progress.targets:
        ended = _moment(progress.finished_ms)
        typer.echo(f"no pass runs; the last one ended {ended}, {progress.rewritten} changed")
    else:
        typer.echo(
            f"{progress.share:.1%}: {progress.scanned} of about {progress.expected} profiles, {progress.rewritten} "
            f"changed, for advertisers {', '.join(map(str, progress.targets))}"
        )


@app.command("count")
def count_command(
    advertiser_id: AdvertiserArgument,
    rule: Annotated[str, typer.Argument(help="A rule as in docs/segments.md.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Visitors for whom a rule would hold now.

    Example: grosz audience count 1 'cart.value >= 500 PLN'
    """

    async def run() -> Counted:
        async with _counter(config, data) as (counter, catalogue):
            return await counter.count(_advertiser(catalogue, advertiser_id), [rule])

    found = asyncio.run(run())
    if as_json:
        print_json({"visitors": found.visitors[0], "share": found.share, "asked": found.asked})
        return
    exact = "" if found.share == 1 else f" (scaled up from {found.asked} profiles, {found.share:.1%} of all)"
    typer.echo(f"{found.visitors[0]}{exact}")


@app.command("matrix")
def matrix_command(
    advertiser_id: AdvertiserArgument,
    rows: Annotated[str, typer.Argument(help="FACT or FACT:BOUND,BOUND: lifetime_value:100,500 or last_visit:7d,30d")],
    columns: Annotated[str, typer.Argument(help="As ROWS.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
    rules: Annotated[bool, typer.Option("--rules", help="Print the rule of each cell instead.")] = False,
) -> None:
    """Two facts crossed into a grid, with the number of visitors in each cell.

    Example: grosz audience matrix 1 lifetime_value:100,500 last_visit:7d,30d
    """

    async def run() -> Matrix:
        async with _counter(config, data) as (counter, catalogue):
            advertiser = _advertiser(catalogue, advertiser_id)
            grid = matrix(
                axis(*_cuts(rows), currency=advertiser.currency), axis(*_cuts(columns), currency=advertiser.currency)
            )

            async def count(cells: Sequence[str]) -> Sequence[int]:
                return (await counter.count(advertiser, cells)).visitors

            return grid if rules else await counted(grid, count)

    grid = asyncio.run(run())
    if as_json:
        print_json([[{**msgspec.to_builtins(cell)} for cell in row] for row in grid.cells])
        return
    if rules:
        for row in grid.cells:
            for cell in row:
                typer.echo(f"{cell.row} / {cell.column}: {cell.rule}")
        return
    heads = [f"{grid.rows.fact} / {grid.columns.fact}", *(band.label for band in grid.columns.bands)]
    _table(heads, [[row[0].row, *(str(cell.visitors) for cell in row)] for row in grid.cells])


def _cuts(text: str) -> tuple[str, list[int | str]]:
    """The fact and its bounds in the units of `axis`: micros, seconds, or as they are."""
    name, _, listed = text.partition(":")
    fact = fact_named(name)
    bounds = [bound.strip() for bound in listed.split(",") if bound.strip()]
    if fact is None or fact.type in {Type.TEXT, Type.ATTRIBUTE, Type.WORD}:
        return name, list(bounds)
    return name, [_bound(bound, fact.type) for bound in bounds]


def _bound(text: str, kind: Type) -> int:
    digits, unit = (text[:-1], text[-1]) if text[-1] in _SECONDS else (text, "")
    if not (digits.isascii() and digits.isdigit()) or bool(unit) != (kind in {Type.MOMENT, Type.AGE, Type.DURATION}):
        hint = "times as 7d, 12h or 30m; money in units of the advertiser's currency"
        raise InputError(f"'{text}' is no bound for this fact", hint=hint)
    if unit:
        return int(digits) * _SECONDS[unit]
    return int(digits) * MICROS_PER_UNIT if kind is Type.MONEY else int(digits)


@contextlib.asynccontextmanager
async def _counter(config: ConfigFile, data: DataOption) -> AsyncIterator[tuple[ProfileCounter, Catalogue]]:
    async with open_profiles(config, data) as profiles, _scanner(profiles) as scanner:
        yield ProfileCounter(profiles.store, scanner, SystemClock()), await profiles.catalogue()


@contextlib.asynccontextmanager
async def _scanner(profiles: Profiles) -> AsyncIterator[Scanner]:
    settings = profiles.settings.redis
    if settings.cluster:
        cluster = control_cluster(profiles.url, username=settings.username, password=settings.password)
        async with contextlib.aclosing(cluster):
            yield ClusterScanner(cluster)
    else:
        server = control_redis(profiles.url, username=settings.username, password=settings.password)
        async with contextlib.aclosing(server):
            yield ServerScanner(server)


def _advertiser(catalogue: Catalogue, advertiser_id: int) -> Advertiser:
    found = next((row for row in catalogue.advertisers if row.id == advertiser_id), None)
    if found is None:
        raise NotFoundError(f"there is no advertiser {advertiser_id}", hint="see `grosz advertiser list`")
    return found


def _moment(at_ms: int) -> str:
    if not at_ms:
        return "never"
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).isoformat(sep=" ", timespec="seconds")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], as_json: bool = False) -> None:
    if as_json:
        print_json([dict(zip(heads, row, strict=True)) for row in rows])
        return
    lines = [list(heads), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
