"""Auctions as they happen, for whoever watches: summaries of what this process answers, while somebody asks for them.

A summary says what was offered, what was bid, or why nothing was; nothing of the user. It is made after the answers
have left, and at most so many a second: who tails wants to see, not to count.
"""

from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from bidder.decision.choose import Chosen
from bidder.decision.pricing import Evaluation
from bidder.decision.snapshot import Snapshot
from bidder.request.auction import Auction
from bidder.targeting import inventory
from bidder.targeting.counting import BIDS
from bidder.targeting.normalise import normal_domain
from core.money import format_micros
from core.reasons import NO_BID_REASONS, NoBid

# Nobody reads faster; a second of a busy process is a thousand auctions.
MAX_A_SECOND: Final = 50
# Summaries that wait to be sent; what comes on top is passed over.
MAX_WAITING: Final = 200


class Watching(msgspec.Struct, frozen=True):
    """What somebody who tails wants to see; 0 and "" stand for any."""

    no_bids: bool = False
    line_item_id: int = 0
    exchange: str = ""
    advertisers: tuple[int, ...] | None = None  # None: of all; otherwise bids of these advertisers alone


class TailedBid(msgspec.Struct, frozen=True):
    """A bid, or with `reason` what kept the watched line item from one. Prices are decimal CPM."""

    impression_id: str
    format: str
    advertiser_id: int
    line_item_id: int
    share: int
    bid_cpm: str
    floor_cpm: str
    creative_id: int = 0
    size: str = ""
    deal_id: str = ""
    bid_id: str = ""
    reason: str = ""


class TailedAuction(msgspec.Struct, frozen=True):
    """One answered bid request. `reason` is "" where there was a bid."""

    at_ms: int
    exchange: str
    request_id: str
    place: str  # domain or app
    country: str
    device_type: int
    sizes: tuple[str, ...]
    currency: str
    reason: str
    bids: tuple[TailedBid, ...] = ()
    considered: tuple[TailedBid, ...] = ()  # of the watched line item


class AuctionTap:
    """Gathers summaries for those who watch. `room` is filled up by the loop that sends them."""

    def __init__(self, watching: Sequence[Watching]) -> None:
        self.watching = tuple(watching)
        self.waiting: deque[TailedAuction] = deque(maxlen=MAX_WAITING)
        self.room = MAX_A_SECOND

    def silent(self, auction: Auction, now_ms: int) -> None:
        """Gather a request that no line item wanted."""
        if self.room > 0 and any(_wants(each, auction, (), ()) for each in self.watching):
            self._add(auction, now_ms, (), ())

    def decided(
        self,
        auctions: Sequence[Auction],
        found: Evaluation | None,
        chosen: dict[int, Chosen],
        snapshot: Snapshot,
        now_ms: int,
        unsent: Collection[int],
    ) -> None:
        """Gather the auctions of a decided batch; the answers to `unsent` were not sent."""
        for number, auction in enumerate(auctions):
            if self.room <= 0:
                return
            bids = () if found is None or number in unsent else _bids(found, chosen, number)
            line_items = {each.line_item_id for each in self.watching if each.no_bids and each.line_item_id}
            considered = _considered(found, snapshot, number, line_items) if found is not None and line_items else ()
            if any(_wants(each, auction, bids, considered) for each in self.watching):
                self._add(auction, now_ms, bids, considered)

    def _add(
        self, auction: Auction, now_ms: int, bids: tuple[TailedBid, ...], considered: tuple[TailedBid, ...]
    ) -> None:
        self.room -= 1
        reason = "" if bids else (auction.no_bid or NoBid.NOBODY_BIDS).name.lower()
        self.waiting.append(_summary(auction, now_ms, reason, bids, considered))


def shown_to(auction: TailedAuction, watching: Watching) -> TailedAuction | None:
    """What somebody sees of an auction; None for one that they did not ask for or may not see.

    A person who may see some advertisers only is told of their bids and of nothing else.
    """
    bids, considered = auction.bids, auction.considered
    if watching.exchange and auction.exchange != watching.exchange:
        return None
    if watching.advertisers is not None:
        bids = tuple(bid for bid in bids if bid.advertiser_id in watching.advertisers)
        considered = ()
    if watching.line_item_id:
        considered = tuple(bid for bid in considered if bid.line_item_id == watching.line_item_id)
        if not any(bid.line_item_id == watching.line_item_id for bid in bids) and not considered:
            return None
    elif not bids and (not watching.no_bids or watching.advertisers is not None):
        return None
    return msgspec.structs.replace(auction, bids=bids, considered=considered if watching.no_bids else ())


def _wants(watching: Watching, auction: Auction, bids: Sequence[TailedBid], considered: Sequence[TailedBid]) -> bool:
    if watching.exchange and auction.exchange.key != watching.exchange:
        return False
    if watching.line_item_id:
        return any(bid.line_item_id == watching.line_item_id for bid in (*bids, *considered))
    if watching.advertisers is not None:
        return any(bid.advertiser_id in watching.advertisers for bid in bids)
    return bool(bids) or watching.no_bids


def _bids(found: Evaluation, chosen: dict[int, Chosen], number: int) -> tuple[TailedBid, ...]:
    bids = []
    for slot_number, bid in chosen.items():
        slot = found.slots[slot_number]
        if slot.number == number:
            creative, line = bid.shown.prepared.ad.creative, bid.shown.line
            bids.append(
                TailedBid(
                    slot.impression.imp.id, slot.impression.offer.format, line.advertiser_id, line.line_item_id,
                    line.share, format_micros(bid.cpm), format_micros(int(found.floors[bid.pair])), creative.id,
                    f"{creative.width}x{creative.height}" if creative.width else "", bid.deal_id, f"{bid.nonce:016x}",
                )
            )  # fmt: skip
    return tuple(bids)


def _considered(
    found: Evaluation, snapshot: Snapshot, number: int, line_items: Collection[int]
) -> tuple[TailedBid, ...]:
    """Watched line items that were priced and did not bid."""
    lines, told = snapshot.index.lines, []
    for slot_number, slot in enumerate(found.slots):
        if slot.number != number:
            continue
        for pair in range(*found.pair_range(slot_number)):
            position, verdict = int(found.positions[pair]), int(found.verdict[pair])
            if int(lines.line_item[position]) in line_items and verdict != BIDS and 0 <= verdict < len(NO_BID_REASONS):
                told.append(
                    TailedBid(
                        slot.impression.imp.id, slot.impression.offer.format, int(lines.advertiser[position]),
                        int(lines.line_item[position]), int(lines.share[position]),
                        format_micros(int(found.cpm[pair])), format_micros(int(found.floors[pair])),
                        reason=NO_BID_REASONS[verdict].name.lower(),
                    )
                )  # fmt: skip
    return tuple(told)


def _summary(
    auction: Auction,
    now_ms: int,
    reason: str,
    bids: tuple[TailedBid, ...],
    considered: tuple[TailedBid, ...],
) -> TailedAuction:
    device, sizes = auction.request.device, dict[str, None]()
    for impression in auction.impressions:
        shown: list[Any] = list(impression.offer.sizes) or [impression.offer.format]
        sizes |= {f"{size[0]}x{size[1]}" if isinstance(size, tuple) else str(size): None for size in shown}
    return TailedAuction(
        now_ms, auction.exchange.key, auction.request.id[:64],
        normal_domain(inventory.domain(auction) or "")[:100] or (inventory.app(auction) or "")[:100],
        auction.place.country or "", (device.devicetype or 0) if device is not None else 0, tuple(sizes),
        auction.currency, reason, bids, considered,
    )  # fmt: skip
