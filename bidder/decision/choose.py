"""From judged pairs to bids that will be sent: the internal auctions, creatives, reservations."""

import itertools
import zlib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec
import numpy as np

from bidder.decision import rank
from bidder.decision.apart import ANY_PLACE, Marks, apart_keys, pod_marks
from bidder.decision.bids_out import BatchCaps
from bidder.decision.creatives import PreparedBid, Showable
from bidder.decision.lengths import floors_by_length, named_deal
from bidder.decision.pods import MAX_CANDIDATES, MAX_ROOMS, Candidate, Room, fill
from bidder.decision.pricing import Evaluation, Integers, Slot, dearest_deal, usable_deals
from bidder.decision.snapshot import Snapshot
from bidder.openrtb.formats.spots import spot_in
from bidder.openrtb.types import Deal
from bidder.request.auction import Auction, Impression, Pod
from bidder.targeting import pod_places
from bidder.targeting.counting import BIDS
from bidder.targeting.normalise import normal_domain
from core.model import AuctionType
from core.reasons import NoBid
from creatives.formats.spots import SpotAd
from creatives.products.on_bid import BidProducts
from pacing.ledger.rows import NOT_SHADED

UNBOUNDED_S: Final = 2**31

# Bids on one pod; those of a request are bounded before (bidder.request.bounds).
MAX_POD_BIDS: Final = 64

# Line items that are looked at for one guaranteed place of a pod, which takes one bid: more would fill the room's list
# of candidates, and leave none for its other places.
MAX_OF_PLACE: Final = 6

_FIRST_PRICE = AuctionType.FIRST_PRICE  # looking up a member of an enum costs as much as ten attributes


class Chosen(msgspec.Struct, gc=False):
    """A bid that will be sent."""

    pair: int
    position: int
    shown: Showable
    lease_id: int
    cpm: int
    cost: int
    deal_id: str
    auction_type: AuctionType
    shading: int  # the bid as a part of what it was worth, in ten-thousandths
    products: BidProducts | None = None  # of a dynamic ad, see bidder.decision.products
    nonce: int = 0  # of its token; set when it is answered


def seed_of(auction: Auction) -> int:
    """What ties and turns depend on: stable between processes and versions."""
    return zlib.crc32(auction.request.id.encode("utf-8", "surrogatepass"))


def choose(found: Evaluation, snapshot: Snapshot, now_ms: int, caps: BatchCaps | None = None) -> dict[int, Chosen]:
    """Run the internal auctions and reserve money: slot number -> chosen bid. Sets the verdicts of the losers.

    `caps` is asked before each bid whether the bids of the same batch leave room for it, and told of it afterwards.
    """
    ties = rank.Ties(
        snapshot.index.lines.line_item, found.positions, lambda: [seed_of(slot.auction) for slot in found.slots]
    )
    pairs = rank.winners(found.starts, found.slot_of_pair, found.cpm, found.eligible, ties)
    taken: Marks = set()
    chosen: dict[int, Chosen] = {}
    filled: set[tuple[int, int]] = set()  # (auction, number in it) of impressions with slots of several formats
    pods: set[tuple[int, str, int]] = set()  # that were filled
    sent: dict[int, int] = {}  # bids by auction, of those whose exchange limits them
    # As Python numbers at once: taking them from the arrays one by one costs 0.1 us each.
    columns = (found.slot_of_pair, found.positions, found.cpm, found.cost)
    for pair, number, position, cpm, cost in zip(
        pairs.tolist(), *(column.take(pairs).tolist() for column in columns), strict=True
    ):
        slot = found.slots[number]
        has_rivals = slot.impression.has_rivals
        if slot.impression.pod is not None:
            chosen |= _fill_pod(found, snapshot, number, pods, sent, ties, taken, now_ms, caps)
            continue
        if has_rivals:
            place = (slot.number, slot.impression.position)
            if place in filled:
                continue
            filled.add(place)
        limit = slot.auction.speaker.max_bids
        if limit and _next(sent, slot.number) > limit:
            continue
        if has_rivals:
            ranked = _of_all_formats(found, number, ties)
            bid = _take_first(found, snapshot, ranked, taken, now_ms, caps)
        else:
            bid = _take(found, snapshot, number, pair, position, cpm, cost, taken, now_ms, caps)
            if bid is None:
                ranked = rank.ranking(*found.pair_range(number), number, found.cpm, found.eligible, ties)
                others = (each for each in ranked if each != pair)
                bid = _take_first(found, snapshot, others, taken, now_ms, caps)
        if bid is not None:
            chosen[number if not has_rivals else int(found.slot_of_pair[bid.pair])] = bid
    _bid_beside(found, snapshot, chosen, sent, ties, taken, now_ms, caps)
    verdict = found.verdict
    np.putmask(verdict, verdict == rank.ELIGIBLE, NoBid.OUTRANKED.index)
    found.winners = pairs_of(chosen)
    verdict[found.winners] = BIDS
    return chosen


