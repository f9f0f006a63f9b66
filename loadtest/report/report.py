"""The result of a run as data: one JSON file for machines, from which the HTML report and comparisons are made."""

import datetime
import math
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from loadtest.measure.histogram import Histogram
from loadtest.measure.series import Series
from loadtest.measure.tally import LATENCY, LATENESS, NOTICE, SERVICE, BillLine, Example, SparseHistogram
from loadtest.traffic.scenario import Goals, Scenario, ScenarioError

FORMAT = 2

PERCENTS = (50.0, 90.0, 99.0, 99.9, 99.99)

# Above this share of a core the generator's own queueing shows in the latencies.
BUSY_SHARE = 0.8
# With more busy seconds than this it was no hiccup; with more late sends the schedule was not kept.
BUSY_SECONDS_SHARE = 0.02
LATE_SHARE = 0.01

# After an overload a second is normal again when this part of what was due in it came inside tmax.
NORMAL_IN_TIME_SHARE = 0.999


class SecondReport(msgspec.Struct):
    """One second of the run."""

    counts: dict[str, int]
    latency: SparseHistogram
    generator_share: float = 0.0  # of one core, mean over the generator's processes, while they sent


class GeneratorReport(msgspec.Struct):
    """How much the generator had left. Shares of a core are means over its processes while they sent."""

    cpu_share: float
    busiest_share: float  # of a core, in the busiest second
    requests_per_cpu_second: float
    late_share: float  # of what was sent: later than a millisecond though a connection was free
    blocked_share: float  # of what was sent: had to wait for a connection
    lateness_p99_ms: float
    warnings: list[str]

    @property
    def is_bottleneck(self) -> bool:
        """Whether latencies are the generator's own as much as the bidder's."""
        return bool(self.warnings)

    @property
    def words(self) -> str:
        """The headroom in a line."""
        return (
            f"{self.cpu_share:.0%} of a core in use, {self.busiest_share:.0%} in the busiest second; sent late by "
            f"itself {self.late_share:.2%}, for want of a free connection {self.blocked_share:.2%}"
        )


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


NO_NOTICES = "The scenario sends no notices ([notices] send = false): what is won is neither billed nor told as lost."
"""Said for a scenario without notices: many wins without one bill look like a tracker that does not answer."""


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
    started: str = ""  # date and time in UTC, for people
    version: str = ""  # of Grosz, whose load test this is

    @property
    def passed(self) -> bool:
        """Whether every goal was met."""
        return all(goal.met for goal in self.goals)

    def count(self, name: str) -> int:
        return self.counts.get(name, 0)

    def share(self, part: str, whole: str) -> float:
        """One count over another; 0 when there is nothing to divide by."""
        return self.count(part) / self.count(whole) if self.count(whole) else 0.0


def moment_text(at_ms: int) -> str:
    """A date and time of day in UTC."""
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def whole_seconds(report: Report) -> list[SecondReport]:
    """The seconds in which requests were due from begin to end; at least the first.

    The last second is often cut short, and answers come after it: as a rate it would look like an outage.
    """
    ended_s = min(report.elapsed_s, report.scenario.duration_s) if report.elapsed_s else report.scenario.duration_s
    return report.seconds[: max(1, int(ended_s))]


def environment() -> dict[str, str]:
    """The machine that the run took place on, as far as it explains figures."""
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
    shares = [second.cpu_s / second.wall_s for second in series.seconds if second.wall_s]
    cpu_s, wall_s = (sum(getattr(second, name) for second in series.seconds) for name in ("cpu_s", "wall_s"))
    sent = max(1, total.counts["sent"])
    late, blocked = total.counts["late_sends"] / sent, total.counts["blocked_sends"] / sent
    busy = sum(share > BUSY_SHARE for share in shares)
    lateness = total.histograms[LATENESS].percentile(99)
    warnings = []
    if busy > BUSY_SECONDS_SHARE * len(shares):
        warnings.append(
            f"the generator used more than {BUSY_SHARE:.0%} of each of its {processes} cores in {busy} of "
            f"{len(shares)} seconds: add --processes, or lower the rate; latencies include its own queueing"
        )
    if late > LATE_SHARE:
        warnings.append(
            f"the generator sent {late:.1%} of the requests late itself, since others used its core: give it one of "
            "its own; latency counts from when they were due, so the bidder looks slower than it is"
        )
    return GeneratorReport(
        cpu_share=round(cpu_s / wall_s, 4) if wall_s else 0.0,
        busiest_share=round(max(shares, default=0.0), 4),
        requests_per_cpu_second=round(sent / cpu_s, 1) if cpu_s else 0.0,
        late_share=round(late, 6),
        blocked_share=round(blocked, 6),
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
    version: str = "",
) -> Report:
    """Draw up the report of a run; `version` is that of the program."""
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
            SecondReport(
                dict(second.counts),
                SparseHistogram(second.latency.sparse(), second.latency.maximum_us),
                round(second.cpu_s / second.wall_s, 4) if second.wall_s else 0.0,
            )
            for second in series.seconds
        ],
        violations=dict(total.violations),
        examples=total.examples,
        bill=total.bill,
        generator=_generator(series, scenario.processes),
        goals=[],
        audit=audit,
        started=moment_text(started_ms),
        version=version,
    )
    report.goals = judge_goals(scenario.goals, report)
    return report


