import math

import numpy as np
import pytest

from pacing.pace.controller import (
    GAIN,
    LEAST_MULTIPLIER,
    LONGEST_WINDOW_MS,
    ControllerState,
    Observation,
    advance,
    cold_state,
    restarted,
    tightest,
)


def ones(value: float = 1.0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([value])


def seen(
    *, now_ms: int = 1_000, budget: float = 1e6, committed: float = 0.0, scored: float = 100.0, share: float = 0.01,
    charge: float = 10.0, delay_ms: float = 0.0, log_most: float = 0.0,
) -> Observation:  # fmt: skip
    return Observation(
        now_ms, ones(budget), ones(committed), ones(scored), ones(share), ones(charge), ones(delay_ms), ones(log_most)
    )


def multiplier(state: ControllerState) -> float:
    return float(np.exp(state.log_multiplier[0]))


def moved(observation: Observation, state: ControllerState | None = None) -> float:
    """The logarithm's step in one tick from a fresh window at time 0."""
    before = state or cold_state(1, 0)
    return float(advance(before, observation).log_multiplier[0] - before.log_multiplier[0])


def test_a_new_budget_starts_at_a_tenth() -> None:
    assert multiplier(cold_state(1, 0)) == pytest.approx(0.1)


def test_the_step_is_the_normalised_error_times_the_gain() -> None:
    # 10,000 planned of a million.
    assert moved(seen(committed=5_000)) == pytest.approx(GAIN * 0.5)
    assert moved(seen(committed=20_000)) == pytest.approx(-GAIN * 0.5)
    assert moved(seen(committed=10_000)) == pytest.approx(0.0)


def test_no_spend_at_all_is_a_full_step_up_and_never_more() -> None:
    assert moved(seen(committed=0)) == pytest.approx(GAIN)


@pytest.mark.parametrize(
    "early", [seen(scored=99), seen(now_ms=999), seen(now_ms=4_000, delay_ms=10_000)], ids=["scored", "time", "delay"]
)
def test_a_window_lasts_a_hundred_auctions_a_second_and_half_the_delay_of_bills(early: Observation) -> None:
    state = advance(cold_state(1, 0), early)
    assert multiplier(state) == pytest.approx(0.1)
    assert state.since_ms[0] == 0


def test_a_window_adds_up_over_ticks() -> None:
    state = advance(cold_state(1, 0), seen(scored=60, committed=5_000))
    state = advance(state, seen(now_ms=2_000, scored=120, committed=20_000))
    assert math.log(multiplier(state) / 0.1) == pytest.approx(-GAIN * 0.5)
    assert (state.since_ms[0], state.committed[0], state.scored[0]) == (2_000, 20_000, 120)


def test_few_auctions_are_judged_after_five_minutes() -> None:
    assert moved(seen(now_ms=LONGEST_WINDOW_MS, scored=3)) == pytest.approx(GAIN)


def test_without_an_auction_nothing_is_learned_but_the_window_begins_anew() -> None:
    state = advance(cold_state(1, 0), seen(now_ms=LONGEST_WINDOW_MS, scored=0))
    assert multiplier(state) == pytest.approx(0.1)
    assert state.since_ms[0] == LONGEST_WINDOW_MS


def test_rare_charges_move_little_and_balance_out() -> None:
    # A tenth of a charge is planned a window: nine windows without and one with a charge are exactly the plan.
    up = moved(seen(committed=0, budget=1_000, share=0.01, charge=100))
    down = moved(seen(committed=100, budget=1_000, share=0.01, charge=100))
    assert 9 * up + down == pytest.approx(0.0)
    assert 0 < up < GAIN / 5


def test_a_zero_budget_and_a_spent_budget_never_raise_the_multiplier() -> None:
    assert moved(seen(budget=0, committed=0)) == 0.0
    assert moved(seen(budget=0, committed=500)) < 0.0
    spent = restarted(cold_state(1, 0), np.array([True]), 0, ones(1e6), ones(0.0))
    assert moved(seen(committed=1e6), spent) == 0.0
    assert moved(seen(committed=1e6 + 5_000), spent) == pytest.approx(-GAIN)


def test_the_end_of_the_day_plans_all_that_is_left() -> None:
    assert moved(seen(share=1.0, committed=500_000)) == pytest.approx(GAIN * 0.5)


def test_a_change_of_the_budget_counts_from_the_present_window() -> None:
    assert moved(seen(budget=2e6, committed=10_000)) == pytest.approx(GAIN * 0.5)
    assert moved(seen(budget=5e5, committed=10_000)) == pytest.approx(-GAIN * 0.5)


def test_multipliers_stay_between_their_bounds() -> None:
    low = high = cold_state(1, 0)
    for second in range(1, 100):
        low = advance(low, seen(now_ms=1_000 * second, scored=100.0 * second, committed=1e6 + 1e5 * second))
        high = advance(high, seen(now_ms=1_000 * second, scored=100.0 * second))
    assert multiplier(low) == pytest.approx(LEAST_MULTIPLIER)
    assert multiplier(high) == 1.0


def test_a_budget_to_be_spent_at_any_price_may_bid_above_the_value() -> None:
    state = cold_state(1, 0)
    for second in range(1, 100):
        state = advance(state, seen(now_ms=1_000 * second, scored=100.0 * second, log_most=math.log(3)))
    assert multiplier(state) == pytest.approx(3.0)


def test_a_new_day_keeps_the_multiplier() -> None:
    state = advance(cold_state(1, 0), seen(committed=20_000))
    renewed = restarted(state, np.array([True]), 5_000, ones(0.0), ones(100.0))
    assert multiplier(renewed) == multiplier(state)
    assert (renewed.since_ms[0], renewed.committed[0]) == (5_000, 0.0)


def test_the_tightest_budget_decides() -> None:
    state = cold_state(3, 0)._replace(log_multiplier=np.log([0.5, 0.2, 0.9]))
    rows = np.array([[0, 1], [2, -1], [-1, -1]])
    assert tightest(state, rows, np.ones(3)).tolist() == pytest.approx([0.2, 0.9, 1.0])
    assert tightest(state, rows, np.array([0.1, 1.0, 0.3])).tolist() == pytest.approx([0.1, 0.9, 0.3])
