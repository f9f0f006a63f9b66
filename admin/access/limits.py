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
        """(calls left, seconds to wait): the second is 0 when this call is allowed."""
        now = self._clock.monotonic()
        tokens, since = self._buckets.pop(key, (float(per_minute), now))
        tokens = min(float(per_minute), tokens + (now - since) * per_minute / 60)
        wait_s = 0
        if tokens >= 1:
            tokens -= 1
        else:
            wait_s = max(1, math.ceil((1 - tokens) * 60 / per_minute))
        self._buckets[key] = (tokens, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return int(tokens), wait_s
