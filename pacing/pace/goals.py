"""The other constraint: what a conversion may cost, or what money must bring back (target CPA and ROAS).

It caps the multiplier beside the budgets: `min(alpha_budget, alpha_roi)`. Conversions come late, so only the matured
part of each day's cost counts (docs/evidence.md): half of the orders come within a day, and a controller that took the
missing half for failure would stop every campaign on its first evening.

What is estimated is the cost of a conversion *at multiplier 1*: cost is divided by the multiplier that it was spent at.
That makes the constraint a quotient instead of another integrator, so a weeks-old order cannot wind it up.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from core.model import Goal, LineItem
from pacing.pace.controller import LEAST_MULTIPLIER

# Conversions' worth of belief that the target is met; fewer conversions than this prove little (docs/evidence.md).
PRIOR_CONVERSIONS: Final = 50.0

# Half of the conversions come within a day of the click (docs/evidence.md): F(age) = 1 - exp(-age / MEAN_DELAY_S).
MEAN_DELAY_S: Final = 86_400 / math.log(2)

# What is older says little about today's market, and is matured to more than 99% anyway.
COHORT_DAYS: Final = 14

_DAY_S: Final = 86_400.0


class Cohort(NamedTuple):
    """A line item's bids of one day: what they cost, that cost at multiplier 1, and what came of it so far."""

    day: int
    scaled_cost: float  # micros: the sum of cost / multiplier
    conversions: float
    value_micros: float


class CostBook:
    """What line items with a target have spent, by day, as it would have cost at multiplier 1. Kept over restarts."""

    def __init__(self) -> None:
        self.lines: dict[int, dict[int, float]] = {}  # line item -> day -> micros

    def add(self, line_item: int, day: int, cost_micros: float, multiplier: float) -> None:
        """Note a charge of today; days that no longer count are forgotten."""
        days = self.lines.setdefault(line_item, {})
        days[day] = days.get(day, 0.0) + cost_micros / max(multiplier, LEAST_MULTIPLIER)
        for old in [known for known in days if known <= day - COHORT_DAYS]:
            del days[old]


def matured(age_s: float) -> float:
    """Which part of a day's conversions has come `age_s` after the day began, if it cost the same each second."""
    spent_s = min(max(age_s, 0.0), _DAY_S)
    if spent_s == 0.0:
        return 0.0
    rest = (math.exp(-(age_s - spent_s) / MEAN_DELAY_S) - math.exp(-age_s / MEAN_DELAY_S)) * MEAN_DELAY_S / spent_s
    return 1.0 - rest


def is_bound(line_item: LineItem) -> bool:
    """Whether the line item has a constraint of this kind."""
    return line_item.target_cpa_micros is not None or line_item.target_roas_percent is not None


def ceiling(line_item: LineItem, cohorts: Sequence[Cohort], day: int, age_s: float, highest: float = 1.0) -> float:
    """The highest multiplier, `highest` at most, that keeps the targets; 1 while nothing is known.

    `age_s`: since `day` began.
    """
    cost = sum(
        cohort.scaled_cost * matured(age_s + (day - cohort.day) * _DAY_S)
        for cohort in cohorts
        if 0 <= day - cohort.day < COHORT_DAYS
    )
    known = [cohort for cohort in cohorts if 0 <= day - cohort.day < COHORT_DAYS]
    conversions = sum(cohort.conversions for cohort in known)
    value = sum(cohort.value_micros for cohort in known)
    if line_item.target_cpa_micros:
        target = float(line_item.target_cpa_micros)
        highest = min(highest, _multiplier(cost, conversions * target, PRIOR_CONVERSIONS * target))
    if line_item.target_roas_percent:
        per_value = 100.0 / line_item.target_roas_percent  # the cost that a micro of sales may have
        order = _allowed_order(line_item, value, conversions, per_value)
        highest = min(highest, _multiplier(cost, value * per_value, PRIOR_CONVERSIONS * order))
    return max(highest, LEAST_MULTIPLIER)


def _multiplier(cost: float, allowed: float, prior: float) -> float:
    """allowed / cost, both with the same prior added: 1 without evidence, or without a prior."""
    return (allowed + prior) / (cost + prior) if prior > 0.0 else 1.0


def _allowed_order(line_item: LineItem, value: float, conversions: float, per_value: float) -> float:
    """What an average order may cost: as measured, otherwise what the line item bids for one, otherwise unknown (0)."""
    if conversions > 0.0 and value > 0.0:
        return value / conversions * per_value
    return float(line_item.bid_micros) if line_item.goal is Goal.CPA else 0.0
