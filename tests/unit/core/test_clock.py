import time

import pytest

from core.clock import Clock, ManualClock, SystemClock


def test_a_manual_clock_moves_only_when_told_to() -> None:
    clock = ManualClock(1_000)
    assert (clock.now_ms(), clock.monotonic()) == (1_000, 0.0)
    clock.advance(1.5)
    assert (clock.now_ms(), clock.monotonic()) == (2_500, 1.5)


def test_a_manual_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock().advance(-0.001)


def test_the_system_s_clock_is_the_machine_s() -> None:
    clock: Clock = SystemClock()
    before, now, after = time.time_ns() // 1_000_000, clock.now_ms(), time.time_ns() // 1_000_000
    assert before <= now <= after
    assert clock.monotonic() <= clock.monotonic()
