"""Weeks of a line item with a target cost: a made market, late conversions, and the code that the worker runs.

Values and prices of impressions are lognormal and independent, the winner pays the second price, and conversions come
after an exponential delay. `over` is what a conversion costs at multiplier 1, as a part of the target; the market's own
curves say what it costs at each other multiplier.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from core.model import LineItem
from pacing.pace.goals import CostBook, Counts, ceiling

DAY_S = 86_400
TARGET = 10_000_000  # micros
LINE = LineItem(id=1, advertiser_id=1, campaign_id=1, name="target", target_cpa_micros=TARGET)
WIN_RATE = 0.3  # at multiplier 1

_NORMAL = NormalDist()


class Course(NamedTuple):
    """What became of one line item."""

    cost: float  # micros, from day 8 on
    expected: float  # conversions that this cost brings, from day 8 on
    was_stopped: bool
    drought: float  # the most matured cost without a conversion while it still bid, in targets
    spent: float  # all cost as paid, in targets
    volume: float  # conversions from day 8 on, as a part of those at the multiplier that meets the target

    @property
    def of_target(self) -> float:
        """The cost of a conversion as a part of the target, with expected instead of actual conversions."""
        return self.cost / self.expected / TARGET if self.expected else math.nan


class TargetMarket:
    """Cost and conversions of a day by multiplier, of a line item whose conversions cost `over` targets at 1."""

    def __init__(self, over: float, per_day: float, spread: float = 1.0) -> None:
        self._spread = spread
        self._both = math.sqrt(2.0) * spread
        self._win = _NORMAL.inv_cdf(WIN_RATE) * self._both
        self._rate = self._cost(1.0) / (self._value(1.0) * over) if over else 0.0
        self.reachable = self._reachable()
        self._volume = per_day / (self._rate * self._value(self.reachable)) if over else per_day / self._cost(1.0)

    def _cost(self, multiplier: float) -> float:
        at = (math.log(multiplier) + self._win - self._spread**2) / self._both
        return math.exp(self._spread**2 / 2) * _NORMAL.cdf(at)

    def _value(self, multiplier: float) -> float:
        at = (math.log(multiplier) + self._win + self._spread**2) / self._both
        return math.exp(self._win + self._spread**2 / 2) * _NORMAL.cdf(at)

    def _reachable(self) -> float:
        """The highest multiplier at which a conversion costs the target."""
        if not self._rate or self._cost(1.0) <= self._rate * self._value(1.0):
            return 1.0
        low, high = 1e-4, 1.0
        for _ in range(60):
            middle = math.sqrt(low * high)
            low, high = (low, middle) if self._cost(middle) > self._rate * self._value(middle) else (middle, high)
        return low

    def day(self, multiplier: float) -> tuple[float, float]:
        """Targets of cost and expected conversions of a whole day."""
        return self._volume * self._cost(multiplier), self._volume * self._rate * self._value(multiplier)


def course(
    market: TargetMarket,
    seed: int,
    *,
    days: int = 28,
    delay_s: float = DAY_S,
    step_s: int = 7_200,
) -> Course:
    """One line item for some days; `delay_s` is the mean time from a click to its conversion."""
    chance = np.random.default_rng(seed)
    book = CostBook()
    per_day = DAY_S // step_s
    arriving: dict[int, list[int]] = {}  # step -> days of the clicks
    counted = np.zeros(days)
    cost = expected = spent = drought = 0.0
    was_stopped = False
    for step in range(days * per_day):
        day, now_s = step // per_day, float(step * step_s)
        for clicked in arriving.pop(step, ()):
            counted[clicked] += 1
        book.observe(LINE.id, {known: Counts(counted[known], 0.0) for known in range(max(0, day - 13), day + 1)}, now_s)
        costs = book.judge(LINE, now_s)
        multiplier = ceiling(LINE, costs, day)
        was_stopped |= costs.stopped_s > 0.0
        if not costs.stopped_s:
            drought = max(drought, costs.drought / TARGET)
        paid, orders = (part / per_day for part in market.day(multiplier)) if not costs.stopped_s else (0.0, 0.0)
        spent += paid
        if paid:
            book.add(LINE.id, day, paid * TARGET, multiplier, now_s)
        if day >= 7:
            cost, expected = cost + paid * TARGET, expected + orders
        for _ in range(int(chance.poisson(orders))):
            arriving.setdefault(step + 1 + int(chance.exponential(delay_s) // step_s), []).append(day)
    usual = market.day(market.reachable)[1] * (days - 7)
    return Course(cost, expected, was_stopped, drought, spent, expected / usual if usual else 0.0)
