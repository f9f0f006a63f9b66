"""Local time as arithmetic on arrays: when a zone's clocks are changed, and what the offset is between two changes.

Traffic follows people, and people follow their clocks: a curve of the day that is kept in UTC is an hour wrong for a
week after the clocks were changed, and never fits a day of 23 or 25 hours.
"""

import datetime
import functools
import zoneinfo
from typing import Final

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_DAY_MS: Final = 86_400_000

# Days around now whose changes are looked up. Budgets of flights reach that far; beyond, the last offset goes on.
_BEFORE_DAYS: Final = 40
_AFTER_DAYS: Final = 800

# Changes are looked for again after this: far more often than `_AFTER_DAYS` needs.
_REMEMBERED_MS: Final = 30 * _DAY_MS


class LocalTime:
    """A zone's clock around a moment. `offsets_ms[i]` holds from `starts_ms[i]` on, the first of them since ever."""

    __slots__ = ("name", "offsets_ms", "starts_ms")

    def __init__(self, name: str, starts_ms: Integers, offsets_ms: Integers) -> None:
        self.name = name
        self.starts_ms = starts_ms
        self.offsets_ms = offsets_ms

    def segment(self, at_ms: Integers) -> Integers:
        """Which offset holds at each moment (unix ms)."""
        found: Integers = np.maximum(self.starts_ms.searchsorted(at_ms, side="right") - 1, 0)
        return found

    def local(self, at_ms: int) -> int:
        """Milliseconds of the local clock since its 1970-01-01 00:00."""
        return at_ms + int(self.offsets_ms[self.segment(np.array([at_ms]))[0]])


def local_time(name: str, now_ms: int) -> LocalTime:
    """The clock of an IANA zone around `now_ms`."""
    return _local_time(name, now_ms // _REMEMBERED_MS)


@functools.lru_cache(maxsize=64)
def _local_time(name: str, month: int) -> LocalTime:
    zone = zoneinfo.ZoneInfo(name)
    first = month * _REMEMBERED_MS - _BEFORE_DAYS * _DAY_MS
    starts, offsets = [first], [offset_ms(zone, first)]
    for day in range(1, _BEFORE_DAYS + _AFTER_DAYS):
        at = first + day * _DAY_MS
        offset = offset_ms(zone, at)
        if offset != offsets[-1]:
            starts.append(_change(zone, at - _DAY_MS, at))
            offsets.append(offset)
    return LocalTime(name, np.array(starts, np.int64), np.array(offsets, np.int64))


def _change(zone: zoneinfo.ZoneInfo, low_ms: int, high_ms: int) -> int:
    """The first minute that has the offset of `high_ms`."""
    after = offset_ms(zone, high_ms)
    low, high = low_ms // 60_000, high_ms // 60_000
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if offset_ms(zone, middle * 60_000) == after else (middle, high)
    return high * 60_000


def offset_ms(zone: zoneinfo.ZoneInfo, at_ms: int) -> int:
    """The zone's distance from UTC at a moment."""
    offset = datetime.datetime.fromtimestamp(at_ms / 1000, zone).utcoffset()
    return round(offset.total_seconds() * 1000) if offset is not None else 0