def pairs_of(chosen: Mapping[int, Chosen]) -> Integers:
    """The pairs that bid, in the order in which they were chosen."""
    return np.array([bid.pair for bid in chosen.values()], np.int64)


def _bid_beside(
    found: Evaluation,
    snapshot: Snapshot,
    chosen: dict[int, Chosen],
    sent: dict[int, int],
    ties: rank.Ties,
    taken: Marks,
    now_ms: int,
    caps: BatchCaps | None,
) -> None:
    """Add a second bid where an impression takes one on a deal and one without, as far as the answer has room."""
    if not found.has_deals:
        return
    for number, first in list(chosen.items()):
        slot = found.slots[number]
        impression, speaker = slot.impression, slot.auction.speaker
        if not impression.deal_floors or impression.has_rivals or impression.pod is not None:
            continue
        if not speaker.dialect.deal_beside_open or (speaker.max_bids and _next(sent, slot.number) > speaker.max_bids):
            continue
        second = _beside(found, snapshot, number, first, ties, taken, now_ms, caps)
        if second is not None:
            chosen[found.second_of(number)] = second


def _beside(
    found: Evaluation,
    snapshot: Snapshot,
    number: int,
    first: Chosen,
    ties: rank.Ties,
    taken: Marks,
    now_ms: int,
    caps: BatchCaps | None,
) -> Chosen | None:
    """The best bid without a deal beside one with a deal, or the other way round (implementation notes, 7.3).

    The seller may prefer a deal to a dearer bid, so the two do not compete with each other here.
    """
    slot, others = found.slots[number], list[int]()
    for pair in rank.ranking(*found.pair_range(number), number, found.cpm, found.eligible, ties):
        position, cpm = int(found.positions[pair]), int(found.cpm[pair])
        is_on_deal = deal_of(slot.auction, slot.impression, position, snapshot, cpm) != ""
        if pair != first.pair and is_on_deal is (first.deal_id == ""):
            others.append(pair)
    return _take_first(found, snapshot, others, taken, now_ms, caps)


def _next(counts: dict[int, int], number: int) -> int:
    counts[number] = counts.get(number, 0) + 1
    return counts[number]


def _take_first(
    found: Evaluation, snapshot: Snapshot, ranked: Iterable[int], taken: Marks, now_ms: int, caps: BatchCaps | None
) -> Chosen | None:
    """A bid with the first of the `ranked` pairs that can be used; None where none can."""
    for pair in ranked:
        number, position = int(found.slot_of_pair[pair]), int(found.positions[pair])
        cpm, cost = int(found.cpm[pair]), int(found.cost[pair])
        bid = _take(found, snapshot, number, pair, position, cpm, cost, taken, now_ms, caps)
        if bid is not None:
            slot = found.slots[number]
            if slot.impression.pod_beside is not None:
                taken |= pod_marks(slot.number, bid.shown, slot.impression.pod_beside)
            return bid
    return None


def _of_all_formats(found: Evaluation, number: int, ties: rank.Ties) -> Iterator[int]:
    """Eligible pairs of an impression in every format that it offers: the best bid first.

    Where a line item bids the same in several formats, as it does at its maximum, the one of the highest expected value
    comes first: it is the better bargain at that price.
    """
    start, end = found.pairs_of_formats(number)
    pairs = start + found.eligible[start:end].nonzero()[0]
    best = found.cpm[pairs].max()
    # Nearly always one of the best can be used: the rest is not put in order before it is needed.
    for some in (pairs[found.cpm[pairs] == best], pairs[found.cpm[pairs] < best]):
        keys = ties.keys(some, found.slot_of_pair[some])
        ordered = some[np.lexsort((keys, -found.cpm[some]))]
        for _same, run in itertools.groupby(
            ordered.tolist(), key=lambda pair: (int(found.positions[pair]), int(found.cpm[pair]))
        ):
            equal = list(run)
            if len(equal) > 1:
                order = (-found.scored(np.array(equal), personal=True).expected_value).argsort(kind="stable")
                equal = [equal[at] for at in order.tolist()]
            yield from equal


