"""Where time comes from. Code that decides anything takes a `Clock` or a `now`, so tests and replay own the time."""

import time
from typing import Protocol


class Clock(Protocol):
    """Source of wall time and of monotonic time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. For deadlines and latencies."""
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to."""

    __slots__ = ("_monotonic", "_now_ms")

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic = 0.0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks forward; `seconds` may not be negative."""
        if seconds < 0:
            raise ValueError("time does not go back: pass a non-negative number of seconds")
        self._now_ms += round(seconds * 1000)
        self._monotonic += seconds
