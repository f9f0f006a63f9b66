"""From judged pairs to bids: the internal auctions, creatives, reservations, tokens."""

import functools
import zlib
from collections.abc import Sequence

import numpy as np

from bidder.decision import rank
from bidder.decision.answer import bid_parts, response_json
from bidder.decision.pricing import Evaluation, Slot, dearest_deal
from bidder.decision.snapshot import Offer, Snapshot
from bidder.dialects.generic import auction_type
from bidder.request.auction import Auction, Impression
from bidder.targeting.counting import BIDS
from bidder.targeting.normalise import normal_domain
from core.model import AuctionType, Clearing, Exchange
from core.reasons import NoBid
from pacing.notices.tokens import TokenSigner, auction_part
from segments.profiles.reading import ProfileBatch


class Chosen:
    """A bid that will be sent."""

    __slots__ = ("cost", "cpm", "lease_id", "offer", "pair", "position")

    def __init__(self, pair: int, position: int, offer: Offer, lease_id: int, cpm: int, cost: int) -> None:
        self.pair = pair
        self.position = position
        self.offer = offer
        self.lease_id = lease_id
        self.cpm = cpm
        self.cost = cost


def seed_of(auction: Auction) -> int:
    """What ties and turns depend on: stable between processes and versions."""
    return zlib.crc32(auction.request.id.encode("utf-8", "surrogatepass"))


def choose(found: Evaluation, snapshot: Snapshot, now_ms: int) -> dict[int, Chosen]:
    """Run the internal auctions and reserve money: slot number -> chosen bid. Sets the verdicts of the losers."""

    @functools.cache  # most batches need none
    def ties() -> rank.Ties:
        seeds = [seed_of(slot.auction) for slot in found.slots]
        return rank.Ties(snapshot.index.lines.line_item, found.positions, seeds)

    pairs = rank.winners(found.starts, found.slot_of_pair, found.cpm, found.eligible, ties)
    taken: set[tuple[int, int]] = set()
    chosen: dict[int, Chosen] = {}
    # As Python numbers at once: taking them from the arrays one by one costs 0.1 us each.
    columns = (found.slot_of_pair, found.positions, found.cpm, found.cost)
    for pair, number, position, cpm, cost in zip(
        pairs.tolist(), *(column.take(pairs).tolist() for column in columns), strict=True
    ):
        bid = _take(found, snapshot, number, pair, position, cpm, cost, taken, now_ms)
        if bid is None:
            bid = _take_next(found, snapshot, number, pair, ties(), taken, now_ms)
        if bid is not None:
            chosen[number] = bid
    verdict = found.verdict
    np.putmask(verdict, verdict == rank.ELIGIBLE, NoBid.OUTRANKED.index)
    verdict[[bid.pair for bid in chosen.values()]] = BIDS
    return chosen


def _take_next(
    found: Evaluation,
    snapshot: Snapshot,
    number: int,
    best: int,
    ties: rank.Ties,
    taken: set[tuple[int, int]],
    now_ms: int,
) -> Chosen | None:
    """The best pair of a slot after `best`, which could not be used, that can."""
    for pair in rank.ranking(*found.pair_range(number), number, found.cpm, found.eligible, ties):
        if pair != best:
            position, cpm, cost = int(found.positions[pair]), int(found.cpm[pair]), int(found.cost[pair])
            bid = _take(found, snapshot, number, pair, position, cpm, cost, taken, now_ms)
            if bid is not None:
                return bid
    return None


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
) -> Chosen | None:
    """Try to bid with one pair: not twice in a request, a creative that may be shown, money in the lease."""
    slot = found.slots[number]
    impression = slot.impression
    if impression.deal_floors:
        offers = _offers(slot, snapshot, position, cpm)
    else:
        offers = snapshot.showable(position, slot.auction, impression)
    if not offers:
        found.verdict[pair] = NoBid.CREATIVE_BLOCKED.index
        return None
    # Several creatives that fit take turns by the auction's hash.
    offer = offers[0] if len(offers) == 1 else offers[seed_of(slot.auction) % len(offers)]
    line = offer.line
    mark = (slot.number, line.line_item_id)
    if mark in taken and not line.several_per_request:
        found.verdict[pair] = NoBid.ALREADY_IN_REQUEST.index
        return None
    lease = snapshot.book.reserve(position, cost, now_ms)
    if not lease:
        found.verdict[pair] = NoBid.NO_LEASE.index
        return None
    taken.add(mark)
    return Chosen(pair, position, offer, lease, cpm, cost)