def judge_goals(goals: Goals, report: Report) -> list[GoalResult]:
    """Hold a report against its scenario's goals."""
    violations = sum(report.violations.values())
    results = [GoalResult("violations", f"at most {goals.violations}", str(violations), violations <= goals.violations)]
    if goals.p99_ms is not None:
        results.append(_at_most("p99", goals.p99_ms, report.percentiles_ms[LATENCY]["p99"]))
    for name, wanted, part, whole in (
        ("answered", goals.answered_share, "answered", "offered"),
        ("inside tmax", goals.in_time_share, "in_time", "offered"),
        ("answers inside tmax", goals.answers_in_time_share, "in_time", "answered"),
    ):
        if wanted is not None:
            measured = report.share(part, whole)
            results.append(GoalResult(name, f"at least {wanted:.3%}", f"{measured:.3%}", measured >= wanted))
    if goals.recovery_s is not None:
        results.append(_recovery(goals.recovery_s, recovery_s(report, goals.recovered_p99_ms)))
    if goals.bids_at_least is not None:
        bids = report.count("bids")
        results.append(GoalResult("bids", f"at least {goals.bids_at_least}", str(bids), bids >= goals.bids_at_least))
    if report.audit is not None and goals.billed_difference:
        results.append(GoalResult("bill", "the ledger agrees", report.audit.summary, report.audit.agrees))
    return results


def trouble_end_s(scenario: Scenario) -> float:
    """When the burst, or the trouble with Redis, is over: seconds from the start."""
    ends = [0.0]
    if scenario.arrival.shape == "burst":
        ends.append(scenario.arrival.burst_start + scenario.arrival.burst_length)
    if scenario.redis.heal_at < 1.0:
        ends.append(scenario.redis.heal_at)
    return round(max(ends) * scenario.duration_s, 3)


def recovery_s(report: Report, normal_p99_ms: float) -> float | None:
    """Seconds from the end of the trouble until every further second is normal: nearly all inside tmax, and p99 within
    bounds. None when the run ended before that."""
    end = trouble_end_s(report.scenario)
    first = math.ceil(end)
    seconds = report.seconds[first : int(report.scenario.duration_s)]
    bad = [number for number, second in enumerate(seconds, first) if not _is_normal(second, normal_p99_ms)]
    recovered_at = bad[-1] + 1 if bad else end
    return None if not seconds or recovered_at >= first + len(seconds) else recovered_at - end


def _is_normal(second: SecondReport, normal_p99_ms: float) -> bool:
    if not second.counts.get("offered"):
        return True
    histogram = Histogram()
    histogram.merge_sparse(second.latency.counts, second.latency.maximum_us)
    in_time = second.counts.get("in_time", 0) >= NORMAL_IN_TIME_SHARE * histogram.total
    return in_time and histogram.percentile(99) * 1000 <= normal_p99_ms


def _recovery(wanted: float, measured: float | None) -> GoalResult:
    shown = "not before the end" if measured is None else f"{measured:.1f} s"
    return GoalResult("back to normal", f"within {wanted:g} s", shown, measured is not None and measured <= wanted)


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
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise ScenarioError(f"{path} is not a report of a load test of this version: {error}") from error
    if report.format != FORMAT:
        raise ScenarioError(f"{path} is a report of format {report.format}, not {FORMAT}: run the load test again")
    return report


def nbr_counts(counts: Mapping[str, int]) -> dict[int, int]:
    """No-bid codes of the answers that had one."""
    return {int(name[4:]): count for name, count in counts.items() if name.startswith("nbr.")}
