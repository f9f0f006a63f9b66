import random

import pytest

from loadtest.measure.series import Series
from loadtest.measure.tally import LATENCY, Tally
from loadtest.report.compare import Difference, compare
from loadtest.report.report import Report, make_report
from loadtest.traffic.scenario import ScenarioError
from tests.unit.loadtest.report.test_report import scenario


def report(mean_s: float, seed: int, seconds: int = 40) -> Report:
    chance, series = random.Random(seed), Series()
    for second in range(seconds):
        tally = Tally()
        tally.offered = tally.answered = tally.in_time = 200
        for _ in range(200):
            tally.histograms[LATENCY].record(chance.expovariate(1 / mean_s))
        series.add(tally.take(second + 1.0, 0.1, 1.0))
    return make_report(scenario(), series, 0)


def by_measure(rows: list[Difference]) -> dict[str, Difference]:
    return {row.measure: row for row in rows}


def test_a_real_difference_is_shown_with_its_size() -> None:
    found = by_measure(compare(report(0.004, 1), report(0.006, 2)))
    for measure in ("p50", "p99"):
        assert found[measure].is_significant
    assert found["p50"].low < found["p50"].second - found["p50"].first < found["p50"].high
    assert 0.8 < found["p50"].low < found["p50"].high < 2.1


def test_two_runs_of_the_same_do_not_differ() -> None:
    found = by_measure(compare(report(0.004, 1), report(0.004, 2)))
    assert not found["p50"].is_significant
    assert not found["answered"].is_significant


def test_equal_runs_rarely_differ() -> None:
    reports = [report(0.004, seed, seconds=30) for seed in range(24)]
    rows = [row for number in range(0, 24, 2) for row in compare(*reports[number : number + 2])]
    # 12 pairs and 4 measures that vary: one chance in twenty each would be 2.4
    assert sum(row.is_significant for row in rows) <= 3


def test_runs_that_are_too_short_are_refused() -> None:
    with pytest.raises(ScenarioError, match="22 seconds"):
        compare(report(0.004, 1, seconds=21), report(0.004, 1))
