"""Results of `scripts/bench load` as a line of text, and as the section of docs/performance.md with its plots."""

from collections.abc import Mapping
from pathlib import Path

from loadtest.measure.histogram import Histogram
from loadtest.report.report import Report, SecondReport, load_report, recovery_s, trouble_end_s
from tests.kit.line_chart import line_chart

BEGIN = "<!-- scripts/bench load --write-docs: begin -->"
END = "<!-- scripts/bench load --write-docs: end -->"

OTHERS = "other processes"
"""The member of a report's environment that says how much of the machine other processes had."""

HEADER = (
    "| scenario | rate | seconds | p50 | p99 | p99.9 | inside tmax | bids | violations | bill | generator | others | "
    "goals |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def describe(report: Report) -> str:
    """One line of the table: milliseconds, shares, the generator's busiest second."""
    latency = report.percentiles_ms["latency"]
    missed = ", ".join(f"{goal.goal} missed: {goal.measured}" for goal in report.goals if not goal.met)
    audit = report.audit
    cells = (
        report.scenario.name,
        f"{report.scenario.rate:,.0f}/s",
        f"{report.scenario.duration_s:g}",
        *("-" if latency[name] is None else f"{latency[name]:.2f}" for name in ("p50", "p99", "p99.9")),
        f"{report.share('in_time', 'offered'):.3%}",
        f"{report.count('bids'):,}",
        f"{sum(report.violations.values())}",
        "not audited" if audit is None else "agrees" if audit.agrees else "DIFFERS",
        f"{report.generator.busiest_share:.0%}",
        report.environment.get(OTHERS, "?").partition(" ")[0],
        missed or "held",
    )
    return f"| {' | '.join(cells)} |"


def figures(capacity: float, reports: Mapping[str, Report]) -> list[str]:
    """Rows of docs/performance.md for the figures that these runs answer: wanted, measured, held or missed."""
    lines = ["| figure | wanted | measured | |", "|---|---|---|---|"]
    steady, overload = reports.get("steady"), reports.get("overload")
    if steady is not None:
        p99 = steady.percentiles_ms["latency"]["p99"]
        dropped = steady.count("offered") - steady.count("answered")
        lines += [
            _figure("p99 at 60 % of the capacity", "10 ms", f"{p99} ms", p99 is not None and p99 <= 10),
            _share("inside tmax at 60 % of the capacity", steady, "offered"),
            _figure("dropped at 60 % of the capacity", "none", f"{dropped:,}", dropped == 0),
        ]
    if overload is not None:
        lines.append(_share("answers inside tmax, through an overload of twice the capacity", overload, "answered"))
        seconds = recovery_s(overload, overload.scenario.goals.recovered_p99_ms)
        shown = "not before the end" if seconds is None else f"{seconds:.0f} s"
        lines.append(_figure("back to normal after it", "10 s", shown, seconds is not None and seconds <= 10))
    return [f"Capacity: {capacity:,.0f} requests/s at p99 <= 10 ms, one bidder process on one core.", "", *lines]


def _share(name: str, report: Report, whole: str) -> str:
    share = report.share("in_time", whole)
    return _figure(name, "99.9 %", f"{100 * share:.3f} %", share >= 0.999)


def _figure(name: str, wanted: str, measured: str, is_held: bool) -> str:
    return f"| {name} | {wanted} | {measured} | {'held' if is_held else 'missed'} |"


def load_reports(out: Path) -> dict[str, Report]:
    """All reports of a folder by scenario."""
    return {path.stem: load_report(path) for path in sorted(out.glob("*.json")) if path.stem != "capacity"}


def write_docs(capacity: float, out: Path, performance: Path) -> None:
    """Refresh the generated part of the page, and its plots beside it. Raises ValueError where the page has no marks
    for it."""
    reports = load_reports(out)
    section = [*figures(capacity, reports), ""]
    for name in ("steady", "overload"):
        if name in reports:
            for kind, chart in (("latency", _latency), ("rates", _rates)):
                file = performance.with_name(f"performance-{name}-{kind}.svg")
                file.write_text(chart(reports[name]), encoding="utf-8")
                section.append(f"![{name}: {kind} over time]({file.name})")
            section.append("")
    section += [HEADER, *(describe(report) for report in reports.values())]
    page = performance.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{performance} has no lines {BEGIN} and {END} to write between")
    performance.write_text(before + "\n".join([BEGIN, *section, END]) + after, encoding="utf-8")


def _seconds(report: Report) -> list[SecondReport]:
    return report.seconds[: int(report.scenario.duration_s)]


def _shaded(report: Report) -> tuple[float, float] | None:
    """The burst of a run: its first and last second."""
    plan, duration_s = report.scenario.arrival, report.scenario.duration_s
    return (plan.burst_start * duration_s, trouble_end_s(report.scenario)) if plan.shape == "burst" else None


def _latency(report: Report) -> str:
    def line(percent: float) -> list[float | None]:
        values: list[float | None] = []
        for second in _seconds(report):
            histogram = Histogram()
            histogram.merge_sparse(second.latency.counts, second.latency.maximum_us)
            values.append(histogram.percentile(percent) * 1000 if histogram.total else None)
        return values

    title = f"{report.scenario.name}: latency from when a request was due"
    lines = {"p50": line(50), "p99": line(99), "p99.9": line(99.9)}
    return line_chart(
        title, report.scenario.duration_s, "ms", lines, logarithmic=True, shaded=_shaded(report), bound=10.0
    )


def _rates(report: Report) -> str:
    names = {"offered": "offered", "answered": "answered", "inside tmax": "in_time", "with a bid": "bid_answers"}
    lines = {label: [float(second.counts.get(name, 0)) for second in _seconds(report)] for label, name in names.items()}
    title = f"{report.scenario.name}: requests a second"
    return line_chart(title, report.scenario.duration_s, "requests/s", lines, shaded=_shaded(report))
