"""`grosz events import FILE`: purchases of tills and other events from a file, one a line."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from admin.cli.event_files import read_lines
from admin.cli.event_table import Line
from admin.cli.object_access import call_api
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.profiles import open_profiles
from admin.cli.settings import ConfigFile
from admin.roles.consents import event_policy
from admin.visitors.documents import EventResults
from admin.visitors.visitor_desk import EventDesk
from core.clock import SystemClock
from core.errors import InputError, NotFoundError
from core.money import FxTable
from core.telemetry.metrics import Telemetry
from segments.events.collect import Outcome
from segments.facts.event import Kind
from segments.profiles.metrics import IntakeMetrics

app = typer.Typer(no_args_is_help=True, help="Import events from files.")

BATCH: Final = 200
COUNTED: Final = ("accepted", "unmatched", "dropped", "invalid")
# A file with a wrong column has a fault in every line; the first ones say all.
MAX_FAULTS_SHOWN: Final = 50
# The worker drains a full log within a minute; a file is in no hurry.
RETRY_S: Final = 1.0
MAX_RETRIES: Final = 120


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
    replace: Annotated[
        bool, typer.Option("--replace", help="Orders that are known already take the values of FILE.")
    ] = False,
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="Leave a CSV column out. Repeatable.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Send each line of FILE as an event; lines with faults are reported and left out (docs/events.md).

    Repeating an import is safe for purchases that name their order: one order counts once.

    Example: grosz events import till.csv --advertiser 1
    """
    console = Console(stderr=True)
    wanted = _WantedEvents(file, advertiser, not online, replace, tuple(ignore or ()))
    opened = _sending(advertiser, url, key) if url else _collecting(advertiser, config, data)
    done = asyncio.run(_import(wanted, opened, console))
    if as_json:
        print_json(done.document())
    else:
        typer.echo(", ".join(f"{name} {done.counts[name]}" for name in COUNTED))
    if done.counts["invalid"]:
        raise typer.Exit(1)


Collect = Callable[[Sequence[object]], Awaitable[Sequence[Outcome]]]
"""Takes a batch of events, and says what became of each."""


class _WantedEvents(msgspec.Struct, frozen=True):
    """What is to be imported, and what holds for each line that does not say otherwise."""

    file: Path
    advertiser_id: int
    offline: bool
    replace: bool
    ignored: tuple[str, ...]

    def lines(self) -> Iterator[Line]:
        return read_lines(self.file, self.ignored)

    def event(self, row: dict[str, Any]) -> dict[str, Any]:
        """The event of a line."""
        kind = row.get("event") or row.get("name")
        corrects = self.replace and str(kind) == Kind.PURCHASE and bool(row.get("transaction_id"))
        return {"offline": self.offline, **({"replace": True} if corrects else {}), **row}


class _Done:
    """What became of the lines."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[dict[str, Any]] = []
        self.warned: dict[str, int] = {}  # what, and the first line that has it

    def take(self, number: int, outcome: Outcome) -> str:
        """Count a line; what there is to say about it, "" for nothing."""
        self.counts[outcome.status] += 1
        said = []
        for warning in outcome.warnings:
            text = f"{warning.message} ({warning.hint})"
            if text not in self.warned:
                self.warned[text] = number
                said.append(f"line {number}: {warning.pointer}: {text}, said once")
        if outcome.status == "invalid" and self.counts["invalid"] <= MAX_FAULTS_SHOWN:
            text = _explained(outcome)
            self.faults.append({"line": number, "fault": text})
            said.append(f"line {number}: {text}")
        return "\n".join(said)

    def document(self) -> dict[str, Any]:
        """For machines."""
        warnings = [{"line": number, "warning": text} for text, number in self.warned.items()]
        return {**{name: self.counts[name] for name in COUNTED}, "faults": self.faults, "warnings": warnings}


async def _import(wanted: _WantedEvents, opened: AbstractAsyncContextManager[Collect], console: Console) -> _Done:
    total = sum(1 for _ in wanted.lines())
    done = _Done()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with opened as collect:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(wanted.file.name, total=total)
            lines = wanted.lines()
            while batch := list(itertools.islice(lines, BATCH)):
                for number, outcome in await _send(batch, collect, wanted):
                    if said := done.take(number, outcome):
                        progress.console.print(said, markup=False, highlight=False)
                progress.advance(task, len(batch))
    return done


async def _send(batch: list[Line], collect: Collect, wanted: _WantedEvents) -> list[tuple[int, Outcome]]:
    """Outcomes by line; events that the full log refused are sent again until it takes them."""
    outcomes = [(number, Outcome("invalid", reason)) for number, row, reason in batch if row is None]
    waiting = [(number, wanted.event(row)) for number, row, _ in batch if row is not None]
    for _ in range(MAX_RETRIES):
        answers = await collect([row for _, row in waiting]) if waiting else []
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


def _explained(outcome: Outcome) -> str:
    faults = [
        f"{fault.pointer or '/'}: {fault.message}" + (f" ({fault.hint})" if fault.hint else "")
        for fault in outcome.errors
    ]
    return "; ".join(faults) or outcome.reason


@contextlib.asynccontextmanager
async def _collecting(advertiser_id: int, config: Path | None, data: Path | None) -> AsyncIterator[Collect]:
    """Collect into the event log of this machine or deployment. Raises NotFoundError for an unknown advertiser."""
    async with open_profiles(config, data) as profiles:
        catalogue = await profiles.catalogue()
        # An unknown advertiser is reported before the first line is read.
        advertiser = next((one for one in catalogue.advertisers if one.id == advertiser_id), None)
        if advertiser is None:
            raise NotFoundError(f"there is no advertiser {advertiser_id}", hint="see `grosz advertiser list`")
        known, fx = advertiser, FxTable(catalogue.fx_base, catalogue.fx_rates)
        consent = event_policy(profiles.settings.consent)
        desk = EventDesk(profiles.redis, profiles.store, consent, SystemClock(), IntakeMetrics(Telemetry()))

        async def collect(rows: Sequence[object]) -> Sequence[Outcome]:
            return await desk.collect(known, fx, rows)

        yield collect


@contextlib.asynccontextmanager
async def _sending(advertiser_id: int, url: str, key: str) -> AsyncIterator[Collect]:
    """Send events over the API of a running admin role."""
    address = f"{url.rstrip('/')}/v1/advertisers/{advertiser_id}"
    call_api("GET", address, key)  # an unknown advertiser is reported before the first line

    async def collect(rows: Sequence[object]) -> Sequence[Outcome]:
        return msgspec.convert(call_api("POST", f"{address}/events", key, {"events": rows}), EventResults).results

    yield collect
