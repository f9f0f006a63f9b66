"""`grosz loadtest`: the exchange simulator against a bidder, and what to make of its reports."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from aiohttp import web
from rich.console import Console
from rich.live import Live
from rich.table import Table

from admin.cli.completion import scenarios
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, check_folder_of, print_json
from admin.cli.targets import local_target
from core.clock import SystemClock
from core.errors import InputError
from core.version import VERSION
from loadtest.exchange.dialects import MANNERS, as_exchange
from loadtest.exchange.reviewing import PATH as REVIEW_PATH
from loadtest.exchange.reviewing import ReviewService
from loadtest.judging import audit as bill
from loadtest.judging.books import NO_BOOKS, load_books
from loadtest.measure.series import Series
from loadtest.report.compare import Difference
from loadtest.report.compare import compare as compare_reports
from loadtest.report.live import live_view, summary
from loadtest.report.page import save_page
from loadtest.report.report import AuditReport, Report, load_report, make_report, save_report
from loadtest.running import peers as side_by_side
from loadtest.running.run import run_scenario
from loadtest.running.search import Found, measure_rate
from loadtest.running.search import search as bisect
from loadtest.traffic.catalogue import make_catalogue
from loadtest.traffic.scenario import (
    DEFAULT_URL,
    MAX_DURATION_S,
    Scenario,
    ScenarioError,
    check_run,
    load_scenario,
    scenario_names,
)

app = typer.Typer(no_args_is_help=True, help="Put a bidder under an exchange's load and judge its answers.")

Result = TypeVar("Result")

EXIT_MISSED = 1

ScenarioName = Annotated[
    str,
    typer.Argument(help="Name of a scenario (see `grosz loadtest list`) or a TOML file.", autocompletion=scenarios),
]
Url = Annotated[
    str | None,
    typer.Option(help="Bid endpoint (of `grosz up` here, or http://127.0.0.1:8080/openrtb2/demo).", show_default=False),
]
TrackUrl = Annotated[
    str | None, typer.Option(help="Tracker (of `grosz up` here, or http://127.0.0.1:8081).", show_default=False)
]
Rate = Annotated[float | None, typer.Option(help="Requests a second.", min=0.1, show_default=False)]
Duration = Annotated[float | None, typer.Option(help="Seconds.", min=0.5, max=MAX_DURATION_S, show_default=False)]
Connections = Annotated[int | None, typer.Option(help="Keep-alive connections.", min=1, show_default=False)]
Processes = Annotated[int | None, typer.Option(help="Generator processes.", min=1, show_default=False)]
Users = Annotated[int | None, typer.Option(help="Size of the user population.", min=1, show_default=False)]
Seed = Annotated[int | None, typer.Option(help="Same seed, same load.", show_default=False)]
UserFile = Annotated[Path | None, typer.Option(help="User ids of the profile store, one a line.", show_default=False)]
Catalogue = Annotated[
    Path | None, typer.Option(help="`grosz catalogue export` file: judges flights and consent.", show_default=False)
]
DialectName = Annotated[
    str | None,
    typer.Option("--dialect", help=f"Exchange that is played: {', '.join(MANNERS)}.", show_default=False),
]
OwnTarget = Annotated[bool, typer.Option("--i-own-this-target", help="Allow a target that is not this machine.")]
Out = Annotated[Path | None, typer.Option(help="Write NAME.html and NAME.json.", metavar="NAME", show_default=False)]


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """Show the scenarios that come with Grosz.

    Example: grosz loadtest list
    """
    if as_json:
        found = [load_scenario(name) for name in scenario_names()]
        print_json(
            [
                {"name": one.name, "rate": one.rate, "duration_s": one.duration_s, "summary": one.summary}
                for one in found
            ]
        )
        return
    table = Table(box=None)
    for column in ("scenario", "rate", "seconds", "what it is for"):
        table.add_column(column)
    for name in scenario_names():
        scenario = load_scenario(name)
        table.add_row(name, f"{scenario.rate:g}/s", f"{scenario.duration_s:g}", scenario.summary)
    Console().print(table)


@app.command()
def run(
    scenario: ScenarioName,
    url: Url = None,
    track_url: TrackUrl = None,
    rate: Rate = None,
    duration: Duration = None,
    connections: Connections = None,
    processes: Processes = None,
    users: Users = None,
    seed: Seed = None,
    user_file: UserFile = None,
    catalogue: Catalogue = None,
    dialect: DialectName = None,
    ledger_before: Annotated[Path | None, typer.Option(help="Ledger export from before the run.")] = None,
    ledger_command: Annotated[
        str | None, typer.Option(help="Command that prints the ledger; run before and after, the bill is audited.")
    ] = None,
    out: Out = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    i_own_this_target: OwnTarget = False,
) -> None:
    """Run SCENARIO; Ctrl-C ends it early with the report so far. Exits with 1 when a goal is missed.

    Example: grosz loadtest run steady --rate 500 --duration 30 --out steady
    """
    plan = _plan(
        scenario,
        {
            "url": url, "track_url": track_url, "rate": rate, "duration_s": duration, "connections": connections,
            "processes": processes, "seed": seed,
        },
        users, user_file, catalogue, own_target=i_own_this_target, data=data, dialect=dialect,
    )  # fmt: skip
    if ledger_before and not ledger_command:
        raise InputError("--ledger-before alone audits nothing", hint="add --ledger-command, which is run at the end")
    check_folder_of(out, "--out")
    report = _translated(lambda: _interruptible(_run(plan, ledger_command, ledger_before)))
    if as_json:
        print_json(report)
    else:
        Console().print(summary(report))
    _save(report, out, quiet=as_json)
    if not report.passed:
        raise typer.Exit(EXIT_MISSED)


@app.command()
def search(
    scenario: Annotated[str, typer.Argument(help="Scenario whose traffic is used.")] = "steady",
    p99: Annotated[str, typer.Option(help="The goal, e.g. 10ms.")] = "10ms",
    url: Url = None,
    rate: Annotated[float, typer.Option(help="Rate to begin with.", min=1)] = 500,
    duration: Annotated[float, typer.Option(help="Seconds for each try.", min=1, max=600)] = 10,
    connections: Connections = None,
    processes: Processes = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    i_own_this_target: OwnTarget = False,
) -> None:
    """Find the highest rate at which p99 meets the goal and 99.9 % of the answers come inside tmax, by bisection.

    Example: grosz loadtest search --p99 10ms
    """
    options = {"url": url, "rate": rate, "duration_s": duration, "connections": connections, "processes": processes}
    plan = _plan(scenario, options, None, None, None, own_target=i_own_this_target, data=data)
    goal = _milliseconds(p99)

    async def find(stop: asyncio.Event) -> Found:
        async def measure(tried: float) -> Report | None:
            report = await measure_rate(plan, tried, _quiet, stop)
            if stop.is_set():
                return None
            typer.echo(_probe_line(report), err=as_json)
            return report

        return await bisect(plan.rate, goal, measure)

    found = _translated(lambda: _interruptible(find))
    if not found.probes:
        raise InputError("stopped before any rate was tried", hint="let it run for longer, or lower --duration")
    if as_json:
        print_json({"rate": found.rate, "p99": p99, "generator_bound": found.generator_bound})
        return
    typer.echo(f"highest rate with p99 <= {p99}: {found.rate:,.0f}/s")
    if found.generator_bound:
        typer.echo(
            "warning: the generator was busy when the goal was missed; the bidder may take more: add --processes"
        )


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A.json", help="Report of a run.")],
    second: Annotated[Path, typer.Argument(metavar="B.json", help="Report of another run.")],
    as_json: JsonOption = False,
) -> None:
    """Show how B differs from A, with 95 % confidence intervals.

    Example: grosz loadtest compare before.json after.json
    """
    rows = _translated(lambda: compare_reports(load_report(first), load_report(second)))
    if as_json:
        print_json(rows)
        return
    Console().print(_difference_table(rows, first.stem, second.stem))


@app.command()
def peers(
    urls: Annotated[
        list[str], typer.Argument(metavar="URL URL...", help="OpenRTB endpoints; the first is the baseline.")
    ],
    scenario: Annotated[str, typer.Option(help="Scenario whose traffic is used.")] = "steady",
    rate: Rate = None,
    duration: Annotated[float, typer.Option(help="Seconds for each endpoint in all.", min=30, max=MAX_DURATION_S)] = 60,
    turns: Annotated[int, typer.Option(help="Turns that the duration is divided into.", min=1, max=100)] = 6,
    as_json: JsonOption = False,
    i_own_this_target: OwnTarget = False,
) -> None:
    """Run the same load against several endpoints in short turns, side by side.

    Example: grosz loadtest peers http://127.0.0.1:8080/openrtb2/demo http://127.0.0.1:9080/openrtb2/demo
    """
    options = {"url": urls[0], "rate": rate, "duration_s": duration}
    _translated(lambda: side_by_side.check_peers(urls, duration, turns))
    plans = [_plan(scenario, options | {"url": url}, None, None, None, own_target=i_own_this_target) for url in urls]

    async def both(stop: asyncio.Event) -> list[side_by_side.Peer]:
        return await side_by_side.run_peers(plans[0], urls, turns, _quiet, stop)

    result = _translated(lambda: _interruptible(both))
    found = _translated(lambda: side_by_side.differences(result))
    if as_json:
        print_json(found)
        return
    for url, rows in found.items():
        Console().print(_difference_table(rows, urls[0], url))


@app.command("catalogue")
def catalogue_command(
    line_items: Annotated[int, typer.Argument(min=1, max=1_000_000)],
    file: Annotated[Path, typer.Argument(help="Where to write it; then: grosz catalogue import FILE")],
    daily_budget: Annotated[str, typer.Option(help="Of each line item.")] = "1000.00",
    eligible: Annotated[int, typer.Option(help="Line items that fit an average impression.", min=1)] = 60,
    asap: Annotated[bool, typer.Option("--asap", help="Spend as fast as possible, not over the day.")] = False,
) -> None:
    """Write a catalogue of LINE_ITEMS line items for scenarios that need many.

    Example: grosz loadtest catalogue 1000 many.json
    """
    document = make_catalogue(line_items, daily_budget=daily_budget, eligible=eligible, asap=asap)
    file.write_text(json.dumps(document), encoding="utf-8")
    typer.echo(f"wrote {line_items:,} line items to {file}")


def _plan(
    name: str,
    options: dict[str, Any],
    users: int | None,
    user_file: Path | None,
    catalogue: Path | None,
    *,
    own_target: bool,
    data: Path | None = None,
    dialect: str | None = None,
) -> Scenario:
    """The scenario with the options that were given; refused when it may not run."""

    def build() -> Scenario:
        scenario = load_scenario(name)
        # A scenario that names an address of its own keeps it.
        if options.get("url") is None and scenario.url == DEFAULT_URL:
            options.update(_local(options, data))
        given = {key: value for key, value in options.items() if value is not None}
        traffic = {"users": users, "user_file": str(user_file) if user_file else None}
        given["traffic"] = msgspec.structs.replace(
            scenario.traffic, **{key: value for key, value in traffic.items() if value is not None}
        )
        if catalogue is not None:
            given["checks"] = msgspec.structs.replace(scenario.checks, catalogue=str(catalogue))
        scenario = msgspec.structs.replace(scenario, **given)
        if dialect is not None:
            scenario = as_exchange(scenario, dialect)
        check_run(scenario, own_target=own_target)
        return scenario

    return _translated(build)


def _local(options: dict[str, Any], data: Path | None) -> dict[str, str]:
    """The addresses of the `grosz up` of this directory, where no option names another one."""
    target = local_target(data)
    if target is None:
        return {}
    track_url = {"track_url": target.track_url} if options.get("track_url") is None and target.track_url else {}
    return {"url": target.url, **track_url}


def _translated(action: Callable[[], Result]) -> Result:
    """Run an action of the load test; its ScenarioError becomes an InputError, which the command line shows."""
    try:
        return action()
    except ScenarioError as error:
        raise InputError(str(error)) from error


def _interruptible(work: Callable[[asyncio.Event], Coroutine[Any, Any, Result]]) -> Result:
    """Run until done; the first Ctrl-C sets the event, so that a report of what there is can be made."""

    async def main() -> Result:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        return await work(stop)

    return asyncio.run(main())


def _run(
    plan: Scenario, ledger_command: str | None, ledger_before: Path | None
) -> Callable[[asyncio.Event], Coroutine[Any, Any, Report]]:
    async def work(stop: asyncio.Event) -> Report:
        before = bill.load_ledger(ledger_before) if ledger_before else await read()
        started_ms = time.time_ns() // 1_000_000
        console = Console(stderr=True)
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            series = await run_scenario(plan, lambda counted: live.update(live_view(plan, counted)), stop)
        audited = await judge(series, before) if ledger_command else None
        return make_report(plan, series, started_ms, stopped_early=stop.is_set(), audit=audited, version=VERSION)

    async def read() -> bill.Ledger:
        return await bill.ledger_of_command(ledger_command) if ledger_command else {}

    async def judge(series: Series, before: bill.Ledger) -> AuditReport:
        books = load_books(Path(plan.checks.catalogue)) if plan.checks.catalogue else NO_BOOKS
        try:
            return await bill.settled_audit(series.total.bill, read, before, books)
        except ScenarioError as error:  # the run is over: its report is worth more than this fault
            return AuditReport([], False, f"not possible: {error}")

    return work


def _probe_line(report: Report) -> str:
    p99 = report.percentiles_ms["latency"]["p99"]
    return (
        f"{report.scenario.rate:10,.0f}/s  p99 {'-' if p99 is None else f'{p99:.2f}'} ms  inside tmax "
        f"{report.share('in_time', 'offered'):.3%}  bid on {report.share('bid_answers', 'answered'):.0%}  generator "
        f"{report.generator.busiest_share:.0%}"
    )


def _quiet(series: Series) -> None:
    """Show no progress: several short runs print a line each instead."""


def _save(report: Report, out: Path | None, *, quiet: bool) -> None:
    if out is None:
        return
    page, data = (out.with_name(out.name + suffix) for suffix in (".html", ".json"))
    save_page(report, page)
    save_report(report, data)
    if not quiet:
        typer.echo(f"report: {page} and {data}")


def _milliseconds(text: str) -> float:
    number = text.removesuffix("ms").strip()
    try:
        value = float(number)
    except ValueError:
        raise InputError(f"'{text}' is not a latency", hint="write milliseconds, e.g. 10ms") from None
    if value <= 0:
        raise InputError(f"'{text}' is not a latency", hint="write milliseconds above 0, e.g. 10ms")
    return value


def _difference_table(rows: list[Difference], first: str, second: str) -> Table:
    table = Table(title=f"{second} against {first}", box=None)
    for column in ("", "A", "B", "difference, 95 %", ""):
        table.add_column(column, justify="left" if column in ("", "difference, 95 %") else "right")
    for row in rows:
        interval = f"{row.low:+.3f} to {row.high:+.3f} {row.unit}"
        verdict = "differs" if row.is_significant else "no difference shown"
        table.add_row(row.measure, f"{row.first:.3f}", f"{row.second:.3f}", interval, verdict)
    return table


@app.command("review")
def review_command(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="On this machine; 0 takes a free one.")] = 8_090,
    pending: Annotated[float, typer.Option(min=0, help="Seconds until an ad is decided.")] = 10,
    expires: Annotated[float, typer.Option(min=0, help="Seconds after which one ad in five expires.")] = 20,
    failures: Annotated[int, typer.Option(min=0, help="First submissions that are answered 500.")] = 2,
) -> None:
    """Play an exchange's review of creatives until a signal: most are approved, one in five denied, one expires.

    Example: grosz loadtest review --pending 10
    """
    service = ReviewService(SystemClock(), pending_s=pending, expires_s=expires, failures=failures)

    async def serve(stop: asyncio.Event) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        runner = web.AppRunner(service.app())
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            host, bound = runner.addresses[0][:2]
            typer.echo(f"review_url=http://{host}:{bound}{REVIEW_PATH}")
            await stop.wait()
        finally:
            await runner.cleanup()

    _interruptible(serve)
