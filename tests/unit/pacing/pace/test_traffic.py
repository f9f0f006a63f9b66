import numpy as np
import pytest

from pacing.pace.traffic import BIN_MS, BINS, DAY_BINS, NEWEST, WEEK_MS, Curves, TrafficShape, hours_mask

DAY_MS = DAY_BINS * BIN_MS
HOUR_MS = 3_600_000


def at(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


def learned(*counts: float, start: int = 0) -> TrafficShape:
    """A shape that saw these counts in bins one after the other, after a partial bin that does not count."""
    shape = TrafficShape()
    shape.count(0, (start - 1) * BIN_MS + 1)  # the bin before, of which only the end was seen
    for number, count in enumerate(counts):
        shape.count(count, (start + number) * BIN_MS + 1)
    shape.count(0, (start + len(counts)) * BIN_MS + 1)
    return shape


def share(curves: Curves, start: int, now: int, end: int) -> float:
    return float(curves.share(at(0), at(start), now, at(end))[0])


def test_traffic_is_uniform_until_it_is_learned() -> None:
    assert TrafficShape().weights().tolist() == [1.0] * BINS


def test_a_bin_is_learned_when_it_was_watched_from_its_beginning_to_its_end() -> None:
    shape = TrafficShape()
    assert not shape.count(5, 100)  # in the middle of bin 0
    assert not shape.count(7, BIN_MS + 100)
    assert shape.count(0, 2 * BIN_MS + 100)
    assert np.flatnonzero(~np.isnan(shape.rates)).tolist() == [1]
    assert not shape.count(0, 9 * BIN_MS)  # the worker was away
    assert np.flatnonzero(~np.isnan(shape.rates)).tolist() == [1]


def test_the_same_time_of_the_next_week_moves_the_average() -> None:
    shape = learned(100)
    shape.count(0, WEEK_MS - BIN_MS)
    shape.count(200, WEEK_MS)
    shape.count(0, WEEK_MS + BIN_MS)
    assert shape.rates[0] == pytest.approx(100 + NEWEST * 100)


def test_what_is_not_known_of_a_weekday_is_taken_from_the_others() -> None:
    weights = learned(*[100.0] * 144, *[300.0] * 144).weights()
    assert weights[DAY_BINS] == weights[0] == pytest.approx(0.5)
    assert weights[DAY_BINS + 200] == pytest.approx(1.5)


def test_a_quiet_bin_keeps_a_little_weight() -> None:
    weights = learned(0.0, 100.0).weights()
    assert 0 < weights[0] < 0.03
    assert learned(0.0, 0.0).weights().tolist() == [1.0] * BINS


def test_shares_of_uniform_traffic_are_shares_of_time() -> None:
    curves = Curves([np.ones(BINS)])
    assert share(curves, 0, DAY_MS // 4, DAY_MS) == pytest.approx(0.25)
    assert share(curves, DAY_MS // 2, DAY_MS // 2 + 1_000, DAY_MS) == pytest.approx(1_000 / (DAY_MS / 2))
    assert share(curves, 3 * WEEK_MS, 4 * WEEK_MS, 13 * WEEK_MS) == pytest.approx(0.1)


def test_an_ended_period_has_all_of_its_traffic_behind_it() -> None:
    curves = Curves([np.ones(BINS)])
    assert share(curves, 0, DAY_MS, DAY_MS) == 1.0
    assert share(curves, DAY_MS, 5, DAY_MS - 1) == 1.0


def test_shares_follow_the_learned_shape() -> None:
    curves = Curves([learned(*[100.0] * 144, *[300.0] * 144).weights()])
    assert share(curves, 0, DAY_MS // 2, DAY_MS) == pytest.approx(0.25)


def test_hours_outside_the_allowed_ones_have_no_traffic() -> None:
    # Monday 09:00 to 11:00 in a zone two hours ahead of UTC is 07:00 to 09:00 UTC.
    mask = hours_mask((9, 10), 2 * HOUR_MS)
    monday = 4 * DAY_BINS  # the week of bins begins on a Thursday
    assert np.flatnonzero(mask).tolist() == list(range(monday + 7 * 12, monday + 9 * 12))
    start = 4 * DAY_MS
    assert share(Curves([mask]), start, start + 8 * HOUR_MS, start + DAY_MS) == pytest.approx(0.5)
    assert share(Curves([mask]), start, start + 6 * HOUR_MS, start + DAY_MS) == 0.0


def test_without_hours_all_are_allowed() -> None:
    assert hours_mask((), HOUR_MS).all()
