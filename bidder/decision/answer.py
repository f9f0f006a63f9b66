"""The answer: tokens for the chosen bids, and prepared bytes around the few values that belong to one bid."""

from collections.abc import Sequence

from bidder.decision.choose import Chosen, showable
from bidder.decision.pricing import Evaluation
from bidder.decision.request_macros import asking_how_many, expiring, filled
from bidder.decision.snapshot import Snapshot
from bidder.dialects.generic import BID_EXPIRY_S
from bidder.openrtb.formats.spots import spot_in
from bidder.openrtb.response import bid_parts
from bidder.request.auction import ONE_IMPRESSION, Impression
from bidder.targeting import pod_places
from core.model import AuctionType, Clearing
from core.reasons import NoBid
from pacing.notices.tokens import TokenSigner, auction_part
from segments.profiles.reading import ProfileBatch

_FIXED_PRICE = AuctionType.FIXED_PRICE
_HOUSE = Clearing.HOUSE  # looking up a member of an enum costs as much as ten attributes
# A bid's id is the number of its impression, plus this for each further ad of a pod: far above any such number.
POD_STEP = 1_000


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
    issued_s = now_ms // 1000
    return {
        number: _respond(found, of_auction, snapshot, signer, profiles, issued_s) for number, of_auction in bids.items()
    }


def _respond(
    found: Evaluation,
    bids: Sequence[tuple[int, Chosen]],
    snapshot: Snapshot,
    signer: TokenSigner,
    profiles: ProfileBatch,
    issued_s: int,
) -> bytes:
    """JSON of the response of one auction; `bids` has its (slot, bid) pairs."""
    first = found.slots[bids[0][0]]
    auction = first.auction
    exchange = auction.exchange
    speaker = auction.speaker
    is_house = exchange.clearing is _HOUSE
    common = auction_part(auction.currency, issued_s, profiles.user_ids[first.number] or "")
    bids_of_answer, nonce = [], 0
    for number, bid in bids:
        impression = found.slots[number].impression
        second_cpm = _second_price(found, number, bids, snapshot) if is_house else 0
        nonce = bid.nonce = next(signer.nonces)
        token = signer.sign_parts(
            bid.shown.token_part(signer, is_test=auction.is_test),
            common,
            nonce=nonce,
            lease_id=bid.lease_id,
            reserved_micros=bid.cost,
            bid_cpm=bid.cpm,
            second_cpm=second_cpm,
            # A deal may have a floor of its own for each of its line items.
            floor_cpm=int(found.floors[bid.pair]) if impression.deal_floors else impression.floor_cpm,
            auction_type=bid.auction_type,
            shading=bid.shading,
            multiplier_milli=impression.multiplier_milli,
        )
        prepared = bid.shown.prepared
        around = prepared.around_token
        if prepared.filling is not None:
            around = prepared.filling.around(bid.products, signer, nonce, profiles.segments[first.number], issued_s)
        asked = bid.cpm
        if bid.deal_id and bid.auction_type is _FIXED_PRICE:
            asked = impression.deal_floors[bid.deal_id][0] or asked  # to the micro; what is reserved is on the grid
        if prepared.asks:
            around = filled(around, auction.request)
        if impression.multiplier_milli != ONE_IMPRESSION:
            around = asking_how_many(around)
        if impression.imp.exp and impression.imp.exp > BID_EXPIRY_S:
            around = expiring(around, BID_EXPIRY_S, min(impression.imp.exp, speaker.longest_expiry_s))
        bid_number = impression.position + 1 + POD_STEP * impression.pod_index
        parts = bid_parts(
            around, number=bid_number, impression_id=impression.imp.id, cpm=asked,
            deal_id=bid.deal_id, tactic=bid.shown.tactic, token=token,
        )  # fmt: skip
        if bid.shown.line.pod_place:
            _say_place(parts, bid.shown.line.pod_place, impression)
        bids_of_answer.append((prepared.seat, parts))
    return speaker.answer(auction.request.id, bids_of_answer, auction.currency, f"{nonce:016x}")


def _say_place(parts: list[bytes], insists: int, impression: Impression) -> None:
    """Add the place in a dynamic pod that a bid is for; in other pods the impression names the place."""
    place = pod_places.said(insists, spot_in(impression.imp, impression.offer.format))
    if place:
        parts.insert(2, b',"slotinpod":%d' % place)


def _second_price(found: Evaluation, number: int, bids: Sequence[tuple[int, Chosen]], snapshot: Snapshot) -> int:
    """What house clearing settles against: the best bid of another line item that could have been sent instead.

    `bids` are those of the slot's auction: a line item that bids elsewhere in it was not free.
    """
    busy = {bid.shown.line.line_item_id for _number, bid in bids}
    won = next(bid for at, bid in bids if at == number)
    winner = won.shown.line.line_item_id
    # The slot of the winning pair and not `number`: a second bid on an impression has a slot without pairs.
    start, end = found.pairs_of_formats(int(found.slot_of_pair[won.pair]))
    outranked = start + (found.verdict[start:end] == NoBid.OUTRANKED.index).nonzero()[0]
    for pair in outranked[(-found.cpm[outranked]).argsort(kind="stable")].tolist():
        position, cpm = int(found.positions[pair]), int(found.cpm[pair])
        rival = snapshot.showcase.line(position)
        is_free = rival.several_per_request or rival.line_item_id not in busy
        if rival.line_item_id != winner and is_free:
            slot = found.slots[found.slot_of_pair[pair]]  # in the format of its own bid
            if showable(slot, snapshot, position, cpm):
                return cpm
    return 0
