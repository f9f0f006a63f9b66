"""The constraint beside the budget: what a conversion may cost, or what money must bring back (target CPA and ROAS).

It caps the multiplier beside the budgets: `min(alpha_budget, alpha_roi)`. Conversions come late, so only the matured
part of each day's cost counts (docs/evidence.md): half of the orders come within a day, and a controller that took the
missing half for failure would stop every campaign on its first evening.

What is estimated is the cost of a conversion *at multiplier 1*: cost is divided by the power of the multiplier that it
was spent at (ELASTICITY). That makes the constraint a quotient instead of another integrator, so a weeks-old order
cannot wind it up.

A line item that spends without any conversion is stopped (`is_stopped`): its tag may be broken, or nobody wants what it
sells. That test looks at cost as it was paid, not as at multiplier 1.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from core.model import Goal, LineItem
from pacing.pace.controller import LEAST_MULTIPLIER

# Conversions' worth of belief that the target is met. Fifty kept campaigns 27 to 70% above a target that they could
# reach; with two a campaign on target loses 3 to 8% of its volume to bad luck (docs/pacing.md).
PRIOR_CONVERSIONS: Final = 2.0

# The part of the target that is aimed at: luck is uneven, as money is spent at once after a week that looks too good.
AIM: Final = 0.95

# The cost of a conversion grows with this power of the multiplier: 1 where a winner pays its bid, 0.75 to 0.8 in second
# price auctions whose prices and values spread by a factor of e. A wrong one is corrected by what comes after.
ELASTICITY: Final = 0.8

# Half of the conversions come within a day of the click (docs/evidence.md): F(age) = 1 - exp(-age / MEAN_DELAY_S).
MEAN_DELAY_S: Final = 86_400 / math.log(2)

# What is older says little about today's market, and is matured to more than 99% anyway.
COHORT_DAYS: Final = 14

# Targets' worth of matured cost without a conversion that stop a line item. On target, conversions come as a Poisson
# process in matured cost, so a drought this long has a chance of 1 in 20,000 at each conversion.
LONGEST_DROUGHT: Final = 9.9
# The chance that a line item on target is stopped within COHORT_DAYS. Of n conversions one comes after a drought of d
# targets with a chance of n * exp(-d), so with more than a hundred in a fortnight patience is longer than
# LONGEST_DROUGHT (docs/decisions/0021).
WRONGLY_STOPPED: Final = 0.005


_DAY_S: Final = 86_400.0


class DayCost(msgspec.Struct, array_like=True):
    """The cost of one day's bids as at multiplier 1, and the part that has not brought its conversions yet. Micros."""

    scaled: float = 0.0
    unmatured: float = 0.0


class LineCosts(msgspec.Struct, array_like=True):
    """A line item's costs and conversions. Append fields at the end, with a default."""

    at_s: float = 0.0  # the moment of the unmatured parts; unix seconds
    days: dict[int, DayCost] = {}
    conversions: dict[int, float] = {}  # by day of the touch, as they were seen last
    value_micros: dict[int, float] = {}
    ever: float = 0.0  # conversions since there is a target; only the release before reads it
    unmatured: float = 0.0  # micros as they were paid
    drought: float = 0.0  # micros of matured cost since the last conversion, or since a person resumed the line item
    stopped_s: float = 0.0  # unix seconds since which it is stopped; 0: it is not


class Counts(NamedTuple):
    """Conversions credited to the touches of one day."""

    conversions: float
    value_micros: float


class CostBook:
    """What line items with a target have spent and brought, of the last COHORT_DAYS. Kept over restarts."""

    def __init__(self) -> None:
        self.lines: dict[int, LineCosts] = {}

    def add(self, line_item: int, day: int, cost_micros: float, multiplier: float, now_s: float) -> None:
        """Note a charge of `day` that comes now."""
        costs = self._now(line_item, now_s)
        scaled = cost_micros / max(multiplier, LEAST_MULTIPLIER) ** ELASTICITY
        of_day = costs.days.setdefault(day, DayCost())
        of_day.scaled += scaled
        of_day.unmatured += scaled
        costs.unmatured += cost_micros
        for dated in (costs.days, costs.conversions, costs.value_micros):
            for old in [known for known in dated if known <= day - COHORT_DAYS]:
                del dated[old]

    def observe(self, line_item: int, counts: Mapping[int, Counts], now_s: float) -> None:
        """Take in the conversions by day. A new one ends a drought, however late it came."""
        costs = self._now(line_item, now_s)
        new = sum(max(0.0, one.conversions - costs.conversions.get(day, 0.0)) for day, one in counts.items())
        costs.conversions.update({day: one.conversions for day, one in counts.items()})
        costs.value_micros.update({day: one.value_micros for day, one in counts.items()})
        costs.ever += new
        if new > 0.0:
            costs.drought = 0.0

    def resume(self, line_item: int, now_s: float) -> None:
        """Forget the drought; what was spent so far will not count against the line item."""
        costs = self._now(line_item, now_s)
        costs.drought = costs.unmatured = costs.stopped_s = 0.0

    def judge(self, line_item: LineItem, now_s: float) -> LineCosts:
        """The costs as of now, with `stopped_s` as they demand it. A changed target judges the same drought anew."""
        costs = self._now(line_item.id, now_s)
        if not is_stopped(line_item, costs):
            costs.stopped_s = 0.0
        elif not costs.stopped_s:
            costs.stopped_s = now_s
        return costs

    def _now(self, line_item: int, now_s: float) -> LineCosts:
        """The costs of a line item, matured until now."""
        costs = self.lines.get(line_item)
        if costs is None:
            costs = self.lines[line_item] = LineCosts(now_s)
        left = math.exp(-max(0.0, now_s - costs.at_s) / MEAN_DELAY_S)
        costs.at_s = max(now_s, costs.at_s)
        for of_day in costs.days.values():
            of_day.unmatured *= left
        costs.drought += costs.unmatured * (1.0 - left)
        costs.unmatured *= left
        return costs


