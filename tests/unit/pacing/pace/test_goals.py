import pytest

from core.model import Goal, LineItem
from pacing.pace.controller import LEAST_MULTIPLIER
from pacing.pace.goals import COHORT_DAYS, PRIOR_CONVERSIONS, Cohort, CostBook, ceiling, is_bound, matured

DAY = 20_000
DAY_S = 86_400.0
TARGET = 1_000_000


def line(**changes: object) -> LineItem:
    values: dict[str, object] = {"id": 7, "advertiser_id": 1, "campaign_id": 3, "name": "l"}
    return LineItem(**(values | changes))  # type: ignore[arg-type]  # tests name fields that exist


CPA = line(target_cpa_micros=TARGET)


def old(cost: float, conversions: float = 0.0, value: float = 0.0) -> Cohort:
    """A cohort of ten days ago: all but a thousandth of it has converted."""
    return Cohort(DAY - 10, cost, conversions, value)


def test_half_of_the_conversions_come_within_a_day() -> None:
    assert matured(-5.0) == matured(0.0) == 0.0
    assert matured(1e7) == pytest.approx(1.0)
    # Of bids spread over a day, at its end a little more than a quarter; a day later half of the rest is there too.
    assert 0.25 < matured(DAY_S) < 0.3
    assert 1 - matured(2 * DAY_S) == pytest.approx((1 - matured(DAY_S)) / 2)


def test_without_evidence_nothing_is_held_back() -> None:
    assert ceiling(CPA, [], DAY, DAY_S) == 1.0
    assert ceiling(line(), [old(1e12)], DAY, DAY_S) == 1.0
    assert [is_bound(line()), is_bound(CPA), is_bound(line(target_roas_percent=400))] == [False, True, True]


def test_conversions_at_twice_the_target_halve_the_multiplier() -> None:
    many = 10_000.0
    assert ceiling(CPA, [old(2 * TARGET * many, many)], DAY, DAY_S) == pytest.approx(0.5, rel=0.01)
    assert ceiling(CPA, [old(0.5 * TARGET * many, many)], DAY, DAY_S) == 1.0


def test_a_line_item_that_is_to_spend_all_may_rise_as_far_as_its_target_allows() -> None:
    many = 10_000.0
    assert ceiling(CPA, [], DAY, DAY_S, highest=10.0) == 1.0
    assert ceiling(CPA, [old(0.5 * TARGET * many, many)], DAY, DAY_S, highest=10.0) == pytest.approx(2.0, rel=0.01)
    assert ceiling(CPA, [old(0.01 * TARGET * many, many)], DAY, DAY_S, highest=10.0) == 10.0
    assert ceiling(CPA, [old(2 * TARGET * many, many)], DAY, DAY_S, highest=10.0) == pytest.approx(0.5, rel=0.01)
    assert ceiling(line(), [old(1e12)], DAY, DAY_S, highest=10.0) == 10.0


def test_few_conversions_prove_little() -> None:
    assert ceiling(CPA, [old(2.0 * TARGET, 1)], DAY, DAY_S) > 0.97


def test_cost_without_any_conversion_holds_back_in_the_end() -> None:
    assert ceiling(CPA, [old(PRIOR_CONVERSIONS * TARGET)], DAY, DAY_S) == pytest.approx(0.5, rel=0.01)


def test_the_cost_of_today_hardly_counts_yet() -> None:
    cost = 10 * PRIOR_CONVERSIONS * TARGET
    young = ceiling(CPA, [Cohort(DAY, cost, 0, 0)], DAY, 3_600.0)
    assert young > 0.85 > ceiling(CPA, [old(cost)], DAY, DAY_S)


def test_cost_is_counted_as_at_multiplier_one_so_the_constraint_does_not_wind_up() -> None:
    book = CostBook()
    book.add(7, DAY - 10, 1_000.0, 0.5)
    assert book.lines == {7: {DAY - 10: 2_000.0}}
    # Paid the target at half the multiplier: bidding more is not allowed, bidding less is not asked for.
    many = 10_000.0
    assert ceiling(CPA, [old(2 * TARGET * many, many)], DAY, DAY_S) == pytest.approx(0.5, rel=0.01)


def test_a_return_target_compares_sales_with_cost() -> None:
    roas = line(target_roas_percent=400)
    assert ceiling(roas, [old(5e9, 1_000, 10e9)], DAY, DAY_S) == pytest.approx(0.5, rel=0.05)
    assert ceiling(roas, [old(1e9, 1_000, 10e9)], DAY, DAY_S) == 1.0


def test_a_return_target_without_sales_waits_unless_a_conversion_has_a_price() -> None:
    cost = [old(1e12)]
    assert ceiling(line(target_roas_percent=400), cost, DAY, DAY_S) == 1.0
    priced = line(target_roas_percent=400, goal=Goal.CPA, bid_micros=TARGET)
    assert ceiling(priced, cost, DAY, DAY_S) < 0.1


def test_both_targets_hold_and_the_bound_below_is_that_of_pacing() -> None:
    both = line(target_cpa_micros=TARGET, target_roas_percent=400)
    many = 10_000.0
    assert ceiling(both, [old(2 * TARGET * many, many, 1e15)], DAY, DAY_S) == pytest.approx(0.5, rel=0.01)
    assert ceiling(CPA, [old(1e30)], DAY, DAY_S) == LEAST_MULTIPLIER


def test_what_is_older_than_a_fortnight_is_forgotten() -> None:
    stale = Cohort(DAY - COHORT_DAYS, 1e12, 0, 0)
    assert ceiling(CPA, [stale], DAY, DAY_S) == 1.0
    book = CostBook()
    book.add(7, DAY - COHORT_DAYS, 5.0, 1.0)
    book.add(7, DAY, 5.0, 1.0)
    assert book.lines == {7: {DAY: 5.0}}
