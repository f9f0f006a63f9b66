"""The report as one HTML file that needs nothing else: styles, charts and data are inside."""

import html
import json
from collections.abc import Sequence
from importlib import resources
from itertools import accumulate
from pathlib import Path

from loadtest.measure.histogram import Histogram, bucket_bounds
from loadtest.measure.tally import LATENCY, NOTICE, SERVICE
from loadtest.report.report import NO_NOTICES, Report, SecondReport, histogram_of, moment_text, whole_seconds

_FUNNEL = (
    ("offered", "requests due"),
    ("sent", "sent"),
    ("answered", "answered"),
    ("in_time", "inside tmax"),
    ("bid_answers", "with a bid"),
    ("bids", "bids"),
    ("won", "won"),
    ("billed", "billed"),
)

_PACING = "Even pacing follows the traffic, so the two curves run together; a budget that is gone makes it flat."


def _static(name: str) -> str:
    return (resources.files("loadtest.report") / "static" / name).read_text(encoding="utf-8")


def render(report: Report) -> str:
    """The page."""
    scenario = report.scenario
    verdict = "passed" if report.passed else "FAILED"
    stopped = " (stopped early)" if report.stopped_early else ""
    body = [
        f"<h1>{_escape(scenario.name)}: {verdict}{stopped}</h1><p>{_escape(scenario.summary)}</p>",
        f"<p>{_escape(_when(report))}</p>",
        _table(("goal", "wanted", "measured", ""), _goal_rows(report)),
        _table(("latency, ms", *report.percentiles_ms[LATENCY]), _latency_rows(report)),
        _warnings(report),
        '<h2>Offered against answered</h2><div id="rates"></div>',
        '<h2>Latency over time</h2><div id="latency"></div>',
        '<h2>Latency histogram</h2><div id="histogram"></div>',
        '<h2>Spend</h2><div id="spend"></div>',
        f'<h2>Pacing</h2><p>{_PACING}</p><div id="pacing"></div>',
        '<h2>Generator</h2><div id="generator"></div>',
        "<h2>Funnel</h2>",
        _table(("", "count", "of requests due"), _funnel_rows(report)),
        "" if scenario.notices.send else f"<p>{_escape(NO_NOTICES)}</p>",
        _shoppers(report),
        "<h2>Violations</h2>",
        _violations(report),
        _audit(report),
        "<h2>Counts</h2>",
        _table(("", "count"), [(name, f"{count:,}") for name, count in report.counts.items()]),
        "<h2>Environment</h2>",
        _table(("", ""), [*report.environment.items(), *_run_rows(report)]),
    ]
    data = json.dumps(chart_data(report)).replace("</", "<\\/")  # nothing in the data may end the script
    return _static("report.html").format_map(
        {
            "title": _escape(f"{scenario.name}: load test"),
            "style": _static("uPlot.min.css") + _static("report.css"),
            "body": "\n".join(body),
            "uplot": _static("uPlot.iife.min.js"),
            "data": data,
            "script": _static("report.js"),
        }
    )


def _when(report: Report) -> str:
    version = f", by Grosz {report.version}" if report.version else ""
    return f"{report.started or moment_text(report.started_ms)}{version}, against {report.scenario.url}"


def save_page(report: Report, path: Path) -> None:
    path.write_text(render(report), encoding="utf-8")


def chart_data(report: Report) -> dict[str, object]:
    """Columns of the charts: seconds and values; latencies in ms, money in units of `currency`, shares in percent.

    Rates and latencies are of whole seconds; what adds up goes on until the last notice.
    """
    seconds = whole_seconds(report)
    times, all_times = list(range(len(seconds))), list(range(len(report.seconds)))

    def column(name: str) -> list[int]:
        return [second.counts.get(name, 0) for second in seconds]

    def running(name: str) -> list[int]:
        return list(accumulate(second.counts.get(name, 0) for second in report.seconds))

    percentiles = ([_percentile_ms(second, percent) for second in seconds] for percent in (50, 99, 99.9))
    return {
        "currency": report.scenario.traffic.currency,
        "rates": [times, column("offered"), column("answered"), column("bid_answers")],
        "latency": [times, *percentiles],
        "tmax": _tmax_ms(report, len(times)),
        "histogram": _histogram_columns(report),
        "spend": [all_times, *([micros / 1e6 for micros in running(name)] for name in ("won_micros", "billed_micros"))],
        "pacing": [all_times, _shares(running("offered")), _shares(running("won_micros"))],
        "generator": [times, [round(100 * second.generator_share, 1) for second in seconds]],
    }


def _tmax_ms(report: Report, seconds: int) -> list[int | None]:
    """The tmax of the requests of each second; None for recorded requests, which bring their own."""
    scenario = report.scenario
    if scenario.traffic.recorded:
        return [None] * seconds
    cut_at = scenario.faults.tmax_cut_at * scenario.duration_s
    whole, cut = scenario.traffic.tmax_ms, scenario.faults.tmax_cut_ms
    return [cut if scenario.faults.tmax_cut_at < 1.0 and at >= cut_at else whole for at in range(seconds)]


