import msgspec
import pytest

from loadtest.report.report import Report, make_report
from loadtest.running.search import MAX_PROBES, Found, search
from loadtest.traffic.scenario import Goals
from tests.unit.loadtest.report.test_report import scenario, series_of


def measured(rate: float, latency_s: float, cpu_s: float = 0.2) -> Report:
    plan = msgspec.structs.replace(scenario(), rate=rate, goals=Goals())
    return make_report(plan, series_of(latency_s=latency_s, cpu_s=cpu_s), 0)


async def find(capacity: float, start: float = 100.0) -> Found:
    async def measure(rate: float) -> Report:
        return measured(rate, 0.004 if rate <= capacity else 0.5)

    return await search(start, 10.0, measure)


@pytest.mark.parametrize("capacity", [130.0, 3_333.0, 20_000.0, 10.0])
async def test_the_capacity_is_found_within_the_precision(capacity: float) -> None:
    found = await find(capacity)
    assert 0.94 * capacity <= found.rate <= capacity
    assert len(found.probes) <= MAX_PROBES


async def test_a_bidder_that_meets_the_goal_at_no_rate_has_none() -> None:
    found = await find(0.0)
    assert found.rate == 0.0
    assert found.probes[-1].rate < 2
    assert len(found.probes) <= MAX_PROBES


async def test_answers_outside_of_tmax_miss_the_goal_too() -> None:
    async def measure(rate: float) -> Report:
        report = measured(rate, 0.004)
        report.counts["in_time"] = report.counts["offered"] - (2 if rate > 500 else 0)
        return report

    assert 400 < (await search(400.0, 10.0, measure)).rate <= 500


async def test_a_busy_generator_is_reported_as_the_bottleneck() -> None:
    async def measure(rate: float) -> Report:
        return measured(rate, 0.5 if rate > 300 else 0.004, cpu_s=0.95 if rate > 300 else 0.3)

    assert (await search(200.0, 10.0, measure)).generator_bound


async def test_one_pause_of_the_machine_is_no_lack_of_capacity() -> None:
    tried: list[float] = []

    async def measure(rate: float) -> Report:
        tried.append(rate)
        paused = len(tried) == 2
        return measured(rate, 0.5 if paused or rate > 1_000 else 0.004)

    assert 940 <= (await search(100.0, 10.0, measure)).rate <= 1_000


async def test_a_search_that_is_stopped_tells_what_it_found() -> None:
    async def measure(rate: float) -> Report | None:
        return measured(rate, 0.004) if rate < 1_000 else None

    found = await search(100.0, 10.0, measure)
    assert found.rate == 800
    assert [probe.rate for probe in found.probes] == [100, 200, 400, 800]
