"""All (impression, line item) pairs of a batch as arrays: priced, and judged against floors, deals and leases."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from bidder.decision import afford, rank, score
from bidder.decision.price_memo import PriceMemo
from bidder.decision.snapshot import Snapshot
from bidder.request.auction import Auction, Impression
from bidder.targeting.counting import tally
from bidder.targeting.normalise import normal_domain
from core.money import ceil_to_grosz
from core.ring import recent_impressions
from segments.profiles.reading import ProfileBatch

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_NO_PAIRS: Integers = np.zeros(0, dtype=np.int64)

FIXED_PRICE_DEAL = 3  # `deal.at`: bid exactly the deal's price (OpenRTB 2.6 section 3.2.12)
SECOND_BID = 1
"""Number of the bid beside another on one impression, as that of a second ad in a pod."""
# Impressions older than a day no longer lower the value of the next one (docs/evidence.md, "Frequency").
FREQUENCY_WINDOW_S = 24 * 3600


class Slot(msgspec.Struct, gc=False):
    """One impression of one auction of the batch, in one format, that at least one line item may bid on."""

    number: int  # of the auction in the batch
    auction: Auction
    impression: Impression


class Evaluation:
    """Arrays with one row a pair, ordered by slot, then by position."""

    __slots__ = (
        "_ends", "cost", "cpm", "eligible", "floors", "frequency", "has_deals", "lengths", "personal", "positions",
        "rate", "scored", "scores", "slot_kinds", "slot_of_pair", "slots", "starts", "state", "verdict",
        "winners",
    )  # fmt: skip

    slot_of_pair: Integers
    positions: Integers
    cpm: Integers  # the bid: CPM micros of the auction's currency, on the grosz grid
    rate: Floats | float  # units of the auction's currency for one of the advertiser's
    scores: score.Scores | None  # how the bids of the `personal` pairs came about; None where there is none
    personal: Integers  # pairs whose bid is not the same for everybody, ascending; of a batch without memo all
    slot_kinds: Integers  # of each slot, see `BoundModel.slot_kind`
    state: Integers | None  # row of the user's state at the shop, counted from 1; see `score.state_of_pairs`
    frequency: Floats | None  # see `_frequency`
    scored: Callable[..., score.Scores]  # prices some pairs of these anew, `personal` by what is known of the user
    floors: Integers  # CPM micros of the auction's currency
    cost: Integers  # micros of the advertiser's currency
    verdict: Integers  # rank.ELIGIBLE or a column of bidder.targeting.counting
    eligible: NDArray[np.bool_]
    has_deals: bool  # whether deals are offered on any impression
    winners: Integers  # pairs that bid, in the order in which `bidder.decision.choose` chose them

    def __init__(self, slots: list[Slot], positions: list[Integers]) -> None:
        self.slots = slots
        self._ends = list(itertools.accumulate(map(len, positions), initial=0))
        ends = np.array(self._ends)
        self.starts = ends[:-1]  # first pair of each slot
        self.lengths = ends[1:] - self.starts  # pairs of each slot; none is without
        self.slot_of_pair = np.arange(len(slots)).repeat(self.lengths)
        self.positions = np.concatenate(positions)
        self.scores = None
        self.has_deals = False

    def pair_range(self, slot: int) -> tuple[int, int]:
        """First pair of a slot, and the one after its last."""
        return self._ends[slot], self._ends[slot + 1]

    def formats_of(self, slot: int) -> range:
        """The slots of the same impression of the protocol: one for each format that line items may bid in."""
        slots, found = self.slots, self.slots[slot]
        if not found.impression.has_rivals:
            return range(slot, slot + 1)
        place, start, end = (found.number, found.impression.position), slot, slot + 1
        while start and (slots[start - 1].number, slots[start - 1].impression.position) == place:
            start -= 1
        while end < len(slots) and (slots[end].number, slots[end].impression.position) == place:
            end += 1
        return range(start, end)

    def pairs_of_formats(self, slot: int) -> tuple[int, int]:
        """First pair of all formats of a slot's impression, and the one after the last."""
        slots = self.formats_of(slot)
        return self._ends[slots.start], self._ends[slots.stop]

    def second_of(self, slot: int) -> int:
        """Add one more slot of an impression, for its second bid, and return its number; it has no pairs of its own."""
        first = self.slots[slot]
        impression = msgspec.structs.replace(first.impression, pod_index=SECOND_BID)
        self.slots.append(Slot(first.number, first.auction, impression))
        self._ends.append(self._ends[-1])
        return len(self.slots) - 1

    def by_slot(self, values: Sequence[int]) -> Integers:
        """The value of its slot, for each pair."""
        return np.array(values, dtype=np.int64).repeat(self.lengths)


