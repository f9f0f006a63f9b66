"""How much of a daily budget can be spent at the present bid: what a line item that bids too low does not reach.

Pacing lowers a bid to spread a budget over the day. Where it does not lower it any more (the multiplier is at its
highest) and less was spent than the day's traffic until now would allow, the budget is not what limits the line item:
its bid is, or its targeting. Then spent / (budget * traffic until now) is the share of the budget that such a day
brings.
"""

import datetime
import zoneinfo
from collections.abc import Mapping
from typing import Final

import numpy as np

from admin.diagnosis.budgets import Levels
from core.model import LineItem
from pacing.budgets.pools import UNLIMITED, PoolSpec
from pacing.pace.day_curve import DAY_BINS, shipped_week

Multipliers = Mapping[tuple[int, int], float]
"""By line item and share, as bidders have them now."""

# Before this part of the day's traffic has come by, a morning says little about the evening.
LEAST_TRAFFIC: Final = 0.25
# A paced day ends within a few per cent of its budget; what is further below is no matter of pacing.
REACHED: Final = 0.9
# Multipliers move by steps; one that is nearly at its highest does not hold the bid back.
NEARLY: Final = 0.98

_THURSDAY: Final = 3


def traffic_until(now_ms: int, timezone: str, hours_of_week: tuple[int, ...]) -> float:
    """The fraction of a usual local day's traffic that has come by, 0 to 1, in the hours that the line item bids in."""
    local = datetime.datetime.fromtimestamp(now_ms / 1000, zoneinfo.ZoneInfo(timezone))
    first = (local.weekday() - _THURSDAY) % 7 * DAY_BINS
    day = shipped_week()[first : first + DAY_BINS].copy()
    if hours_of_week:
        bids = {hour - 24 * local.weekday() for hour in hours_of_week}
        day[[at // 12 not in bids for at in range(DAY_BINS)]] = 0.0
    whole = float(day.sum())
    return float(np.sum(day[: local.hour * 12 + local.minute // 5])) / whole if whole else 0.0


def spendable_share(
    line_item: LineItem,
    levels: Levels,
    pools: list[PoolSpec],
    multipliers: Multipliers,
    *,
    day: int,
    timezone: str,
    now_ms: int,
) -> float | None:
    """The fraction of the daily budget that can be spent at this bid; None where the bid is not what limits it."""
    level = levels.get(f"d{line_item.id}@{day}")
    if level is None or level.micros.budget in (UNLIMITED, 0) or not pools:
        return None
    if any(multipliers.get(pool.key, 0.0) < NEARLY * pool.highest_multiplier for pool in pools):
        return None
    traffic = traffic_until(now_ms, timezone, line_item.targeting.hours_of_week)
    if traffic < LEAST_TRAFFIC:
        return None
    share = level.micros.spent / (level.micros.budget * traffic)
    return share if share < REACHED else None