class PodSpot(NamedTuple):
    """A spot that could be in a pod, and the least that it has to pay there (CPM micros)."""

    pair: int
    shown: Showable
    candidate: Candidate
    floor_cpm: int


class _PodRoom:
    """A dynamic part of a pod, or all of its impressions that take one spot each on equal terms."""

    __slots__ = ("first", "free", "left_s")

    def __init__(self, slots: list[int], left_s: int) -> None:
        self.first = slots[0]
        self.free = slots
        self.left_s = left_s

    @property
    def room(self) -> Room:
        """What is left of it: seconds and places."""
        return Room(self.left_s, len(self.free))


def _rooms(found: Evaluation, first: int, pod: Pod) -> list[_PodRoom]:
    """The rooms of a pod whose first slot is `first`, in the order of the request."""
    number, place = found.slots[first].number, found.slots[first].impression.position
    rooms: dict[Hashable, _PodRoom] = {}
    for at in range(first, len(found.slots)):
        slot = found.slots[at]
        own, position = slot.impression.pod, slot.impression.position
        if slot.number != number:
            break
        if own is None or own.id != pod.id or (not own.id and position != place):
            continue
        equal = (
            slot.impression.offer,
            own,
            tuple(slot.impression.deal_floors.items()),
            slot.impression.private_auction,
            _bids_on(found, at),
        )
        key = (position, slot.impression.offer.format) if own.seconds else equal
        if key in rooms:
            rooms[key].free.append(at)
        elif len(rooms) < MAX_ROOMS:
            rooms[key] = _PodRoom([at], own.seconds or UNBOUNDED_S)
    return list(rooms.values())


def _bids_on(found: Evaluation, slot: int) -> tuple[bytes, ...]:
    """Which line items may bid what on a slot, to compare: the impressions of one pod may differ in both."""
    start, end = found.pair_range(slot)
    columns = (found.positions, found.cpm, found.cost, found.floors, found.eligible)
    return tuple(column[start:end].tobytes() for column in columns)


def _pod_spots(
    found: Evaluation, snapshot: Snapshot, number: int, room: int, ranked: Iterable[int]
) -> Iterator[PodSpot]:
    """Spots of the best pairs of a room's first slot whose bids reach the floor for their length."""
    slot = found.slots[number]
    pod, spot, count = slot.impression.pod, spot_in(slot.impression.imp, slot.impression.offer.format), 0
    wanting = Counter[int]()
    for pair in ranked:
        position, cpm = int(found.positions[pair]), int(found.cpm[pair])
        wanted = pod_places.taken(pod_places.said(int(snapshot.index.lines.pod_place[position]), spot))
        places = [place for place in wanted if not place or wanting[place] < MAX_OF_PLACE]
        if not places:
            continue
        before = count
        on_deal = slot.impression.deal_floors and deal_of(slot.auction, slot.impression, position, snapshot, cpm)
        for shown in showable(slot, snapshot, position, cpm):
            ad = shown.prepared.ad
            if not isinstance(ad, SpotAd) or pod is None:
                continue
            floor = int(found.floors[pair]) if on_deal else pod.floor_of(ad.seconds)
            if cpm >= floor:
                count += len(places)
                keys = apart_keys(shown, ad, pod)
                for place in places:
                    apart = keys | {f"place {place}"} if place else keys
                    yield PodSpot(pair, shown, Candidate(cpm, ad.seconds, apart, room), floor)
            else:
                found.verdict[pair] = NoBid.FLOOR.index
        if count > before:
            wanting.update(places)
        if count >= MAX_CANDIDATES:
            break


