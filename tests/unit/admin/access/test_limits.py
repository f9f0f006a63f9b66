"""Token buckets."""

from admin.access.limits import MAX_BUCKETS, RateLimiter
from core.clock import ManualClock


def test_a_full_bucket_allows_a_burst_and_then_a_steady_flow(clock: ManualClock) -> None:
    limiter = RateLimiter(clock)
    assert [limiter.take("a", 60)[1] for _ in range(61)] == [0] * 60 + [1]
    clock.advance(1)
    assert limiter.take("a", 60) == (0, 0)
    assert limiter.take("a", 60)[1] == 1


def test_callers_do_not_share_a_bucket(clock: ManualClock) -> None:
    limiter = RateLimiter(clock)
    assert limiter.take("a", 1)[1] == 0
    assert limiter.take("a", 1)[1] == 60
    assert limiter.take("b", 1)[1] == 0


def test_memory_is_bounded(clock: ManualClock) -> None:
    limiter = RateLimiter(clock)
    limiter.take("first", 1)
    for number in range(MAX_BUCKETS):
        limiter.take(str(number), 1)
    assert limiter.take("first", 1)[1] == 0, "the longest idle was forgotten"