def price(
    auctions: Sequence[Auction],
    profiles: ProfileBatch,
    snapshot: Snapshot,
    now_ms: int,
    memo: PriceMemo | None = None,
) -> Evaluation:
    """Price and judge every pair that the impressions' `eligible` sets name; there must be at least one.

    With a `memo`, bids that are the same for everybody are looked up there; the result then has no `scores` of them.
    """
    slots: list[Slot] = []
    has_deals = has_multipliers = False
    for number, auction in enumerate(auctions):
        has_multipliers = has_multipliers or auction.has_multipliers
        for impression in auction.impressions:
            if impression.eligible:
                slots.append(Slot(number, auction, impression))
                has_deals = has_deals or bool(impression.deal_floors)
    found = Evaluation(slots, snapshot.unpacked.positions([slot.impression.eligible for slot in slots]))
    book = snapshot.book
    tally(book.scored, found.positions)  # pacing learns from auctions that a pool lost, too
    found.rate = rate = _rates(found, snapshot)
    _price(found, profiles, snapshot, now_ms, memo)
    found.floors = found.by_slot([slot.impression.floor_cpm for slot in slots])
    if has_deals:
        found.has_deals = True
        _apply_deals(found, snapshot)
    too_low = score.too_low(found.cpm, found.positions, rate, snapshot.model)
    if has_multipliers:
        multipliers = found.by_slot([slot.impression.multiplier_milli for slot in slots])
        found.cost = afford.costs_of_several(found.cpm, rate, multipliers)
    else:
        found.cost = afford.costs(found.cpm, rate)
    affordable = afford.affordable(found.cost, found.positions, book)
    found.verdict = rank.verdicts(found.cpm, found.floors, too_low, affordable)
    found.eligible = found.verdict == rank.ELIGIBLE
    return found


