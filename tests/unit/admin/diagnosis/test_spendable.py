"""What share of a daily budget can be spent at a bid, and when the bid is not to blame."""

import pytest

from admin.diagnosis.deliverability import Scene, examine
from admin.diagnosis.spendable import spendable_share, traffic_until
from core.model import Budget, LineItem, Targeting
from pacing.budgets.pools import pools_of
from tests.kit.catalogues import catalogue, line_item
from tests.unit.admin.diagnosis.test_deliverability import DAY, DELIVERING, ENTERED, NOW_MS, level

ZONE = "Europe/Warsaw"
HOUR_MS = 3_600_000
BUDGET = 100_000_000
LINE_ITEM = line_item(1, daily_budget=Budget(micros=BUDGET))


def share_of(
    spent: int, *, multiplier: float = 1.0, value: LineItem = LINE_ITEM, now_ms: int = NOW_MS, budget: int = BUDGET
) -> float | None:
    levels = {**ENTERED, f"d1@{DAY}": level(budget, spent)}
    pools = pools_of(value, catalogue(value).campaigns[0])
    multipliers: dict[tuple[int, int], float] = {pool.key: multiplier * pool.highest_multiplier for pool in pools}
    return spendable_share(value, levels, pools, multipliers, day=DAY, timezone=ZONE, now_ms=now_ms)


def test_traffic_grows_from_midnight_to_midnight() -> None:
    midnight = NOW_MS - NOW_MS % (24 * HOUR_MS) - 2 * HOUR_MS  # in Warsaw in summer
    day = [traffic_until(midnight + hour * HOUR_MS, ZONE, ()) for hour in range(24)]
    assert day == sorted(day)
    assert day[0] == 0.0
    assert 0.9 < day[23] < 1.0
    assert 0.3 < traffic_until(NOW_MS, ZONE, ()) < 0.8


def test_hours_that_it_does_not_bid_in_are_not_counted() -> None:
    monday_morning = tuple(range(8, 12))
    assert traffic_until(NOW_MS, ZONE, monday_morning) == 1.0
    assert traffic_until(NOW_MS, ZONE, (20, 21)) == 0.0
    assert traffic_until(NOW_MS, ZONE, (30,)) == 0.0, "of another day"


def test_a_bid_that_is_too_low_reaches_a_share_of_its_budget() -> None:
    traffic = traffic_until(NOW_MS, ZONE, ())
    assert share_of(int(0.12 * BUDGET * traffic)) == pytest.approx(0.12, abs=0.001)
    assert share_of(0) == 0.0


@pytest.mark.parametrize("multiplier", [0.0, 0.1, 0.9])
def test_what_pacing_holds_back_is_not_told(multiplier: float) -> None:
    assert share_of(1_000_000, multiplier=multiplier) is None


def test_what_is_on_plan_early_or_without_a_daily_budget_is_not_told() -> None:
    assert share_of(int(0.95 * BUDGET * traffic_until(NOW_MS, ZONE, ()))) is None
    assert share_of(0, now_ms=NOW_MS - 12 * HOUR_MS) is None
    assert share_of(0, budget=-1) is None
    hours = line_item(1, daily_budget=Budget(micros=BUDGET), targeting=Targeting(hours_of_week=(20, 21)))
    assert share_of(0, value=hours) is None


def test_the_doctor_says_so_and_what_to_do() -> None:
    spent = int(0.12 * BUDGET * traffic_until(NOW_MS, ZONE, ()))
    levels = {1: {**ENTERED, f"d1@{DAY}": level(BUDGET, spent)}}
    scene = Scene.of(catalogue(LINE_ITEM), levels, {}, {1: DELIVERING}, NOW_MS, {(1, 0): 1.0})
    (found,) = [one for one in examine(LINE_ITEM, scene) if "can be spent" in one.text]
    assert "about 12% of its daily budget" in found.text
    assert "raise the bid" in found.advice
