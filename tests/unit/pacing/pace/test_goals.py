import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model import Goal, LineItem
from pacing.pace.controller import LEAST_MULTIPLIER
from pacing.pace.goals import (
    AIM,
    COHORT_DAYS,
    ELASTICITY,
    LONGEST_DROUGHT,
    MEAN_DELAY_S,
    PRIOR_CONVERSIONS,
    WRONGLY_STOPPED,
    CostBook,
    Counts,
    DayCost,
    LineCosts,
    ceiling,
    costs_of_before,
    is_bound,
    is_stopped,
    patience,
)

DAY = 20_000
DAY_S = 86_400.0
TARGET = 1_000_000
MANY = 10_000.0


def line(**changes: object) -> LineItem:
    values: dict[str, object] = {"id": 7, "advertiser_id": 1, "campaign_id": 3, "name": "l"}
    return LineItem(**(values | changes))  # type: ignore[arg-type]  # tests name fields that exist


CPA = line(target_cpa_micros=TARGET)


def old(cost: float, conversions: float = 0.0, value: float = 0.0) -> LineCosts:
    """What ten days ago brought; all of it has matured."""
    return LineCosts(DAY * DAY_S, {DAY - 10: DayCost(cost)}, {DAY - 10: conversions}, {DAY - 10: value}, conversions)


def held(quotient: float) -> float:
    """The multiplier for an allowed cost of `quotient` of that at multiplier 1."""
    return float(pytest.approx((AIM * quotient) ** (1 / ELASTICITY), rel=0.01).expected)


def test_without_evidence_nothing_is_held_back() -> None:
    assert ceiling(CPA, LineCosts(), DAY) == 1.0
    assert ceiling(line(), old(1e12), DAY) == 1.0
    assert [is_bound(line()), is_bound(CPA), is_bound(line(target_roas_percent=400))] == [False, True, True]


def test_conversions_above_the_target_lower_the_multiplier_by_the_elasticity_of_their_cost() -> None:
    assert ceiling(CPA, old(2 * TARGET * MANY, MANY), DAY) == pytest.approx(held(0.5), rel=0.01)
    assert ceiling(CPA, old(0.5 * TARGET * MANY, MANY), DAY) == 1.0


def test_a_line_item_that_is_to_spend_all_may_rise_as_far_as_its_target_allows() -> None:
    assert ceiling(CPA, LineCosts(), DAY, highest=10.0) == 1.0
    assert ceiling(CPA, old(0.5 * TARGET * MANY, MANY), DAY, highest=10.0) == pytest.approx(2 * AIM, rel=0.01)
    assert ceiling(CPA, old(0.01 * TARGET * MANY, MANY), DAY, highest=10.0) == 10.0
    assert ceiling(CPA, old(2 * TARGET * MANY, MANY), DAY, highest=10.0) == pytest.approx(held(0.5), rel=0.01)
    assert ceiling(line(), old(1e12), DAY, highest=10.0) == 10.0


def test_a_prior_of_two_conversions_is_outweighed_by_a_few() -> None:
    assert ceiling(CPA, old(2.0 * TARGET, 1), DAY) == pytest.approx((AIM * 3 / (2 + 2 * AIM)) ** (1 / ELASTICITY))
    assert ceiling(CPA, old(AIM * PRIOR_CONVERSIONS * TARGET), DAY) == pytest.approx(0.5 ** (1 / ELASTICITY))


def test_cost_counts_as_its_conversions_are_due() -> None:
    book = CostBook()
    book.add(7, DAY, 100.0 * TARGET, 1.0, DAY * DAY_S)
    young = ceiling(CPA, book.judge(CPA, DAY * DAY_S), DAY)
    assert young == 1.0
    costs = book.judge(CPA, DAY * DAY_S + MEAN_DELAY_S * math.log(2))  # half of them have come
    assert costs.days[DAY].unmatured == pytest.approx(50.0 * TARGET)
    assert costs.drought == pytest.approx(50.0 * TARGET)
    assert ceiling(CPA, costs, DAY) < 0.1


def test_cost_is_counted_as_at_multiplier_one_so_the_constraint_does_not_wind_up() -> None:
    book = CostBook()
    book.add(7, DAY - 10, 1_000.0, 0.5, DAY * DAY_S)
    (costs,) = book.lines.values()
    assert costs.days[DAY - 10].scaled == pytest.approx(1_000.0 / 0.5**ELASTICITY)
    assert costs.unmatured == 1_000.0  # a drought counts what was paid


def test_a_return_target_compares_sales_with_cost() -> None:
    roas = line(target_roas_percent=400)
    assert ceiling(roas, old(5e9, 1_000, 10e9), DAY) == pytest.approx(held(0.5), rel=0.05)
    assert ceiling(roas, old(1e9, 1_000, 10e9), DAY) == 1.0


def test_a_return_target_without_sales_waits_unless_a_conversion_has_a_price() -> None:
    cost = old(1e12)
    assert ceiling(line(target_roas_percent=400), cost, DAY) == 1.0
    assert patience(line(target_roas_percent=400), cost) == math.inf
    priced = line(target_roas_percent=400, goal=Goal.CPA, bid_micros=TARGET)
    assert ceiling(priced, cost, DAY) < 0.1
    assert patience(priced, cost) == pytest.approx(LONGEST_DROUGHT * TARGET)