def _shares(totals: list[int]) -> list[float]:
    """The percentage of the last total that was reached at each second."""
    return [round(100 * total / totals[-1], 2) if totals[-1] else 0.0 for total in totals]


def _percentile_ms(second: SecondReport, percent: float) -> float | None:
    histogram = Histogram()
    histogram.merge_sparse(second.latency.counts, second.latency.maximum_us)
    return round(histogram.percentile(percent) * 1000, 3) if histogram.total else None


def _histogram_columns(report: Report) -> list[list[float]]:
    """Counts by latency, in steps of a tenth of a decade: even widths on a logarithmic axis."""
    columns: dict[int, int] = {}
    for index, count in histogram_of(report).sparse().items():
        low, high = bucket_bounds(index)
        step = len(str(max(1, (low + high) // 2))) * 10 + _tenth((low + high) / 2)
        columns[step] = columns.get(step, 0) + count
    keys = sorted(columns)
    edges = [10 ** (key // 10 - 1) * 10 ** ((key % 10) / 10) / 1000 for key in keys]
    return [edges, [columns[key] for key in keys]]


def _tenth(value: float) -> int:
    """Which tenth of its decade (on a log scale) a value of one or more lies in."""
    value = max(1.0, value)
    while value >= 10:
        value /= 10
    return next(step for step in range(9, -1, -1) if value >= 10 ** (step / 10) or step == 0)


def _goal_rows(report: Report) -> list[tuple[str, ...]]:
    return [(goal.goal, goal.wanted, goal.measured, "met" if goal.met else "MISSED") for goal in report.goals]


def _latency_rows(report: Report) -> list[tuple[str, ...]]:
    names = {LATENCY: "from when it was due", SERVICE: "from when it was sent", NOTICE: "notices"}
    return [
        (label, *("" if value is None else f"{value:.2f}" for value in report.percentiles_ms[name].values()))
        for name, label in names.items()
    ]


def _funnel_rows(report: Report) -> list[tuple[str, ...]]:
    return [(label, f"{report.count(name):,}", f"{report.share(name, 'offered'):.2%}") for name, label in _FUNNEL]


def _warnings(report: Report) -> str:
    generator = report.generator
    lines = [f"<p>Generator: {_escape(generator.words)}.</p>"]
    lines += [f'<p class="warn">{_escape(warning)}</p>' for warning in generator.warnings]
    if report.scenario.checks.share < 1:
        lines.append(f'<p class="warn">Only {report.scenario.checks.share:.0%} of the bid answers were checked.</p>')
    return "".join(lines)


def _shoppers(report: Report) -> str:
    rows = [(name[8:], f"{count:,}") for name, count in report.counts.items() if name.startswith("shopper.")]
    return "<h2>Shoppers (effect of ads known by construction)</h2>" + _table(("", "count"), rows) if rows else ""


def _violations(report: Report) -> str:
    if not report.violations:
        return "<p>None.</p>"
    parts = [_table(("kind", "count"), [(kind, f"{count:,}") for kind, count in sorted(report.violations.items())])]
    parts += [
        f"<details><summary>{_escape(example.kind)}: {_escape(example.detail)}</summary>"
        f"<pre>{_escape(example.request)}</pre><pre>{_escape(example.answer)}</pre></details>"
        for example in report.examples
    ]
    return "".join(parts)


def _audit(report: Report) -> str:
    if report.audit is None:
        return "<h2>Bill</h2><p>No ledger was given: the bill was not audited.</p>"
    rows = [
        (
            line.account, line.currency, f"{line.impressions:,}", f"{line.ledger_impressions:,}",
            f"{line.billed_low:,}",
            f"{line.billed_high:,}", f"{line.ledger:,}", "agrees" if line.agrees else "DIFFERS",
        )
        for line in report.audit.lines
    ]  # fmt: skip
    header = ("account", "currency", "impressions", "in the ledger", "bill from", "to (micros)", "ledger (micros)", "")
    return f"<h2>Bill</h2><p>{_escape(report.audit.summary)}</p>" + _table(header, rows)


def _run_rows(report: Report) -> list[tuple[str, str]]:
    scenario = report.scenario
    return [
        ("begun", report.started or moment_text(report.started_ms)),
        ("version", report.version or "unknown"),
        ("target", scenario.url),
        ("rate", f"{scenario.rate:g}/s, {scenario.arrival.shape}"),
        ("duration", f"{report.elapsed_s:.1f} s"),
        ("connections", str(scenario.connections)),
        ("generator processes", str(scenario.processes)),
        ("seed", str(scenario.seed)),
    ]


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{_escape(cell)}</th>" for cell in header)
    lines = "".join("<tr>" + "".join(f"<td>{_escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{lines}</table>"


def _escape(value: str) -> str:
    return html.escape(value)
