"""Latencies as integer log buckets: cheap enough to record every answer, exact enough to trust p99.9, mergeable.

A value of microseconds falls into one of 128 linear buckets per power of two, so a percentile is never more than 0.8 %
above the exact one (HdrHistogram's layout; 0.1 us a value by numpy in bulk against 1.4 us through its binding).
"""

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

SUB_BUCKETS = 128
_SUB_BITS = SUB_BUCKETS.bit_length()  # 8: values below 256 have a bucket of their own

# 2^36 us is 19 hours; nothing that a load test waits for takes longer, and a value beyond it lands in the last bucket.
_MAX_US = 2**36 - 1


def bucket_of(microseconds: int) -> int:
    """Index of the bucket of a non-negative value."""
    shift = microseconds.bit_length() - _SUB_BITS
    return microseconds if shift <= 0 else shift * SUB_BUCKETS + (microseconds >> shift)


def bucket_bounds(index: int) -> tuple[int, int]:
    """Lowest and highest whole microsecond of a bucket."""
    if index < 2 * SUB_BUCKETS:
        return index, index
    shift, rest = index // SUB_BUCKETS - 1, index % SUB_BUCKETS + SUB_BUCKETS
    return rest << shift, ((rest + 1) << shift) - 1


BUCKETS = bucket_of(_MAX_US) + 1
_BOUNDS = np.array([bucket_bounds(index) for index in range(BUCKETS)], dtype=np.int64)
_HIGHEST = _BOUNDS[:, 1]
_MIDDLE = _BOUNDS.mean(axis=1)

Counts = npt.NDArray[np.int64]


class Histogram:
    """Counts of latencies. Times in are seconds, times out are seconds.

    `record(seconds)` counts one latency; a negative one (a clock's rounding) counts as zero. It only appends to a list,
    30 ns; buckets are computed for all of them together when something is asked.
    """

    __slots__ = ("_counts", "_maximum_us", "_pending", "record")

    def __init__(self) -> None:
        self._counts: Counts = np.zeros(BUCKETS, dtype=np.int64)
        self._maximum_us = 0
        self._pending: list[float] = []
        self.record: Callable[[float], None] = self._pending.append

    def settle(self) -> None:
        """Sort the recorded latencies into buckets. A recorder that runs without end calls it now and then."""
        if not self._pending:
            return
        values = np.clip(np.array(self._pending) * 1e6, 0, _MAX_US).astype(np.int64)
        self._pending.clear()
        # frexp's exponent of a whole number below 2^53 is its bit length
        shifts = np.maximum(np.frexp(values.astype(np.float64))[1] - _SUB_BITS, 0)
        self._counts += np.bincount(shifts * SUB_BUCKETS + (values >> shifts), minlength=BUCKETS)
        self._maximum_us = max(self._maximum_us, int(values.max()))

    @property
    def total(self) -> int:
        """How many values there are."""
        self.settle()
        return int(self._counts.sum())

    @property
    def maximum_us(self) -> int:
        """The largest value in microseconds, exact; 0 when empty."""
        self.settle()
        return self._maximum_us

    def merge(self, other: "Histogram") -> None:
        self.merge_sparse(other.sparse(), other.maximum_us)

    def merge_sparse(self, counts: Mapping[int, int], maximum_us: int) -> None:
        """Add bucket counts as `sparse` gives them; they may come from another process."""
        if counts:
            self._counts += dense(counts)
        self._maximum_us = max(self._maximum_us, maximum_us)

    def sparse(self) -> dict[int, int]:
        """The non-empty buckets: index to count."""
        self.settle()
        filled = self._counts.nonzero()[0]
        return dict(zip(filled.tolist(), self._counts[filled].tolist(), strict=True))

    def percentile(self, percent: float) -> float:
        """Seconds that `percent` of the values do not exceed (nearest rank; upper bound of its bucket). NaN when
        empty."""
        self.settle()
        return percentiles(self._counts, (percent,), self._maximum_us)[0]

    def mean(self) -> float:
        """Mean in seconds, from bucket middles. NaN when empty."""
        self.settle()
        total = self._counts.sum()
        return float((_MIDDLE * self._counts).sum() / total / 1e6) if total else math.nan

    def share_above(self, seconds: float) -> float:
        """Share of values in buckets that lie wholly above `seconds`; 0 when empty."""
        self.settle()
        total = self._counts.sum()
        return float(self._counts[bucket_of(int(seconds * 1e6)) + 1 :].sum() / total) if total else 0.0


def dense(counts: Mapping[int, int]) -> Counts:
    """Bucket counts as one array of length BUCKETS."""
    array = np.zeros(BUCKETS, dtype=np.int64)
    if counts:
        array[list(counts)] = list(counts.values())
    return array


def percentiles(counts: Counts, percents: Iterable[float], maximum_us: int | None = None) -> list[float]:
    """Nearest-rank percentiles in seconds of dense bucket counts; NaN when there are none."""
    cumulative = np.cumsum(counts)
    total = int(cumulative[-1])
    if total == 0:
        return [math.nan for _ in percents]
    result = []
    for percent in percents:
        rank = max(1, math.ceil(percent / 100 * total - 1e-9))
        highest = int(_HIGHEST[int(np.searchsorted(cumulative, rank))])
        result.append((highest if maximum_us is None else min(highest, maximum_us)) / 1e6)
    return result
