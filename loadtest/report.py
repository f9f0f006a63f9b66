"""The result of a run as data: one JSON file for machines, from which the HTML report and comparisons are made."""

import math
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from loadtest.histogram import Histogram
from loadtest.scenario import Goals, Scenario, ScenarioError
from loadtest.series import Series
from loadtest.tally import LATENCY, LATENESS, NOTICE, SERVICE, BillLine, Example, SparseHistogram

FORMAT = 1

PERCENTS = (50.0, 90.0, 99.0, 99.9, 99.99)

# Above this share of a core the generator's own queueing shows in the latencies.
BUSY_SHARE = 0.8
# More late sends than this and the schedule was not kept.
LATE_SHARE = 0.01


class SecondReport(msgspec.Struct):
    """One second of the run."""

    counts: dict[str, int]
    latency: SparseHistogram


class GeneratorReport(msgspec.Struct):
    """How much the generator had left: what it could have sent against what it did."""

    cpu_share: float  # of one core, mean over the processes
    requests_per_cpu_second: float
    late_share: float
    lateness_p99_ms: float
    warnings: list[str]


class GoalResult(msgspec.Struct):
    """One goal of the scenario."""

    goal: str
    wanted: str
    measured: str
    met: bool


class AuditLine(msgspec.Struct):
    """One account's bill (a line item, or a campaign): ours against the bidder's ledger, micros."""

    account: str
    currency: str
    impressions: int
    ledger_impressions: int
    billed_low: int
    billed_high: int
    ledger: int
    agrees: bool


class AuditReport(msgspec.Struct):
    """The whole bill."""

    lines: list[AuditLine]
    agrees: bool
    summary: str


class Report(msgspec.Struct):
    """Everything a run found out."""

    scenario: Scenario
    started_ms: int
    elapsed_s: float
    stopped_early: bool
    environment: dict[str, str]
    counts: dict[str, int]
    histograms: dict[str, SparseHistogram]
    percentiles_ms: dict[str, dict[str, float | None]]
    seconds: list[SecondReport]
    violations: dict[str, int]
    examples: list[Example]
    bill: dict[str, BillLine]
    generator: GeneratorReport
    goals: list[GoalResult]
    audit: AuditReport | None = None
    format: int = FORMAT

    @property
    def passed(self) -> bool:
        """Whether every goal was met."""
        return all(goal.met for goal in self.goals)

    def count(self, name: str) -> int:
        return self.counts.get(name, 0)

    def share(self, part: str, whole: str) -> float:
        """One count over another; 0 when there is nothing to divide by."""
        return self.count(part) / self.count(whole) if self.count(whole) else 0.0