def costs_of_before(days: Mapping[int, float], day: int, now_s: float) -> LineCosts:
    """Costs from the state of the release before: micros as at multiplier 1, by day, matured by whole days.

    It does not tell what was paid, so these costs count in no drought.
    """
    parts = {known: math.exp(-max(day - known, 0) * _DAY_S / MEAN_DELAY_S) for known in days}
    return LineCosts(now_s, {known: DayCost(cost, cost * parts[known]) for known, cost in days.items()})


def is_bound(line_item: LineItem) -> bool:
    """Whether the line item has a target."""
    return line_item.target_cpa_micros is not None or line_item.target_roas_percent is not None


def ceiling(line_item: LineItem, costs: LineCosts, day: int, highest: float = 1.0) -> float:
    """The highest multiplier, `highest` at most, that keeps the targets on `day`; 1 while nothing is known."""
    if costs.stopped_s:
        return LEAST_MULTIPLIER
    cost = sum(one.scaled - one.unmatured for known, one in costs.days.items() if _counts(known, day))
    conversions, value = _sum(costs.conversions, day), _sum(costs.value_micros, day)
    if line_item.target_cpa_micros:
        target = float(line_item.target_cpa_micros)
        highest = min(highest, _multiplier(cost, conversions * target, PRIOR_CONVERSIONS * target))
    if line_item.target_roas_percent:
        per_value = 100.0 / line_item.target_roas_percent  # the cost that a micro of sales may have
        order = _allowed_order(line_item, value, conversions, per_value)
        highest = min(highest, _multiplier(cost, value * per_value, PRIOR_CONVERSIONS * order))
    return max(highest, LEAST_MULTIPLIER)


def patience(line_item: LineItem, costs: LineCosts) -> float:
    """The drought that stops the line item, in micros; infinite while the allowed cost of a conversion is unknown."""
    order = float(line_item.target_cpa_micros or 0)
    if not order and line_item.target_roas_percent:
        conversions, value = sum(costs.conversions.values()), sum(costs.value_micros.values())
        order = _allowed_order(line_item, value, conversions, 100.0 / line_item.target_roas_percent)
    recent = sum(costs.conversions.values())
    return order * max(LONGEST_DROUGHT, math.log(max(recent, 1.0) / WRONGLY_STOPPED)) if order else math.inf


def is_stopped(line_item: LineItem, costs: LineCosts) -> bool:
    """Whether the line item has spent too much since its last conversion to go on."""
    return costs.drought >= patience(line_item, costs)


def _counts(known: int, day: int) -> bool:
    return 0 <= day - known < COHORT_DAYS


def _sum(by_day: Mapping[int, float], day: int) -> float:
    return sum(number for known, number in by_day.items() if _counts(known, day))


def _multiplier(cost: float, allowed: float, prior: float) -> float:
    """The multiplier that meets AIM, from the cost at multiplier 1: 1 without evidence, or without a prior."""
    if prior <= 0.0:
        return 1.0
    quotient = AIM * (allowed + prior) / (cost + AIM * prior)
    # How much dearer conversions get above 1 is not known: there the cautious power is 1.
    return quotient if quotient > 1.0 else quotient ** (1.0 / ELASTICITY)


def _allowed_order(line_item: LineItem, value: float, conversions: float, per_value: float) -> float:
    """What an average order may cost: as measured, otherwise what the line item bids for one, otherwise unknown (0)."""
    if conversions > 0.0 and value > 0.0:
        return value / conversions * per_value
    return float(line_item.bid_micros) if line_item.goal is Goal.CPA else 0.0
