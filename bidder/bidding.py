"""From judged pairs to bids: the internal auctions, creatives, reservations, tokens."""

import zlib
from collections.abc import Set

import numpy as np

from bidder.auction import Auction, Impression
from bidder.counting import BIDS
from bidder.evaluation import Evaluation, Slot, dearest_deal
from bidder.snapshot import Snapshot
from bidder.stages import rank
from bidder.stages.respond import PreparedBid, bid_json, response_json
from bidder.values import normal_domain
from core.model import Clearing
from core.money import GROSZ_CPM_MICROS
from core.reasons import NoBid
from pacing.tokens import TokenFields, TokenSigner, auction_digest
from segments.profiles import ProfileBatch


class Chosen:
    """A bid that will be sent."""

    __slots__ = ("cost", "cpm", "lease_id", "pair", "position", "prepared")

    def __init__(self, pair: int, position: int, prepared: PreparedBid, lease_id: int, cpm: int, cost: int) -> None:
        self.pair = pair
        self.position = position
        self.prepared = prepared
        self.lease_id = lease_id
        self.cpm = cpm
        self.cost = cost


def seed_of(auction: Auction) -> int:
    """What ties and turns depend on: stable between processes and versions."""
    return zlib.crc32(auction.request.id.encode("utf-8", "surrogatepass"))


def choose(found: Evaluation, snapshot: Snapshot, now_ms: int) -> dict[int, Chosen]:
    """Run the internal auctions and reserve money: slot number -> chosen bid. Sets the verdicts of the losers."""
    seeds = [seed_of(slot.auction) for slot in found.slots]
    ties = rank.Ties(snapshot.index.lines.line_item, found.positions, seeds)
    first = rank.winners(found.slot_of_pair, found.scores.cpm, found.eligible, ties)
    taken: set[tuple[int, int]] = set()
    chosen: dict[int, Chosen] = {}
    for number, pair in first.items():
        bid = _take(found, snapshot, number, pair, taken, seeds[number], now_ms)
        if bid is None:
            order = rank.ranking(number, found.slot_of_pair, found.scores.cpm, found.eligible, ties)
            rest = (
                _take(found, snapshot, number, other, taken, seeds[number], now_ms) for other in order if other != pair
            )
            bid = next((other for other in rest if other is not None), None)
        if bid is not None:
            chosen[number] = bid
    verdict = found.verdict
    np.putmask(verdict, verdict == rank.ELIGIBLE, NoBid.OUTRANKED.index)
    verdict[[bid.pair for bid in chosen.values()]] = BIDS
    return chosen


def _take(
    found: Evaluation,
    snapshot: Snapshot,
    number: int,
    pair: int,
    taken: set[tuple[int, int]],
    seed: int,
    now_ms: int,
) -> Chosen | None:
    """Try to bid with one pair: not twice in a request, a creative that may be shown, money in the lease."""
    slot = found.slots[number]
    position = int(found.positions[pair])
    line = snapshot.line(position)
    if (slot.number, line.line_item_id) in taken and not line.several_per_request:
        found.verdict[pair] = NoBid.ALREADY_IN_REQUEST.index
        return None
    cpm, cost = int(found.scores.cpm[pair]), int(found.cost[pair])
    prepared = _creative(slot, snapshot, position, cpm, seed)
    if prepared is None:
        found.verdict[pair] = NoBid.CREATIVE_BLOCKED.index
        return None
    lease = snapshot.book.reserve(position, cost, now_ms)
    if not lease:
        found.verdict[pair] = NoBid.NO_LEASE.index
        return None
    taken.add((slot.number, line.line_item_id))
    return Chosen(pair, position, prepared, lease, cpm, cost)


def _creative(slot: Slot, snapshot: Snapshot, position: int, cpm: int, seed: int) -> PreparedBid | None:
    """A creative of an offered size that the request admits; several fitting ones take turns by the auction's hash."""
    auction, impression = slot.auction, slot.impression
    fitting = snapshot.showable(position, auction, impression)
    if impression.deal_floors and fitting:
        invited = _invited(impression, _deal(auction, impression, position, snapshot, cpm))
        fitting = tuple(prepared for prepared in fitting if invited is None or prepared.domain in invited)
    return fitting[seed % len(fitting)] if fitting else None


