import numpy as np
import pytest

from loadtest.traffic.arrival import Burst, Constant, DayCurve, Ramp, Shape, Steps, arrivals


def times(shape: Shape, duration_s: float, *, poisson: bool = False, seed: int = 1) -> list[float]:
    return [time for chunk in arrivals(shape, duration_s, poisson=poisson, seed=seed) for time in chunk]


def test_even_arrivals_keep_their_distance() -> None:
    gaps = np.diff(times(Constant(200), 3.0))
    assert len(gaps) == 599
    assert gaps == pytest.approx(0.005, abs=1e-6)


def test_times_ascend_and_stay_inside_the_run() -> None:
    for shape in (Constant(500), Ramp(10, 900, 4.0), Burst(100, 2_000, 1.3, 0.7), DayCurve(300, 4.0)):
        found = times(shape, 4.0, poisson=True)
        assert found == sorted(found)
        assert 0 <= found[0] <= found[-1] <= 4.0


def test_poisson_arrivals_have_the_rate_and_the_variance_of_their_process() -> None:
    counts = np.histogram(times(Constant(1_000), 50.0, poisson=True, seed=7), bins=500, range=(0, 50))[0]
    assert counts.mean() == pytest.approx(100, rel=0.02)
    assert counts.var() == pytest.approx(100, rel=0.2)


def test_same_seed_same_schedule_and_another_seed_another() -> None:
    assert times(Constant(100), 2.0, poisson=True, seed=3) == times(Constant(100), 2.0, poisson=True, seed=3)
    assert times(Constant(100), 2.0, poisson=True, seed=3) != times(Constant(100), 2.0, poisson=True, seed=4)


def test_a_ramp_sends_what_its_line_encloses() -> None:
    found = times(Ramp(0, 100, 10.0), 10.0)
    assert len(found) == pytest.approx(500, abs=1)
    assert sum(time < 5 for time in found) == pytest.approx(125, abs=1)


def test_steps_hold_each_rate_for_an_equal_part() -> None:
    found = np.histogram(times(Steps((10, 40, 0, 20), 8.0), 8.0), bins=4, range=(0, 8))[0]
    assert found.tolist() == pytest.approx([20, 80, 0, 40], abs=1)


def test_a_burst_is_a_rectangle_on_the_base() -> None:
    found = times(Burst(50, 500, 2.0, 1.0), 4.0)
    assert sum(2.0 <= time < 3.0 for time in found) == pytest.approx(500, abs=8)
    assert sum(time < 2.0 for time in found) == pytest.approx(100, abs=4)


def test_a_day_keeps_its_mean_and_peaks_in_the_evening() -> None:
    found = np.array(times(DayCurve(100, 24.0), 24.0))
    assert len(found) == pytest.approx(2_400, rel=0.01)
    hours = np.histogram(found, bins=24, range=(0, 24))[0]
    assert 19 <= hours.argmax() <= 21
    assert 2 <= hours.argmin() <= 4
