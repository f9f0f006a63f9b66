"""`grosz events import FILE`: purchases of tills and other events from a file, one a line."""

import asyncio
import contextlib
import csv
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from admin.cli.opening import DataOption
from admin.cli.profiles import open_profiles
from admin.cli.settings import ConfigFile
from admin.roles.consents import consent_reader
from core.clock import SystemClock
from core.errors import InputError, NotFoundError
from core.telemetry.metrics import Telemetry
from segments.audiences.sizes import SegmentSizes
from segments.events.collect import EventCollector, Outcome
from segments.events.consent import ConsentPolicy
from segments.events.intake import Context
from segments.identity.persons import Identities
from segments.profiles.directory import CatalogueDirectory
from segments.profiles.log import EventLog
from segments.profiles.metrics import IntakeMetrics
from segments.rules.ruleset import CompiledRules

app = typer.Typer(no_args_is_help=True, help="Import events from files.")

BATCH: Final = 200
# A file with a wrong column has a fault in every line; the first ones say all.
MAX_FAULTS_SHOWN: Final = 50
# The worker drains a full log within a minute; a file is in no hurry.
RETRY_S: Final = 1.0
MAX_RETRIES: Final = 120
_ITEM_COLUMNS: Final = ("item_id", "price", "quantity", "item_category")

Line = tuple[int, dict[str, Any] | None, str]
"""(line number from 1, the event or None, why it could not be read)."""


@app.callback()
def events() -> None:
    """Import events from files."""


