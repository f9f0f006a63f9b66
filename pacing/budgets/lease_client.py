"""Keeps a bidder process in leases: asks for what it is about to spend, returns what it will not, four times a second.

All safety is in two rules (docs/money.md): a lease is only used for LEASE_VALID_MS after the *sending* of the last
heartbeat that Redis has acknowledged, so Redis can tell when a silent process has stopped; and what is returned is
stated as an absolute amount, so that repeating a call whose answer was lost changes nothing.
"""

import asyncio
import logging
import random
import secrets
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from core.telemetry.metrics import Telemetry
from pacing.budgets.leases import LeaseBook, Sealed
from pacing.budgets.levels import decode_leases
from pacing.budgets.pools import PoolTable, pool_number
from pacing.budgets.server_time import ServerTime
from pacing.budgets.timing import LEASE_SECONDS
from pacing.budgets.transitions import GrantReply, Transitions, Want, pairs

# A pause or a cut must stop the bidding within a second: one tick to see it, one to spare.
TICK_S = 0.25

# A script call that handles more than this would hold up every other client of its server for milliseconds.
CHUNK = 200
# Leases that are looked at between two turns of the event loop: 2 ms.
RECONCILED = 500

# When a pool bids less, its demand fades by this factor a tick: to half after two seconds.
RATE_DECAY = 0.92

# Between two ticks the client looks this often for a wanted pool without a lease, or with one that a burst used up.
URGENT_S = 0.05

# A pool whose budget is used up is asked for again after this.
REFUSED_BACKOFF_MS = 1_000

# A process that has just learned of an advertiser may ask while its budgets are being written: for this long refused
# pools are asked for again at each tick.
SETTLING_MS = 1_500

# A pool is in demand for this long after an auction in which it was priced.
DEMAND_MS = 2_000

# Bids that a process holds a lease for before there is any demand, so that a burst finds it: 500 requests of two
# impressions, of which half want the same line item. The script cuts it to a hundredth of each budget.
AHEAD_BIDS = 500

# A budget too small to be leased ahead of demand is asked for when there is demand, and ahead of it after this.
AHEAD_AGAIN_MS = 60_000

# Where another process was refused under a level, a lease under it is given back when nothing was bid from it for
# UNUSED_MS. A pool that gave back waits before it asks again, twice as long each time, up to the longest backoff.
UNUSED_MS = 1_000
LONGEST_UNUSED_BACKOFF_MS = 8_000


_log = logging.getLogger("grosz.pacing.leases")

MakeWant = Callable[[int], Want]
"""Makes the request for the pool at a position."""


# What is remembered of each pool when a new snapshot moves it to another position.
_KEPT = (
    "_rate", "_impression_rate", "_opened_ms", "_used_ms", "_wanted_ms", "_ahead_ms", "_unused", "_scored",
    "_answered",
)  # fmt: skip


