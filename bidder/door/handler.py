"""Between the bid port and decide(): one batch for all requests of one turn of the event loop.

Requests are decoded as they complete and screened at the end of the turn; those that somebody wants leave as a batch,
or wait for the look-up that is under way. Under load turns get longer, batches larger and the cost of a request
smaller, which is what carries the bid path through bursts.
"""

import asyncio
import hmac
import logging
import math
from collections import deque
from collections.abc import Callable

from bidder.decision.pipeline import decide, screen
from bidder.decision.snapshot import Snapshot
from bidder.dialects.generic import no_bid
from bidder.door.metrics import BidMetrics
from bidder.openrtb.codec import Malformed, decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction
from bidder.request.consent import ConsentPolicy
from core.clock import Clock
from core.model import Exchange
from core.reasons import NoBid
from core.telemetry.logs import WITHOUT_CONTENT
from pacing.notices.tokens import TokenSigner
from segments.profiles.reading import ProfileReader

Reply = Callable[[int, bytes], None]

# A batch is cut here: past it the numpy pass no longer gets cheaper per request, and the first answers only wait.
MAX_BATCH = 64

# Requests that come while a look-up is under way leave together after it: under load that makes one batch of what would
# be several small ones. Never later than this, in seconds, so that a slow Redis holds nobody up.
HOLD_S = 0.002

# A turn with so many requests says that the process is busy. Then a batch also waits without a look-up, until it has
# enough requests: where nine of ten are unwanted, batches of 8 instead of 5 cost 37 instead of 40 us a request.
BUSY_TURN = 16
ENOUGH = 32

# What is measured of a request (screening, pricing) is half of what it costs: reading, decoding, the look-up and
# writing are the rest, 31 of 62 us.
WHOLE_COST = 2.0

# Share of a request's time that waiting may use up by that estimate before it is shed: what is read in one turn is also
# written in one (docs/decisions/0012 has the measurements).
WAITING_SHARE = 0.7

# A turn that begins so long after the last work, in seconds, was waited for: its requests are read as they come.
IDLE_S = 0.002

# Share of a request's time that its profile look-up may use; the rest is for pricing and writing.
LOOK_UP_SHARE = 0.6

# Below this, in seconds, there is no use in starting: the look-up alone takes a quarter of it on an idle machine.
MIN_REMAINING_S = 0.002

# Smoothing of the measured cost of a request: about the last fifty batches.
COST_SMOOTHING = 0.02

# A batch counts at most this many times the estimate. The first ones after a start fill the memos, and a busy machine
# takes the core away for whole batches: one of those, taken at its word, would shed the next hundred requests.
MAX_COST_RATIO = 2.0

# A new snapshot is tried with so many requests before it is used, 1-3 ms each at 100,000 line items.
RECENT = 256
# Between two of them. One of each batch would cost 4 % of a request that nobody wants: what is kept is not used again.
SAMPLE_S = 0.05

_log = logging.getLogger("grosz.bidder")


