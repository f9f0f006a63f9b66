"""When traffic comes: the shape of the week that budgets are spread over, learned from what the bidders see.

A plan that is uniform in time spends too little at night and runs after itself all day. The plan here is uniform in
*traffic*: `W(t)` is the share of a period's auctions that have come by `t`. Bins are five minutes of the local week of
the zone in which most advertisers live: traffic follows people, and people their clocks.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from pacing.pace.day_curve import BINS, DAY_BINS, Floats, moved_to_fit, shipped_week
from pacing.pace.local_time import Integers, LocalTime, local_time

Flags = npt.NDArray[np.bool_]

BIN_MS: Final = 300_000
WEEK_MS: Final = BIN_MS * BINS

# Weight of the newest week: three weeks make two thirds of the average, so a season is followed and a holiday fades.
NEWEST: Final = 0.3

# A bin never counts for less than this part of the mean: a plan must not wait for an hour that was quiet once.
LEAST_PART: Final = 0.02

# 1970-01-01, bin 0, was a Thursday.
_MONDAY_HOURS: Final = 3 * 24


class ShapeMemory(msgspec.Struct, array_like=True):
    """What is kept of a shape; unknown bins are not-a-number."""

    zone: str
    rates: bytes  # float64 by bin of the local week
    today: bytes  # float64 by bin of the local day
    day: int


class TrafficShape:
    """Auctions by bin of the local week, an exponential average over weeks.

    `before` is the week that is assumed until traffic was seen: the shipped week, or None for uniform traffic. A day is
    learned when it is over: with three times the traffic of last week, hours that are learned already would weigh too
    much against those to come, and the plan would spend too early.
    """

    def __init__(self, rates: Floats | None = None, *, zone: str = "UTC", before: Floats | None = None) -> None:
        self.rates: Floats = np.full(BINS, np.nan) if rates is None else rates
        self.zone = zone
        self._before = before
        self._today: Floats = np.full(DAY_BINS, np.nan)
        self._day = -1
        self._bin: int | None = None
        self._count = 0.0
        self._whole = False

    @classmethod
    def shipped(cls) -> "TrafficShape":
        """A shape that begins with the shipped week."""
        return cls(before=shipped_week())

    @classmethod
    def restored(cls, packed: bytes) -> "TrafficShape | None":
        """What `memory` packed; None for anything else."""
        try:
            known = msgspec.msgpack.decode(packed, type=ShapeMemory)
            rates, today = (np.frombuffer(each, "<f8").copy() for each in (known.rates, known.today))
        except (msgspec.DecodeError, ValueError):
            return None
        if len(rates) != BINS or len(today) != DAY_BINS:
            return None
        shape = cls(rates, zone=known.zone, before=shipped_week())
        shape._today, shape._day = today, known.day
        return shape

    @classmethod
    def of_utc(cls, rates: Floats, now_ms: int, zone: str) -> "TrafficShape":
        """From a week of UTC, as it was kept before version 2."""
        shape = cls(rates, before=shipped_week())
        shape.move_to(zone, now_ms)
        return shape

    def memory(self) -> bytes:
        """The shape for a worker that goes on after a restart."""
        return msgspec.msgpack.encode(
            ShapeMemory(self.zone, self.rates.astype("<f8").tobytes(), self._today.astype("<f8").tobytes(), self._day)
        )

    def clock(self, now_ms: int) -> LocalTime:
        """The clock that the bins follow."""
        return local_time(self.zone, now_ms)

    def move_to(self, zone: str, now_ms: int) -> None:
        """Follow another zone's clock; learned traffic keeps its moments in time."""
        if zone == self.zone:
            return
        bins = (local_time(zone, now_ms).local(now_ms) - self.clock(now_ms).local(now_ms)) // BIN_MS
        self._end_day()
        self.rates = np.roll(self.rates, bins)
        self.zone, self._day, self._bin = zone, -1, None

    def count(self, auctions: float, now_ms: int) -> bool:
        """Add the auctions since the last call; True when a bin has ended and the shape has changed.

        A bin counts only if it was watched from its beginning to its end: what came in a pause is not known.
        """
        number = now_ms // BIN_MS
        changed = False
        if number != self._bin:
            follows = self._bin is not None and number == self._bin + 1
            if follows and self._whole:
                self._learn((number - 1) * BIN_MS, self._count)
                changed = True
            self._whole = follows
            self._bin, self._count = number, 0.0
        self._count += auctions
        return changed

    def _learn(self, at_ms: int, count: float) -> None:
        """Learn the count of the bin that began at `at_ms`. An hour that comes twice in a day is the mean of both."""
        day, place = divmod(self.clock(at_ms).local(at_ms) // BIN_MS, DAY_BINS)
        if day != self._day:
            self._end_day()
            self._day = day
        known = self._today[place]
        self._today[place] = count if np.isnan(known) else (known + count) / 2

    def _end_day(self) -> None:
        """Make today's traffic a part of the week."""
        seen = ~np.isnan(self._today)
        if seen.any():
            start = self._day * DAY_BINS % BINS
            rates = self.rates[start : start + DAY_BINS]
            known = seen & ~np.isnan(rates)
            rates[known] += NEWEST * (self._today[known] - rates[known])
            fresh = seen & ~known
            rates[fresh] = self._today[fresh]
        self._today = np.full(DAY_BINS, np.nan)

    def weights(self) -> Floats:
        """Relative traffic of each bin: as learned, otherwise as on other weekdays, otherwise as assumed."""
        days = self.rates.reshape(7, DAY_BINS)
        known = ~np.isnan(days)
        learned = bool(np.where(known, days, 0.0).any())
        counts = known.sum(axis=0)
        of_time = np.where(counts > 0, np.where(known, days, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
        believed = self._believed(of_time if learned else self._today, days, known)
        if not learned:
            filled, mean = believed.ravel(), believed.mean()
        else:
            filled = np.where(known, days, np.where(np.isnan(of_time), believed, of_time)).ravel()
            mean = days[known].mean()
        weights: Floats = np.maximum(filled / mean, LEAST_PART)
        return weights

    def _believed(self, seen: Floats, days: Floats, known: Flags) -> Floats:
        """The assumed week, scaled to the volume of what was seen; shape (7, DAY_BINS)."""
        if self._before is None:
            mean = float(days[known].mean()) if known.any() else 1.0
            return np.full((7, DAY_BINS), mean if mean > 0.0 else 1.0)
        return moved_to_fit(self._before, seen).reshape(7, DAY_BINS)


def hours_mask(hours_of_week: Sequence[int], offset_ms: int) -> Floats:
    """1.0 for each bin of the week inside these hours (0 is Monday 00:00), 0.0 outside; without hours all are 1.0.

    `offset_ms` is how far the clock of the hours is ahead of the week's.
    """
    if not hours_of_week:
        return np.ones(BINS)
    hour = ((np.arange(BINS) * BIN_MS + offset_ms) // 3_600_000 + _MONDAY_HOURS) % 168
    mask: Floats = np.isin(hour, np.asarray(hours_of_week)).astype(np.float64)
    return mask


class Curves:
    """Cumulative traffic of several weekly patterns of a local clock, to be asked for many periods at once."""

    def __init__(self, patterns: Sequence[Floats], clock: LocalTime | None = None) -> None:
        """`patterns`: relative traffic by bin, each of BINS numbers that are not negative; `clock` None is UTC."""
        table = np.stack(list(patterns)) if patterns else np.ones((1, BINS))
        self._ends = np.concatenate([np.zeros((len(table), 1)), np.cumsum(table, axis=1)], axis=1)
        self._clock = clock or local_time("UTC", 0)
        # Where the clock jumps, what it left out did not come, and what it repeats came twice.
        jumps = np.zeros((len(table), len(self._clock.starts_ms)))
        rows = np.arange(len(table))
        for at in range(1, jumps.shape[1]):
            change = self._clock.starts_ms[at]
            before, after = (np.full(len(table), change + self._clock.offsets_ms[each]) for each in (at - 1, at))
            jumps[:, at] = jumps[:, at - 1] + self._until_local(rows, before) - self._until_local(rows, after)
        self._jumps = jumps

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
        segment = self._clock.segment(at_ms)
        local = self._until_local(pattern, at_ms + self._clock.offsets_ms[segment])
        until: Floats = local + self._jumps[pattern, segment]
        return until

    def _until_local(self, pattern: Integers, at_ms: Integers) -> Floats:
        week, inside = np.divmod(at_ms, WEEK_MS)
        number, rest = np.divmod(inside, BIN_MS)
        before, after = self._ends[pattern, number], self._ends[pattern, number + 1]
        until: Floats = week * self._ends[pattern, -1] + before + (after - before) * (rest / BIN_MS)
        return until
