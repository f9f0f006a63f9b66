"""How long a request would wait here before its answer, estimated from what requests have cost of late.

Numbers in, numbers out: the handler tells what it has measured and asks whether the next request still has time. All
times are seconds; `now` and `arrival` are monotonic.

A *turn* is all requests that the event loop reads at once. What is read in one turn is also written in one, so a
request waits for the rest of its turn, too.
"""

from bidder.openrtb.types import BidRequest
from core.model import Exchange

# A turn with so many requests says that the process is busy. Then a batch also waits without a look-up, until it has
# enough requests: where nine of ten are unwanted, batches of 8 instead of 5 cost 37 instead of 40 us a request.
BUSY_TURN = 16

# What is measured of a request (screening, pricing) is half of what it costs: reading, decoding, the look-up and
# writing are the rest, 31 of 62 us.
WHOLE_COST = 2.0

# Share of a request's time that waiting may use up by that estimate before it is shed: what is read in one turn is also
# written in one (docs/decisions/0012 has the measurements).
WAITING_SHARE = 0.7

# A turn that begins so long after the last work, in seconds, was waited for: its requests are read as they come.
IDLE_S = 0.002

# Smoothing of the measured cost of a request: about the last fifty batches.
COST_SMOOTHING = 0.02

# A batch counts at most this many times the estimate. The first ones after a start fill the memos, and a busy machine
# takes the core away for whole batches: one of those, taken at its word, would shed the next hundred requests.
MAX_COST_RATIO = 2.0

# What a request costs until its look-up is sent, and from its profile to its answer, before anything was measured.
FIRST_COST_S = 0.000025


def time_budget(request: BidRequest | None, exchange: Exchange, cap_ms: int) -> float:
    """Seconds from a request's first byte until its answer must be on its way.

    `tmax` of the request, or the exchange's default where it names none or has not been read yet (None), but never more
    than `cap_ms`; less what the way back to the exchange takes.
    """
    tmax = request.tmax if request is not None and request.tmax and request.tmax > 0 else exchange.default_tmax_ms
    return (min(tmax, cap_ms) - exchange.network_margin_ms) / 1000


class Load:
    """What the process is busy with, as an estimate of the wait that a new request has before it."""

    __slots__ = ("_lag_s", "_price_cost_s", "_screen_cost_s", "_turn_began", "_turn_requests", "_worked_until", "busy")

    def __init__(self) -> None:
        self._turn_began = 0.0
        self._turn_requests = 0
        self._worked_until = -1.0
        self.busy = False  # by the last turn
        self._lag_s = 0.0  # at most so long a request of this turn waited before it was read
        self._screen_cost_s = FIRST_COST_S
        self._price_cost_s = FIRST_COST_S

    @property
    def cost_s(self) -> float:
        """The estimated cost of one request, all of it."""
        return (self._screen_cost_s + self._price_cost_s) * WHOLE_COST

    def begin_turn(self, now: float) -> None:
        """The first request of a turn is being read."""
        # What is read now came after the last turn had read: if we have worked since, as early as right after it.
        self._lag_s = now - self._turn_began if now - self._worked_until < IDLE_S else 0.0
        self._turn_began = now
        self._turn_requests = 0

    def count(self) -> None:
        """One more request of this turn."""
        self._turn_requests += 1

    def judge(self) -> None:
        """Look again whether the process is busy, by the requests of this turn so far."""
        self.busy = self._turn_requests >= BUSY_TURN

    def worked(self, now: float) -> None:
        """Work has just ended."""
        self._worked_until = now

    def screened(self, seconds: float, requests: int) -> None:
        """So many requests were screened in one go."""
        self._screen_cost_s = _smoothed(self._screen_cost_s, seconds / requests)

    def priced(self, seconds: float, requests: int) -> None:
        """So many requests were priced and answered in one go."""
        self._price_cost_s = _smoothed(self._price_cost_s, seconds / requests)

    def is_too_much(self, waiting: int, budget_s: float, arrival: float, now: float) -> bool:
        """Whether what waits already, `waiting` requests, uses up too much of a new request's time."""
        queue_s = waiting * (self._screen_cost_s + self._price_cost_s) * WHOLE_COST
        queue_s += now - self._turn_began + self._lag_s
        slow_s = max(self._turn_began - arrival, 0.0)  # the sender's own time for the request
        return queue_s > budget_s * WAITING_SHARE or queue_s + slow_s > budget_s


def _smoothed(estimate_s: float, sample_s: float) -> float:
    return estimate_s + (min(sample_s, MAX_COST_RATIO * estimate_s) - estimate_s) * COST_SMOOTHING