def test_both_targets_hold_and_the_bound_below_is_that_of_pacing() -> None:
    both = line(target_cpa_micros=TARGET, target_roas_percent=400)
    assert ceiling(both, old(2 * TARGET * MANY, MANY, 1e15), DAY) == pytest.approx(held(0.5), rel=0.01)
    assert ceiling(CPA, old(1e30), DAY) == LEAST_MULTIPLIER


def test_what_is_older_than_a_fortnight_is_forgotten() -> None:
    stale = LineCosts(0.0, {DAY - COHORT_DAYS: DayCost(1e12)})
    assert ceiling(CPA, stale, DAY) == 1.0
    book = CostBook()
    book.add(7, DAY - COHORT_DAYS, 5.0, 1.0, 0.0)
    book.observe(7, {DAY - COHORT_DAYS: Counts(1.0, 1.0)}, 0.0)
    book.add(7, DAY, 5.0, 1.0, 0.0)
    assert [*book.lines[7].days] == [DAY]
    assert book.lines[7].conversions == {}


def spent(targets: float, conversions: float = 0.0) -> CostBook:
    """So many targets of matured cost, the conversions before all of it."""
    book = CostBook()
    book.observe(7, {DAY: Counts(conversions, 0.0)}, 0.0)
    book.add(7, DAY, targets * TARGET, 1.0, 0.0)
    book.judge(CPA, 99 * MEAN_DELAY_S)
    return book


LATER_S = 99 * MEAN_DELAY_S


def test_ten_targets_of_matured_cost_without_a_conversion_stop_a_line_item() -> None:
    assert not spent(9.8).judge(CPA, LATER_S).stopped_s
    costs = spent(10.0).judge(CPA, LATER_S)
    assert costs.stopped_s == LATER_S
    assert ceiling(CPA, costs, DAY) == LEAST_MULTIPLIER


def test_a_late_conversion_undoes_the_stop() -> None:
    book = spent(30.0)
    book.observe(7, {DAY: Counts(1.0, 5.0)}, LATER_S)
    costs = book.judge(CPA, LATER_S)
    assert (costs.stopped_s, costs.drought) == (0.0, 0.0)
    book.observe(7, {DAY: Counts(1.0, 5.0)}, LATER_S)  # the same one ends nothing
    book.add(7, DAY, 10.0 * TARGET, 1.0, LATER_S)
    assert book.judge(CPA, 2 * LATER_S).stopped_s == 2 * LATER_S


def test_a_person_undoes_the_stop_and_what_was_spent_before_does_not_stop_it_again() -> None:
    book = spent(10.0)
    book.add(7, DAY, 100.0 * TARGET, 1.0, LATER_S)  # not matured yet
    book.resume(7, LATER_S)
    assert not book.judge(CPA, 3 * LATER_S).stopped_s
    book.add(7, DAY, 10.0 * TARGET, 1.0, 3 * LATER_S)
    assert book.judge(CPA, 4 * LATER_S).stopped_s


def test_a_higher_target_undoes_the_stop() -> None:
    book = spent(15.0)
    assert book.judge(CPA, LATER_S).stopped_s
    assert not book.judge(line(target_cpa_micros=2 * TARGET), LATER_S).stopped_s


@pytest.mark.parametrize(("conversions", "limit"), [(0, 9.9), (99, 9.9), (110, 10.0), (500, 11.52), (700, 11.85)])
def test_patience_grows_with_what_a_line_item_sold_in_the_last_fortnight(conversions: int, limit: float) -> None:
    longest = patience(CPA, old(0.0, conversions)) / TARGET
    assert longest == pytest.approx(limit, abs=0.01)
    # The chance that one on target is stopped within the fortnight: so many droughts, each of a Poisson process.
    assert conversions * math.exp(-longest) <= WRONGLY_STOPPED * (1 + 1e-9)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 20 * TARGET), st.floats(0.0001, 1.0)), max_size=20),
    st.floats(0, 1e7),
)  # fmt: skip
def test_no_cost_is_lost_between_what_has_matured_and_what_has_not(
    charges: list[tuple[float, float, float]], after_s: float
) -> None:
    book = CostBook()
    now_s = 0.0
    for wait_s, cost, multiplier in charges:
        now_s += wait_s
        book.add(7, DAY, cost, multiplier, now_s)
    costs = book.judge(CPA, now_s + after_s)
    paid = sum(cost for _, cost, _ in charges)
    assert costs.drought + costs.unmatured == pytest.approx(paid)
    if charges:
        assert 0.0 <= costs.days[DAY].unmatured <= costs.days[DAY].scaled * 1.000001
    assert is_stopped(CPA, costs) == (costs.drought >= LONGEST_DROUGHT * TARGET)


def test_costs_of_the_release_before_are_taken_over() -> None:
    costs = costs_of_before({DAY: 100.0, DAY - 10: 100.0}, DAY, 5.0)
    assert costs.days[DAY].unmatured == 100.0
    assert costs.days[DAY - 10].unmatured < 0.2
    assert costs.drought == costs.unmatured == 0.0
