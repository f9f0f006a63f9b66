"""Is B really faster than A? Differences between two reports with confidence intervals.

Neighbouring seconds of a run are not independent, so the spread comes from a circular block bootstrap: blocks of
seconds are drawn again with replacement, their histograms added, and the percentiles of the sums compared. Few blocks
say little about their own spread, so the intervals are as wide as Student's t makes them, on the careful side: of pairs
of equal runs 0-3 % differ "significantly" in a measure, 0-7 % where neighbouring seconds are 0.7 correlated (60 pairs
each of 24, 40, 60 and 120 s).
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loadtest.measure.histogram import dense, percentiles
from loadtest.report.report import Report, SecondReport
from loadtest.traffic.scenario import ScenarioError

ROUNDS = 500
CONFIDENCE = 0.95

# Queues, garbage collection and pacing ticks live for seconds; blocks of at least this length keep them together.
_BLOCK_S = 5

# With fewer blocks than these, Student's t makes every interval useless.
_LEAST_BLOCKS = 4

LEAST_S = _LEAST_BLOCKS * _BLOCK_S
"""Seconds of load that each side of a comparison needs."""

# Seconds at the beginning that belong to neither side: connections and caches warm up.
WARM_UP_S = 2

Counts = npt.NDArray[np.int64]


class Difference(NamedTuple):
    """One measure of both runs. `low` and `high` bound B - A at the stated confidence."""

    measure: str
    unit: str
    first: float
    second: float
    low: float
    high: float

    @property
    def is_significant(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


class _Sample:
    """The seconds of one run as arrays."""

    def __init__(self, seconds: Sequence[SecondReport], warm_up_s: int) -> None:
        kept = [second for second in seconds if second.counts.get("offered", 0)][warm_up_s:]
        if len(kept) < LEAST_S:
            raise ScenarioError(
                f"a comparison needs {warm_up_s + LEAST_S} seconds of load on each side: run for longer"
            )
        self.latency: Counts = np.stack([dense(second.latency.counts) for second in kept])
        self.counts = {
            name: np.array([second.counts.get(name, 0) for second in kept], dtype=np.int64)
            for name in ("offered", "answered", "in_time", "bid_answers")
        }

    @property
    def blocks(self) -> int:
        """How many blocks the seconds make; blocks grow with the run, so that they hold slower swings as well."""
        return max(_LEAST_BLOCKS, len(self.latency) // max(_BLOCK_S, math.isqrt(2 * len(self.latency))))

    def indices(self, generator: np.random.Generator) -> Counts:
        size = len(self.latency)
        block = -(-size // self.blocks)
        starts = generator.integers(0, size, size=self.blocks)
        return ((starts[:, None] + np.arange(block)) % size).ravel()[:size]

    def measures(self, rows: Counts) -> npt.NDArray[np.float64]:
        p50, p99, p999 = percentiles(self.latency[rows].sum(axis=0), (50, 99, 99.9))
        sums = {name: int(column[rows].sum()) for name, column in self.counts.items()}
        offered, answered = max(1, sums["offered"]), max(1, sums["answered"])
        return np.array(
            [
                p50 * 1000, p99 * 1000, p999 * 1000, sums["answered"] / len(rows),
                100 * sums["in_time"] / offered, 100 * sums["bid_answers"] / answered,
            ]
        )  # fmt: skip


MEASURES = (("p50", "ms"), ("p99", "ms"), ("p99.9", "ms"), ("answered", "1/s"), ("in time", "%"), ("bid rate", "%"))


def compare(first: Report, second: Report, *, seed: int = 1, warm_up_s: int = WARM_UP_S) -> list[Difference]:
    """Differences of two runs, second by second resampled. Raises ScenarioError for runs too short to say anything."""
    return compare_seconds(first.seconds, second.seconds, seed=seed, warm_up_s=warm_up_s)


def compare_seconds(
    first: Sequence[SecondReport], second: Sequence[SecondReport], *, seed: int = 1, warm_up_s: int = WARM_UP_S
) -> list[Difference]:
    """The differences of two series of seconds; see `compare`."""
    samples = (_Sample(first, warm_up_s), _Sample(second, warm_up_s))
    generator = np.random.default_rng(seed)
    point = [sample.measures(np.arange(len(sample.latency))) for sample in samples]
    differences = np.stack(
        [
            samples[1].measures(samples[1].indices(generator)) - samples[0].measures(samples[0].indices(generator))
            for _ in range(ROUNDS)
        ]
    )
    freedom = min(sample.blocks for sample in samples) - 1
    # blocks of the same run share its mean, which hides one part in `blocks` of their spread
    margin = _student_t(freedom) * differences.std(axis=0) * math.sqrt((freedom + 1) / freedom)
    middle = point[1] - point[0]
    return [
        Difference(
            name, unit, float(point[0][row]), float(point[1][row]),
            float(middle[row] - margin[row]), float(middle[row] + margin[row]),
        )
        for row, (name, unit) in enumerate(MEASURES)
    ]  # fmt: skip


def _student_t(freedom: int) -> float:
    """The quantile that bounds CONFIDENCE on both sides (Cornish-Fisher expansion; 1 % low at 3 degrees of freedom)."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