def _under(levels: Iterable[str], pools: PoolTable, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of the positions spend from one of the levels; all, for the level of a campaign or advertiser."""
    lines: set[int] = set()
    shares: set[int] = set()
    for level in levels:
        kind, name = level[:1], level[1:].partition("@")[0]
        if kind in "ac":
            return np.ones(len(positions), np.bool_)
        line_item, _, share = name.partition(".")
        if kind in "pq":
            shares.add(int(pool_number(int(line_item), int(share))))
        else:
            lines.add(int(line_item))
    under: npt.NDArray[np.bool_] = np.isin(pools.line_item[positions], [*lines])
    return under | np.isin(pools.numbers[positions], [*shares])


def new_process_name() -> str:
    """A name that no other process has or had."""
    return f"{socket.gethostname()}-{secrets.token_hex(6)}"


class _Advertiser:
    """What the client knows of one advertiser's money."""

    __slots__ = ("day_ends_ms", "epoch", "known_since_ms", "pending", "recall", "uncertain", "until_ms")

    def __init__(self) -> None:
        self.epoch = ""
        self.recall = -1
        self.day_ends_ms = 0
        self.until_ms = 0
        self.known_since_ms = 0  # when the epoch was learned
        self.uncertain = False  # a grant whose answer was lost may have made leases
        self.pending: dict[int, Sealed] = {}  # to be returned, until Redis has confirmed it


class LeaseClient:
    """Background task of a bidder process. `run()` until cancelled, then `close()` hands everything back."""

    def __init__(
        self,
        book: LeaseBook,
        transitions: Transitions,
        clock: Clock,
        telemetry: Telemetry,
        *,
        process: str | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`jitter` gives numbers from 0 to 1."""
        self.process = process or new_process_name()
        self._jitter = jitter
        self._book = book
        self._transitions = transitions
        self._clock = clock
        self.server_time = ServerTime(clock)
        """How far our clock is off; while it is too far off, nothing is leased and leases are handed back."""
        self.has_stopped = False
        """Whether the clock is too far off now: bids would be refused when they are billed."""
        self._advertisers: defaultdict[int, _Advertiser] = defaultdict(_Advertiser)
        self._pools: PoolTable | None = None
        self._positions: dict[int, npt.NDArray[np.int64]] = {}
        calls = telemetry.counter("grosz_lease_calls_total", "Calls of the lease client to Redis.", ("outcome",))
        self._done, self._failed = calls.labels("done"), calls.labels("failed")
        grants = telemetry.counter(
            "grosz_lease_grants_total", "Leases that a process asked for, by outcome.", ("outcome",)
        )
        self._granted, self._refused = grants.labels("granted"), grants.labels("refused")
        self._dropped = telemetry.counter(
            "grosz_lease_drops_total", "Times that all leases of an advertiser were given up, by why.", ("reason",)
        )
        gauge = telemetry.gauge("grosz_lease_pools", "Pools with a lease that can be reserved from.")
        gauge.labels().follow(lambda: float(np.count_nonzero(self._book.valid_until_ms > self._clock.now_ms())))
        offset = telemetry.gauge(
            "grosz_clock_offset_seconds", "Seconds by which Redis's clock is ahead of this process's."
        )
        offset.labels().follow(lambda: self.server_time.offset_ms / 1000)

    @property
    def is_settled(self) -> bool:
        """Whether Redis has said of every pool what this process may spend of it."""
        return self._pools is self._book.pools and bool(self._answered[self._book.pools.advertiser > 0].all())

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await self.tick()
            for _ in range(round(TICK_S / URGENT_S)):
                await asyncio.sleep(URGENT_S)
                if self._is_urgent():
                    break

    async def tick(self) -> None:
        """One round: heartbeats and wants, then returns. Redis being away is counted, not raised."""
        self._realign()
        self._observe()
        wanting, want = self._wants()
        if self.server_time.is_off:
            wanting[:] = False
        await asyncio.gather(
            *(self._ask(advertiser, group[wanting[group]], want) for advertiser, group in self._positions.items())
        )
        self._judge_clock()
        self._observed = self._book.reserved(), self._book.reserved_impressions()
        for sealed in self._book.retired():
            self._advertisers[sealed.advertiser_id].pending[sealed.lease_id] = sealed
        await self._return_pending()

    def _judge_clock(self) -> None:
        was_off = self.server_time.is_off
        self.server_time.end_round()
        fault = self.server_time.fault()
        self.has_stopped = fault is not None
        if fault is None:
            if was_off:
                _log.warning("this machine's clock agrees with Redis's again: bidding goes on")
            return
        if not was_off:
            _log.error("bidding stops: %s", fault)
        for advertiser in self._positions:
            self._take_all(advertiser)

    async def close(self) -> None:
        """Hand everything back; reservations keep their part until they are settled or expire."""
        self._realign()
        for advertiser in self._positions:
            self._take_all(advertiser)
        for sealed in self._book.retired():
            self._advertisers[sealed.advertiser_id].pending[sealed.lease_id] = sealed
        await self._return_pending()

    def _realign(self) -> None:
        book = self._book
        if self._pools is book.pools:
            return
        old = None if self._pools is None else (self._pools, [getattr(self, name) for name in _KEPT])
        size = len(book.pools)
        self._rate: npt.NDArray[np.float64] = np.zeros(size)  # demand in micros a second
        self._impression_rate: npt.NDArray[np.float64] = np.zeros(size)
        self._opened_ms: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        self._used_ms: npt.NDArray[np.int64] = np.zeros(size, np.int64)  # last reservation
        self._wanted_ms: npt.NDArray[np.int64] = np.zeros(size, np.int64)  # last priced in an auction
        self._ahead_ms: npt.NDArray[np.int64] = np.zeros(size, np.int64)  # not to be held ahead of demand before this
        self._unused: npt.NDArray[np.int64] = np.zeros(size, np.int64)  # times given back without a bid
        self._scored: npt.NDArray[np.int64] = np.zeros(size, np.int64)  # book.scored as it was last seen
        self._answered: npt.NDArray[np.bool_] = np.zeros(size, np.bool_)
        self._retry_ms: npt.NDArray[np.int64] = np.zeros(size, np.int64)
        # Works on whole arrays, since the event loop waits: one pool after the other took 0.4 s for 100,000.
        if old is not None:
            pools, arrays = old
            was = pools.find(book.pools.numbers)
            known = (was >= 0).nonzero()[0]
            for name, array in zip(_KEPT, arrays, strict=True):
                getattr(self, name)[known] = array[was[known]]
        owners = book.pools.advertiser
        by_owner = owners.argsort(kind="stable")
        by_owner = by_owner[owners[by_owner] > 0]  # positions without an owner have lost their pools
        advertisers, starts = np.unique(owners[by_owner], return_index=True)
        self._positions = dict(zip(advertisers.tolist(), np.split(by_owner, starts[1:]), strict=False))
        self._observed = book.reserved(), book.reserved_impressions()
        self._seen = self._clock.monotonic()
        self._pools = book.pools

    def _is_urgent(self) -> bool:
        """Whether a pool that is wanted now has nothing to bid with, and may be asked for."""
        book = self._book
        if self._pools is not book.pools:
            return True
        if self.server_time.is_off:
            return False
        empty = (book.remaining < book.pools.max_bid) | (book.impressions_left <= 0)
        return bool((empty & (book.scored != self._scored) & (self._retry_ms <= self._clock.now_ms())).any())

    def _observe(self) -> None:
        """Notice what was wanted and reserved since the last round."""
        book, now_ms, now = self._book, self._clock.now_ms(), self._clock.monotonic()
        elapsed = max(now - self._seen, TICK_S)
        decay = RATE_DECAY ** (max(now - self._seen, 0.0) / TICK_S)
        self._seen = now
        used = (book.reserved() - self._observed[0]) / elapsed
        shown = (book.reserved_impressions() - self._observed[1]) / elapsed
        self._rate = np.maximum(used, self._rate * decay)
        self._impression_rate = np.maximum(shown, self._impression_rate * decay)
        self._used_ms[shown > 0] = now_ms
        self._unused[shown > 0] = 0
        self._wanted_ms[(book.scored != self._scored) | (shown > 0)] = now_ms
        self._scored[:] = book.scored

    def _wants(self) -> "tuple[npt.NDArray[np.bool_], MakeWant]":
        """Which pools ask for something, and for what.

        Where there is demand: two seconds of it, one maximum bid at least. Ahead of demand what the budget allows.
        """
        book, now_ms, max_bid = self._book, self._clock.now_ms(), self._book.pools.max_bid
        need = np.maximum(max_bid, (self._rate * LEASE_SECONDS).astype(np.int64))
        count = np.maximum(1, (self._impression_rate * LEASE_SECONDS).astype(np.int64))
        demanded = now_ms - self._wanted_ms <= DEMAND_MS
        ahead = self._ahead_ms <= now_ms
        lifetime = self._transitions.timing.lease_bucket_ms
        rotate = book.open & (book.reserved() > 0) & (now_ms - self._opened_ms >= lifetime)
        short = (book.remaining < np.maximum(max_bid, need // 2)) | (book.impressions_left * 2 < count)
        may_ask = demanded | (ahead & ~book.open)

        def want(position: int) -> Want:
            bid, lease = int(max_bid[position]), book.lease_id(position)
            micros, amount, least, fewest = (int(need[position]), int(count[position]), bid, 1)
            if rotate[position]:
                lease = 0
            elif demanded[position]:
                micros, least = (max(amount_of - int(book.remaining[position]), 1) for amount_of in (micros, least))
                amount = max(amount - int(book.impressions_left[position]), 1)
            bids = AHEAD_BIDS if ahead[position] else 0
            if not demanded[position]:
                micros = amount = 0
            return Want(book.pools.key(position), lease, micros, amount, least, fewest, bids * bid, bids)

        return (rotate | (short & may_ask)) & (self._retry_ms <= now_ms), want

    async def _ask(self, advertiser_id: int, positions: npt.NDArray[np.int64], want: "MakeWant") -> None:
        # What `positions` and `want` speak of: the book may have been bound anew since the tick made them.
        known, pools = self._advertisers[advertiser_id], self._pools
        for start in range(0, max(len(positions), 1), CHUNK):
            if self._book.pools is not pools:
                return  # a new snapshot came meanwhile: positions mean something else
            # Made when they are sent, so that the 100,000 of a fresh process do not hold up its requests.
            part = [(position, want(position)) for position in positions[start : start + CHUNK].tolist()]
            sent_ms = self._clock.now_ms()
            try:
                reply = await self._transitions.grant(
                    advertiser_id, known.epoch, self.process, [want for _, want in part]
                )
            except UnavailableError:
                self._failed.inc()
                known.uncertain = known.uncertain or bool(part)
                return
            self._done.inc()
            self.server_time.note(sent_ms, reply.now_ms)
            if self._book.pools is not pools:
                known.uncertain = known.uncertain or bool(part)
                return
            if not self._accept(advertiser_id, known, reply, sent_ms):
                return
            self._apply(advertiser_id, part, reply, sent_ms)
            if reply.hungry:
                self._give_back(advertiser_id, reply.hungry, sent_ms)
        if known.uncertain:
            await self._reconcile(advertiser_id, known)

    def _accept(self, advertiser_id: int, known: _Advertiser, reply: GrantReply, sent_ms: int) -> bool:
        """Whether the reply is of the process's own epoch. Where it recalls leases, they are given back here."""
        if reply.epoch != known.epoch or not reply.epoch:
            if known.epoch:
                self._dropped.labels("epoch").inc()
            self._book.drop(advertiser_id)
            self._advertisers[advertiser_id] = fresh = _Advertiser()
            fresh.epoch, fresh.known_since_ms = reply.epoch, sent_ms
            return False
        lapsed = 0 < known.until_ms <= sent_ms
        if lapsed or known.day_ends_ms != reply.day_ends_ms or known.recall != reply.recall:
            if known.recall >= 0:
                reason = "lapsed" if lapsed else "recall" if known.recall != reply.recall else "day"
                self._dropped.labels(reason).inc()
            self._take_all(advertiser_id)
        known.recall, known.day_ends_ms = reply.recall, reply.day_ends_ms
        lifetime = self._transitions.timing.lease_valid_ms
        known.until_ms = sent_ms + min(lifetime, max(reply.day_ends_ms - reply.now_ms, 0))
        self._book.renew(self._positions[advertiser_id], known.until_ms)
        return True

    def _apply(self, advertiser_id: int, part: Sequence[tuple[int, Want]], reply: GrantReply, sent_ms: int) -> None:
        known = self._advertisers[advertiser_id]
        for (position, want), granted in zip(part, reply.leases, strict=True):
            held = self._book.lease_id(position)
            if not granted.lease_id:
                if granted.waits_for_demand:
                    self._answered[position] = True
                    self._ahead_ms[position] = sent_ms + AHEAD_AGAIN_MS
                else:
                    self._refuse(known, position, sent_ms)
                if want.lease_id == 0 and held:  # due for rotation: it must end, so that its reservations can close
                    self._seal(known, self._book.take(position))
                continue
            self._granted.inc()
            self._answered[position] = True
            if granted.lease_id != held:
                if granted.lease_id == want.lease_id:  # the lease was given back while the call was under way
                    known.uncertain = True
                    continue
                self._opened_ms[position] = sent_ms
            self._seal(
                known,
                self._book.grant(position, granted.lease_id, granted.micros, granted.impressions, known.until_ms),
            )

    def _refuse(self, known: _Advertiser, position: int, sent_ms: int) -> None:
        """Redis has refused a lease for the pool."""
        self._refused.inc()
        is_settling = sent_ms - known.known_since_ms < SETTLING_MS
        self._answered[position] |= not is_settling
        if not is_settling:
            self._retry_ms[position] = self._book.refused_until_ms[position] = sent_ms + REFUSED_BACKOFF_MS

    def _give_back(self, advertiser_id: int, hungry: Sequence[str], now_ms: int) -> None:
        """Return leases under levels where another process was refused, if this one does not use or need them."""
        book, known = self._book, self._advertisers[advertiser_id]
        positions = self._positions[advertiser_id]
        positions = positions[book.open[positions] & (now_ms - self._opened_ms[positions] >= UNUSED_MS)]
        positions = positions[_under(hungry, book.pools, positions)]
        need = np.maximum(book.pools.max_bid[positions], (self._rate[positions] * LEASE_SECONDS).astype(np.int64))
        unused = now_ms - self._used_ms[positions] >= UNUSED_MS
        for position in positions[~unused & (book.remaining[positions] > 2 * need)].tolist():
            self._seal(known, book.take(position))  # and the pool asks again for what it needs
            self._ahead_ms[position] = now_ms + AHEAD_AGAIN_MS
        for position in positions[unused].tolist():
            self._seal(known, book.take(position))
            self._ahead_ms[position] = now_ms + AHEAD_AGAIN_MS
            pause_ms = min(UNUSED_MS // 2 * 2 ** int(self._unused[position]), LONGEST_UNUSED_BACKOFF_MS)
            # The random part makes another process the first each time, of several that gave back together.
            self._retry_ms[position] = now_ms + round(pause_ms * (0.5 + self._jitter()))
            self._unused[position] = min(self._unused[position] + 1, 8)

    def _take_all(self, advertiser_id: int) -> None:
        known = self._advertisers[advertiser_id]
        positions = self._positions[advertiser_id]
        for position in positions[self._book.open[positions]].tolist():
            self._seal(known, self._book.take(position))
        self._retry_ms[positions] = 0

    @staticmethod
    def _seal(known: _Advertiser, sealed: Sealed | None) -> None:
        if sealed is not None:
            known.pending[sealed.lease_id] = sealed

    async def _return_pending(self) -> None:
        """Return what is pending, for all advertisers at once; most have nothing, and a task for each is not free."""
        owing = [advertiser for advertiser, known in self._advertisers.items() if known.pending]
        if owing:
            await asyncio.gather(*(self._return(advertiser) for advertiser in owing))

    async def _return(self, advertiser_id: int) -> None:
        """Return an advertiser's pending leases; each stays pending until Redis has answered."""
        known = self._advertisers[advertiser_id]
        pending = list(known.pending.values())
        for start in range(0, len(pending), CHUNK):
            part = pending[start : start + CHUNK]
            try:
                current = await self._transitions.seal(advertiser_id, known.epoch, part)
            except UnavailableError:
                self._failed.inc()
                return
            self._done.inc()
            # Leases of an epoch that is over cannot be returned: they are quarantined or gone.
            self._forget(known, part if current else pending)

    @staticmethod
    def _forget(known: _Advertiser, leases: Iterable[Sealed]) -> None:
        for sealed in leases:
            known.pending.pop(sealed.lease_id, None)

    async def _reconcile(self, advertiser_id: int, known: _Advertiser) -> None:
        """Return leases that Redis made in calls whose answers were lost: nothing was reserved from them."""
        try:
            packed = await self._transitions.command("HGETALL", keys.money_leases(advertiser_id))
        except UnavailableError:
            self._failed.inc()
            return
        if self._book.pools is not self._pools:
            return  # a new snapshot came meanwhile; `uncertain` stays, so this is done again
        held = {self._book.lease_id(position) for position in self._positions[advertiser_id].tolist()}
        held.update(known.pending)
        # Nobody else asks for leases of this advertiser meanwhile, so what is held may be compared in parts: tens of
        # thousands at once held up requests for 0.1 s.
        listed = list(pairs(packed).items())
        for start in range(0, len(listed), RECONCILED):
            for lease_id, lease in decode_leases(dict(listed[start : start + RECONCILED])).items():
                if lease.process == self.process and not lease.closes_ms and int(lease_id) not in held:
                    known.pending[int(lease_id)] = Sealed(advertiser_id, int(lease_id), 0, 0)
            await asyncio.sleep(0)
        known.uncertain = False
