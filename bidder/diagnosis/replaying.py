"""Recorded requests decided again, by the stages of the bid path: to prove that they decide the same, and to see which
bids another catalogue, model or release changes, and why.

What is decided again is what would be bid: line item, share, creative, price, deal and shading of each impression. Not
made again are tokens, markup and the products of dynamic ads. Why a request was refused before it was looked at (its
address or agent, the sellers' files, no time) is taken as recorded, since what decided it is not kept.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from bidder.decision.choose import Chosen, choose
from bidder.decision.model_file import Model
from bidder.decision.pipeline import evaluate, lacking_leases, look_up, screen, why_silent
from bidder.decision.pricing import Evaluation
from bidder.decision.recorded import (
    CAPPED,
    HELD,
    LACKING,
    Conditions,
    RecordedBid,
    RecordedConsent,
    unpack_bids,
    unpack_conditions,
)
from bidder.decision.recording import Decided, bids_of
from bidder.decision.snapshot import Snapshot
from bidder.dialects.table import speaker_of
from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction
from bidder.targeting.compiled import Compiled
from core.config import ConsentSettings
from core.errors import InputError
from core.model import Catalogue, Exchange, SellerCheck
from core.money import format_micros
from core.reasons import NO_BID_REASONS, NoBid
from pacing.budgets.leases import LeaseBook
from pacing.landscape.messages import CellSteps
from pacing.landscape.shading import Shading
from segments.profiles.reading import ProfileBatch
from segments.profiles.recording import RecordedProfile, RecordedProfiles, unpack_profile

TAKEN: Final = frozenset({
    "crawler", "suspicious_agent", "data_centre", "ads_txt_unknown", "ads_txt_violation", "seller_blocked", "no_time",
    "no_snapshot", "overload",
})  # fmt: skip
"""Reasons that are taken as recorded."""

PLENTY: Final = 10**15
NEVER_MS: Final = 2**62


class RecordedRequest(msgspec.Struct, frozen=True):
    """A recorded request, unpacked. `profile` is None where nobody was looked up."""

    record_id: int
    at_ms: int
    exchange_id: int
    sampled: float
    catalogue: int
    body: bytes
    profile: RecordedProfile | None
    conditions: Conditions
    bids: tuple[RecordedBid, ...]
    reason: str
    person: int


def unpack_request(
    record_id: int, at_ms: int, exchange_id: int, sampled: float, catalogue: int, body: bytes, profile: bytes,
    bids: bytes, conditions: bytes, reason: str, person: int,
) -> RecordedRequest:  # fmt: skip
    """A recorded request from the columns of its row. Raises InputError for one that cannot be read."""
    try:
        return RecordedRequest(
            record_id, at_ms, exchange_id, sampled, catalogue, body, unpack_profile(profile) if profile else None,
            unpack_conditions(conditions), unpack_bids(bids), reason, person,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(
            f"the recorded request {record_id} cannot be read: {error}", hint="a release that wrote it reads it"
        ) from None


class BidDecision(msgspec.Struct, frozen=True):
    """What is bid on a request, by impression; `reason` is "" where anything is."""

    reason: str
    bids: tuple[RecordedBid, ...]

    def packed(self) -> bytes:
        """The decision as bytes, which are equal for equal decisions."""
        return msgspec.msgpack.encode(self)


def recorded_decision(request: RecordedRequest) -> BidDecision:
    """The decision that was recorded with the request."""
    return BidDecision(request.reason, _in_order(request.bids))


def _in_order(bids: Iterable[RecordedBid]) -> tuple[RecordedBid, ...]:
    """The bids in a fixed order, without the nonces of their tokens, which are new each time."""
    plain = [msgspec.structs.replace(bid, bid_id=0) for bid in bids]
    return tuple(sorted(plain, key=lambda bid: (bid.impression_id, bid.format, bid.line_item_id, bid.share)))


class DecidedAgain(NamedTuple):
    """A request decided again, with all that the stages found."""

    decision: BidDecision
    auction: Auction | None
    profiles: ProfileBatch | None
    found: Evaluation | None
    chosen: dict[int, Chosen]


class Replayer:
    """Decides recorded requests by one catalogue and model. `snapshot` has the conditions of the last request."""

    def __init__(self, compiled: Compiled, model: Model, consent: ConsentSettings, track_url: str) -> None:
        """`compiled` is of a catalogue `without_checks`."""
        self._policy = RecordedConsent(consent)
        self.book = LeaseBook()
        self.book.bind(compiled.index.pools)
        for position in range(len(compiled.index.pools)):
            self.book.grant(position, position + 1, PLENTY, PLENTY, NEVER_MS)
        self._shading = Shading()
        self.snapshot = Snapshot(compiled, model, self.book, track_url, self._shading)
        self._exchanges = {exchange.id: exchange for exchange in compiled.index.exchanges.values()}
        self._touched: list[int] = []
        # The last multiplier above 0 that was recorded of each position. A position that a request's conditions do not
        # name was not held back by it, so a multiplier of 0 holds for its own request alone.
        self._multiplier = self.book.multiplier.copy()

    @property
    def policy(self) -> RecordedConsent:
        return self._policy

    def exchange(self, request: RecordedRequest) -> Exchange | None:
        """The exchange that asked; None where this catalogue no longer has it."""
        return self._exchanges.get(request.exchange_id)

    def decide(self, request: RecordedRequest) -> DecidedAgain:
        """Decide a request as of its own moment and conditions."""
        exchange = self.exchange(request)
        if exchange is None:
            return _silent(NoBid.UNKNOWN_EXCHANGE.name.lower())
        if request.reason in TAKEN:
            return _silent(request.reason)
        self.set_conditions(request)
        auction = Auction(decode_request(request.body, Tolerances()), exchange, math.inf, speaker_of(exchange))
        if not screen(auction, self.snapshot, self._policy):
            reason = (auction.no_bid or NoBid.NOT_TARGETED).name.lower()
            return DecidedAgain(BidDecision(reason, ()), auction, None, None, {})
        profiles = read_profiles([auction], [request.profile], request.at_ms)
        found = evaluate([auction], profiles, self.snapshot, request.at_ms)
        chosen: dict[int, Chosen] = {}
        if found is not None:
            self._cap(found, request.conditions)
            chosen = choose(found, self.snapshot, request.at_ms)
        if not chosen:
            reason = why_silent(auction, profiles, 0, self.snapshot, lacking_leases(found)).name.lower()
            return DecidedAgain(BidDecision(reason, ()), auction, profiles, found, chosen)
        batch = Decided([auction], found, chosen, self.snapshot, profiles, request.at_ms)
        return DecidedAgain(BidDecision("", _in_order(bids_of(0, batch))), auction, profiles, found, chosen)

    def set_conditions(self, request: RecordedRequest) -> None:
        """Bring leases, multipliers and shading to what they were. Multipliers that were not recorded with it stay."""
        book = self.book
        book.remaining[:], book.impressions_left[:] = PLENTY, PLENTY
        book.refused_until_ms[self._touched] = 0
        self._touched = []
        book.multiplier[:] = self._multiplier
        table = request.conditions.table
        for line_item, share, state, multiplier, left in table.tolist():
            position = book.position(line_item, share)
            if position is None:
                continue
            book.multiplier[position] = multiplier
            if multiplier > 0.0:
                self._multiplier[position] = multiplier
            if state & (HELD | LACKING) and multiplier > 0.0:
                book.remaining[position] = left
                if state & HELD:
                    book.refused_until_ms[position] = NEVER_MS
                    self._touched.append(position)
        self._shading.replace([CellSteps(*cell[:4], 0.0, cell[4]) for cell in request.conditions.steps])
        self.snapshot.live.refresh(request.at_ms, book)

    def _cap(self, found: Evaluation, conditions: Conditions) -> None:
        """Cap again what other bids of the same moment had capped: those bids are not made again here."""
        for line_item, share, state, _multiplier, _left in conditions.table.tolist():
            if state & CAPPED:
                position = self.book.position(line_item, share)
                pairs = (found.positions == position).nonzero()[0]
                found.eligible[pairs] = False
                found.verdict[pairs] = NoBid.FREQUENCY_CAP.index


def read_profiles(auctions: Sequence[Auction], profiles: Sequence[RecordedProfile | None], now_ms: int) -> ProfileBatch:
    """Run the look-up of the bid path on recorded profiles, for which it never waits."""
    waiting = look_up(auctions, RecordedProfiles(profiles), now_ms, math.inf)
    try:
        waiting.send(None)
    except StopIteration as done:
        batch: ProfileBatch = done.value
        return batch
    raise AssertionError("a look-up of what was recorded waits")


def without_checks(catalogue: Catalogue) -> Catalogue:
    """The catalogue without the checks of exchanges whose outcome is taken as recorded."""
    exchanges = tuple(
        msgspec.structs.replace(exchange, humans_only=False, seller_check=SellerCheck.OFF)
        for exchange in catalogue.exchanges
    )
    return msgspec.structs.replace(catalogue, exchanges=exchanges)


def _silent(reason: str) -> DecidedAgain:
    return DecidedAgain(BidDecision(reason, ()), None, None, None, {})


class BidChange(msgspec.Struct, frozen=True):
    """A bid that one version makes and another does not, or makes differently. Prices are decimal CPM."""

    record_id: int
    at_ms: int
    impression_id: str
    format: str
    line_item_id: int
    share: int
    before_cpm: str  # "" where it did not bid
    after_cpm: str
    why: str


def changes(request: RecordedRequest, before: BidDecision, again: DecidedAgain, replayer: Replayer) -> list[BidChange]:
    """What differs between a decision and the one that `replayer` made just now."""
    old = {(bid.impression_id, bid.format, bid.line_item_id, bid.share): bid for bid in before.bids}
    new = {(bid.impression_id, bid.format, bid.line_item_id, bid.share): bid for bid in again.decision.bids}
    told = []
    for place in sorted(old.keys() | new.keys()):
        was, is_now = old.get(place), new.get(place)
        if was == is_now:
            continue
        why = _why_changed(was, is_now) if was is not None and is_now is not None else ""
        if was is not None and is_now is None:
            why = why_not(place[0], place[1], place[2], place[3], again, replayer, request.at_ms)
        elif was is None:
            why = _why_new(place, old, before)
        told.append(
            BidChange(
                request.record_id, request.at_ms, *place, _cpm(was), _cpm(is_now), why,
            )
        )  # fmt: skip
    return told


def _cpm(bid: RecordedBid | None) -> str:
    return "" if bid is None else format_micros(bid.bid_cpm)


def _why_changed(was: RecordedBid, now: RecordedBid) -> str:
    parts = []
    if was.value_cpm != now.value_cpm:
        parts.append(f"worth {format_micros(was.value_cpm)}, now {format_micros(now.value_cpm)}")
    elif was.bid_cpm != now.bid_cpm:
        parts.append("shaded differently")
    if was.creative_id != now.creative_id:
        parts.append(f"creative {was.creative_id}, now {now.creative_id}")
    if was.floor_cpm != now.floor_cpm:
        parts.append(f"floor {format_micros(was.floor_cpm)}, now {format_micros(now.floor_cpm)}")
    if was.deal_id != now.deal_id:
        parts.append(f"deal {was.deal_id or 'none'}, now {now.deal_id or 'none'}")
    return "; ".join(parts) or "auction type or shading"


def _why_new(
    place: tuple[str, str, int, int], old: dict[tuple[str, str, int, int], RecordedBid], before: BidDecision
) -> str:
    beaten = [key[2] for key in old if key[:2] == place[:2]]
    if beaten:
        return f"bids more than line item {beaten[0]}, which won before"
    reason = NoBid.__members__.get(before.reason.upper())
    return "nobody bid before" + (f": {reason.text}" if reason is not None else "")


def why_not(
    impression_id: str, ad_format: str, line_item: int, share: int, again: DecidedAgain, replayer: Replayer, at_ms: int
) -> str:
    """Why a line item does not bid on an impression of a request that was decided again: all reasons, in words."""
    snapshot, auction = replayer.snapshot, again.auction
    position = replayer.book.position(line_item, share)
    if position is None:
        return "it is not in this catalogue, or not active"
    if auction is None or again.profiles is None:
        reason = NoBid.__members__.get(again.decision.reason.upper())
        if auction is None or not auction.impressions or (reason and reason not in _OF_ALL):
            return reason.text if reason is not None else again.decision.reason
    profiles = again.profiles or ProfileBatch([None])
    for impression in auction.impressions:
        if (impression.imp.id, impression.offer.format) != (impression_id, ad_format):
            continue
        reasons = snapshot.matcher.reasons(auction, impression, profiles, 0, snapshot.caps, at_ms // 1000)
        words = [_worded(reason, said) for reason, passing, said in reasons if not passing >> position & 1]
        if again.profiles is None:  # no profile was looked up, so segments are unknown
            words = [text for text in words if text != NoBid.NO_PROFILE.text]
        return "; ".join(words) or _verdict(again.found, impression_id, ad_format, position)
    return "the impression cannot be bid on"


_OF_ALL: Final = (NoBid.NOT_TARGETED, NoBid.NOBODY_BIDS, NoBid.INACTIVE, NoBid.OUTSIDE_FLIGHT, NoBid.DAYPART,
                  NoBid.PACED_OUT, NoBid.NO_LEASE, NoBid.NO_PROFILE, NoBid.FREQUENCY_CAP)  # fmt: skip


def _worded(reason: NoBid, said: str) -> str:
    return f"{reason.text} ({said})" if said else reason.text


def _verdict(found: Evaluation | None, impression_id: str, ad_format: str, position: int) -> str:
    """What pricing and the auction said of a pair."""
    for number, slot in enumerate(found.slots if found is not None else ()):
        if found is None or (slot.impression.imp.id, slot.impression.offer.format) != (impression_id, ad_format):
            continue
        start, end = found.pair_range(number)
        at = start + int(np.searchsorted(found.positions[start:end], position))
        if at < end and int(found.positions[at]) == position:
            verdict = int(found.verdict[at])
            price = f"bid {format_micros(int(found.cpm[at]))}, floor {format_micros(int(found.floors[at]))}"
            return f"{NO_BID_REASONS[verdict].text} ({price})" if 0 <= verdict < len(NO_BID_REASONS) else price
    return "not priced"
