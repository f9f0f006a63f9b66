from collections.abc import Container
from pathlib import Path

import msgspec
import pytest

from loadtest.measure.histogram import Histogram
from loadtest.measure.series import Series
from loadtest.measure.tally import LATENCY, LATENESS, Tally
from loadtest.report.report import (
    AuditReport,
    histogram_of,
    load_report,
    make_report,
    nbr_counts,
    recovery_s,
    save_report,
    trouble_end_s,
)
from loadtest.traffic.scenario import ArrivalPlan, Goals, RedisPlan, Scenario, ScenarioError


def series_of(
    seconds: int = 10, latency_s: float = 0.004, slow: Container[int] = (), cpu_s: float = 0.2, **counts: int
) -> Series:
    """A run of 100 requests a second, all with one latency, or 50 ms in the slow seconds."""
    series = Series()
    for second in range(seconds):
        tally = Tally()
        tally.offered = tally.sent = tally.answered = tally.in_time = 100
        value = 0.05 if second in slow else latency_s
        for _ in range(100):
            tally.histograms[LATENCY].record(value)
            tally.histograms[LATENESS].record(0.0001)
        tally.counts.update(counts)
        series.add(tally.take(second + 1.0, cpu_s, 1.0, last=second == seconds - 1))
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
    goals = {
        "p99_ms": 5.0, "in_time_share": 0.999, "answered_share": 1.0, "answers_in_time_share": 1.0,
        "bids_at_least": 10, "recovery_s": 5.0,
    }  # fmt: skip
    good = make_report(scenario(**goals), series_of(bids=1), 0)
    assert good.passed
    assert len(good.goals) == 7
    slow = make_report(scenario(p99_ms=5.0), series_of(latency_s=0.006), 0)
    assert [goal.met for goal in slow.goals] == [True, False]
    assert not make_report(scenario(bids_at_least=11), series_of(bids=1), 0).passed


def test_a_violation_fails_a_run_that_allows_none() -> None:
    series = series_of()
    series.total.violate("size", "", "", "")
    assert not make_report(scenario(), series, 0).passed
    assert make_report(scenario(violations=1), series, 0).passed


@pytest.mark.parametrize(
    ("slow", "recovery"),
    [((), 0.0), ((4, 5), 0.0), ((6,), 1.0), ((4, 8), 3.0), ((9,), None), (range(10), None)],
    ids=["never slow", "slow while it lasts", "slow for a second", "slow again", "slow at the end", "always slow"],
)
def test_a_run_has_recovered_when_every_second_that_follows_is_normal(
    slow: Container[int], recovery: float | None
) -> None:
    burst = ArrivalPlan(shape="burst", burst_start=0.4, burst_length=0.2)  # it is over after six of ten seconds
    plan = msgspec.structs.replace(scenario(recovery_s=2.0), arrival=burst)
    report = make_report(plan, series_of(slow=slow), 0)
    assert recovery_s(report, 20.0) == recovery
    assert report.passed == (recovery is not None and recovery <= 2.0)


def test_a_second_in_which_answers_come_late_is_not_normal() -> None:
    series = series_of()
    series.seconds[7].counts["in_time"] = 99
    assert recovery_s(make_report(scenario(), series, 0), 20.0) == 8.0


def test_answers_that_come_late_are_told_from_answers_that_do_not_come() -> None:
    late = make_report(scenario(answers_in_time_share=0.999), series_of(in_time=99), 0)
    assert [(goal.goal, goal.met) for goal in late.goals] == [("violations", True), ("answers inside tmax", False)]
    missing = make_report(scenario(answers_in_time_share=0.999), series_of(in_time=90, answered=90), 0)
    assert missing.passed


def test_trouble_with_redis_ends_when_it_is_healed() -> None:
    plan = RedisPlan(slow_at=0.1, cut_at=0.2, heal_at=0.7)
    assert trouble_end_s(msgspec.structs.replace(scenario(), redis=plan)) == pytest.approx(7.0)


def test_a_bill_that_differs_fails_the_run() -> None:
    audit = AuditReport([], False, "1 DIFFER")
    assert not make_report(scenario(), series_of(), 0, audit=audit).passed
    assert make_report(scenario(billed_difference=False), series_of(), 0, audit=audit).passed


def test_the_generator_says_how_busy_it_was() -> None:
    generator = make_report(scenario(), series_of(), 0).generator
    assert generator.cpu_share == generator.busiest_share == 0.2
    assert generator.requests_per_cpu_second == 500
    assert generator.warnings == []
    assert not generator.is_bottleneck
    assert "20% of a core in use" in generator.words


def test_a_generator_that_was_the_bottleneck_warns() -> None:
    (warning,) = make_report(scenario(), series_of(cpu_s=0.95), 0).generator.warnings
    assert "80% of each of its 1 cores in 10 of 10 seconds" in warning
    (warning,) = make_report(scenario(), series_of(late_sends=2), 0).generator.warnings
    assert "2.0% of the requests late itself" in warning
    assert make_report(scenario(), series_of(blocked_sends=50), 0).generator.warnings == []  # the bidder's doing


def test_waiting_for_the_last_notices_is_no_headroom() -> None:
    series = series_of(seconds=2, cpu_s=0.9)
    for second in range(2, 20):
        series.add(Tally().take(second + 1.0, 0.01, 1.0))
    generator = make_report(scenario(), series, 0).generator
    assert generator.cpu_share == 0.9
    assert "2 of 2 seconds" in generator.warnings[0]


def test_a_busy_second_between_calm_ones_is_seen_but_no_warning() -> None:
    series = series_of(seconds=100)
    series.seconds[50].cpu_s = 1.0
    generator = make_report(scenario(), series, 0).generator
    assert generator.busiest_share == 1.0
    assert generator.warnings == []


def test_a_report_of_another_version_is_refused(tmp_path: Path) -> None:
    report = make_report(scenario(), series_of(), 0)
    report.format = 1
    save_report(report, tmp_path / "old.json")
    with pytest.raises(ScenarioError, match="format 1"):
        load_report(tmp_path / "old.json")


def test_an_empty_run_has_no_percentiles_and_fails_its_latency_goal() -> None:
    report = make_report(scenario(p99_ms=5.0), Series(), 0)
    assert report.percentiles_ms[LATENCY]["p99"] is None
    assert not report.passed


def test_no_bid_codes_are_counted_by_code() -> None:
    assert nbr_counts({"nbr.8": 3, "nbr.2": 1, "won": 4}) == {8: 3, 2: 1}
