"""decide(): the stages of one batch of bid requests, in order.

A batch is all requests that arrived in one turn of the event loop: one profile round trip (the only await), one numpy
pass over every (impression, line item) pair, one internal auction per impression.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bidder.auction import Auction, Impression
from bidder.bitmaps import unpack_rows
from bidder.counting import BIDS
from bidder.snapshot import Snapshot
from bidder.stages import pace, rank, respond, score
from bidder.stages.consent import ConsentPolicy, resolve_consent
from bidder.stages.identify import identify
from bidder.stages.locate import locate
from bidder.stages.validate import check_request
from core.clock import Clock
from core.model import Clearing
from core.reasons import NoBid
from pacing.caps import recent_impressions
from pacing.tokens import Claims, TokenSigner, auction_digest
from segments.profiles import ProfileBatch, ProfileReader, UserLookup

Integers = NDArray[np.int64]

FIXED_PRICE_DEAL = 3  # `deal.at`: bid exactly the deal's price (OpenRTB 2.6 section 3.2.12)
# Impressions older than a day no longer lower the value of the next one (spec: science 1e).
FREQUENCY_WINDOW_S = 24 * 3600
NOBODY: UserLookup = (None, 0, None)


class Slot:
    """One impression of one auction of the batch that at least one line item may bid on."""

    __slots__ = ("auction", "impression", "number")

    def __init__(self, number: int, auction: Auction, impression: Impression) -> None:
        self.number = number  # of the auction in the batch
        self.auction = auction
        self.impression = impression


class Evaluation:
    """All pairs of a batch, priced and judged; arrays have one row a pair, ordered by slot, then by position."""

    __slots__ = (
        "cost",
        "eligible",
        "floors",
        "positions",
        "scores",
        "slot_of_pair",
        "slots",
        "state",
        "ties",
        "verdict",
    )

    slots: list[Slot]
    slot_of_pair: Integers
    positions: Integers
    state: Integers  # row of the user's state at the line item's advertiser, from 1; 0 without
    scores: score.Scores
    floors: Integers  # CPM micros of the auction's currency
    cost: Integers  # micros of the advertiser's currency
    verdict: Integers
    eligible: NDArray[np.bool_]
    ties: NDArray[np.uint64]


def screen(auction: Auction, snapshot: Snapshot, policy: ConsentPolicy) -> bool:
    """The stages that need the request alone. False, with `auction.no_bid` set, when there is nothing to bid on."""
    check_request(auction, snapshot.index.fx)
    if auction.no_bid is None:
        resolve_consent(auction, policy)
    if auction.no_bid is None:
        identify(auction)
        locate(auction)
        if not snapshot.matcher.match_context(auction):
            auction.no_bid = NoBid.NOT_TARGETED
    return auction.no_bid is None


async def look_up(auctions: Sequence[Auction], profiles: ProfileReader, now_ms: int, deadline: float) -> ProfileBatch:
    """Profiles of the batch, in its order, without what consent does not let us use."""
    users = [(auction.user_id, auction.exchange.id, auction.exchange_user) for auction in auctions]
    batch = await profiles.fetch(users, now_ms, deadline)
    for number, auction in enumerate(auctions):
        if batch.found[number] and not (auction.consent is not None and auction.consent.segments):
            batch.keep_only_ring(number)
    return batch


def evaluate(auctions: Sequence[Auction], profiles: ProfileBatch, snapshot: Snapshot, now_ms: int) -> Evaluation | None:
    """Match users, price and judge all pairs. None when no pair is left."""
    snapshot.matcher.match_user(auctions, profiles, snapshot.caps, snapshot.counts, now_ms // 1000)
    if not any(impression.eligible for auction in auctions for impression in auction.impressions):
        return None
    return price(auctions, profiles, snapshot, now_ms)


def price(auctions: Sequence[Auction], profiles: ProfileBatch, snapshot: Snapshot, now_ms: int) -> Evaluation:
    """Price and judge every pair that the impressions' `eligible` sets name; there must be one."""
    index, book = snapshot.index, snapshot.book
    found = Evaluation()
    found.slots = [
        Slot(number, auction, impression)
        for number, auction in enumerate(auctions)
        for impression in auction.impressions
        if impression.eligible
    ]
    found.slot_of_pair, found.positions = unpack_rows([slot.impression.eligible for slot in found.slots], index.count)
    auction_of_pair = np.array([slot.number for slot in found.slots], dtype=np.int64)[found.slot_of_pair]
    found.state = score.state_of_pairs(auction_of_pair, found.positions, profiles, index)
    rate = _rates(found, snapshot)
    found.scores = score.score(
        slot_of_pair=found.slot_of_pair,
        positions=found.positions,
        slot_rows=_slot_rows(found.slots, snapshot, now_ms),
        state_of_pair=found.state,
        profiles=profiles,
        frequency=_frequency(found, profiles, snapshot, now_ms // 1000),
        multiplier=book.multiplier,
        rate=rate,
        model=snapshot.model,
        index=index,
    )
    _judge(found, snapshot, rate)
    return found


def _judge(found: Evaluation, snapshot: Snapshot, rate: NDArray[np.float64] | float) -> None:
    """Floors, deals, money: the verdict on each pair, and the order of equal bids."""
    lines = snapshot.index.lines
    found.floors = np.array([slot.impression.floor_cpm for slot in found.slots], dtype=np.int64)[found.slot_of_pair]
    _apply_deals(found, snapshot)
    found.cost = pace.costs(found.scores)
    affordable = pace.affordable(found.cost, found.positions, snapshot.book)
    min_cpm = lines.min_cpm[found.positions] * rate
    found.verdict = rank.verdicts(found.scores.cpm, found.floors, min_cpm, affordable)
    found.eligible = found.verdict == rank.ELIGIBLE
    seeds = np.array([rank.seed_of(slot.auction.request.id) for slot in found.slots], dtype=np.int64)
    found.ties = rank.tie_keys(lines.line_item[found.positions], seeds[found.slot_of_pair])


def _rates(found: Evaluation, snapshot: Snapshot) -> NDArray[np.float64] | float:
    currencies = {slot.auction.currency for slot in found.slots}
    if len(currencies) == 1 and len(snapshot.index.currencies) == 1:
        return float(snapshot.rates_to(currencies.pop())[0])
    table = np.stack([snapshot.rates_to(slot.auction.currency) for slot in found.slots])
    return table[found.slot_of_pair, snapshot.index.lines.currency[found.positions]]


def _slot_rows(slots: Sequence[Slot], snapshot: Snapshot, now_ms: int) -> Integers:
    hour_utc = now_ms // 3_600_000 % 24
    rows = [
        score.request_rows(slot.auction, snapshot.model, hour_utc)
        + score.impression_rows(slot.impression, snapshot.model)
        for slot in slots
    ]
    return np.array(rows, dtype=np.int64)


def _pair_range(found: Evaluation, slot: int) -> tuple[int, int]:
    start, end = np.searchsorted(found.slot_of_pair, (slot, slot + 1))
    return int(start), int(end)


def _frequency(found: Evaluation, profiles: ProfileBatch, snapshot: Snapshot, now_s: int) -> NDArray[np.float64] | None:
    """Impressions of each pair's line item that its user has had in a day; None when nobody had any."""
    frequency: NDArray[np.float64] | None = None
    for number, slot in enumerate(found.slots):
        ring = profiles.rings[slot.number]
        if not ring:
            continue
        start, end = _pair_range(found, number)
        positions = found.positions[start:end]
        for line_item, shown in recent_impressions(ring, now_s - FREQUENCY_WINDOW_S).items():
            for position in snapshot.index.by_line_item.get(line_item, ()):
                at = int(np.searchsorted(positions, position))
                if at < len(positions) and positions[at] == position:
                    frequency = np.zeros(len(found.positions)) if frequency is None else frequency
                    frequency[start + at] = shown
    return frequency


def _apply_deals(found: Evaluation, snapshot: Snapshot) -> None:
    """Line items on a deal meet the deal's floor instead of the impression's, or bid its fixed price exactly."""
    for number, slot in enumerate(found.slots):
        deals = slot.impression.deal_floors
        if not deals:
            continue
        start, end = _pair_range(found, number)
        for at in range(start, end):
            held = snapshot.index.deals.held(slot.auction.exchange.id, int(found.positions[at]), deals)
            if held:
                deal_id = min(held, key=lambda name: deals[name][0])
                found.floors[at] = deals[deal_id][0]
                if deals[deal_id][1] == FIXED_PRICE_DEAL and found.scores.cpm[at] >= deals[deal_id][0]:
                    found.scores.cpm[at] = deals[deal_id][0]


class Chosen:
    """A bid that will be sent."""

    __slots__ = ("creative_id", "lease_id", "pair")

    def __init__(self, pair: int, creative_id: int, lease_id: int) -> None:
        self.pair = pair
        self.creative_id = creative_id
        self.lease_id = lease_id


def choose(found: Evaluation, snapshot: Snapshot, now_ms: int) -> dict[int, Chosen]:
    """Run the internal auctions and reserve money: slot number -> chosen bid. Sets the verdicts of the losers."""
    first = rank.winners(found.slot_of_pair, found.scores.cpm, found.eligible, found.ties)
    taken: set[tuple[int, int]] = set()
    chosen: dict[int, Chosen] = {}
    for number, pair in first.items():
        bid = _take(found, snapshot, number, pair, taken, now_ms)
        if bid is None:
            order = rank.ranking(number, found.slot_of_pair, found.scores.cpm, found.eligible, found.ties)
            rest = (_take(found, snapshot, number, other, taken, now_ms) for other in order if other != pair)
            bid = next((other for other in rest if other is not None), None)
        if bid is not None:
            chosen[number] = bid
    found.verdict[found.eligible & (found.verdict == rank.ELIGIBLE)] = NoBid.OUTRANKED.index
    for bid in chosen.values():
        found.verdict[bid.pair] = BIDS
    return chosen


def _take(
    found: Evaluation, snapshot: Snapshot, number: int, pair: int, taken: set[tuple[int, int]], now_ms: int
) -> Chosen | None:
    """Try to bid with one pair: not twice in a request, a creative that may be shown, money in the lease."""
    slot = found.slots[number]
    position = int(found.positions[pair])
    lines = snapshot.index.lines
    line_item = int(lines.line_item[position])
    if (slot.number, line_item) in taken and not lines.several_per_request[position]:
        found.verdict[pair] = NoBid.ALREADY_IN_REQUEST.index
        return None
    creative = _creative(slot, snapshot, line_item, position)
    if creative is None:
        found.verdict[pair] = NoBid.CREATIVE_BLOCKED.index
        return None
    lease = snapshot.book.reserve(position, int(found.cost[pair]), now_ms)
    if not lease:
        found.verdict[pair] = NoBid.NO_LEASE.index
        return None
    taken.add((slot.number, line_item))
    return Chosen(pair, creative, lease)


def _creative(slot: Slot, snapshot: Snapshot, line_item: int, position: int) -> int | None:
    """A creative of an offered size that the request admits; several fitting ones take turns by the auction's hash."""
    by_size = snapshot.index.creatives_by_size
    fitting = [
        creative
        for width, height in slot.impression.sizes
        for creative in by_size.get((line_item, width, height), ())
        if respond.may_show(
            snapshot.prepared(line_item, creative, slot.auction.exchange, position), slot.auction, slot.impression
        )
    ]
    return fitting[rank.seed_of(slot.auction.request.id) % len(fitting)] if fitting else None


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
    for number, bid in chosen.items():
        slot = found.slots[number]
        auction = slot.auction
        if slot.number not in digests:
            digests[slot.number] = auction_digest(auction.exchange.id, auction.request.id)
        bids.setdefault(slot.number, []).append(
            _bid(found, number, bid, snapshot, profiles, signer, digests[slot.number], now_ms)
        )
    auctions = {slot.number: slot.auction for slot in found.slots}
    return {number: respond.response_json(auctions[number], bids[number], digests[number].hex()) for number in bids}


def _bid(
    found: Evaluation,
    number: int,
    bid: Chosen,
    snapshot: Snapshot,
    profiles: ProfileBatch,
    signer: TokenSigner,
    digest: bytes,
    now_ms: int,
) -> bytes:
    slot, pair = found.slots[number], bid.pair
    auction, impression = slot.auction, slot.impression
    position = int(found.positions[pair])
    lines = snapshot.index.lines
    line_item = int(lines.line_item[position])
    cpm = int(found.scores.cpm[pair])
    prepared = snapshot.prepared(line_item, bid.creative_id, auction.exchange, position)
    second = 0
    if auction.exchange.clearing is Clearing.HOUSE:
        second = rank.second_price(
            pair, number, found.slot_of_pair, found.scores.cpm, found.eligible, lines.line_item[found.positions]
        )
    token = signer.sign(
        Claims(
            share=int(lines.share[position]),
            line_item_id=line_item,
            advertiser_id=int(lines.advertiser[position]),
            campaign_id=int(lines.campaign[position]),
            creative_id=bid.creative_id,
            exchange_id=auction.exchange.id,
            lease_id=bid.lease_id,
            reserved_micros=int(found.cost[pair]),
            bid_cpm=cpm,
            second_cpm=second,
            floor_cpm=int(found.floors[pair]),
            currency=auction.currency,
            auction=digest,
            position=impression.position,
            issued_s=now_ms // 1000,
            user_id=profiles.user_ids[slot.number] or "",
            landing=prepared.landing,
            is_test=auction.is_test,
        )
    )
    deals = impression.deal_floors
    held = snapshot.index.deals.held(auction.exchange.id, position, deals) if deals else ()
    deal_id = max((name for name in held if deals[name][0] <= cpm), key=lambda name: deals[name][0], default="")
    return respond.bid_json(
        prepared, bid_id=str(impression.position + 1), impression=impression, cpm=cpm, deal_id=deal_id, token=token
    )


async def decide(
    auctions: Sequence[Auction],
    snapshot: Snapshot,
    profiles: ProfileReader,
    signer: TokenSigner,
    clock: Clock,
    deadline: float,
) -> dict[int, bytes]:
    """Responses of a screened batch by auction number; auctions without one have `no_bid` set."""
    batch = await look_up(auctions, profiles, clock.now_ms(), deadline)
    now_ms = clock.now_ms()
    found = evaluate(auctions, batch, snapshot, now_ms)
    responses: dict[int, bytes] = {}
    if found is not None:
        chosen = choose(found, snapshot, now_ms)
        snapshot.counts.count_pairs(found.positions, found.verdict)
        responses = answer(found, chosen, snapshot, batch, signer, now_ms)
    for number, auction in enumerate(auctions):
        if number not in responses:
            auction.no_bid = NoBid.NOBODY_BIDS if found is not None else NoBid.NOT_TARGETED
    return responses