def _price(
    found: Evaluation,
    profiles: ProfileBatch,
    snapshot: Snapshot,
    now_ms: int,
    memo: PriceMemo | None,
) -> None:
    """Set `cpm` of the pairs, and their `scores` if there is no memo."""
    minutes = now_ms // 60_000
    slots, model, rate = found.slots, snapshot.model, found.rate
    model.make_room()
    kinds = [model.slot_kind(slot.auction, slot.impression, minutes) for slot in slots]
    slot_kinds = np.array(kinds, dtype=np.int64)
    auctions = [slot.number for slot in slots]
    state = score.state_of_pairs(auctions, found.lengths, found.positions, profiles, snapshot.index)
    frequency = _frequency(found, profiles, snapshot, now_ms // 1000)
    slot_of_pair, positions = found.slot_of_pair, found.positions

    found.state, found.frequency, found.slot_kinds = state, frequency, slot_kinds
    factors, modifier = snapshot.matcher.factors, None
    if factors:
        placed = [(slot.auction, slot.impression) for slot in slots]
        modifier = factors.of_pairs(placed, found.lengths.tolist(), positions)

    # Not a closure over `found`, which refers to it: in that cycle, megabytes would wait for the garbage collector.
    def scored(pairs: Integers | slice, *, personal: bool = True) -> score.Scores:
        return score.score(
            slot_of_pair=slot_of_pair[pairs],
            positions=positions[pairs],
            slot_kinds=slot_kinds,
            state_of_pair=state[pairs] if state is not None and personal else None,
            profiles=profiles,
            frequency=frequency[pairs] if frequency is not None and personal else None,
            multiplier=snapshot.book.multiplier,
            modifier=modifier[pairs] if modifier is not None and personal else None,
            rate=rate if isinstance(rate, float) else rate[pairs],
            model=model,
            index=snapshot.index,
        )

    found.scored = scored
    if memo is None:
        found.scores, found.personal = scored(slice(None)), np.arange(len(found.positions))
        found.cpm = found.scores.cpm
        return
    generation = model.generation
    keys = [(generation, kind, slot.auction.currency) for kind, slot in zip(kinds, slots, strict=True)]
    found.cpm = memo.bids(
        keys, found.lengths, found.positions, snapshot.book.multiplier, lambda pairs: scored(pairs, personal=False).cpm
    )
    found.personal = _personal(state, frequency, modifier)
    if len(found.personal):
        found.scores = scored(found.personal)
        found.cpm[found.personal] = found.scores.cpm


def _personal(state: Integers | None, frequency: Floats | None, modifier: Floats | None) -> Integers:
    """The pairs whose bid depends on the user, or on more of the impression than its kind."""
    if modifier is not None:
        marks = [modifier != 1.0, *(known > 0 for known in (state, frequency) if known is not None)]
        personal: Integers = np.logical_or.reduce(marks).nonzero()[0]
        return personal
    if frequency is None:
        return state.nonzero()[0] if state is not None else _NO_PAIRS
    return (frequency > 0 if state is None else (state > 0) | (frequency > 0)).nonzero()[0]


def _rates(found: Evaluation, snapshot: Snapshot) -> Floats | float:
    currencies = {slot.auction.currency for slot in found.slots}
    if len(currencies) == 1 and len(snapshot.index.currencies) == 1:
        return float(snapshot.rates_to(currencies.pop())[0])
    table = np.stack([snapshot.rates_to(slot.auction.currency) for slot in found.slots])
    return table[found.slot_of_pair, snapshot.index.lines.currency[found.positions]]


def _frequency(found: Evaluation, profiles: ProfileBatch, snapshot: Snapshot, now_s: int) -> Floats | None:
    """Impressions of each pair's line item that its user has had in a day; None when nobody had any."""
    frequency: Floats | None = None
    for number, slot in enumerate(found.slots):
        ring = profiles.rings[slot.number]
        if not ring:
            continue
        start, end = found.pair_range(number)
        positions = found.positions[start:end]
        for line_item, shown in recent_impressions(ring, now_s - FREQUENCY_WINDOW_S).items():
            for position in snapshot.index.by_line_item.get(line_item, ()):
                at = int(np.searchsorted(positions, position))
                if at < len(positions) and positions[at] == position:
                    frequency = np.zeros(len(found.positions)) if frequency is None else frequency
                    frequency[start + at] = shown
    return frequency


def _apply_deals(found: Evaluation, snapshot: Snapshot) -> None:
    """Line items on a deal meet the deal's floor instead of the impression's, or bid its fixed price exactly.

    Of several deals the dearest that the bid reaches counts. For a fixed price between two groszes the upper one is
    reserved, and the price itself is bid (`bidder.decision.answer`).
    """
    for number, slot in enumerate(found.slots):
        deals = slot.impression.deal_floors
        if not deals:
            continue
        offered = snapshot.index.deals.targeted(slot.auction.exchange.id, deals)
        if not offered:  # nobody bids on any of them
            continue
        start, end = found.pair_range(number)
        guaranteed = _guaranteed(slot.impression)
        for at in range(start, end):
            held = usable_deals(slot.auction, slot.impression, int(found.positions[at]), snapshot, offered)
            if held:
                deal_id = dearest_deal(deals, held, int(found.cpm[at]))
                if deal_id is None and guaranteed:
                    deal_id = _raised(found, at, deals, [name for name in held if name in guaranteed], snapshot)
                if deal_id is None:
                    found.floors[at] = min(deals[name][0] for name in held)
                    continue
                found.floors[at], auction_type = deals[deal_id]
                if auction_type == FIXED_PRICE_DEAL:
                    found.cpm[at] = ceil_to_grosz(deals[deal_id][0])


def _guaranteed(impression: Impression) -> frozenset[str]:
    """The deals of an impression that must be bid on (OpenRTB 2.6 section 3.2.12, `guar`)."""
    pmp = impression.imp.pmp
    deals = (pmp.deals or ()) if pmp is not None else ()
    return frozenset([deal.id for deal in deals if deal.guar and deal.id])


def _raised(
    found: Evaluation, at: int, deals: Mapping[str, tuple[int, int]], promised: Sequence[str], snapshot: Snapshot
) -> str | None:
    """Raise a bid to the price of a guaranteed deal, if the maximum allows it. Returns the deal's id, or None.

    Of several it is the cheapest: each of them is promised, and none is worth its price. A line item that bids nothing,
    because it is paced out or the user's interest is over, stays silent.
    """
    if not promised or found.cpm[at] <= 0:
        return None
    deal_id = min(promised, key=lambda name: deals[name][0])
    rate = found.rate if isinstance(found.rate, float) else float(found.rate[at])
    cpm = ceil_to_grosz(deals[deal_id][0])
    if cpm > snapshot.index.lines.max_cpm[found.positions[at]] * rate:
        return None
    found.cpm[at] = cpm
    return deal_id


def usable_deals(
    auction: Auction, impression: Impression, position: int, snapshot: Snapshot, offered: Iterable[str] | None = None
) -> Sequence[str]:
    """The offered deals of a line item that are open to it (OpenRTB 2.6 section 3.2.12, `wadomain` and `wseat`).

    They are taken from `offered`, or from all deals of the impression where that is None. Where none is open, all that
    the line item holds are returned: its creatives are then refused one by one, which gives the reason.
    """
    named = impression.deal_floors if offered is None else offered
    held = tuple(snapshot.index.deals.held(auction.exchange.id, position, named))
    pmp = impression.imp.pmp
    closed = [deal for deal in pmp.deals or () if deal.wadomain or deal.wseat] if pmp is not None else []
    if not held or not closed:
        return held
    line, own = snapshot.showcase.line(position), snapshot.showcase.domains(position)
    seat = auction.speaker.seat_of(line.advertiser_id, line.campaign_id)
    refused = {
        deal.id
        for deal in closed
        if (deal.wseat and seat not in deal.wseat)
        or (deal.wadomain and own.isdisjoint(map(normal_domain, deal.wadomain)))
    }
    return tuple(name for name in held if name not in refused) or held


def dearest_deal(deals: Mapping[str, tuple[int, int]], held: Iterable[str], cpm: int) -> str | None:
    """The held deal of the highest floor that a bid of `cpm` reaches, on the grosz grid; the first of equal ones."""
    reached = [name for name in held if ceil_to_grosz(deals[name][0]) <= cpm]
    return max(reached, key=lambda name: deals[name][0], default=None)
