import pytest

from admin.diagnosis.budgets import PLENTY, left_in, shortage
from pacing.budgets.levels import Amounts, Level
from pacing.budgets.pools import PoolSpec

POOL = PoolSpec(7, 0, 1, 10_000, 1.0)
NONE = Amounts(-1, 0, 0, 0, 0)


def money(budget: int, spent: int, exposure: int = 0) -> Level:
    return Level(Amounts(budget, spent, exposure, budget - spent - exposure, 0), NONE)


def test_a_pool_without_limits_has_plenty() -> None:
    assert left_in({"l7": Level(NONE, NONE)}, POOL, 3, 5) == (PLENTY, PLENTY)
    assert shortage({"l7": Level(NONE, NONE)}, POOL, 3, 5, "PLN") is None


def test_a_pool_that_was_never_entered_has_nothing() -> None:
    assert left_in({"a": money(100, 0)}, POOL, 3, 5) == (0, 0)


def test_the_tightest_budget_decides_and_what_is_leased_counts_as_left() -> None:
    levels = {"l7": Level(NONE, NONE), "c3": money(1_000_000, 100_000), "d7@5": money(500_000, 300_000, 200_000)}
    assert left_in(levels, POOL, 3, 5) == (200_000, PLENTY)
    found = shortage(levels, POOL, 3, 5, "PLN")
    assert found == ("line item daily budget 0.30 of 0.50 PLN spent, 0.20 left", False)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("a", "advertiser balance"), ("c3", "campaign budget"), ("l7", "line item total budget"),
        ("d7@5", "line item daily budget"), ("p7.0", "general share of the total budget"),
        ("q7.0@5", "general share of the daily budget"),
    ],
)  # fmt: skip
def test_a_spent_budget_is_called_by_its_name(name: str, title: str) -> None:
    found = shortage({"l7": Level(NONE, NONE), name: money(2_000_000, 2_000_000)}, POOL, 3, 5, "EUR")
    assert found == (f"{title} 2.00 of 2.00 EUR spent", True)


def test_impressions_are_a_budget_too() -> None:
    levels = {"l7": Level(NONE, Amounts(5_000, 5_000, 0, 0, 0))}
    assert left_in(levels, POOL, 3, 5) == (PLENTY, 0)
    assert shortage(levels, POOL, 3, 5, "PLN") == ("line item total budget 5000 of 5000 impressions spent", True)
