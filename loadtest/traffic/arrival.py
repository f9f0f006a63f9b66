"""When requests are sent: open-loop schedules that do not care what the bidder does.

A shape says how many requests a second are due at each moment; a spacing turns it into times, evenly or as a Poisson
process. Both invert the cumulative rate, so a run's number of requests follows from shape and seed alone.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Shapes are read at this step and taken as linear in between; a burst's edge is sharp to a hundredth of a second.
_GRID_S = 0.01

# Times are made this far at once: long enough to amortise numpy's calls, short enough to start at once.
_CHUNK_S = 0.5

# Share of a day's page views in each hour, Polish shops: a low at four, lunch, and the peak between eight and ten in
# the evening.
POLISH_SHOP_DAY = (
    0.45, 0.26, 0.17, 0.13, 0.13, 0.20, 0.42, 0.70, 0.95, 1.12, 1.18, 1.20,
    1.20, 1.17, 1.15, 1.16, 1.18, 1.22, 1.34, 1.55, 1.72, 1.68, 1.30, 0.82,
)  # fmt: skip


class Shape(Protocol):
    """Requests a second over the course of a run."""

    def rate(self, seconds: Floats) -> Floats:
        """Rate at each of the times (seconds from the start)."""
        ...


class Constant:
    """The same rate all the time."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def rate(self, seconds: Floats) -> Floats:
        return np.full_like(seconds, self._rate)


class Ramp:
    """A straight line from one rate to another over the run."""

    def __init__(self, first: float, last: float, duration_s: float) -> None:
        self._first, self._last, self._duration_s = first, last, duration_s

    def rate(self, seconds: Floats) -> Floats:
        return self._first + (self._last - self._first) * np.clip(seconds / self._duration_s, 0.0, 1.0)


class Steps:
    """Equal parts of the run at one rate each."""

    def __init__(self, rates: tuple[float, ...], duration_s: float) -> None:
        self._rates = np.asarray(rates, dtype=np.float64)
        self._step_s = duration_s / len(rates)

    def rate(self, seconds: Floats) -> Floats:
        position = np.minimum((seconds / self._step_s).astype(np.int64), len(self._rates) - 1)
        result: Floats = self._rates[position]
        return result


class Burst:
    """A base rate and one rectangle on top of it."""

    def __init__(self, base: float, peak: float, start_s: float, length_s: float) -> None:
        self._base, self._peak, self._start_s, self._end_s = base, peak, start_s, start_s + length_s

    def rate(self, seconds: Floats) -> Floats:
        return np.where((seconds >= self._start_s) & (seconds < self._end_s), self._peak, self._base)


class DayCurve:
    """The course of a day, pressed into the run; `mean` is the average rate, the evening peak 1.7 times as high."""

    def __init__(self, mean: float, duration_s: float, hours: tuple[float, ...] = POLISH_SHOP_DAY) -> None:
        weights = np.asarray(hours, dtype=np.float64)
        self._rates = mean * weights / weights.mean()
        self._duration_s = duration_s

    def rate(self, seconds: Floats) -> Floats:
        hour = seconds / self._duration_s * 24
        result: Floats = np.interp(hour - 0.5, np.arange(24), self._rates, period=24)
        return result


def arrivals(shape: Shape, duration_s: float, *, poisson: bool, seed: int) -> Iterator[list[float]]:
    """Send times in seconds from the start, ascending, in chunks (a chunk may be empty) until `duration_s` is
    reached."""
    generator = np.random.default_rng(seed)
    start = 0.0
    due = float(generator.exponential()) if poisson else 0.5  # of the next arrival, in cumulative rate since `start`
    while start < duration_s:
        end = min(start + _CHUNK_S, duration_s)
        grid = np.linspace(start, end, max(2, round((end - start) / _GRID_S) + 1))
        rates = shape.rate(grid)
        gained = (rates[1:] + rates[:-1]) / 2 * np.diff(grid)
        cumulative = np.concatenate(([0.0], np.cumsum(gained)))
        total = float(cumulative[-1])
        marks = []
        while due <= total:  # one pass, rarely two: more marks are drawn than the chunk is expected to need
            room = int(total - due) + 64
            gaps = generator.exponential(size=room) if poisson else np.ones(room)
            steps = due + np.concatenate(([0.0], np.cumsum(gaps)))
            marks.append(steps[:-1][steps[:-1] <= total])
            due = float(steps[min(len(marks[-1]), room)])
        due -= total
        start = end
        yield np.interp(np.concatenate(marks), cumulative, grid).tolist() if marks else []