@app.command("import")
def import_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV or NDJSON (.ndjson, .jsonl).", exists=True, dir_okay=False)
    ],
    advertiser: Annotated[int, typer.Option("--advertiser", help="Id of the advertiser.")],
    online: Annotated[bool, typer.Option("--online", help="Events of the shop's site, not of its tills.")] = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Send each line of FILE as an event; lines with faults are reported and left out (docs/events.md).

    Repeating an import is safe for purchases that name their order: one order counts once.
    """
    console = Console(stderr=True)
    counts = asyncio.run(_import(file, advertiser, online, config, data, console))
    typer.echo(", ".join(f"{name} {counts[name]}" for name in ("accepted", "unmatched", "dropped", "invalid")))
    if counts["invalid"]:
        raise typer.Exit(1)


def read_lines(file: Path) -> Iterator[Line]:
    """Lines of a file by its suffix: `.csv` with a header, anything else as JSON objects.

    Raises InputError for a CSV file that is no text in UTF-8 or has no header.
    """
    if file.suffix.lower() == ".csv":
        with file.open(encoding="utf-8-sig", newline="") as text:
            try:
                yield from _csv_lines(text)
            except UnicodeDecodeError as error:
                hint = "save it as CSV UTF-8; a file of Windows converts with `iconv -f cp1250 -t utf-8`"
                raise InputError(f"{file.name} is not in UTF-8: {error}", hint=hint) from None
            except csv.Error as error:
                raise InputError(f"{file.name} is not a CSV file: {error}", hint="see docs/events.md, Files") from None
    else:
        with file.open("rb") as stream:
            yield from _json_lines(stream)


def _json_lines(stream: Iterable[bytes]) -> Iterator[Line]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield number, None, f"not JSON: {error}"
            continue
        yield (number, row, "") if isinstance(row, dict) else (number, None, "not a JSON object")


def _csv_lines(stream: Iterable[str]) -> Iterator[Line]:
    """Columns are fields of the event; item columns make its one item, `attributes.NAME` an attribute.

    The header tells the delimiter: spreadsheets of countries with a decimal comma write semicolons.
    """
    lines = iter(stream)
    header = next(lines, "")
    if not header.strip():
        raise InputError("the file has no header", hint="the first line names the columns, as in docs/events.md")
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(itertools.chain([header], lines), delimiter=delimiter)
    for row in reader:
        if None in row:
            yield reader.line_num, None, "more fields than the header has"
            continue
        yield reader.line_num, _event_of(row), ""


def _event_of(row: Mapping[str, str | None]) -> dict[str, Any]:
    filled = {name.strip(): value.strip() for name, value in row.items() if value is not None and value.strip()}
    event: dict[str, Any] = {}
    item: dict[str, str] = {}
    attributes: dict[str, str] = {}
    for name, value in filled.items():
        if name in _ITEM_COLUMNS:
            item[name] = value
        elif name.startswith("attributes."):
            attributes[name.removeprefix("attributes.")] = value
        else:
            event[name] = value
    if item:
        event["items"] = [item]
    if attributes:
        event["attributes"] = attributes
    event.setdefault("event", "purchase")
    return event


async def _import(
    file: Path, advertiser_id: int, online: bool, config: Path | None, data: Path | None, console: Console
) -> Counter[str]:
    total = sum(1 for _ in read_lines(file))
    counts: Counter[str] = Counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with _collecting(advertiser_id, config, data) as (collector, context_of):
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(file.name, total=total)
            lines = read_lines(file)
            while batch := list(itertools.islice(lines, BATCH)):
                for number, outcome in await _send(batch, collector, context_of, offline=not online):
                    counts[outcome.status] += 1
                    if outcome.status == "invalid" and counts["invalid"] <= MAX_FAULTS_SHOWN:
                        progress.console.print(_explained(number, outcome), markup=False, highlight=False)
                progress.advance(task, len(batch))
    return counts


async def _send(
    batch: list[Line], collector: EventCollector, context_of: "ContextSource", *, offline: bool
) -> list[tuple[int, Outcome]]:
    """Outcomes by line; events that the full log refused are sent again until it takes them."""
    outcomes = [(number, Outcome("invalid", reason)) for number, row, reason in batch if row is None]
    waiting = [(number, {"offline": offline} | row) for number, row, _ in batch if row is not None]
    for _ in range(MAX_RETRIES):
        answers = await collector.collect([row for _, row in waiting], context_of())
        refused = []
        for (number, row), outcome in zip(waiting, answers, strict=True):
            if outcome.status == "retry":
                refused.append((number, row))
            else:
                outcomes.append((number, outcome))
        waiting = refused
        if not waiting:
            return sorted(outcomes, key=lambda pair: pair[0])
        await asyncio.sleep(RETRY_S)
    raise InputError("the event log stays full", hint="is the worker running? import the file again later")


def _explained(number: int, outcome: Outcome) -> str:
    faults = [
        f"{fault.pointer or '/'}: {fault.message}" + (f" ({fault.hint})" if fault.hint else "")
        for fault in outcome.errors
    ]
    return f"line {number}: {'; '.join(faults) or outcome.reason}"


class ContextSource(msgspec.Struct, frozen=True):
    """Makes the context of each batch, with the time of its sending."""

    directory: CatalogueDirectory
    advertiser_id: int

    def __call__(self) -> Context:
        advertiser = self.directory.advertiser(self.advertiser_id)
        if advertiser is None:
            raise NotFoundError(f"there is no advertiser {self.advertiser_id}", hint="see `grosz advertiser list`")
        return Context(advertiser, self.directory.fx, SystemClock().now_ms(), trusted=True)


@contextlib.asynccontextmanager
async def _collecting(
    advertiser_id: int, config: Path | None, data: Path | None
) -> AsyncIterator[tuple[EventCollector, ContextSource]]:
    async with open_profiles(config, data) as profiles:
        clock, metrics = SystemClock(), IntakeMetrics(Telemetry())
        directory = CatalogueDirectory(CompiledRules)
        directory.replace(await profiles.catalogue())
        identities = Identities(profiles.store, SegmentSizes(profiles.store), clock)
        consent = ConsentPolicy(consent_reader(profiles.settings.consent))
        log = EventLog(profiles.redis, clock, metrics)
        context_of = ContextSource(directory, advertiser_id)
        context_of()  # an unknown advertiser is said before the first line
        yield EventCollector(log, identities, consent, clock, metrics), context_of
