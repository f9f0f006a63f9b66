"""Wakes the generator at sub-millisecond steps: event-loop timers have a resolution of 1 ms, which would show up in
p50.

On Linux a periodic timerfd does it (Python offers it only from 3.13, hence ctypes); elsewhere the loop's timer has
to do.
"""

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

# 2,000 wake-ups a second cost about 3 % of a core; a request is sent a quarter of a millisecond after it was due on
# average.
TICK_S = 0.000_5

_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def _open_timer(period_s: float) -> int | None:
    """File descriptor of a periodic timer, or None where the system has no timerfd."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = int(library.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC))
    if descriptor < 0:
        return None
    step = _Timespec(0, round(period_s * 1e9))
    if library.timerfd_settime(descriptor, 0, ctypes.byref(_Itimerspec(step, step)), None) != 0:
        os.close(descriptor)
        return None
    return descriptor


class Ticker:
    """Calls `callback` each `TICK_S` seconds, or each millisecond where the system has no better timer, until
    closed."""

    __slots__ = ("_callback", "_descriptor", "_handle", "_loop")

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._descriptor = _open_timer(TICK_S)
        if self._descriptor is None:
            self._again()
        else:
            self._loop.add_reader(self._descriptor, self._read)

    def _read(self) -> None:
        if self._descriptor is not None:
            try:
                os.read(self._descriptor, 8)
            except BlockingIOError:
                return  # woken without cause: the timer has not expired again
            self._callback()

    def _again(self) -> None:
        self._handle = self._loop.call_later(0.001, self._again)
        self._callback()

    def close(self) -> None:
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        if self._handle is not None:
            self._handle.cancel()