class BidderHandler:
    """Takes requests from the port (`bidder.door.limits.BidHandler`) and answers each exactly once.

    `install` swaps the snapshot; until there is one, and while `fresh` says that it is too old, everything is a no-bid.
    """

    def __init__(
        self,
        *,
        profiles: ProfileReader,
        signer: TokenSigner,
        policy: ConsentPolicy,
        clock: Clock,
        metrics: BidMetrics,
        tmax_cap_ms: int,
        fresh: Callable[[], bool],
    ) -> None:
        self._profiles = profiles
        self._signer = signer
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self._tmax_cap_ms = tmax_cap_ms
        self._fresh = fresh
        self._snapshot: Snapshot | None = None
        self.recent: deque[Auction] = deque(maxlen=RECENT)
        """Requests of the last seconds, to try a new snapshot with."""
        self._sampled = -math.inf  # monotonic seconds
        self._pending: list[tuple[Auction, Reply]] = []
        self._held: list[tuple[Auction, Reply]] = []  # screened against `_held_for`
        self._held_for: Snapshot | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looking_up = 0  # batches whose profiles are on their way
        self._tasks: set[asyncio.Task[None]] = set()
        self._tolerances: dict[str, Tolerances] = {}
        # A turn: all requests that the event loop reads at once.
        self._in_turn = False
        self._turn_began = 0.0  # monotonic seconds
        self._turn_requests = 0
        self._worked_until = -1.0  # monotonic seconds
        self._busy = False  # by the last turn
        self._lag_s = 0.0  # at most so long a request of this turn waited before it was read
        self._waiting = 0  # requests submitted and not answered
        # Smoothed cost of a request, in seconds: until its look-up is sent, and from its profile to its answer.
        self._screen_cost_s = 0.000025
        self._price_cost_s = 0.000025

    @property
    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    @property
    def tolerances(self) -> dict[str, Tolerances]:
        """What was forgiven, by exchange key."""
        return self._tolerances

    def install(self, snapshot: Snapshot) -> None:
        """Swap the snapshot; batches under way finish with the one they began with."""
        self._snapshot = snapshot

    def submit(self, exchange_key: str, body: bytes, arrival: float, reply: Reply, authorization: bytes) -> None:
        """See `bidder.door.limits.BidHandler`."""
        if not self._in_turn:
            self._begin_turn()
        self._turn_requests += 1
        snapshot = self._snapshot
        # Asked once a turn: while it is not fresh, nothing is pending.
        if snapshot is None or not (self._pending or self._fresh()):
            self._metrics.no_bid(exchange_key, NoBid.NO_SNAPSHOT)
            reply(204, b"")
            return
        exchange = snapshot.index.exchanges.get(exchange_key)
        if exchange is None:
            self._metrics.refused(NoBid.UNKNOWN_EXCHANGE)
            reply(404, b"")
            return
        if exchange.bearer_token and not _has_token(authorization, exchange.bearer_token):
            self._metrics.refused(NoBid.EXCHANGE_ACCESS)
            reply(401, b"")
            return
        if self._is_overloaded(exchange, arrival):
            self._metrics.no_bid(exchange_key, NoBid.OVERLOAD)
            reply(204, b"")
            return
        self._accept(exchange, body, arrival, reply)

    def _is_overloaded(self, exchange: Exchange, arrival: float) -> bool:
        """Whether what waits here uses up too much of this request's time."""
        budget_s = (min(exchange.default_tmax_ms, self._tmax_cap_ms) - exchange.network_margin_ms) / 1000
        queue_s = self._waiting * (self._screen_cost_s + self._price_cost_s) * WHOLE_COST
        queue_s += self._clock.monotonic() - self._turn_began + self._lag_s
        slow_s = max(self._turn_began - arrival, 0.0)  # the sender's own time for the request
        return queue_s > budget_s * WAITING_SHARE or queue_s + slow_s > budget_s

    def _begin_turn(self) -> None:
        now = self._clock.monotonic()
        # Whoever is read now came after the last turn had read: if we have worked since, as early as right after it.
        self._lag_s = now - self._turn_began if now - self._worked_until < IDLE_S else 0.0
        self._turn_began = now
        self._turn_requests = 0
        self._in_turn = True
        asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._in_turn = False
        self._flush()
        self._busy = self._turn_requests >= BUSY_TURN
        self._worked_until = self._clock.monotonic()

    def _accept(self, exchange: Exchange, body: bytes, arrival: float, reply: Reply) -> None:
        tolerances = self._tolerances.get(exchange.key)
        if tolerances is None:
            tolerances = self._tolerances[exchange.key] = Tolerances()
        try:
            request = decode_request(body, tolerances)
        except Malformed as error:
            self._metrics.malformed(exchange.key, error.reason)
            reply(400, b"")
            return
        tmax = request.tmax if request.tmax and request.tmax > 0 else exchange.default_tmax_ms
        budget_ms = min(tmax, self._tmax_cap_ms) - exchange.network_margin_ms
        auction = Auction(request, exchange, arrival + budget_ms / 1000, arrival)
        self._waiting += 1
        self._pending.append((auction, reply))
        if len(self._pending) >= MAX_BATCH:
            self._flush()

    def _flush(self) -> None:
        batch, self._pending = self._pending, []
        snapshot = self._snapshot
        if not batch or snapshot is None:
            return
        started = self._clock.monotonic()
        wanted: list[tuple[Auction, Reply]] = []
        unwanted: list[tuple[Auction, Reply]] = []
        for auction, reply in batch:
            if self._is_wanted(auction, snapshot, started):
                wanted.append((auction, reply))
            else:
                unwanted.append((auction, reply))
        screened = self._clock.monotonic()
        for auction, reply in unwanted:
            self._answer(auction, reply, None, screened)
        cost_s = (self._clock.monotonic() - started) / len(batch)
        self._screen_cost_s = _smoothed(self._screen_cost_s, cost_s)
        self._busy = self._turn_requests >= BUSY_TURN
        if started - self._sampled >= SAMPLE_S:
            self._sampled = started
            self.recent.append(batch[-1][0])
        if wanted:
            self._hold(wanted, snapshot)

    def _hold(self, wanted: list[tuple[Auction, Reply]], snapshot: Snapshot) -> None:
        """Add screened requests to the next batch; it leaves at once unless a look-up is under way, or we are busy."""
        if self._held and (snapshot is not self._held_for or len(self._held) + len(wanted) > MAX_BATCH):
            self._leave()
        self._held += wanted
        self._held_for = snapshot
        if len(self._held) >= ENOUGH or not (self._looking_up or self._busy):
            self._leave()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HOLD_S, self._leave)

    def _leave(self) -> None:
        """Send off the batch that is held, if there is one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._held = self._held, []
        if batch and self._held_for is not None:
            self._looking_up += 1
            task = asyncio.get_running_loop().create_task(self._decide(batch, self._held_for))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _looked_up(self) -> None:
        self._looking_up -= 1
        if not (self._looking_up or self._busy):
            self._leave()

    def _is_wanted(self, auction: Auction, snapshot: Snapshot, now: float) -> bool:
        if auction.deadline - now < MIN_REMAINING_S:
            auction.no_bid = NoBid.NO_TIME
            return False
        try:
            return screen(auction, snapshot, self._policy)
        except Exception:
            # One request that we stumble over must not leave the others of its turn without an answer.
            _log.exception("screening a request failed", extra=WITHOUT_CONTENT)
            self._metrics.fault()
            return False

    def _in_time(self, held: list[tuple[Auction, Reply]], now: float) -> list[tuple[Auction, Reply]]:
        """What still has time for a look-up after it was held; the rest is answered, and cuts nobody else's time."""
        if all(auction.deadline - now >= MIN_REMAINING_S for auction, _reply in held):
            return held
        batch = []
        for auction, reply in held:
            if auction.deadline - now >= MIN_REMAINING_S:
                batch.append((auction, reply))
            else:
                auction.no_bid = NoBid.NO_TIME
                self._answer(auction, reply, None, now)
        return batch

    async def _decide(self, held: list[tuple[Auction, Reply]], snapshot: Snapshot) -> None:
        started = self._clock.monotonic()
        batch = self._in_time(held, started)
        if not batch:
            self._looked_up()
            return
        auctions = [auction for auction, _reply in batch]
        nearest = min(auction.deadline for auction in auctions)
        deadline = started + (nearest - started) * LOOK_UP_SHARE
        try:
            responses, took_s = await decide(
                auctions, snapshot, self._profiles, self._signer, self._clock, deadline, self._looked_up
            )
            self._price_cost_s = _smoothed(self._price_cost_s, took_s / len(batch))
        except Exception:
            # A fault of ours must not become an error at the exchange, nor stop the process: no bid, and a traceback.
            _log.exception("deciding a batch of %d failed", len(batch), extra=WITHOUT_CONTENT)
            self._metrics.fault()
            responses = {}
        finished = self._clock.monotonic()
        for number, (auction, reply) in enumerate(batch):
            response = responses.get(number)
            if response is not None and finished > auction.deadline:
                # Nobody reads an answer after tmax; what was reserved for it comes back when the lease closes.
                auction.no_bid, response = NoBid.NO_TIME, None
            self._answer(auction, reply, response, finished)
        self._worked_until = self._clock.monotonic()

    def _answer(self, auction: Auction, reply: Reply, response: bytes | None, now: float) -> None:
        self._waiting -= 1
        exchange = auction.exchange
        self._metrics.answered(exchange.key, now - auction.arrival)
        if response is not None:
            self._metrics.bid(exchange.key)
            reply(200, response)
            return
        reason = auction.no_bid or NoBid.NOBODY_BIDS
        self._metrics.no_bid(exchange.key, reason)
        reply(*no_bid(exchange, auction.request.id, reason))

    async def drain(self) -> None:
        """Answer everything that was submitted."""
        self._flush()
        self._leave()
        while self._tasks:
            await asyncio.wait(self._tasks)


def _has_token(authorization: bytes, token: str) -> bool:
    return hmac.compare_digest(authorization, b"Bearer " + token.encode())


def _smoothed(estimate_s: float, sample_s: float) -> float:
    return estimate_s + (min(sample_s, MAX_COST_RATIO * estimate_s) - estimate_s) * COST_SMOOTHING
