"""How much can it take? Bisection for the highest rate at which the bidder still meets a latency goal."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from loadtest.report import Report, make_report
from loadtest.run import Progress, run_scenario
from loadtest.scenario import NoticePlan, Scenario
from loadtest.tally import LATENCY

# At capacity the goal is met in some runs and missed in others; below this relative distance the answer is noise.
PRECISION = 0.05

# A search ends after this many runs, whatever the bidder does.
MAX_PROBES = 16

# What an exchange expects of a bidder besides its latency.
IN_TIME_SHARE = 0.999


class Probe(NamedTuple):
    """One run of the search."""

    rate: float
    p99_ms: float | None
    in_time_share: float
    met: bool
    generator_bound: bool  # the generator was the bottleneck: the answer is a lower bound


class Found(NamedTuple):
    """The result: the highest rate that met the goal (0: none did), and every run."""

    rate: float
    probes: tuple[Probe, ...]

    @property
    def generator_bound(self) -> bool:
        return any(probe.generator_bound for probe in self.probes)


def judge(report: Report, p99_ms: float) -> Probe:
    """Whether a run meets the goal."""
    p99 = report.percentiles_ms[LATENCY]["p99"]
    in_time = report.share("in_time", "offered")
    met = p99 is not None and p99 <= p99_ms and in_time >= IN_TIME_SHARE
    busy = report.generator.cpu_share > 0.8
    return Probe(report.scenario.rate, p99, in_time, met, busy and not met)


async def search(
    start_rate: float, p99_ms: float, measure: Callable[[float], Awaitable[Report]], *, highest: float = 1_000_000
) -> Found:
    """Double the rate until the goal is missed, then halve the interval. `measure` runs one load at a rate."""
    probes: list[Probe] = []

    async def probe(rate: float) -> bool:
        probes.append(judge(await measure(rate), p99_ms))
        return probes[-1].met

    good, bad = 0.0, 0.0
    rate = start_rate
    while len(probes) < MAX_PROBES and not bad:
        if await probe(rate):
            good, rate = rate, min(rate * 2, highest)
            if good >= highest:
                break
        else:
            bad = rate
    while bad and len(probes) < MAX_PROBES and bad - good > PRECISION * bad:
        middle = (good + bad) / 2
        if await probe(middle):
            good = middle
        else:
            bad = middle
    return Found(good, tuple(probes))


async def measure_rate(scenario: Scenario, rate: float, progress: Progress, stop: asyncio.Event) -> Report:
    """One run of a scenario at another rate, without notices that would pile up from run to run."""
    plan = msgspec.structs.replace(scenario, rate=rate, notices=NoticePlan(send=False))
    started_ms = time.time_ns() // 1_000_000
    series = await run_scenario(plan, progress, stop)
    return make_report(plan, series, started_ms)
