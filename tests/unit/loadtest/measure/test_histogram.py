import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.measure.histogram import BUCKETS, Histogram, bucket_bounds, bucket_of, dense, percentiles

MICROSECONDS = st.integers(min_value=0, max_value=2**36 - 1)


def exact_percentile(values: list[int], percent: float) -> int:
    return sorted(values)[max(1, math.ceil(percent / 100 * len(values) - 1e-9)) - 1]


@given(MICROSECONDS)
def test_a_value_lies_within_the_bounds_of_its_bucket(value: int) -> None:
    low, high = bucket_bounds(bucket_of(value))
    assert low <= value <= high
    assert high - low <= value / 127
    assert bucket_of(value) < BUCKETS


@given(st.lists(MICROSECONDS, min_size=1, max_size=200), st.sampled_from((1.0, 50.0, 90.0, 99.0, 99.9, 100.0)))
def test_a_percentile_is_the_exact_one_or_less_than_one_percent_above(values: list[int], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record((value + 0.5) / 1e6)
    exact = exact_percentile(values, percent)
    assert exact <= histogram.percentile(percent) * 1e6 + 1e-3 <= exact * (1 + 1 / 127) + 0.01


@given(st.lists(MICROSECONDS), st.lists(MICROSECONDS))
def test_merged_histograms_are_the_histogram_of_all_values(first: list[int], second: list[int]) -> None:
    parts = []
    for values in (first, second, first + second):
        parts.append(Histogram())
        for value in values:
            parts[-1].record((value + 0.5) / 1e6)
    parts[0].merge(parts[1])
    assert parts[0].sparse() == parts[2].sparse()
    assert (parts[0].total, parts[0].maximum_us) == (parts[2].total, parts[2].maximum_us)


def test_an_empty_histogram_has_no_percentile_and_no_mean() -> None:
    empty = Histogram()
    assert math.isnan(empty.percentile(99))
    assert math.isnan(empty.mean())
    assert empty.share_above(0.1) == 0.0
    assert math.isnan(percentiles(dense({}), (50.0,))[0])


def test_negative_and_endless_values_fall_into_the_outermost_buckets() -> None:
    histogram = Histogram()
    histogram.record(-0.001)
    histogram.record(1e9)
    assert sorted(histogram.sparse()) == [0, BUCKETS - 1]


def test_mean_and_share_above_come_from_the_buckets() -> None:
    histogram = Histogram()
    for milliseconds in (1, 2, 3, 50):
        histogram.record(milliseconds / 1000)
    assert histogram.mean() == pytest.approx(0.014, rel=0.01)
    assert histogram.share_above(0.01) == 0.25
