"""From judged pairs to bids that will be sent: the internal auctions, creatives, reservations."""

import functools
import itertools
import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
import numpy as np

from bidder.decision import rank
from bidder.decision.bids_out import BatchCaps
from bidder.decision.creatives import PreparedBid, Showable
from bidder.decision.lengths import floors_by_length
from bidder.decision.pods import MAX_CANDIDATES, Candidate, fill
from bidder.decision.pricing import Evaluation, Slot, dearest_deal, usable_deals
from bidder.decision.snapshot import Snapshot
from bidder.openrtb.types import Deal
from bidder.request.auction import Auction, Impression, Pod
from bidder.targeting.counting import BIDS
from bidder.targeting.normalise import normal_domain
from core.model import AuctionType
from core.reasons import NoBid
from creatives.formats.spots import SpotAd, spot_of
from creatives.products.on_bid import BidProducts
from pacing.ledger.rows import NOT_SHADED

APART_BY_DOMAIN: Final = 1
APART_BY_CATEGORY: Final = 2
APART_BY_FILE: Final = 4
"""AdCOM list "Pod Deduplication"; no ad is twice in a pod, whatever is asked."""

UNBOUNDED_S: Final = 2**31

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

    `caps` are told of each bid, and asked before one whether those of the same batch leave room for it.
    """

    @functools.cache  # most batches need none
    def ties() -> rank.Ties:
        seeds = [seed_of(slot.auction) for slot in found.slots]
        return rank.Ties(snapshot.index.lines.line_item, found.positions, seeds)

    pairs = rank.winners(found.starts, found.slot_of_pair, found.cpm, found.eligible, ties)
    taken: set[tuple[int, int]] = set()
    chosen: dict[int, Chosen] = {}
    filled: set[tuple[int, int]] = set()  # (auction, position) of impressions that more formats than one fit into
    kept_apart: dict[tuple[int, str], set[str]] = {}  # (auction, pod) -> what its ads have that no other may
    sent: dict[int, int] = {}  # bids by auction, of those whose exchange limits them
    # As Python numbers at once: taking them from the arrays one by one costs 0.1 us each.
    columns = (found.slot_of_pair, found.positions, found.cpm, found.cost)
    for pair, number, position, cpm, cost in zip(
        pairs.tolist(), *(column.take(pairs).tolist() for column in columns), strict=True
    ):
        slot = found.slots[number]
        has_rivals = slot.impression.has_rivals
        if slot.impression.pod is not None:
            chosen |= _fill_pod(found, snapshot, number, kept_apart, ties(), taken, now_ms, caps)
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
            ranked = _of_all_formats(found, number, ties())
            bid = _take_first(found, snapshot, ranked, taken, now_ms, caps)
        else:
            bid = _take(found, snapshot, number, pair, position, cpm, cost, taken, now_ms, caps)
            if bid is None:
                ranked = rank.ranking(*found.pair_range(number), number, found.cpm, found.eligible, ties())
                others = (each for each in ranked if each != pair)
                bid = _take_first(found, snapshot, others, taken, now_ms, caps)
        if bid is not None:
            chosen[number if not has_rivals else int(found.slot_of_pair[bid.pair])] = bid
    verdict = found.verdict
    np.putmask(verdict, verdict == rank.ELIGIBLE, NoBid.OUTRANKED.index)
    verdict[[bid.pair for bid in chosen.values()]] = BIDS
    return chosen


def _next(counts: dict[int, int], number: int) -> int:
    counts[number] = counts.get(number, 0) + 1
    return counts[number]


def _take_first(
    found: Evaluation,
    snapshot: Snapshot,
    ranked: Iterable[int],
    taken: set[tuple[int, int]],
    now_ms: int,
    caps: BatchCaps | None,
) -> Chosen | None:
    """The first of some pairs that can be used."""
    for pair in ranked:
        number, position = int(found.slot_of_pair[pair]), int(found.positions[pair])
        cpm, cost = int(found.cpm[pair]), int(found.cost[pair])
        bid = _take(found, snapshot, number, pair, position, cpm, cost, taken, now_ms, caps)
        if bid is not None:
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


def _pod_spots(found: Evaluation, snapshot: Snapshot, slot: Slot, pod: Pod, ranked: Iterable[int]) -> list[PodSpot]:
    """Spots of the best pairs that pay what their length costs."""
    spots: list[PodSpot] = []
    for pair in ranked:
        position, cpm = int(found.positions[pair]), int(found.cpm[pair])
        on_deal = slot.impression.deal_floors and deal_of(slot.auction, slot.impression, position, snapshot, cpm)
        for shown in showable(slot, snapshot, position, cpm):
            ad = shown.prepared.ad
            if not isinstance(ad, SpotAd):
                continue
            floor = int(found.floors[pair]) if on_deal else pod.floor_of(ad.seconds)
            if cpm >= floor:
                spots.append(PodSpot(pair, shown, Candidate(cpm, ad.seconds, _keys(shown, ad, pod)), floor))
            else:
                found.verdict[pair] = NoBid.FLOOR.index
        if len(spots) >= MAX_CANDIDATES:
            break
    return spots


def _keys(shown: Showable, ad: SpotAd, pod: Pod) -> frozenset[str]:
    """What no other ad of the pod may have (AdCOM list "Pod Deduplication")."""
    creative = ad.creative
    keys = [f"creative {creative.id}"]
    if not shown.line.several_per_request:
        keys.append(f"line item {shown.line.line_item_id}")
    if APART_BY_DOMAIN in pod.separation:
        keys.append(f"domain {shown.prepared.domain}")
    if APART_BY_CATEGORY in pod.separation:
        keys += [f"category {each}" for each in creative.categories]
    spot = spot_of(creative)
    if APART_BY_FILE in pod.separation and spot is not None:
        keys += [f"file {each.url}" for each in spot.media]
    return frozenset(keys)


def _fill_pod(
    found: Evaluation,
    snapshot: Snapshot,
    first: int,
    kept_apart: dict[tuple[int, str], set[str]],
    ties: rank.Ties,
    taken: set[tuple[int, int]],
    now_ms: int,
    caps: BatchCaps | None,
) -> dict[int, Chosen]:
    """Bids for a pod, whose first slot is `first`: those that bring most together.

    Nothing for a later slot of the pod, which was filled with the first.
    """
    slot = found.slots[first]
    pod = slot.impression.pod
    if pod is None or slot.impression.pod_index:
        return {}
    own = kept_apart.setdefault((slot.number, pod.id or f"/{slot.impression.position}"), set())
    ranked = rank.ranking(*found.pair_range(first), first, found.cpm, found.eligible, ties)
    spots = _pod_spots(found, snapshot, slot, pod, ranked)
    chosen: dict[int, Chosen] = {}
    left, most = pod.seconds or UNBOUNDED_S, min(pod.most_ads, slot.auction.speaker.max_bids or pod.most_ads)
    while spots and len(chosen) < most:
        spots = [each for each in spots if own.isdisjoint(each.candidate.keys)]
        best = fill([each.candidate for each in spots], left, most - len(chosen))
        if not best:
            break
        spot, number = spots.pop(best[0]), first + len(chosen)
        pair = spot.pair - found.pair_range(first)[0] + found.pair_range(number)[0]
        position, cpm, cost = int(found.positions[pair]), int(found.cpm[pair]), int(found.cost[pair])
        found.floors[pair] = spot.floor_cpm
        bid = _take(found, snapshot, number, pair, position, cpm, cost, taken, now_ms, caps, spot.shown)
        if bid is not None:
            chosen[number] = bid
            left -= spot.candidate.seconds
            own |= spot.candidate.keys
            found.slots[number].impression.floor_cpm = spot.floor_cpm
    return chosen


def _take(
    found: Evaluation,
    snapshot: Snapshot,
    number: int,
    pair: int,
    position: int,
    cpm: int,
    cost: int,
    taken: set[tuple[int, int]],
    now_ms: int,
    caps: BatchCaps | None,
    only: Showable | None = None,
) -> Chosen | None:
    """Try to bid with one pair: not twice in a request, a creative that may be shown, money in the lease.

    `only` is the creative where it was chosen already.
    """
    slot = found.slots[number]
    auction, impression = slot.auction, slot.impression
    if only is not None:
        fitting: tuple[Showable, ...] = (only,)
    elif impression.deal_floors:
        fitting = showable(slot, snapshot, position, cpm)
    else:
        fitting = snapshot.showcase.showable(position, auction, impression)
    if not fitting:
        found.verdict[pair] = NoBid.CREATIVE_BLOCKED.index
        return None
    # Several creatives that fit take turns by the auction's hash.
    shown = fitting[0] if len(fitting) == 1 else fitting[seed_of(auction) % len(fitting)]
    line = shown.line
    mark = (slot.number, line.line_item_id)
    if mark in taken and not line.several_per_request:
        found.verdict[pair] = NoBid.ALREADY_IN_REQUEST.index
        return None
    asked = caps if line.is_capped else None
    if asked is not None and (reason := asked.reason(slot.number, line.line_item_id, line.share)) is not None:
        found.verdict[pair] = reason.index
        return None
    deal_id, kind, shading = "", auction.speaker.auction_types[auction.request.at], NOT_SHADED
    if impression.deal_floors:
        deal_id = deal_of(auction, impression, position, snapshot, cpm)
        kind = auction_type(slot, deal_id)
    if kind is _FIRST_PRICE:
        cpm, cost, shading = _shaded(found, snapshot, pair, position, shown, cpm, cost, deal_id)
    lease = snapshot.book.reserve(position, cost, now_ms)
    if not lease:
        found.verdict[pair] = NoBid.NO_LEASE.index
        return None
    taken.add(mark)
    if asked is not None and not auction.is_test:
        asked.note(slot.number, line.line_item_id, auction.exchange.time_to_notice_ms)
    return Chosen(pair, position, shown, lease, cpm, cost, deal_id, kind, shading)


def auction_type(slot: Slot, deal_id: str) -> AuctionType:
    """What a bid is charged by; a deal may say, and a fixed price is one whatever is configured."""
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
    """Bid, its cost, and the part of the value that is bid, at first price: not below floor or least bid."""
    slot, shading = found.slots[found.slot_of_pair[pair]], snapshot.shading
    creative, rate = shown.prepared.ad.creative, found.rate
    least = snapshot.model.least_cpm[position] * (rate if isinstance(rate, float) else rate[pair])
    cell = (slot.auction.exchange.id, slot.auction.currency, creative.width, creative.height)
    deal = _named(slot.impression, deal_id) if deal_id else None
    if deal is not None and (deal.mincpmpersec or deal.durfloors):
        least = max(float(least), *floors_by_length(deal, (shown,), slot.auction.currency, snapshot.index.fx))
    bid = shading.shade(cell, cpm, max(float(found.floors[pair]), float(least)))
    if not slot.auction.is_test:
        shading.note_sent(cell, bid)
    # Exact where the currencies are the same; in others rounded up, as the whole cost was.
    return bid, -(-cost * bid // cpm), bid * NOT_SHADED // cpm


def showable(slot: Slot, snapshot: Snapshot, position: int, cpm: int) -> tuple[Showable, ...]:
    """Creatives of an offered size that the request admits, and its deal where the bid is on one.

    On a deal with floors by length those spots whose floor a bid of `cpm` reaches.
    """
    auction, impression = slot.auction, slot.impression
    fitting, deal = snapshot.showcase.showable(position, auction, impression), None
    if impression.deal_floors and fitting:
        deal = _named(impression, deal_of(auction, impression, position, snapshot, cpm))
        if deal is not None:
            fitting = tuple(each for each in fitting if _is_invited(each.prepared, deal))
    if deal is not None and (deal.mincpmpersec or deal.durfloors):
        floors = floors_by_length(deal, fitting, auction.currency, snapshot.index.fx)
        fitting = tuple(each for each, floor in zip(fitting, floors, strict=True) if floor <= cpm)
    return fitting


def _named(impression: Impression, deal_id: str) -> Deal | None:
    """The deal that a bid names; None without one."""
    pmp = impression.imp.pmp
    deals = (pmp.deals or ()) if pmp is not None and deal_id else ()
    return next((deal for deal in deals if deal.id == deal_id), None)


def _is_invited(prepared: PreparedBid, deal: Deal) -> bool:
    """Whether a deal is open to an ad's seat and domain (OpenRTB 2.6 section 3.2.12, `wseat`, `wadomain`)."""
    if deal.wseat and prepared.seat not in deal.wseat:
        return False
    return not deal.wadomain or prepared.domain in map(normal_domain, deal.wadomain)


def deal_of(auction: Auction, impression: Impression, position: int, snapshot: Snapshot, cpm: int) -> str:
    """The dearest offered deal of the line item that its bid reaches; "" without one."""
    return dearest_deal(impression.deal_floors, usable_deals(auction, impression, position, snapshot), cpm) or ""
