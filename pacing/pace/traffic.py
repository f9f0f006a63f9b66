"""When traffic comes: the shape of the week that budgets are spread over, learned from what the bidders see.

A plan that is uniform in time spends too little at night and runs after itself all day. The plan here is uniform in
*traffic*: `W(t)` of spec science 1c is the share of a period's auctions that have come by `t`. Bins are five minutes of
the UTC week, so the same weekday is averaged with itself and a local day of 23 or 25 hours needs no special case.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BIN_MS: Final = 300_000
BINS: Final = 7 * 288
DAY_BINS: Final = 288
WEEK_MS: Final = BIN_MS * BINS

# Weight of the newest week: three weeks make two thirds of the average, so a season is followed and a holiday fades.
NEWEST: Final = 0.3

# A bin never counts for less than this part of the mean: what was quiet once must not make a plan that waits for it.
LEAST_PART: Final = 0.02

# 1970-01-01, bin 0, was a Thursday.
_MONDAY_HOURS: Final = 3 * 24


class TrafficShape:
    """Auctions by bin of the week, an exponential average over weeks; uniform until learned."""

    def __init__(self, rates: Floats | None = None) -> None:
        self.rates: Floats = np.full(BINS, np.nan) if rates is None else rates
        self._bin: int | None = None
        self._count = 0.0
        self._whole = False

    def count(self, auctions: float, now_ms: int) -> bool:
        """Add what came since the last call; True when a bin has ended and the shape has changed.

        A bin counts only if it was watched from its beginning to its end: after a pause nobody knows what came.
        """
        number = now_ms // BIN_MS
        changed = False
        if number != self._bin:
            follows = self._bin is not None and number == self._bin + 1
            if follows and self._whole:
                self._learn((number - 1) % BINS, self._count)
                changed = True
            self._whole = follows
            self._bin, self._count = number, 0.0
        self._count += auctions
        return changed

    def _learn(self, position: int, count: float) -> None:
        known = self.rates[position]
        self.rates[position] = count if np.isnan(known) else known + NEWEST * (count - known)

    def weights(self) -> Floats:
        """Relative traffic of each bin: what was learned, otherwise the same time of other weekdays, otherwise the
        mean."""
        days = self.rates.reshape(7, DAY_BINS)
        known = ~np.isnan(days)
        if not known.any():
            return np.ones(BINS)
        mean = float(days[known].mean())
        if mean <= 0.0:
            return np.ones(BINS)
        counts = known.sum(axis=0)
        of_time = np.where(counts > 0, np.where(known, days, 0.0).sum(axis=0) / np.maximum(counts, 1), mean)
        filled: Floats = np.where(known, days, of_time).ravel() / mean
        return np.maximum(filled, LEAST_PART)


def hours_mask(hours_of_week: Sequence[int], offset_ms: int) -> Floats:
    """1.0 for each bin of the UTC week inside these local hours (0 is Monday 00:00), 0.0 outside; none is all.

    `offset_ms` is the zone's distance from UTC; bins of a week with a change of the clocks are an hour off after it.
    """
    if not hours_of_week:
        return np.ones(BINS)
    hour = ((np.arange(BINS) * BIN_MS + offset_ms) // 3_600_000 + _MONDAY_HOURS) % 168
    mask: Floats = np.isin(hour, np.asarray(hours_of_week)).astype(np.float64)
    return mask


class Curves:
    """Cumulative traffic of several weekly patterns, to be asked for many periods at once."""

    def __init__(self, patterns: Sequence[Floats]) -> None:
        """`patterns`: relative traffic by bin, each of BINS numbers that are not negative."""
        table = np.stack(list(patterns)) if patterns else np.ones((1, BINS))
        self._ends = np.concatenate([np.zeros((len(table), 1)), np.cumsum(table, axis=1)], axis=1)

    def between(self, pattern: Integers, from_ms: Integers, to_ms: Integers) -> Floats:
        """Traffic of each period, 0.0 where it ends before it begins."""
        amount: Floats = self._until(pattern, to_ms) - self._until(pattern, from_ms)
        return np.maximum(amount, 0.0)

    def share(self, pattern: Integers, from_ms: Integers, now_ms: int, end_ms: Integers) -> Floats:
        """Which part of the traffic from `from_ms` to `end_ms` came by `now_ms`; 1.0 once it has ended."""
        now = np.full_like(end_ms, now_ms)
        whole = self.between(pattern, from_ms, end_ms)
        part = self.between(pattern, from_ms, np.minimum(now, end_ms))
        ended = (end_ms <= now_ms) | (from_ms >= end_ms)
        share: Floats = np.where(ended, 1.0, part / np.where(whole > 0.0, whole, 1.0))
        return np.clip(share, 0.0, 1.0)

    def _until(self, pattern: Integers, at_ms: Integers) -> Floats:
        week, inside = np.divmod(at_ms, WEEK_MS)
        number, rest = np.divmod(inside, BIN_MS)
        before, after = self._ends[pattern, number], self._ends[pattern, number + 1]
        until: Floats = week * self._ends[pattern, -1] + before + (after - before) * (rest / BIN_MS)
        return until
