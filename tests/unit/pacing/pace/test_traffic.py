import datetime
import zoneinfo

import numpy as np
import pytest

from pacing.pace.day_curve import BINS, DAY_BINS, shipped_week
from pacing.pace.local_time import local_time
from pacing.pace.traffic import BIN_MS, NEWEST, WEEK_MS, Curves, TrafficShape, hours_mask

WARSAW = zoneinfo.ZoneInfo("Europe/Warsaw")
DAY_MS = DAY_BINS * BIN_MS
HOUR_MS = 3_600_000


def at(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


def learned(*counts: float, start: int = 0) -> TrafficShape:
    """A shape that saw these counts in bins one after the other, after a partial bin that does not count, until the day
    was over."""
    shape = TrafficShape()
    shape.count(0, (start - 1) * BIN_MS + 1)  # the bin before, of which only the end was seen
    for number, count in enumerate(counts):
        shape.count(count, (start + number) * BIN_MS + 1)
    shape.count(0, (start + len(counts)) * BIN_MS + 1)
    end_day(shape, start // DAY_BINS + 1)
    return shape


def end_day(shape: TrafficShape, day: int) -> None:
    """Let the whole first bin of a day pass: what was seen the day before is learned then."""
    for number in (-1, 0, 1):
        shape.count(0, (day * DAY_BINS + number) * BIN_MS + 1)


def share(curves: Curves, start: int, now: int, end: int) -> float:
    return float(curves.share(at(0), at(start), now, at(end))[0])


def test_traffic_is_uniform_until_it_is_learned() -> None:
    assert TrafficShape().weights().tolist() == [1.0] * BINS


def test_a_bin_is_learned_when_it_was_watched_from_its_beginning_to_its_end() -> None:
    shape = TrafficShape()
    assert not shape.count(5, 100)  # in the middle of bin 0
    assert not shape.count(7, BIN_MS + 100)
    assert shape.count(0, 2 * BIN_MS + 100)
    assert np.isnan(shape.rates).all(), "not before the day is over"
    end_day(shape, 1)
    assert np.flatnonzero(~np.isnan(shape.rates)).tolist() == [1]
    assert not shape.count(0, 9 * BIN_MS + DAY_MS)  # the worker was away
    end_day(shape, 2)
    assert np.flatnonzero(~np.isnan(shape.rates)).tolist() == [1, DAY_BINS]


def test_the_same_time_of_the_next_week_moves_the_average() -> None:
    shape = learned(100)
    shape.count(0, WEEK_MS - BIN_MS)
    shape.count(200, WEEK_MS)
    shape.count(0, WEEK_MS + BIN_MS)
    end_day(shape, 8)
    assert shape.rates[0] == pytest.approx(100 + NEWEST * 100)


def test_what_is_not_known_of_a_weekday_is_taken_from_the_others() -> None:
    weights = learned(*[100.0] * 144, *[300.0] * 144).weights()
    assert weights[DAY_BINS] == weights[0] == pytest.approx(0.5)
    assert weights[DAY_BINS + 200] == pytest.approx(1.5)


def test_a_quiet_bin_keeps_a_little_weight() -> None:
    weights = learned(0.0, 100.0).weights()
    assert 0 < weights[0] < 0.05
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


def test_three_times_the_traffic_leaves_today_s_shape_alone() -> None:
    shape = learned(*[100.0] * 144, *[300.0] * 143)
    week = WEEK_MS // BIN_MS
    end_day(shape, week // DAY_BINS)
    before = shape.weights()
    shape.count(0, (week - 1) * BIN_MS + 1)
    for number in range(100):
        shape.count(300.0, (week + number) * BIN_MS + 1)
    assert shape.weights().tolist() == before.tolist()


def test_the_shipped_week_is_moved_to_fit_the_first_hours() -> None:
    """A market whose day is the curve, three hours later."""
    late = np.roll(shipped_week().reshape(7, DAY_BINS), 36, axis=1)
    shape = TrafficShape.shipped()
    shape.count(0, -1)
    for number in range(12 * 12):
        shape.count(50 * late[0, number], number * BIN_MS + 1)
    expected, before = late[0] / late[0].sum(), TrafficShape.shipped().weights()[:DAY_BINS]
    fitted = shape.weights()[:DAY_BINS]
    rest = slice(12 * 12, DAY_BINS)
    off = [
        abs(curve[rest] / curve[rest].sum() - expected[rest] / expected[rest].sum()).sum() for curve in (fitted, before)
    ]
    assert off[0] < 0.6 * off[1]


def test_a_shape_goes_on_after_a_restart_and_from_the_version_before() -> None:
    shape = learned(*[100.0] * 144, *[300.0] * 144)
    shape.count(7.0, 3 * DAY_MS)
    again = TrafficShape.restored(shape.memory())
    assert again is not None
    assert again.weights().tolist() == shape.weights().tolist()
    assert TrafficShape.restored(b"") is None
    assert TrafficShape.restored(b"\x94\xa0\xc4\x00\xc4\x00\x00") is None
    now_ms = WEEK_MS * 100
    moved = TrafficShape.of_utc(shape.rates.copy(), now_ms, "Asia/Kolkata")  # five and a half hours ahead of UTC
    assert moved.rates[66] == shape.rates[0]


def test_days_of_23_and_25_hours_have_the_traffic_that_comes() -> None:
    """Uniform traffic by a clock that is changed: an hour that is left out does not come, one that is repeated does."""
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-01", 24)):
        start = round(datetime.datetime.fromisoformat(day).replace(tzinfo=WARSAW).timestamp()) * 1000
        curves = Curves([np.ones(BINS)], local_time("Europe/Warsaw", start))
        assert float(curves.between(at(0), at(start), at(start + hours * HOUR_MS))[0]) == pytest.approx(hours * 12)
        whole = float(curves.between(at(0), at(start - WEEK_MS), at(start + 9 * WEEK_MS))[0])
        parts = sum(
            float(
                curves.between(at(0), at(start - WEEK_MS + part * HOUR_MS), at(start - WEEK_MS + (part + 1) * HOUR_MS))[
                    0
                ]
            )
            for part in range(10 * 168)
        )
        assert whole == pytest.approx(parts)


def test_the_evening_stays_in_the_evening_when_the_clocks_were_changed() -> None:
    evening = np.zeros((7, DAY_BINS))
    evening[:, 20 * 12 : 21 * 12] = 1.0
    for day in ("2026-03-30", "2026-10-26", "2026-07-01"):
        start = round(datetime.datetime.fromisoformat(day).replace(tzinfo=WARSAW).timestamp()) * 1000
        curves = Curves([evening.ravel()], local_time("Europe/Warsaw", start))
        assert share(curves, start, start + 20 * HOUR_MS, start + DAY_MS) == 0.0
        assert share(curves, start, start + 21 * HOUR_MS, start + DAY_MS) == 1.0
