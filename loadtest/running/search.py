"""How much can it take? Bisection for the highest rate at which the bidder still meets a latency goal."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from loadtest.measure.tally import LATENCY
from loadtest.report.report import Report, make_report
from loadtest.running.run import Progress, run_scenario
from loadtest.traffic.scenario import NoticePlan, Scenario

# At capacity the goal is met in some runs and missed in others; below this relative distance the answer is noise.
PRECISION = 0.05

# A rate is missed when it is missed this often: one pause of the machine is no lack of capacity.
TRIES = 2

# A bidder that cannot answer one request a second in time has no capacity to be found.
_LOWEST_RATE = 1.0

# A search ends after this many runs, whatever the bidder does.
MAX_PROBES = 24

# The part of answers in time that an exchange expects, besides the latency.
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
    return Probe(report.scenario.rate, p99, in_time, met, report.generator.is_bottleneck and not met)


class _Search:
    def __init__(self, p99_ms: float, measure: Callable[[float], Awaitable[Report | None]]) -> None:
        self._p99_ms = p99_ms
        self._measure = measure
        self.probes: list[Probe] = []
        self.is_over = False

    async def is_met(self, rate: float) -> bool:
        """Try a rate until it is met, at most as often as a miss needs."""
        for _ in range(TRIES):
            report = None if len(self.probes) >= MAX_PROBES else await self._measure(rate)
            if report is None:
                self.is_over = True
                return False
            self.probes.append(judge(report, self._p99_ms))
            if self.probes[-1].met:
                return True
        return False


async def search(
    start_rate: float,
    p99_ms: float,
    measure: Callable[[float], Awaitable[Report | None]],
    *,
    highest: float = 1_000_000,
) -> Found:
    """Double the rate until the goal is missed, then halve the interval. `measure` runs one load at a rate; None ends
    the search with what was found so far."""
    tries = _Search(p99_ms, measure)
    good, bad, rate = 0.0, 0.0, start_rate
    while not bad and good < highest and not tries.is_over:
        if await tries.is_met(rate):
            good, rate = rate, min(rate * 2, highest)
        else:
            bad = rate
    while not tries.is_over and bad > _LOWEST_RATE and bad - good > PRECISION * bad:
        middle = (good + bad) / 2
        if await tries.is_met(middle):
            good = middle
        else:
            bad = middle
    return Found(good, tuple(tries.probes))


async def measure_rate(scenario: Scenario, rate: float, progress: Progress, stop: asyncio.Event) -> Report:
    """One run of a scenario at another rate, without notices that would pile up from run to run."""
    plan = msgspec.structs.replace(scenario, rate=rate, notices=NoticePlan(send=False))
    started_ms = time.time_ns() // 1_000_000
    series = await run_scenario(plan, progress, stop)
    return make_report(plan, series, started_ms)
