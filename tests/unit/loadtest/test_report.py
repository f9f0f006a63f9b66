from pathlib import Path

import msgspec
import pytest

from loadtest.histogram import Histogram
from loadtest.report import (
    AuditReport,
    histogram_of,
    last_tenth_p99_ms,
    load_report,
    make_report,
    nbr_counts,
    save_report,
)
from loadtest.scenario import Goals, Scenario, ScenarioError
from loadtest.series import Series
from loadtest.tally import LATENCY, LATENESS, Tally


def series_of(seconds: int = 10, latency_s: float = 0.004, last_s: float | None = None, **counts: int) -> Series:
    """A run of 100 requests a second, all with one latency, except in the last second."""
    series = Series()
    for second in range(seconds):
        tally = Tally()
        tally.offered = tally.sent = tally.answered = tally.in_time = 100
        value = last_s if last_s is not None and second == seconds - 1 else latency_s
        for _ in range(100):
            tally.histograms[LATENCY].record(value)
            tally.histograms[LATENESS].record(0.0001)
        tally.counts.update(counts)
        series.add(tally.take(second + 1.0, 0.2, 1.0, last=second == seconds - 1))
    return series


def scenario(**goals: object) -> Scenario:
    return Scenario(name="x", rate=100, duration_s=10, goals=Goals(**goals))  # type: ignore[arg-type]  # as given


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    report = make_report(scenario(), series_of(), 0)
    save_report(report, tmp_path / "a.json")
    assert msgspec.to_builtins(load_report(tmp_path / "a.json")) == msgspec.to_builtins(report)
    assert histogram_of(report).total == 1_000
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(ScenarioError, match="not a report"):
        load_report(tmp_path / "b.json")


def test_seconds_and_totals_agree() -> None:
    report = make_report(scenario(), series_of(), 0)
    assert len(report.seconds) == 10
    assert sum(second.counts["offered"] for second in report.seconds) == report.counts["offered"] == 1_000
    merged = Histogram()
    for second in report.seconds:
        merged.merge_sparse(second.latency.counts, second.latency.maximum_us)
    assert merged.sparse() == histogram_of(report).sparse()


def test_goals_are_met_and_missed() -> None:
    goals = {"p99_ms": 5.0, "in_time_share": 0.999, "answered_share": 1.0, "bids_at_least": 10, "recovered_p99_ms": 5.0}
    good = make_report(scenario(**goals), series_of(bids=1), 0)
    assert good.passed
    assert len(good.goals) == 6
    slow = make_report(scenario(p99_ms=5.0), series_of(latency_s=0.006), 0)
    assert [goal.met for goal in slow.goals] == [True, False]
    assert not make_report(scenario(bids_at_least=11), series_of(bids=1), 0).passed


def test_a_violation_fails_a_run_that_allows_none() -> None:
    series = series_of()
    series.total.violate("size", "", "", "")
    assert not make_report(scenario(), series, 0).passed
    assert make_report(scenario(violations=1), series, 0).passed


def test_recovery_looks_at_the_last_tenth_alone() -> None:
    report = make_report(scenario(recovered_p99_ms=5.0), series_of(last_s=0.05), 0)
    assert last_tenth_p99_ms(report) == pytest.approx(50, rel=0.01)
    assert not report.passed


def test_a_bill_that_differs_fails_the_run() -> None:
    audit = AuditReport([], False, "1 DIFFER")
    assert not make_report(scenario(), series_of(), 0, audit=audit).passed
    assert make_report(scenario(billed_difference=False), series_of(), 0, audit=audit).passed


def test_the_generator_says_how_busy_it_was() -> None:
    report = make_report(scenario(), series_of(), 0)
    assert report.generator.cpu_share == 0.2
    assert report.generator.requests_per_cpu_second == 500
    assert report.generator.warnings == []
    busy = series_of()
    busy.total.cpu_s = 9.5
    busy.total.counts["late_sends"] = 500
    warnings = make_report(scenario(), busy, 0).generator.warnings
    assert len(warnings) == 2
    assert "95%" in warnings[0]
    assert "50.0%" in warnings[1]


def test_an_empty_run_has_no_percentiles_and_fails_its_latency_goal() -> None:
    report = make_report(scenario(p99_ms=5.0), Series(), 0)
    assert report.percentiles_ms[LATENCY]["p99"] is None
    assert not report.passed


def test_no_bid_codes_are_counted_by_code() -> None:
    assert nbr_counts({"nbr.8": 3, "nbr.2": 1, "won": 4}) == {8: 3, 2: 1}