def _fill_pod(
    found: Evaluation,
    snapshot: Snapshot,
    first: int,
    seen: set[tuple[int, str, int]],
    sent: dict[int, int],
    ties: rank.Ties,
    taken: Marks,
    now_ms: int,
    caps: BatchCaps | None,
) -> dict[int, Chosen]:
    """Bids for a pod, whose first slot is `first`: those that bring most together, in all of its impressions.

    Empty for a later slot of a pod, since the first has filled all of it: `seen` has the pods that were filled.
    """
    slot = found.slots[first]
    pod = slot.impression.pod
    if pod is None or (mark := (slot.number, pod.id, ANY_PLACE if pod.id else slot.impression.position)) in seen:
        return {}
    seen.add(mark)
    rooms = _rooms(found, first, pod)
    spots = [
        spot
        for at, room in enumerate(rooms)
        for spot in _pod_spots(
            found, snapshot, room.first, at,
            rank.ranking(*found.pair_range(room.first), room.first, found.cpm, found.eligible, ties),
        )
    ]  # fmt: skip
    chosen: dict[int, Chosen] = {}
    left = (slot.auction.speaker.max_bids or MAX_POD_BIDS) - sent.get(slot.number, 0)
    spots = _apart(spots, mark, taken)
    while best := fill([each.candidate for each in spots], [room.room for room in rooms], left):
        for at in best:
            spot = spots[at]
            room = rooms[spot.candidate.room]
            number = room.free[0]
            pair = spot.pair - found.pair_range(room.first)[0] + found.pair_range(number)[0]
            position, cpm, cost = int(found.positions[pair]), int(found.cpm[pair]), int(found.cost[pair])
            found.floors[pair] = spot.floor_cpm
            bid = _take(found, snapshot, number, pair, position, cpm, cost, taken, now_ms, caps, spot.shown)
            if bid is None:
                break
            chosen[number] = bid
            found.slots[number].impression.floor_cpm = spot.floor_cpm
            room.free = room.free[1:]
            room.left_s -= spot.candidate.seconds
            taken.update((*mark, key) for key in spot.candidate.keys)
            left -= 1
        else:
            break
        spots.pop(at)  # this one cannot be sent; the rest of the pod is searched anew
        spots = _apart(spots, mark, taken)
    if chosen and slot.auction.speaker.max_bids:
        sent[slot.number] = sent.get(slot.number, 0) + len(chosen)
    return chosen


def _apart(spots: Iterable[PodSpot], mark: tuple[int, str, int], taken: Marks) -> list[PodSpot]:
    """The spots that may stand in a pod beside what was chosen for it."""
    return [spot for spot in spots if taken.isdisjoint((*mark, key) for key in spot.candidate.keys)]


