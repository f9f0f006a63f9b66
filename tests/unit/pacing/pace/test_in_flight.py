import numpy as np
import pytest

from pacing.pace.in_flight import PRIOR_RATIO, InFlight

DELAY = np.array([10.0])


def amounts(micros: float, impressions: float = 0.0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[micros], [impressions]])


def settled_in(seconds: int) -> InFlight:
    """A pool that bids 1,000 micros a second, of which a quarter is charged ten seconds later."""
    flight = InFlight(1)
    for second in range(seconds):
        flight.observe(amounts(1_000, 4), amounts(250 if second >= 10 else 0, 1 if second >= 10 else 0), DELAY, 1.0)
    return flight


def test_before_the_first_bill_a_tenth_of_what_was_bid_is_expected() -> None:
    flight = InFlight(1)
    flight.observe(amounts(5_000, 10), amounts(0), DELAY, 1.0)
    # Of bids that were sent all through a second, with bills after ten on average, a twentieth is billed at its end.
    assert flight.expected().ravel().tolist() == pytest.approx([4_758 * PRIOR_RATIO, 9.516 * PRIOR_RATIO], rel=0.03)


def test_the_ratio_of_charged_to_bid_is_learned() -> None:
    assert settled_in(600).ratio().ravel().tolist() == pytest.approx([0.25, 0.25], rel=0.06)


def test_what_is_expected_is_the_rate_times_the_delay() -> None:
    assert settled_in(600).expected()[0, 0] == pytest.approx(250 * 10, rel=0.08)


def test_bids_that_nobody_reports_on_fade_with_their_age() -> None:
    flight = settled_in(600)
    for _ in range(60):
        flight.observe(amounts(0), amounts(0), DELAY, 1.0)
    assert flight.expected()[0, 0] < 25


def test_a_bid_is_never_expected_to_cost_more_than_itself() -> None:
    flight = InFlight(1)
    flight.observe(amounts(1_000, 1), amounts(10**9, 10**6), DELAY, 1.0)
    assert flight.ratio().max() == 1.0


def test_a_long_pause_between_two_ticks_is_harmless() -> None:
    flight = settled_in(600)
    flight.observe(amounts(0), amounts(0), DELAY, 1e7)
    assert np.isfinite(flight.expected()).all()
    assert flight.expected()[0, 0] == pytest.approx(0.0, abs=1e-6)


def test_pools_are_carried_to_other_positions() -> None:
    before = InFlight(2)
    before.observe(np.array([[0.0, 5_000.0], [0.0, 1.0]]), np.zeros((2, 2)), np.array([10.0, 10.0]), 1.0)
    after = InFlight(2)
    after.carry(before, np.array([0]), np.array([1]))
    assert after.open[0].tolist() == [before.open[0, 1], 0.0]
