"""The run while it goes on, for a terminal, and its result as text."""

import math

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtest.measure.series import Series
from loadtest.measure.tally import LATENCY, NOTICE, SERVICE
from loadtest.report.report import NO_NOTICES, Report
from loadtest.traffic.scenario import Scenario


def live_view(scenario: Scenario, series: Series) -> RenderableType:
    """What the last seconds brought, and the totals."""
    counts, latency, window = series.recent()
    total = series.total
    table = Table(box=None, pad_edge=False)
    for column in ("", "now", "in all"):
        table.add_column(column, justify="left" if not column else "right")
    for label, name in (
        ("offered", "offered"),
        ("answered", "answered"),
        ("with a bid", "bid_answers"),
        ("won", "won"),
    ):
        table.add_row(label, f"{counts[name] / window:,.0f}/s", f"{total.counts[name]:,}")
    bid_rates = [_share(source["bid_answers"], source["answered"]) for source in (counts, total.counts)]
    table.add_row("bid rate", *(f"{rate:.1%}" for rate in bid_rates))
    for percent in (50.0, 99.0, 99.9):
        table.add_row(
            f"p{percent:g}", _milliseconds(latency.percentile(percent)),
            _milliseconds(total.histograms[LATENCY].percentile(percent)),
        )  # fmt: skip
    late = [source["answered"] - source["in_time"] for source in (counts, total.counts)]
    table.add_row("answered beyond tmax", f"{late[0] / window:,.0f}/s", f"{late[1]:,}")
    timeouts = [source["unanswered"] + source["unsent"] for source in (counts, total.counts)]
    table.add_row("timeouts", f"{timeouts[0] / window:,.0f}/s", f"{timeouts[1]:,}")
    table.add_row("spend", f"{counts['won_micros'] / 1e6 / window:,.4f}/s", f"{total.counts['won_micros'] / 1e6:,.4f}")
    table.add_row("violations", "", f"{total.violations.total():,}")
    done = ProgressBar(total=scenario.duration_s, completed=min(series.elapsed_s, scenario.duration_s), width=50)
    head = Text(f"{scenario.name}  {series.elapsed_s:.0f} of {scenario.duration_s:.0f} s  {scenario.url}", style="bold")
    return Group(head, done, table)


def summary(report: Report) -> RenderableType:
    """The result in a screenful."""
    table = Table(title=f"{report.scenario.name}: {'passed' if report.passed else 'FAILED'}", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("", justify="right")
    for name in ("offered", "answered", "in_time", "unanswered", "unsent", "no_bid", "bids", "won", "lost", "billed"):
        table.add_row(name.replace("_", " "), f"{report.count(name):,}")
    table.add_row("paid", f"{report.count('billed_micros') / 1e6:,.6f} {report.scenario.traffic.currency}")
    for kind, count in sorted(report.violations.items()):
        table.add_row(Text(f"violation: {kind}", style="red"), f"{count:,}")
    generator = report.generator
    for goal in report.goals:
        verdict = Text("met", style="green") if goal.met else Text("missed", style="red")
        table.add_row(Text(f"goal: {goal.goal} {goal.wanted}: ").append(verdict), goal.measured)
    parts: list[RenderableType] = [table, _latencies(report), Text(f"generator: {generator.words}")]
    if not report.scenario.notices.send:
        parts.append(Text(NO_NOTICES))
    parts += [Text(f"warning: {warning}", style="yellow") for warning in generator.warnings]
    return Group(*parts)


def _latencies(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("ms")
    for name in report.percentiles_ms[LATENCY]:
        table.add_column(name, justify="right")
    labels = {LATENCY: "from when due", SERVICE: "from when sent", NOTICE: "notices"}
    for name, label in labels.items():
        values = report.percentiles_ms[name].values()
        table.add_row(label, *("-" if value is None else f"{value:.2f}" for value in values))
    return table


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds * 1000:,.2f} ms"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
