"""Between the bid port and decide(): one batch for all requests of one turn of the event loop.

Requests are decoded as they complete and screened at the end of the turn; those that nobody wants are answered then.
Those that somebody wants leave as a batch (`bidder.door.batching`). What would wait too long is shed before it is
decoded (`bidder.door.load`).
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterator

from bidder.decision.noting import BidNotes
from bidder.decision.pipeline import decide, prepare, screen
from bidder.decision.snapshot import Snapshot
from bidder.dialects.table import speaker_of
from bidder.door.batching import MAX_BATCH, Batches, Waiting
from bidder.door.checking import AnswerCheck
from bidder.door.gate import ExchangeGate, gate_of
from bidder.door.large import LargeRequests
from bidder.door.load import Load, time_budget
from bidder.door.metrics import BidMetrics
from bidder.door.port import Reply, Sender
from bidder.openrtb.codec import Malformed, decode_request
from bidder.openrtb.non_bids import are_asked_for
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction
from bidder.request.bounds import is_large, keep_what_fits
from bidder.request.consent import ConsentPolicy
from bidder.request.validate import BAD_FLOOR
from core.clock import Clock
from core.model import Exchange
from core.reasons import NoBid
from core.telemetry.logs import WITHOUT_CONTENT
from pacing.notices.tokens import TokenSigner
from segments.profiles.reading import ProfileReader

# Share of a request's time that its profile look-up may use; the rest is for pricing and writing.
LOOK_UP_SHARE = 0.6

# Below this, in seconds, there is no use in starting: the look-up alone takes a quarter of it on an idle machine.
MIN_REMAINING_S = 0.002

# A new snapshot is tried with so many requests before it is used, 1-3 ms each at 100,000 line items.
RECENT = 256
# Seconds between two of them. One of each batch would cost 4 % of an unwanted request: memory that is kept is not used
# again for the next one.
SAMPLE_S = 0.05

_log = logging.getLogger("grosz.bidder")


class BidderHandler:
    """Takes requests from the port (`bidder.door.port.BidHandler`) and answers each exactly once.

    `install` swaps the snapshot. Until there is one, and while `fresh` is false, everything is a no-bid: the snapshot
    is too old or, where `clock_off` is true, bids would not be billed.
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
        check: AnswerCheck | None = None,
        notes: BidNotes | None = None,
        clock_off: Callable[[], bool] = lambda: False,
    ) -> None:
        """`notes` are told of each answer; with None, no journal is kept."""
        self._clock_off = clock_off
        self._check = check
        self._notes = notes
        self._profiles = profiles
        self._signer = signer
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self._tmax_cap_ms = tmax_cap_ms
        self._fresh = fresh
        self._snapshot: Snapshot | None = None
        self._gates: dict[str, ExchangeGate] = {}  # of exchanges that do not take everybody's requests
        self.recent: deque[Auction] = deque(maxlen=RECENT)
        """Requests of the last seconds, to try a new snapshot with."""
        self._sampled = -math.inf  # monotonic seconds
        self._load = Load()
        self._in_turn = False
        self._pending: list[Waiting] = []  # decoded in this turn, not screened yet
        self._batches = Batches(self._start, lambda: self._load.busy)
        self._large = LargeRequests(self._prepare, self._screen_alone, lambda auction: not self._has_time(auction))
        self._tasks: set[asyncio.Task[None]] = set()
        self._tolerances: dict[str, Tolerances] = {}
        self._waiting = 0  # requests submitted and not answered

    @property
    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    @property
    def tolerances(self) -> dict[str, Tolerances]:
        """Counts of deviations that were read all the same, by exchange key."""
        return self._tolerances

    def install(self, snapshot: Snapshot) -> None:
        """Swap the snapshot; batches under way finish with the one they began with."""
        self._snapshot = snapshot
        before, self._gates = self._gates, {}
        for exchange in snapshot.index.exchanges.values():
            gate = gate_of(exchange)
            if gate is not None:
                # The count of a second outlives a catalogue, where nothing of the exchange has changed.
                old = before.get(exchange.key)
                self._gates[exchange.key] = old if old is not None and old.exchange == exchange else gate

    def _count_nothing(self, exchange_key: str, snapshot: Snapshot | None, reason: NoBid) -> None:
        """Count a request that comes while nothing can be bid on."""
        self._metrics.no_bid(exchange_key, reason)
        if self._notes is not None:
            self._notes.unread(None if snapshot is None else snapshot.index.exchanges.get(exchange_key), reason)

    def submit(self, exchange_key: str, body: bytes, arrival: float, reply: Reply, sender: Sender) -> None:
        """See `bidder.door.port.BidHandler`."""
        if not self._in_turn:
            self._begin_turn()
        self._load.count()
        snapshot = self._snapshot
        # Asked once a turn: while it is not fresh, nothing is pending.
        if snapshot is None or not (self._pending or self._fresh()):
            if self._clock_off():
                self._count_nothing(exchange_key, snapshot, NoBid.CLOCK_OFF)
            else:
                self._count_nothing(exchange_key, snapshot, NoBid.NO_SNAPSHOT)
            reply(204, b"")
            return
        exchange = snapshot.index.exchanges.get(exchange_key)
        if exchange is None:
            self._metrics.refused(NoBid.UNKNOWN_EXCHANGE)
            reply(404, b"no active exchange has this key: see `grosz exchange list`\n")
            return
        if exchange_key in self._gates and self._is_refused(exchange, sender, reply):
            return
        budget_s = time_budget(None, exchange, self._tmax_cap_ms)
        if self._load.is_too_much(self._waiting, budget_s, arrival, self._clock.monotonic()):
            self._metrics.no_bid(exchange_key, NoBid.OVERLOAD)
            if self._notes is not None:
                self._notes.unread(exchange, NoBid.OVERLOAD)
            reply(*speaker_of(exchange).shed())
            return
        self._accept(exchange, body, arrival, reply)

    def _is_refused(self, exchange: Exchange, sender: Sender, reply: Reply) -> bool:
        """Whether the exchange's gate refuses a request, which is then answered here."""
        refusal = self._gates[exchange.key].refusal(sender, self._clock.monotonic())
        if refusal is None:
            return False
        reason, status, text = refusal
        if reason is NoBid.RATE_CAPPED:
            self._metrics.no_bid(exchange.key, reason)
        else:
            self._metrics.refused(reason)
        if status == 204:
            reply(*speaker_of(exchange).shed())
        else:
            reply(status, text)
        return True

    def _begin_turn(self) -> None:
        self._load.begin_turn(self._clock.monotonic())
        self._in_turn = True
        asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._in_turn = False
        self._flush()
        self._load.judge()
        self._load.worked(self._clock.monotonic())

    def _accept(self, exchange: Exchange, body: bytes, arrival: float, reply: Reply) -> None:
        tolerances = self._tolerances.get(exchange.key)
        if tolerances is None:
            tolerances = self._tolerances[exchange.key] = Tolerances()
        try:
            request = decode_request(body, tolerances)
        except Malformed as error:
            self._metrics.malformed(exchange.key, error.reason)
            reply(400, f"{error.message}; see docs/openrtb.md for what is refused\n".encode())
            return
        deadline = arrival + time_budget(request, exchange, self._tmax_cap_ms)
        auction = Auction(request, exchange, deadline, speaker_of(exchange), arrival)
        self._waiting += 1
        if is_large(len(body), request):
            self._accept_large(auction, reply)
            return
        self._pending.append((auction, reply))
        if len(self._pending) >= MAX_BATCH:
            self._flush()

    def _accept_large(self, auction: Auction, reply: Reply) -> None:
        """Cut from a large request what there is no time for, and queue the rest to be looked at in slices."""
        now = self._clock.monotonic()
        if self._large.is_full:
            auction.no_bid = NoBid.OVERLOAD
            self._answer(auction, reply, None, now)
            return
        left_out = keep_what_fits(auction.request, auction.deadline - now)
        self._metrics.left_out(auction.exchange.key, left_out)
        self._large.add((auction, reply))

    def _has_time(self, auction: Auction) -> bool:
        return auction.deadline - self._clock.monotonic() >= MIN_REMAINING_S

    def _prepare(self, auction: Auction) -> Iterator[None]:
        """See `bidder.decision.pipeline.prepare`; a fault of ours occurs again, and is counted, in the screening."""
        snapshot = self._snapshot
        if snapshot is None or not self._has_time(auction):
            return
        try:
            yield from prepare(auction, snapshot, self._policy)
        except Exception:
            _log.exception("preparing a request failed", extra=WITHOUT_CONTENT)

    def _screen_alone(self, waiting: Waiting) -> None:
        """Screen a prepared request, which is a batch of its own."""
        auction, reply = waiting
        snapshot, now = self._snapshot, self._clock.monotonic()
        if snapshot is None or not self._is_wanted(auction, snapshot, now):
            self._answer(auction, reply, None, now)
            return
        self._batches.send_apart([waiting], snapshot.rehearsal() if auction.is_test else snapshot)

    def _flush(self) -> None:
        """Screen the pending requests: answer those that no line item wants, hand on the others."""
        batch, self._pending = self._pending, []
        snapshot = self._snapshot
        if not batch or snapshot is None:
            return
        started = self._clock.monotonic()
        wanted: list[Waiting] = []
        unwanted: list[Waiting] = []
        tests: list[Waiting] = []
        for auction, reply in batch:
            if self._is_wanted(auction, snapshot, started):
                (tests if auction.is_test else wanted).append((auction, reply))
            else:
                unwanted.append((auction, reply))
        screened = self._clock.monotonic()
        for auction, reply in unwanted:
            self._answer(auction, reply, None, screened)
        if unwanted and self._notes is not None:
            self._notes.unwanted(unwanted, snapshot)
        self._load.screened(self._clock.monotonic() - started, len(batch))
        self._load.judge()
        if started - self._sampled >= SAMPLE_S:
            self._sampled = started
            self.recent.append(batch[-1][0])
        if wanted:
            self._batches.add(wanted, snapshot)
        for test in tests:
            # A test is not billed, so it must not spend, teach or count either: it is decided on a copy.
            self._batches.send_apart([test], snapshot.rehearsal())

    def _start(self, batch: list[Waiting], snapshot: Snapshot) -> None:
        task = asyncio.get_running_loop().create_task(self._decide(batch, snapshot))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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

    def _in_time(self, held: list[Waiting], now: float) -> list[Waiting]:
        """The requests that still have time for a look-up; the others are answered, so that they do not shorten it."""
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

    async def _decide(self, held: list[Waiting], snapshot: Snapshot) -> None:
        started = self._clock.monotonic()
        batch = self._in_time(held, started)
        if not batch:
            self._batches.looked_up()
            return
        auctions = [auction for auction, _reply in batch]
        nearest = min(auction.deadline for auction in auctions)
        deadline = started + (nearest - started) * LOOK_UP_SHARE
        try:
            responses, took_s = await decide(
                auctions,
                snapshot,
                self._profiles,
                self._signer,
                self._clock,
                deadline,
                self._batches.looked_up,
                self._notes,
            )
            self._load.priced(took_s, len(batch))
        except Exception:
            # A fault of ours must not become an error at the exchange, nor stop the process: no bid, and a traceback.
            _log.exception("deciding a batch of %d failed", len(batch), extra=WITHOUT_CONTENT)
            self._metrics.fault()
            responses = {}
        finished = self._clock.monotonic()
        unsent: set[int] = set()
        for number, (auction, reply) in enumerate(batch):
            response = responses.get(number)
            if response is not None and finished > auction.deadline:
                # Nobody reads an answer after tmax; what was reserved for it comes back when the lease closes.
                auction.no_bid, response = NoBid.NO_TIME, None
                unsent.add(number)
            elif response is not None and self._check is not None:
                response = self._check.passed(auction, response, snapshot)
                if response is None:
                    unsent.add(number)
            if auction.is_test:
                unsent.add(number)
            self._answer(auction, reply, response, finished)
        if self._notes is not None:
            self._notes.sent(unsent)
        self._load.worked(self._clock.monotonic())

    def _answer(self, auction: Auction, reply: Reply, response: bytes | None, now: float) -> None:
        self._waiting -= 1
        exchange = auction.exchange
        self._metrics.answered(exchange.key, now - auction.arrival)
        tells_why = auction.request.ext is not None and are_asked_for(auction.request)
        if response is not None:
            self._metrics.bid(exchange.key)
            reply(200, response if not tells_why else _with_reasons(auction, response))
            return
        reason = auction.no_bid or NoBid.NOBODY_BIDS
        self._metrics.no_bid(exchange.key, reason)
        if self._notes is not None:
            self._notes.silent(auction, reason)
        if tells_why:
            reply(200, _with_reasons(auction, None))
            return
        reply(*auction.speaker.no_bid(auction.request.id, reason))

    async def drain(self) -> None:
        """Answer everything that was submitted."""
        self._flush()
        await self._large.drain()
        self._batches.leave()
        while self._tasks:
            await asyncio.wait(self._tasks)


def _with_reasons(auction: Auction, response: bytes | None) -> bytes:
    """The answer with the reason of each impression without a bid."""
    invalid = frozenset(int(fault.pointer.split("/")[2]) for fault in auction.faults if fault.code == BAD_FLOOR)
    return auction.speaker.with_non_bids(auction.request, response, auction.no_bid or NoBid.NOBODY_BIDS, invalid)