def _invited(impression: Impression, deal_id: str) -> frozenset[str] | None:
    """Advertiser domains that a deal is open to (OpenRTB 2.6 section 3.2.12, `wadomain`); None: all."""
    pmp = impression.imp.pmp
    for deal in (pmp.deals or ()) if pmp is not None and deal_id else ():
        if deal.id == deal_id and deal.wadomain:
            return frozenset(normal_domain(domain) for domain in deal.wadomain)
    return None


def answer(
    found: Evaluation,
    chosen: dict[int, Chosen],
    snapshot: Snapshot,
    profiles: ProfileBatch,
    signer: TokenSigner,
    now_ms: int,
) -> dict[int, bytes]:
    """Auction number -> JSON of its response, for the auctions with a bid."""
    bids: dict[int, list[bytes]] = {}
    digests: dict[int, bytes] = {}
    issued_s = now_ms // 1000
    busy = {(found.slots[number].number, snapshot.line(bid.position).line_item_id) for number, bid in chosen.items()}
    for number, bid in chosen.items():
        slot = found.slots[number]
        auction, impression = slot.auction, slot.impression
        digest = digests.get(slot.number)
        if digest is None:
            digest = digests[slot.number] = auction_digest(auction.exchange.id, auction.request.id)
            bids[slot.number] = []
        user = (profiles.user_ids[slot.number] or "").encode()
        second = _second_price(found, number, bid, busy, snapshot) if auction.exchange.clearing is Clearing.HOUSE else 0
        token = signer.sign_fields(_token_fields(found, slot, bid, snapshot, digest, user, second, issued_s))
        deal_id = _deal(auction, impression, bid.position, snapshot, bid.cpm) if impression.deal_floors else ""
        text = bid_json(bid.prepared, impression=impression, cpm=bid.cpm, deal_id=deal_id, token=token)
        bids[slot.number].append(text)
    auctions = {slot.number: slot.auction for slot in found.slots}
    return {number: response_json(auctions[number], texts, digests[number].hex()) for number, texts in bids.items()}


def _token_fields(
    found: Evaluation,
    slot: Slot,
    bid: Chosen,
    snapshot: Snapshot,
    digest: bytes,
    user: bytes,
    second_cpm: int,
    issued_s: int,
) -> TokenFields:
    auction, impression = slot.auction, slot.impression
    line_item_id, share, advertiser_id, campaign_id, _several = snapshot.line(bid.position)
    prepared = bid.prepared
    return (
        auction.is_test,
        share,
        line_item_id,
        advertiser_id,
        campaign_id,
        prepared.creative.id,
        auction.exchange.id,
        bid.lease_id,
        bid.cost,
        bid.cpm // GROSZ_CPM_MICROS,
        -(-second_cpm // GROSZ_CPM_MICROS),
        -(-int(found.floors[bid.pair]) // GROSZ_CPM_MICROS),
        auction.currency.encode(),
        digest,
        impression.position,
        issued_s,
        user,
        prepared.landing,
    )


def _second_price(found: Evaluation, number: int, bid: Chosen, busy: Set[tuple[int, int]], snapshot: Snapshot) -> int:
    """What house clearing settles against: the best bid of another line item that could have been sent instead."""
    slot, winner = found.slots[number], snapshot.line(bid.position).line_item_id
    start, end = found.pair_range(number)
    outranked = start + (found.verdict[start:end] == NoBid.OUTRANKED.index).nonzero()[0]
    for pair in outranked[(-found.scores.cpm[outranked]).argsort(kind="stable")].tolist():
        position, cpm = int(found.positions[pair]), int(found.scores.cpm[pair])
        rival = snapshot.line(position)
        is_free = rival.several_per_request or (slot.number, rival.line_item_id) not in busy
        if rival.line_item_id != winner and is_free and _creative(slot, snapshot, position, cpm, 0) is not None:
            return cpm
    return 0


def _deal(auction: Auction, impression: Impression, position: int, snapshot: Snapshot, cpm: int) -> str:
    """The dearest offered deal of the line item that its bid reaches; "" without one."""
    floors = impression.deal_floors
    held = snapshot.index.deals.held(auction.exchange.id, position, floors)
    return dearest_deal(floors, held, cpm) or ""
