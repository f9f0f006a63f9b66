"""The landscape of prices: what is fitted to censored bids, and what is bid then."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.money import GROSZ_CPM_MICROS
from pacing.landscape.curve import (
    BINS,
    RATIOS,
    STEPS,
    Evidence,
    belief,
    best_steps,
    bin_of,
    bins_of,
    centres,
    fit,
    observe,
    shaded,
    win_rates,
)

NOTHING = np.zeros((1, BINS))
COUNTS = st.lists(st.tuples(st.integers(0, BINS - 1), st.floats(0, 1e6)), max_size=20)


def counts(pairs: list[tuple[int, float]]) -> np.ndarray:
    table = np.zeros((1, BINS))
    for place, count in pairs:
        table[0, place] += count
    return table


@settings(max_examples=60, deadline=None)
@given(COUNTS, COUNTS, COUNTS)
def test_any_evidence_gives_a_distribution_and_steps(
    exact: list[tuple[int, float]], won: list[tuple[int, float]], lost: list[tuple[int, float]]
) -> None:
    shape = fit(Evidence(counts(exact), counts(won), counts(lost)), belief())
    assert np.isfinite(shape).all()
    assert (shape >= 0).all()
    assert shape.sum() == pytest.approx(1.0)
    steps = best_steps(shape)
    assert ((steps >= 1) & (steps <= STEPS)).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 2 * 10**10), min_size=1, max_size=20), st.integers(0, 2**32))
def test_bids_lie_on_the_grid_between_nothing_and_the_value(values: list[int], seed: int) -> None:
    steps = best_steps(np.random.default_rng(seed).dirichlet(np.full(BINS, 0.1))[None, :])[0]
    bids = shaded(values, steps)
    assert (bids >= 0).all()
    assert (bids <= values).all()
    assert (bids % GROSZ_CPM_MICROS == 0).all()


def market(seed: int, count: int = 20_000) -> np.ndarray:
    """Prices around 3.00 CPM."""
    prices: np.ndarray = np.random.default_rng(seed).lognormal(math.log(300), 0.4, count) * GROSZ_CPM_MICROS
    return prices


@pytest.mark.parametrize("losses_tell", [True, False])
def test_the_price_is_found_though_wins_hide_it(losses_tell: bool) -> None:
    """From wins alone one would think that all prices lie below the bids."""
    prices = market(1)
    bids = np.random.default_rng(2).lognormal(math.log(250), 0.6, len(prices)) * GROSZ_CPM_MICROS
    seen = observe(prices, bids)
    if not losses_tell:
        lost = np.bincount(bins_of(bids[bids < prices]), minlength=BINS)[None, :].astype(float)
        seen = Evidence(NOTHING, seen.won, lost)
    shape = fit(seen, belief())
    asked = np.array([150.0, 220.0, 300.0, 400.0, 550.0]) * GROSZ_CPM_MICROS
    true = np.array([(prices <= bid).mean() for bid in asked])
    assert np.abs(win_rates(shape, asked)[0] - true).max() < (0.03 if losses_tell else 0.06)


def test_known_prices_outweigh_the_belief_and_a_few_do_not() -> None:
    dear = np.full(1_000, 5_000.0 * GROSZ_CPM_MICROS)
    many = fit(observe(dear), belief())
    few = fit(observe(dear[:3]), belief())
    at = np.array([4_000.0 * GROSZ_CPM_MICROS])
    assert win_rates(many, at)[0, 0] < 0.05
    assert win_rates(few, at)[0, 0] > 0.8


def test_an_earlier_result_is_a_good_start() -> None:
    seen = observe(market(3), market(4))
    whole = fit(seen, belief())
    again = fit(seen, belief(), start=whole, rounds=5)
    assert np.abs(np.cumsum(whole - again)).max() < 0.002


def test_the_step_earns_most() -> None:
    """Against every ratio, on the market itself."""
    prices = market(5)
    steps = best_steps(fit(observe(prices), belief()))[0]
    for value in (200.0, 400.0, 1_000.0):
        cpm = value * GROSZ_CPM_MICROS
        earned = [(1 - ratio) * (prices <= ratio * cpm).mean() for ratio in RATIOS]
        assert earned[int(steps[bins_of(cpm)]) - 1] >= 0.97 * max(earned)


def test_at_second_price_a_bill_tells_the_price() -> None:
    prices = market(6, 100)
    seen = observe(prices, prices * 2, first_price=False)
    assert seen.exact.sum() == seen.weight[0] == 100


def test_bins_are_their_centres() -> None:
    assert (bins_of(centres()) == np.arange(BINS)).all()
    assert bins_of([0, 1, GROSZ_CPM_MICROS, 10**18]).tolist() == [0, 0, 0, BINS - 1]


@given(st.integers(0, 10**13))
def test_one_price_has_the_bin_of_the_array(price: int) -> None:
    assert bin_of(price) == bins_of(price)
