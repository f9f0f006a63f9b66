"""Which line items may bid on which impression: bitmaps of every targeted field, ANDed.

`match_context` needs the request alone, so it runs before the profile look-up, and a request that nobody wants costs no
look-up at all. `match_user` adds what the profile says: segments, frequency caps.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bidder.request.auction import Auction, Impression
from bidder.targeting.bitmaps import from_flags, to_flags
from bidder.targeting.categories import BLOCKED_CATEGORY, UNFIT_FOR_CHILDREN
from bidder.targeting.counting import FunnelCounts
from bidder.targeting.dimensions import Dimension, Group, JointBits, PrivateAuction, Strangers
from bidder.targeting.eligible_now import LiveSets
from bidder.targeting.field import Part, Reads, read_one
from bidder.targeting.grouped import grouped_by_part
from bidder.targeting.index import Index
from bidder.targeting.memory import MemoryBudget
from bidder.targeting.modifiers import BidFactors
from core.reasons import NoBid
from pacing.budgets.pools import PoolKey
from pacing.caps import Blocked, CapTable
from segments.profiles.reading import ProfileBatch


class Matcher:
    """The dimensions of one index that restrict anything, in the groups that are asked together.

    What they remember is bounded by `memory`.
    """

    __slots__ = (
        "_asked", "_careful", "_context", "_deals", "_membership", "_slot_reads", "_slots", "_weight", "dimensions",
        "factors", "index", "live",
    )  # fmt: skip

    def __init__(self, index: Index, live: LiveSets, memory: MemoryBudget, *, counts_hits: bool = True) -> None:
        self.index = index
        self.live = live
        self._weight = int(counts_hits)  # of an impression in the counts; a rehearsal's weighs nothing
        self._context = grouped_by_part(
            index.dimensions, [field for field in index.fields if field.part is not Part.IMPRESSION]
        )
        # Looking up a member of a slot to call it costs as much as the call, and this is done for each request.
        self._asked = tuple((grouped.read, grouped.known, grouped.resolve) for grouped in self._context)
        slots = [
            field for field in index.fields if field.part is Part.IMPRESSION and index.dimensions[field.name].restricts
        ]
        self._slot_reads = Reads(slots)
        self._deals = (index.deals, PrivateAuction(index.deals))
        self._slots = Group([*(index.dimensions[field.name] for field in slots), *self._deals])
        membership = (index.segments, Strangers(index.segments), index.excluded_segments)
        self._membership = Group(membership)
        self._careful: int | None = None
        self.dimensions: tuple[Dimension, ...] = (*index.dimensions.values(), *self._deals, *membership)
        """Everything that counts impressions, for the funnel."""
        for group in (*(grouped.group for grouped in self._context), self._slots, self._membership):
            group.join(memory)
        self.factors = BidFactors(index.modifiers, index.fields, memory)

    def settle(self) -> None:
        """Pass all counted impressions on to the dimensions, which are about to be harvested."""
        for grouped in self._context:
            grouped.group.settle()
        self._slots.settle()
        self._membership.settle()

    def match_context(self, auction: Auction) -> int:
        """Set `eligible` of each impression of the auction; the union of these sets, 0 when nobody wants any.

        Every dimension is counted, whether or not earlier ones left anybody: the funnel's counts are exact.
        """
        impressions = auction.impressions
        hits = len(impressions) * self._weight
        self.live.hits += hits
        bits = self.live.bits
        if auction.is_child:
            bits &= self._fit_for_children()
        for read, known, resolve in self._asked:
            part = read(auction)
            answer = known(part)
            if answer is None:
                answer = resolve(part)
            answer.hits += hits
            bits &= answer.bits
        union, weight = 0, self._weight
        known, read = self._slots.memo.get, self._slot_reads.read
        for impression in impressions:
            slot = read(impression)
            if impression.imp.pmp is not None:
                slot = (slot, *_deals_of(auction, impression))
            answer = known(slot)
            if answer is None:
                answer = self._resolve_slot(slot, auction, impression)
            answer.hits += weight
            impression.eligible = eligible = bits & answer.bits
            union |= eligible
        return union

    def prepare(self, auction: Auction) -> Iterator[None]:
        """Work out all that `match_context` will ask for, with pauses: for a request of long lists."""
        for grouped in self._context:
            yield from grouped.prepare(grouped.read(auction))
        for impression in auction.impressions:
            slot = self._slot_reads.read(impression)
            if impression.imp.pmp is not None:
                slot = (slot, *_deals_of(auction, impression))
            if slot not in self._slots.memo:
                self._resolve_slot(slot, auction, impression)
            yield
        yield from self.factors.prepare(auction)

    def _fit_for_children(self) -> int:
        """The set of line items all of whose ads say what they advertise, and nothing that children must not see."""
        return self.index.dimensions[BLOCKED_CATEGORY].get(UNFIT_FOR_CHILDREN).bits

    def _resolve_slot(self, slot: object, auction: Auction, impression: Impression) -> JointBits:
        shares = self._slot_reads.shares(self._slot_reads.read(impression))
        return self._slots.resolve(slot, [*shares, *([_deals_of(auction, impression)] * len(self._deals))])

    def match_user(
        self,
        auctions: Sequence[Auction],
        profiles: ProfileBatch,
        caps: CapTable,
        counts: FunnelCounts,
        now_s: int,
    ) -> None:
        """Take from each impression's set the line items that the user's segments, caps and gaps rule out.

        Only requests that some line item wants come here, so `counts` and the hits of the segment dimensions speak of
        those impressions.
        """
        known = self._membership.memo
        for auction, segments, ring in zip(auctions, profiles.segments, profiles.cap_rings, strict=True):
            hits = len(auction.impressions) * self._weight
            answer = known.get(segments)
            if answer is None:
                answer = self._membership.resolve(segments, (segments, segments, segments))
            answer.hits += hits
            bits = answer.bits
            if ring:
                self._cap(auction, bits, caps.blocked(ring, now_s), counts)
                continue
            for impression in auction.impressions:
                impression.eligible &= bits
        for number in profiles.failed:
            self._sit_out(auctions[number], self.careful(caps), counts)

    def _cap(self, auction: Auction, bits: int, blocked: Blocked, counts: FunnelCounts) -> None:
        """Take the line items out that the user has seen too often; where nobody else is left, that is why."""
        hits = len(auction.impressions) * self._weight
        out = self._positions(blocked.pools, counts, hits)
        out_of = self._positions_by_format(blocked, auction, counts) if blocked.formats else {}
        wanted = left = 0
        for impression in auction.impressions:
            seen_too_often = out | out_of.get(impression.offer.format, 0) if out_of else out
            wanted |= impression.eligible & bits
            impression.eligible &= bits & ~seen_too_often
            left |= impression.eligible
        if wanted and not left:
            auction.no_bid = NoBid.FREQUENCY_CAP

    def careful(self, caps: CapTable) -> int:
        """The set of line items that must know the user: those with caps, gaps or excluded segments."""
        if self._careful is None:
            capped = from_flags(np.isin(self.index.lines.line_item, caps.line_items))
            self._careful = capped | self.index.excluded_segments.denying
        return self._careful

    def _sit_out(self, auction: Auction, careful: int, counts: FunnelCounts) -> None:
        """Where the user could not be looked up, line items that must know whom they are shown to do not bid."""
        for impression in auction.impressions:
            out = impression.eligible & careful
            impression.eligible &= ~careful
            if out and self._weight:
                positions = to_flags(out, self.index.count).nonzero()[0]
                counts.count_pairs(positions, np.full(len(positions), NoBid.LOOK_UP_FAILED.index))

    def _positions_by_format(self, blocked: Blocked, auction: Auction, counts: FunnelCounts) -> dict[str, int]:
        """The sets of line items that may not bid in one format, each counted on the impressions of that format."""
        formats = [impression.offer.format for impression in auction.impressions]
        return {
            name: self._positions(pools, counts, formats.count(name) * self._weight)
            for name, pools in blocked.formats.items()
        }

    def _positions(self, pools: Mapping[PoolKey, NoBid], counts: FunnelCounts, hits: int) -> int:
        """The set of line items whose caps or gaps are reached, counted as excluded from `hits` impressions."""
        blocked = 0
        for pool, reason in pools.items():
            for position in self.index.positions_of(pool):
                blocked |= 1 << position
                counts.count_blocked(position, reason, hits)
        return blocked

    def reasons(
        self, auction: Auction, impression: Impression, profiles: ProfileBatch, number: int, caps: CapTable, now_s: int
    ) -> list[tuple[NoBid, int, str]]:
        """For explanations: (reason, set that passes, what the request said) of every dimension and of the caps."""
        index = self.index
        found = [(reason, passing, "") for reason, passing in self.live.parts]
        for field in index.fields:
            dimension = index.dimensions[field.name]
            if dimension.restricts:
                key = read_one(field)(impression if field.part is Part.IMPRESSION else auction)
                found.append((field.reason, dimension.get(key).bits, field.detail(key)))
        if auction.is_child:
            found.append((NoBid.CATEGORY_BLOCKED, self._fit_for_children(), "the user is, or may be, a child"))
        deals, segments = _deals_of(auction, impression), profiles.segments[number]
        found += [(dimension.reason, dimension.get(deals).bits, " ".join(deals[1])) for dimension in self._deals]
        found += [(dimension.reason, dimension.get(segments).bits, "") for dimension in self._membership.dimensions]
        if number in profiles.failed:
            found.append((NoBid.LOOK_UP_FAILED, ~self.careful(caps), ""))
        ring = profiles.rings[number]
        for reached in caps.describe(ring, now_s):
            if reached.format in ("", impression.offer.format):
                blocked = sum(1 << at for at in index.positions_of(reached.pool))
                found.append((reached.reason, ~blocked, reached.text))
        return found


def _deals_of(auction: Auction, impression: Impression) -> tuple[int, tuple[str, ...], bool]:
    return auction.exchange.id, tuple(impression.deal_floors), impression.private_auction