def _offers(slot: Slot, snapshot: Snapshot, position: int, cpm: int) -> tuple[Offer, ...]:
    """Creatives of an offered size that the request admits, and its deal where the bid is on one."""
    auction, impression = slot.auction, slot.impression
    fitting = snapshot.showable(position, auction, impression)
    if impression.deal_floors and fitting:
        invited = _invited(impression, _deal(auction, impression, position, snapshot, cpm))
        fitting = tuple(offer for offer in fitting if invited is None or offer.prepared.domain in invited)
    return fitting


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
    bids: dict[int, list[tuple[int, Chosen]]] = {}  # by auction: (slot, bid)
    for item in chosen.items():
        auction = found.slots[item[0]].number
        of_auction = bids.get(auction)
        if of_auction is None:
            bids[auction] = [item]
        else:
            of_auction.append(item)
    issued_s, users = now_ms // 1000, profiles.user_ids
    return {
        number: _respond(found, of_auction, snapshot, signer, users[number] or "", issued_s)
        for number, of_auction in bids.items()
    }


def _respond(
    found: Evaluation,
    bids: Sequence[tuple[int, Chosen]],
    snapshot: Snapshot,
    signer: TokenSigner,
    user_id: str,
    issued_s: int,
) -> bytes:
    """JSON of the response of one auction; `bids` has its (slot, bid) pairs."""
    auction = found.slots[bids[0][0]].auction
    exchange = auction.exchange
    common = auction_part(auction.currency, issued_s, user_id)
    usual_type = auction_type(exchange, auction.request.at)
    texts, nonce = [], 0
    for number, bid in bids:
        impression = found.slots[number].impression
        second_cpm = _second_price(found, number, bids, snapshot) if exchange.clearing is Clearing.HOUSE else 0
        deal_id, kind = "", usual_type
        if impression.deal_floors:
            deal_id = _deal(auction, impression, bid.position, snapshot, bid.cpm)
            kind = _deal_type(exchange, impression, deal_id) or usual_type
        nonce = next(signer.nonces)
        token = signer.sign_parts(
            bid.offer.token_part(signer, is_test=auction.is_test),
            common,
            nonce=nonce,
            lease_id=bid.lease_id,
            reserved_micros=bid.cost,
            bid_cpm=bid.cpm,
            second_cpm=second_cpm,
            # A deal may have a floor of its own for each of its line items.
            floor_cpm=int(found.floors[bid.pair]) if impression.deal_floors else impression.floor_cpm,
            auction_type=kind,
        )
        offer = bid.offer
        texts.append(
            bid_parts(
                offer.prepared, impression=impression, cpm=bid.cpm, deal_id=deal_id, tactic=offer.tactic, token=token
            )
        )
    return response_json(auction, texts, f"{nonce:016x}")


def _deal_type(exchange: Exchange, impression: Impression, deal_id: str) -> AuctionType | None:
    """How a bid on a deal is charged; None where the deal does not say. A fixed price is one whatever is configured."""
    deal_type = impression.deal_floors[deal_id][1] if deal_id else 0
    if deal_type == AuctionType.FIXED_PRICE:
        return AuctionType.FIXED_PRICE
    return auction_type(exchange, deal_type) if deal_type else None


def _second_price(found: Evaluation, number: int, bids: Sequence[tuple[int, Chosen]], snapshot: Snapshot) -> int:
    """What house clearing settles against: the best bid of another line item that could have been sent instead.

    `bids` are those of the slot's auction: a line item that bids elsewhere in it was not free.
    """
    slot, busy = found.slots[number], {bid.offer.line.line_item_id for _number, bid in bids}
    winner = next(bid for at, bid in bids if at == number).offer.line.line_item_id
    start, end = found.pair_range(number)
    outranked = start + (found.verdict[start:end] == NoBid.OUTRANKED.index).nonzero()[0]
    for pair in outranked[(-found.cpm[outranked]).argsort(kind="stable")].tolist():
        position, cpm = int(found.positions[pair]), int(found.cpm[pair])
        rival = snapshot.line(position)
        is_free = rival.several_per_request or rival.line_item_id not in busy
        if rival.line_item_id != winner and is_free and _offers(slot, snapshot, position, cpm):
            return cpm
    return 0


def _deal(auction: Auction, impression: Impression, position: int, snapshot: Snapshot, cpm: int) -> str:
    """The dearest offered deal of the line item that its bid reaches; "" without one."""
    floors = impression.deal_floors
    held = snapshot.index.deals.held(auction.exchange.id, position, floors)
    return dearest_deal(floors, held, cpm) or ""
