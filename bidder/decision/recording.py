"""Which decided requests are kept whole: a sample, and all of what is watched.

The sample goes by person: of a user whose id begins below a bound all requests are kept, so that caps and reach can be
worked out; of requests without a user every n-th. The rate follows the traffic in steps of two, so that about the same
number a second is kept whatever comes, and who is in the sample at one rate is in it at every higher one.
"""

import math
import random
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from bidder.decision.choose import Chosen
from bidder.decision.pricing import Evaluation
from bidder.decision.recorded import (
    CAPPED,
    HELD,
    LACKING,
    POSITIONS,
    VERSION,
    Conditions,
    RecordedBid,
    pack_bids,
    pack_conditions,
    request_of,
)
from bidder.decision.snapshot import Snapshot
from bidder.decision.tailing import AuctionTap
from bidder.request.auction import Auction
from bidder.targeting.bitmaps import to_flags
from bidder.targeting.eligible_now import LiveSets
from bidder.targeting.match import Matcher
from bidder.targeting.memory import MemoryBudget
from core.ids import USER_ID_CHARS
from core.model import AuctionType
from core.reasons import NoBid
from journal.people import Pseudonyms
from journal.rows import REQUEST
from journal.writing import JournalWriter
from segments.profiles.reading import ProfileBatch
from segments.profiles.recording import pack_profile

