"""Is B really faster than A? Differences between two reports with confidence intervals.

Neighbouring seconds of a run are not independent, so the intervals come from a moving-block bootstrap: blocks of
seconds are drawn again with replacement, their histograms added, and the percentiles of the sums compared.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loadtest.histogram import dense, percentiles
from loadtest.report import Report, SecondReport
from loadtest.scenario import ScenarioError

ROUNDS = 500
CONFIDENCE = 0.95

# Queues, garbage collection and pacing ticks live for seconds; blocks of this length keep them together.
_BLOCK_S = 5

# Connections and caches warm up; the first seconds belong to neither side.
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
        if len(kept) < 2:
            raise ScenarioError(
                f"a report needs at least {warm_up_s + 2} seconds of load to be compared: run it for longer"
            )
        self.latency: Counts = np.stack([dense(second.latency.counts) for second in kept])
        self.counts = {
            name: np.array([second.counts.get(name, 0) for second in kept], dtype=np.int64)
            for name in ("offered", "answered", "in_time", "bid_answers")
        }

    def indices(self, generator: np.random.Generator) -> Counts:
        size = len(self.latency)
        block = min(_BLOCK_S, size // 2)
        starts = generator.integers(0, size - block + 1, size=-(-size // block))
        return (starts[:, None] + np.arange(block)).ravel()[:size]

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
    """The same for bare seconds."""
    samples = (_Sample(first, warm_up_s), _Sample(second, warm_up_s))
    generator = np.random.default_rng(seed)
    point = [sample.measures(np.arange(len(sample.latency))) for sample in samples]
    differences = np.stack(
        [
            samples[1].measures(samples[1].indices(generator)) - samples[0].measures(samples[0].indices(generator))
            for _ in range(ROUNDS)
        ]
    )
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.nanpercentile(differences, [tail, 100 - tail], axis=0)
    return [
        Difference(name, unit, float(point[0][row]), float(point[1][row]), float(low[row]), float(high[row]))
        for row, (name, unit) in enumerate(MEASURES)
    ]