def environment() -> dict[str, str]:
    """Where the run took place, as far as it explains figures."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "python": sys.version.split()[0],
    }


def _percentiles(histogram: Histogram) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for percent in PERCENTS:
        seconds = histogram.percentile(percent)
        values[f"p{percent:g}"] = None if math.isnan(seconds) else round(seconds * 1000, 3)
    values["max"] = round(histogram.maximum_us / 1000, 3) if histogram.total else None
    mean = histogram.mean()
    values["mean"] = None if math.isnan(mean) else round(mean * 1000, 3)
    return values


def _generator(series: Series, processes: int) -> GeneratorReport:
    total = series.total
    cpu_share = total.cpu_s / total.wall_s if total.wall_s else 0.0
    sent = total.counts["sent"]
    late = total.counts["late_sends"] / sent if sent else 0.0
    lateness = total.histograms[LATENESS].percentile(99)
    warnings = []
    if cpu_share > BUSY_SHARE:
        warnings.append(
            f"the generator used {cpu_share:.0%} of each of its {processes} cores: add --processes, or lower the rate; "
            "latencies include its own queueing"
        )
    if late > LATE_SHARE:
        warnings.append(
            f"{late:.1%} of the requests were sent late: no free connection (the bidder is behind: more --connections "
            "send on time) or no free core; their latency counts from when they were due"
        )
    return GeneratorReport(
        cpu_share=round(cpu_share, 4),
        requests_per_cpu_second=round(sent / total.cpu_s, 1) if total.cpu_s else 0.0,
        late_share=round(late, 6),
        lateness_p99_ms=0.0 if math.isnan(lateness) else round(lateness * 1000, 3),
        warnings=warnings,
    )


def make_report(
    scenario: Scenario,
    series: Series,
    started_ms: int,
    *,
    stopped_early: bool = False,
    audit: AuditReport | None = None,
) -> Report:
    """Draw up the report of a run."""
    total = series.total
    report = Report(
        scenario=scenario,
        started_ms=started_ms,
        elapsed_s=round(series.elapsed_s, 3),
        stopped_early=stopped_early,
        environment=environment(),
        counts=dict(sorted(total.counts.items())),
        histograms={
            name: SparseHistogram(histogram.sparse(), histogram.maximum_us)
            for name, histogram in total.histograms.items()
        },
        percentiles_ms={name: _percentiles(total.histograms[name]) for name in (LATENCY, SERVICE, LATENESS, NOTICE)},
        seconds=[
            SecondReport(dict(second.counts), SparseHistogram(second.latency.sparse(), second.latency.maximum_us))
            for second in series.seconds
        ],
        violations=dict(total.violations),
        examples=total.examples,
        bill=total.bill,
        generator=_generator(series, scenario.processes),
        goals=[],
        audit=audit,
    )
    report.goals = judge_goals(scenario.goals, report)
    return report


def judge_goals(goals: Goals, report: Report) -> list[GoalResult]:
    """Hold a report against its scenario's goals."""
    results = []
    violations = sum(report.violations.values())
    results.append(
        GoalResult("violations", f"at most {goals.violations}", str(violations), violations <= goals.violations)
    )
    if goals.p99_ms is not None:
        results.append(_at_most("p99", goals.p99_ms, report.percentiles_ms[LATENCY]["p99"]))
    if goals.recovered_p99_ms is not None:
        results.append(_at_most("p99 in the last tenth", goals.recovered_p99_ms, last_tenth_p99_ms(report)))
    for name, wanted, part in (
        ("answered", goals.answered_share, "answered"),
        ("inside tmax", goals.in_time_share, "in_time"),
    ):
        if wanted is not None:
            measured = report.share(part, "offered")
            results.append(GoalResult(name, f"at least {wanted:.3%}", f"{measured:.3%}", measured >= wanted))
    if goals.bids_at_least is not None:
        bids = report.count("bids")
        results.append(GoalResult("bids", f"at least {goals.bids_at_least}", str(bids), bids >= goals.bids_at_least))
    if report.audit is not None and goals.billed_difference:
        results.append(GoalResult("bill", "the ledger agrees", report.audit.summary, report.audit.agrees))
    return results


def last_tenth_p99_ms(report: Report) -> float | None:
    """p99 over the last tenth of the scheduled run, in milliseconds; None without answers."""
    first = int(report.scenario.duration_s * 0.9)
    histogram = Histogram()
    for second in report.seconds[first : int(report.scenario.duration_s) + 1]:
        histogram.merge_sparse(second.latency.counts, second.latency.maximum_us)
    value = histogram.percentile(99)
    return None if math.isnan(value) else value * 1000


def _at_most(name: str, wanted: float, measured: float | None) -> GoalResult:
    shown = "no answers" if measured is None else f"{measured:.2f} ms"
    return GoalResult(name, f"at most {wanted:g} ms", shown, measured is not None and measured <= wanted)


def histogram_of(report: Report, name: str = LATENCY) -> Histogram:
    """A histogram of the report, ready for questions."""
    histogram = Histogram()
    sparse = report.histograms.get(name)
    if sparse is not None:
        histogram.merge_sparse(sparse.counts, sparse.maximum_us)
    return histogram


def save_report(report: Report, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))


def load_report(path: Path) -> Report:
    """Read a report. Raises ScenarioError when the file is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise ScenarioError(f"{path} is not a report of a load test: {error}") from error


def nbr_counts(counts: Mapping[str, int]) -> dict[int, int]:
    """No-bid codes of the answers that had one."""
    return {int(name[4:]): count for name, count in counts.items() if name.startswith("nbr.")}