def _take(
    found: Evaluation, snapshot: Snapshot, number: int, pair: int, position: int, cpm: int, cost: int, taken: Marks,
    now_ms: int, caps: BatchCaps | None, only: Showable | None = None,
) -> Chosen | None:  # fmt: skip
    """Try to bid with one pair: not twice in a request, a creative that may be shown, money in the lease.

    Where one of these fails the result is None, and the pair's verdict says which. `only` is the creative where it was
    chosen already.
    """
    slot = found.slots[number]
    auction, impression = slot.auction, slot.impression
    fitting = (only,) if only is not None else _free(found, snapshot, slot, pair, position, cpm, taken)
    if not fitting:
        return None
    # Several creatives that fit take turns by the auction's hash.
    shown = fitting[0] if len(fitting) == 1 else fitting[seed_of(auction) % len(fitting)]
    line = shown.line
    mark = (slot.number, line.line_item_id)
    if mark in taken and not line.several_per_request:
        found.verdict[pair] = NoBid.ALREADY_IN_REQUEST.index
        return None
    asked = caps if line.is_capped else None
    if asked is not None and (reason := asked.reason(slot.number, shown)) is not None:
        found.verdict[pair] = reason.index
        return None
    deal_id, kind, shading = "", auction.speaker.auction_types[auction.request.at], NOT_SHADED
    if impression.deal_floors:
        deal_id = deal_of(auction, impression, position, snapshot, cpm)
        kind = auction_type(slot, deal_id)
    if kind is _FIRST_PRICE:
        known = None if impression.deal_floors or only is not None or auction.is_test else shown.shaded.get(cpm)
        if known is None or known.bid_cpm < impression.floor_cpm or known.currency != auction.currency:
            cpm, cost, shading = _shaded(found, snapshot, pair, position, shown, cpm, cost, deal_id)
        else:
            known.sent += 1
            if cost != known.whole_cost:
                known.whole_cost, known.cost = cost, -(-cost * known.bid_cpm // cpm)
            cost, cpm, shading = known.cost, known.bid_cpm, known.shading
    lease = snapshot.book.reserve(position, cost, now_ms)
    if not lease:
        found.verdict[pair] = NoBid.NO_LEASE.index
        return None
    taken.add(mark)
    if asked is not None and not auction.is_test:
        asked.note(slot.number, shown, auction.exchange.time_to_notice_ms)
    return Chosen(pair, position, shown, lease, cpm, cost, deal_id, kind, shading)


def _free(
    found: Evaluation, snapshot: Snapshot, slot: Slot, pair: int, position: int, cpm: int, taken: Marks
) -> tuple[Showable, ...]:
    """Creatives that may be shown, apart from the ads of their pod; where there is none the verdict says why."""
    auction, impression = slot.auction, slot.impression
    fitting = (
        showable(slot, snapshot, position, cpm) if impression.deal_floors
        else snapshot.showcase.showable(position, auction, impression)
    )  # fmt: skip
    if not fitting:
        lacks_approval = snapshot.showcase.lacks_approval(position, auction, impression)
        found.verdict[pair] = NoBid.NOT_APPROVED.index if lacks_approval else NoBid.CREATIVE_BLOCKED.index
        return ()
    beside = impression.pod_beside
    if beside is not None:
        fitting = tuple(each for each in fitting if taken.isdisjoint(pod_marks(slot.number, each, beside)))
        if not fitting:
            found.verdict[pair] = NoBid.OUTRANKED.index
    return fitting


def auction_type(slot: Slot, deal_id: str) -> AuctionType:
    """The type that a bid is charged by: a deal may name it, and a fixed price holds whatever is configured."""
    at = slot.auction.request.at
    if deal_id:
        deal_type = slot.impression.deal_floors[deal_id][1]
        if deal_type == AuctionType.FIXED_PRICE:
            return AuctionType.FIXED_PRICE
        at = deal_type or at
    return slot.auction.speaker.auction_types[at]


def _shaded(
    found: Evaluation,
    snapshot: Snapshot,
    pair: int,
    position: int,
    shown: Showable,
    cpm: int,
    cost: int,
    deal_id: str,
) -> tuple[int, int, int]:
    """At first price: the shaded bid, not below floor or least bid; its cost; and its part of the value in 1/10,000."""
    slot, rate = found.slots[found.slot_of_pair[pair]], found.rate
    auction = slot.auction
    least = float(snapshot.model.least_cpm[position] * (rate if isinstance(rate, float) else rate[pair]))
    deal = named_deal(slot.impression, deal_id) if deal_id else None
    if deal is not None and (deal.mincpmpersec or deal.durfloors):
        least = max(least, *floors_by_length(deal, (shown,), auction.currency, snapshot.index.fx))
    cell = shown.cell(snapshot.shading, auction.currency)
    bid = cell.bid_at_least(cpm, max(float(found.floors[pair]), least), counts=not auction.is_test)
    # Exact where the currencies are the same; in others rounded up, as the whole cost was.
    return bid, -(-cost * bid // cpm), bid * NOT_SHADED // cpm


def showable(slot: Slot, snapshot: Snapshot, position: int, cpm: int) -> tuple[Showable, ...]:
    """Creatives of an offered size that are admitted by the request, and by the deal where the bid is on one.

    On a deal with floors by length they are the spots whose floor a bid of `cpm` reaches.
    """
    auction, impression = slot.auction, slot.impression
    fitting, deal = snapshot.showcase.showable(position, auction, impression), None
    if impression.deal_floors and fitting:
        deal = named_deal(impression, deal_of(auction, impression, position, snapshot, cpm))
        if deal is not None:
            fitting = tuple(each for each in fitting if _is_invited(each.prepared, deal))
    if deal is not None and (deal.mincpmpersec or deal.durfloors):
        floors = floors_by_length(deal, fitting, auction.currency, snapshot.index.fx)
        fitting = tuple(each for each, floor in zip(fitting, floors, strict=True) if floor <= cpm)
    return fitting


def _is_invited(prepared: PreparedBid, deal: Deal) -> bool:
    """Whether a deal is open to an ad's seat and domain (OpenRTB 2.6 section 3.2.12, `wseat`, `wadomain`)."""
    if deal.wseat and prepared.seat not in deal.wseat:
        return False
    return not deal.wadomain or prepared.domain in map(normal_domain, deal.wadomain)


def deal_of(auction: Auction, impression: Impression, position: int, snapshot: Snapshot, cpm: int) -> str:
    """The dearest offered deal of the line item that its bid reaches; "" without one."""
    return dearest_deal(impression.deal_floors, usable_deals(auction, impression, position, snapshot), cpm) or ""
