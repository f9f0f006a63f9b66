"""`grosz replay`: recorded bid requests against a bidder."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from admin.cli.opening import DataOption
from admin.cli.options import JsonOption
from admin.cli.targets import local_target
from core.errors import InputError, UnavailableError
from loadtest.judging.reasons import counted_reasons, reasons_since
from loadtest.running.replay import NO_REASON, ReplayResult, read_requests, replay
from loadtest.traffic.scenario import DEFAULT_URL, ScenarioError, check_target

app = typer.Typer()

EXIT_INVALID = 1

PERCENTS = (50, 90, 99, 99.9, 100)


@app.command()
def replay_command(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help='One request a line, or {"request": ...}.')],
    url: Annotated[
        str | None,
        typer.Option(
            help="Bid endpoint (of `grosz up` here, or http://127.0.0.1:8080/openrtb2/demo).", show_default=False
        ),
    ] = None,
    connections: Annotated[int, typer.Option(help="Requests on their way at once.", min=1, max=1_000)] = 4,
    expect_valid: Annotated[
        bool, typer.Option("--expect-valid", help="Exit with 1 when any answer is neither 200 nor 204.")
    ] = False,
    i_own_this_target: Annotated[
        bool, typer.Option("--i-own-this-target", help="Allow a target that is not this machine.")
    ] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Send recorded requests and count what becomes of them: outcomes, no-bid reasons, latency.

    Example: grosz replay requests.jsonl --expect-valid
    """
    found = local_target(data)
    if url is None:
        url = found.url if found is not None else DEFAULT_URL
    is_ours = found is not None and urlsplit(found.url).netloc == urlsplit(url).netloc
    metrics_url = found.metrics_url if found is not None and is_ours else ""
    try:
        check_target(url, own_target=i_own_this_target)
        requests = read_requests(file)
    except ScenarioError as error:
        raise InputError(str(error)) from error
    console = Console(stderr=as_json)
    before = counted_reasons(url, metrics_url)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(requests))
        try:
            result = asyncio.run(
                replay(
                    requests,
                    url,
                    connections=connections,
                    on_progress=lambda done: progress.update(task, completed=done),
                )
            )
        except OSError as error:
            raise UnavailableError(
                f"nothing answers at {url} ({error})", hint="start it with `grosz up --seed demo`"
            ) from error
    if not result.reasons.keys() - {NO_REASON}:
        result.reasons = reasons_since(before, url, metrics_url) or result.reasons
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(_document(url, result))) + b"\n")
    else:
        _show(console, result)
    if expect_valid and result.invalid:
        raise typer.Exit(EXIT_INVALID)


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
