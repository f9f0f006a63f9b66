"""Whatever is observed, multipliers stay numbers within their bounds and move against the error."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pacing.pace.controller import LEAST_MULTIPLIER, Observation, advance, cold_state
from pacing.pace.day_curve import BINS
from pacing.pace.traffic import WEEK_MS, Curves

AMOUNTS = st.one_of(st.just(0.0), st.floats(0, 2**53), st.sampled_from([1.0, 1e-9, 1e12]))
SHARES = st.floats(-0.5, 1.5)
TIMES = st.integers(0, 10**6)


@st.composite
def observations(draw: st.DrawFn) -> list[Observation]:
    """A few ticks of three budgets, time going forward."""
    now_ms, ticks = 0, []
    for _ in range(draw(st.integers(1, 8))):
        now_ms += draw(TIMES)

        def three(values: st.SearchStrategy[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return np.array([draw(values) for _ in range(3)])

        ticks.append(
            Observation(
                now_ms,
                three(AMOUNTS),
                three(AMOUNTS),
                three(AMOUNTS),
                three(SHARES),
                three(AMOUNTS),
                three(AMOUNTS),
                np.zeros(3),
            )
        )
    return ticks


@given(observations())
def test_multipliers_are_numbers_within_their_bounds(ticks: list[Observation]) -> None:
    state = cold_state(3, 0)
    for seen in ticks:
        state = advance(state, seen)
        multipliers = np.exp(state.log_multiplier)
        assert ((multipliers >= LEAST_MULTIPLIER * (1 - 1e-12)) & (multipliers <= 1.0)).all()
        assert (np.abs(state.error) <= 1.0).all()


@given(st.floats(1, 1e12), st.floats(0, 3), st.floats(0.001, 1.0), st.floats(0, 1e6))
def test_more_than_the_plan_lowers_and_less_raises(budget: float, part: float, share: float, charge: float) -> None:
    planned = budget * share
    one = np.ones(1)
    state = cold_state(1, 0)
    seen = Observation(
        1_000, budget * one, part * planned * one, 100 * one, share * one, charge * one, 0 * one, 0 * one
    )  # fmt: skip
    step = float(advance(state, seen).log_multiplier[0] - state.log_multiplier[0])
    if part > 1.0 + 1e-9:
        assert step <= 0.0
    elif part < 1.0 - 1e-9:
        assert step >= 0.0
    assert abs(step) <= 0.2 + 1e-12


@given(
    st.lists(st.floats(0.001, 100), min_size=7, max_size=7), st.integers(0, 60 * WEEK_MS), st.integers(1, 8 * WEEK_MS),
    st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip
def test_shares_of_traffic_grow_with_time_from_nothing_to_all(
    days: list[float], start: int, length: int, first: float, second: float
) -> None:
    curves = Curves([np.repeat(days, BINS // 7)])
    zero, starts, ends = np.zeros(1, np.int64), np.array([start]), np.array([start + length])
    times = sorted((start + int(first * length), start + int(second * length)))
    early, late = (float(curves.share(zero, starts, time, ends)[0]) for time in times)
    assert 0.0 <= early <= late + 1e-9 <= 1.0 + 1e-9
    assert float(curves.share(zero, starts, start + length, ends)[0]) == 1.0