# Ids of ours are base64url of random bytes: after the first sign, which is never a hyphen in new ids, the next two
# are one of 4,096 equally likely pairs.
_SIGNS: Final = "".join(sorted("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
LEVELS: Final = len(_SIGNS) ** 2
_EVERYBODY: Final = "~"
# Longer requests are left out: they would fill the journal, and are rare.
MAX_REQUEST_BYTES: Final = 64 * 1024
# The rate until the traffic is known, a second after the start.
_FIRST_RATE: Final = 1 / 64
# How much the measured traffic of one second weighs in the rate.
_FADING: Final = 0.2
_CAPS: Final = (NoBid.FREQUENCY_CAP.index, NoBid.MIN_GAP.index)


class Decided(NamedTuple):
    """A batch after its answers have left. `found` is None where no pair was left."""

    auctions: Sequence[Auction]
    found: Evaluation | None
    chosen: dict[int, Chosen]
    snapshot: Snapshot
    profiles: ProfileBatch
    now_ms: int


class AuctionRecorder:
    """Chooses and writes recorded requests of one bidder process. `tap` is set while somebody tails."""

    def __init__(
        self,
        writer: JournalWriter,
        pseudonyms: Pseudonyms,
        chance: random.Random,
        *,
        a_second: int,
        watched_exchanges: Collection[str] = (),
        watched_line_items: Collection[int] = (),
    ) -> None:
        self.tap: AuctionTap | None = None
        self._writer, self._pseudonyms, self._chance = writer, pseudonyms, chance
        self._a_second = a_second
        self._exchanges, self._line_items = frozenset(watched_exchanges), np.array(sorted(watched_line_items), np.int64)
        self._is_watching = bool(self._exchanges or len(self._line_items))
        self._seen = 0
        self._traffic = 0.0  # requests a second
        self._rate = 0.0
        self._below = ""
        self._gap = 0
        self._held: tuple[Snapshot, Matcher] | None = None
        self._set_rate(_FIRST_RATE if a_second else 0.0)

    @property
    def rate(self) -> float:
        """The part of the requests that is recorded now."""
        return self._rate

    def adjust(self, elapsed_s: float) -> None:
        """Set the rate by the traffic of the last `elapsed_s`; to be called about once a second."""
        seen, self._seen = self._seen, 0
        now = seen / max(elapsed_s, 1e-3)
        self._traffic = now if not self._traffic else (1 - _FADING) * self._traffic + _FADING * now
        if not self._a_second:
            return
        wanted = min(1.0, self._a_second / max(self._traffic, 1e-9))
        # By a factor of two, and not before the traffic has really changed: the sample should stay the same people.
        if wanted < 0.75 * self._rate or wanted > 2.5 * self._rate:
            self._set_rate(2.0 ** math.floor(math.log2(wanted)))

    def _set_rate(self, rate: float) -> None:
        level = round(rate * LEVELS) if rate <= 0 else max(1, min(LEVELS, round(rate * LEVELS)))
        self._rate = level / LEVELS
        self._below = _EVERYBODY if level == LEVELS else _SIGNS[level // len(_SIGNS)] + _SIGNS[level % len(_SIGNS)]
        self._gap = self._next_gap()

    def _next_gap(self) -> int:
        """How many requests without a user to pass over next, drawn so that each is taken with the same chance."""
        if self._rate >= 1.0:
            return 0
        return int(math.log(1.0 - self._chance.random()) / math.log1p(-self._rate)) if self._rate else 2**62

    def unwanted(self, pairs: Sequence[tuple[Auction, Any]], snapshot: Snapshot, now_ms: int) -> None:
        """Record from requests that were answered without a look at their users: the `no_bid` of each says why."""
        users = [auction.user_id for auction, _reply in pairs]
        picked = self._picked(users)
        if self.tap is not None:
            for auction, _reply in pairs:
                self.tap.silent(auction, now_ms)
        if picked or self._is_watching:
            chosen = set(picked)
            for number, (auction, _reply) in enumerate(pairs):
                if number in chosen:
                    self._record_alone(auction, snapshot, now_ms, self._rate)
                elif auction.exchange.key in self._exchanges:
                    self._record_alone(auction, snapshot, now_ms, 1.0)

    def decided(self, batch: Decided, unsent: Collection[int]) -> None:
        """Record from a batch whose answers have left, but for those of the auctions `unsent`."""
        picked = self._picked(batch.profiles.user_ids)
        if self.tap is not None:
            self.tap.decided(batch.auctions, batch.found, batch.chosen, batch.snapshot, batch.now_ms, unsent)
        if picked or self._is_watching:
            rates = dict.fromkeys(picked, self._rate) | dict.fromkeys(self._watched(batch), 1.0)
            for number, rate in rates.items():
                self._record(batch, number, rate, unsent)

    def _picked(self, users: Sequence[str | None]) -> list[int]:
        """The numbers of those requests that are in the sample."""
        self._seen += len(users)
        unknown = users.count(None)
        known: Sequence[Any] = [user for user in users if user is not None] if unknown else users
        picked: list[int] = []
        # Mostly the least of the first of the two signs refuses everybody, at a fifth of the cost of looking at each.
        if known and min("".join(known)[1::USER_ID_CHARS]) <= self._below[0]:
            below = self._below
            picked = [number for number, user in enumerate(users) if user is not None and user[1:] < below]
        if unknown:
            self._gap -= unknown
            if self._gap < 0:
                picked += self._of_unknown([number for number, user in enumerate(users) if user is None])
        return picked

    def _of_unknown(self, numbers: list[int]) -> Iterable[int]:
        at = self._gap + len(numbers)
        taken = []
        while at < len(numbers):
            taken.append(numbers[at])
            at += 1 + self._next_gap()
        self._gap = at - len(numbers)
        return taken

    def _watched(self, batch: Decided) -> list[int]:
        """The auctions to record whatever the sample: of a watched exchange, or that priced a watched line item."""
        if not self._is_watching:
            return []
        numbers = [number for number, auction in enumerate(batch.auctions) if auction.exchange.key in self._exchanges]
        if batch.found is not None and len(self._line_items):
            lines = batch.snapshot.index.lines.line_item
            slots = batch.found.slot_of_pair[np.isin(lines[batch.found.positions], self._line_items)]
            numbers += [batch.found.slots[slot].number for slot in set(slots.tolist())]
        return numbers

    def _record_alone(self, auction: Auction, snapshot: Snapshot, now_ms: int, rate: float) -> None:
        table = _table(dict.fromkeys(self._held_back(snapshot, auction), HELD), snapshot)
        conditions = pack_conditions(Conditions(VERSION, snapshot.model.name, table, ()))
        person = self._pseudonyms.of(auction.user_id, now_ms)
        self._write(auction, snapshot, now_ms, rate, b"", conditions, person, ())

    def _record(self, batch: Decided, number: int, rate: float, unsent: Collection[int]) -> None:
        auction = batch.auctions[number]
        if (number in unsent and auction.no_bid is None) or not batch.snapshot.is_bound:
            return  # withheld, or decided by a catalogue that has been replaced: the book is bound to the new one
        bids = () if batch.found is None or number in unsent else bids_of(number, batch)
        conditions = Conditions(
            VERSION, batch.snapshot.model.name, self._positions(batch, number), _steps(batch, number)
        )
        person = self._pseudonyms.of(batch.profiles.user_ids[number], batch.now_ms)
        profile = pack_profile(batch.profiles, number)
        self._write(
            auction, batch.snapshot, batch.now_ms, rate, profile, pack_conditions(conditions), person, tuple(bids)
        )

    def _write(
        self,
        auction: Auction,
        snapshot: Snapshot,
        now_ms: int,
        rate: float,
        profile: bytes,
        conditions: bytes,
        person: int,
        bids: Sequence[RecordedBid],
    ) -> None:
        if auction.is_test:
            return
        body = request_of(auction)
        if len(body) > MAX_REQUEST_BYTES:
            return
        reason = "" if bids else (auction.no_bid or NoBid.NOBODY_BIDS).name.lower()
        line_items = np.array(sorted({bid.line_item_id for bid in bids}), "<u4").tobytes()
        self._writer.append(
            REQUEST,
            (
                now_ms, auction.exchange.id, rate, snapshot.index.version, body, profile, pack_bids(bids), reason,
                person, self._chance.getrandbits(63), conditions, line_items,
            ),
        )  # fmt: skip

    def _positions(self, batch: Decided, number: int) -> bytes:
        """Multiplier and state of each position that this auction concerns, as an array of POSITIONS."""
        snapshot, found = batch.snapshot, batch.found
        left: dict[int, int] = {}
        states: dict[int, int] = dict.fromkeys(self._held_back(snapshot, batch.auctions[number]), HELD)
        if found is not None:
            for slot_number, slot in enumerate(found.slots):
                if slot.number != number:
                    continue
                start, end = found.pair_range(slot_number)
                columns = (found.positions, found.verdict, found.cost)
                for position, verdict, cost in zip(*(column[start:end].tolist() for column in columns), strict=True):
                    state = LACKING if verdict == NoBid.NO_LEASE.index else CAPPED if verdict in _CAPS else 0
                    states[position] = states.get(position, 0) | state
                    if state == LACKING:
                        known = left.get(position, int(snapshot.book.remaining[position]))
                        left[position] = max(0, min(known, cost - 1))
            for slot_number, bid in batch.chosen.items():
                if found.slots[slot_number].number == number and bid.position in left:
                    left[bid.position] += bid.cost
        return _table(states, snapshot, left)

    def _held_back(self, snapshot: Snapshot, auction: Auction) -> list[int]:
        """Positions that the request fits, but that money or pacing held back: matching for bids left them out."""
        held = reachable = -1
        for reason, passing in snapshot.live.parts:
            if reason in (NoBid.PACED_OUT, NoBid.NO_LEASE):
                held &= passing
            else:
                reachable &= passing
        held = reachable & ~held if snapshot.live.parts else 0
        if not held:
            return []
        if self._held is None or self._held[0] is not snapshot:
            matcher = Matcher(snapshot.index, LiveSets(snapshot.index), MemoryBudget(), counts_hits=False)
            self._held = snapshot, matcher
        matcher = self._held[1]
        matcher.live.bits = held
        eligible = [impression.eligible for impression in auction.impressions]
        union = matcher.match_context(auction)
        for impression, bits in zip(auction.impressions, eligible, strict=True):
            impression.eligible = bits
        return np.flatnonzero(to_flags(union, snapshot.index.count)).tolist() if union else []


def _table(states: dict[int, int], snapshot: Snapshot, left: dict[int, int] | None = None) -> bytes:
    """Positions with their states as an array of POSITIONS."""
    table = np.zeros(len(states), POSITIONS)
    at = np.fromiter(states, np.int64, len(states))
    table["line_item"], table["share"] = snapshot.index.lines.line_item[at], snapshot.index.lines.share[at]
    table["state"], table["multiplier"] = list(states.values()), snapshot.book.multiplier[at]
    table["left"] = [(left or {}).get(position, 0) for position in states]
    return table.tobytes()


def bids_of(number: int, batch: Decided) -> list[RecordedBid]:
    """The bids of one auction of a batch, as they are recorded."""
    found, bids = batch.found, []
    for slot_number, bid in batch.chosen.items():
        if found is None or found.slots[slot_number].number != number:
            continue
        slot, line = found.slots[slot_number], bid.shown.line
        bids.append(
            RecordedBid(
                slot.impression.imp.id, slot.impression.offer.format, line.line_item_id, line.share,
                bid.shown.prepared.ad.creative.id, bid.cpm, int(found.cpm[bid.pair]), int(found.floors[bid.pair]),
                bid.deal_id, int(bid.auction_type), bid.shading, bid.nonce,
            )
        )  # fmt: skip
    return bids


def _steps(batch: Decided, number: int) -> tuple[tuple[int, str, int, int, bytes], ...]:
    """The steps that shade bids of the auction's exchange and currency; none unless it is a first-price auction."""
    auction = batch.auctions[number]
    if auction.speaker.auction_types[auction.request.at] is not AuctionType.FIRST_PRICE:
        return ()
    return batch.snapshot.shading.steps_of(auction.exchange.id, auction.currency)
