"""Rate limits: a token bucket for each caller, in this process's memory."""

import math
from collections import OrderedDict

from core.clock import Clock

# Callers remembered at once; the longest idle is forgotten first, and then has a full bucket again.
MAX_BUCKETS = 10_000


class RateLimiter:
    """Allows `per_minute` calls a minute to each key, in bursts of the same size."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (tokens, when)

    def take(self, key: str, per_minute: int) -> tuple[int, int]:
        """Take one call: (calls left, seconds to wait). The second is 0 when this call is allowed."""
        tokens = self._tokens(key, per_minute)
        wait_s = _wait_s(tokens, per_minute)
        if not wait_s:
            tokens -= 1
        self._buckets[key] = (tokens, self._clock.monotonic())
        self._buckets.move_to_end(key)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return int(tokens), wait_s

    def wait_s(self, key: str, per_minute: int) -> int:
        """Seconds until a call of the key would be allowed, 0 when it is now; takes nothing."""
        return _wait_s(self._tokens(key, per_minute), per_minute)

    def _tokens(self, key: str, per_minute: int) -> float:
        now = self._clock.monotonic()
        tokens, since = self._buckets.get(key, (float(per_minute), now))
        return min(float(per_minute), tokens + (now - since) * per_minute / 60)


def _wait_s(tokens: float, per_minute: int) -> int:
    return 0 if tokens >= 1 else max(1, math.ceil((1 - tokens) * 60 / per_minute))
