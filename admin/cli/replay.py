"""`grosz replay`: recorded bid requests against a bidder, or decided again here to see what another version changes."""

import asyncio
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, print_json
from admin.cli.replay_recorded import ReplayChoice, decide_again
from admin.cli.settings import ConfigFile
from admin.cli.targets import local_target
from core.errors import InputError, UnavailableError
from loadtest.judging.reasons import counted_reasons, reasons_since
from loadtest.running.replay import NO_REASON, ReplayResult, read_requests, replay
from loadtest.traffic.scenario import DEFAULT_URL, ScenarioError, check_target

app = typer.Typer()

EXIT_INVALID = 1

PERCENTS = (50, 90, 99, 99.9, 100)


_UrlOption = Annotated[
    str | None,
    typer.Option(help="Bid endpoint (of `grosz up` here, or http://127.0.0.1:8080/openrtb2/demo).", show_default=False),
]
_FileArgument = Annotated[
    Path | None, typer.Argument(metavar="FILE.jsonl", help='A request a line, or {"request": ...}.', show_default=False)
]
_ExpectOption = Annotated[
    bool, typer.Option("--expect-valid", help="Exit with 1 when any answer is neither 200 nor 204.")
]
_OwnOption = Annotated[bool, typer.Option("--i-own-this-target", help="Allow a target that is not this machine.")]
_RecordedOption = Annotated[
    bool, typer.Option("--recorded", help="Decide the journal's recorded requests again here, by the same stages.")
]
_HoursOption = Annotated[float, typer.Option(help="With --recorded: those of the last hours.", min=0.01)]
_LimitOption = Annotated[int, typer.Option(help="With --recorded: the newest so many.", min=1)]
_CatalogueOption = Annotated[
    int, typer.Option(help="With --recorded: all by this version, instead of each by its own.", min=0)
]
_ModelOption = Annotated[
    Path | None, typer.Option(help="With --recorded: by this price model's folder.", show_default=False)
]
_SaveOption = Annotated[Path | None, typer.Option(help="With --recorded: write decisions here.", show_default=False)]
_AgainstOption = Annotated[
    Path | None,
    typer.Option(help="With --recorded: compare with what --save wrote.", show_default=False),
]


@app.command()
def replay_command(
    file: _FileArgument = None,
    url: _UrlOption = None,
    connections: Annotated[int, typer.Option(help="Requests on their way at once.", min=1, max=1_000)] = 4,
    expect_valid: _ExpectOption = False,
    i_own_this_target: _OwnOption = False,
    recorded: _RecordedOption = False,
    hours: _HoursOption = 24.0,
    limit: _LimitOption = 10_000,
    catalogue: _CatalogueOption = 0,
    model: _ModelOption = None,
    save: _SaveOption = None,
    against: _AgainstOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Send recorded requests to a bidder and count outcomes, no-bid reasons and latency; or decide them again here.

    Example: grosz replay requests.jsonl --expect-valid; grosz replay --recorded --catalogue 42
    """
    if recorded:
        chosen = ReplayChoice(hours, limit, catalogue, model, save, against)
        decide_again(chosen, data, config, as_json=as_json)
        return
    if file is None:
        raise InputError("there is nothing to replay", hint="give a file of requests, or --recorded")
    found = local_target(data)
    if url is None:
        url = found.url if found is not None else DEFAULT_URL
    is_ours = found is not None and urlsplit(found.url).netloc == urlsplit(url).netloc
    metrics_url = found.metrics_url if found is not None and is_ours else ""
    result = _send(file, url, metrics_url, connections, own_target=i_own_this_target, console=Console(stderr=as_json))
    if as_json:
        print_json(_document(url, result))
    else:
        _show(Console(), result)
    if expect_valid and result.invalid:
        raise typer.Exit(EXIT_INVALID)


def _send(
    file: Path, url: str, metrics_url: str, connections: int, *, own_target: bool, console: Console
) -> ReplayResult:
    """Send the requests of a file. Raises InputError, UnavailableError."""
    try:
        check_target(url, own_target=own_target)
        requests = read_requests(file)
    except ScenarioError as error:
        raise InputError(str(error)) from error
    before = counted_reasons(url, metrics_url)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(requests))

        def done(count: int) -> None:
            progress.update(task, completed=count)

        try:
            result = asyncio.run(replay(requests, url, connections=connections, on_progress=done))
        except OSError as error:
            raise UnavailableError(
                f"nothing answers at {url} ({error})", hint="start it with `grosz up --seed demo`"
            ) from error
    if not result.reasons.keys() - {NO_REASON}:
        result.reasons = reasons_since(before, url, metrics_url) or result.reasons
    return result


def _document(url: str, result: ReplayResult) -> dict[str, Any]:
    """For machines; latencies in milliseconds."""
    percents = PERCENTS if result.sent else ()
    return {
        "url": url,
        "sent": result.sent,
        "outcomes": dict(result.outcomes.most_common()),
        "reasons": dict(result.reasons.most_common()),
        "latency_ms": {f"p{percent:g}": round(result.latency.percentile(percent) * 1000, 3) for percent in percents},
        "problems": [{"line": line, "problem": problem} for line, problem in result.problems],
    }


def _show(console: Console, result: ReplayResult) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("outcome")
    table.add_column("requests", justify="right")
    for outcome, count in result.outcomes.most_common():
        table.add_row(outcome, f"{count:,}")
    for reason, count in result.reasons.most_common():
        table.add_row(f"  {reason}", f"{count:,}")
    console.print(table)
    if result.sent:
        values = (f"p{percent:g} {result.latency.percentile(percent) * 1000:.2f}" for percent in PERCENTS)
        console.print(f"latency, ms: {'  '.join(values)}")
    for line, problem in result.problems:
        console.print(f"line {line}: {problem}")
