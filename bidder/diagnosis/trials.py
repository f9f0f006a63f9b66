"""What line items could bid on recorded requests: the stages of the bid path up to the price, many requests at once.

A *trial* is a place where a line item under study fits: what the impression is worth to it before pacing, its floor,
the best bid of our other line items, and what ad it would show. What becomes of it is worked out from these
(bidder.diagnosis.forecast): caps, budgets, pacing and the market are not asked here.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bidder.decision.choose import seed_of, showable
from bidder.decision.model_file import Model
from bidder.decision.pipeline import evaluate, screen
from bidder.decision.pricing import Evaluation
from bidder.decision.recorded import HELD, RecordedConsent
from bidder.decision.score import FACTOR, MAX_CPM
from bidder.decision.snapshot import Snapshot
from bidder.diagnosis.replaying import NEVER_MS, PLENTY, TAKEN, RecordedRequest, read_profiles
from bidder.dialects.table import speaker_of
from bidder.openrtb.codec import decode_request
from bidder.openrtb.tolerance import Tolerances
from bidder.request.auction import Auction
from bidder.targeting.compiled import Compiled
from core.config import ConsentSettings
from core.model import AuctionType, Catalogue, Clearing, LineItem, Status
from core.ring import line_item_of, pack_record, records
from pacing.budgets.leases import LeaseBook
from pacing.budgets.pools import pool_number

TRIAL: Final = np.dtype(
    [
        ("at_ms", "<i8"), ("person", "<u8"), ("request", "<u8"), ("weight", "<f8"), ("line_item", "<i8"),
        ("value", "<f8"), ("highest", "<f8"), ("least", "<f8"), ("floor", "<f8"), ("rival", "<f8"),
        ("rival_line_item", "<i8"), ("click", "<f8"), ("conversion", "<f8"), ("exchange", "<i8"), ("currency", "S3"),
        ("width", "<i8"), ("height", "<i8"), ("kind", "u1"), ("is_house", "?"), ("rate", "<f8"),
        ("format", "S6"), ("place", "<i8"),
    ]
)  # fmt: skip
"""Prices are CPM micros of the auction's currency, `rate` units of it for one of the advertiser's. `value` is what is
bid without pacing, not held to `highest`; `least` is the line item's own minimum; `rival` our best other bid, or 0.
Trials of one `place` of a request are of different formats, and only one of them can be bid on."""

Trials = NDArray[np.void]

# As many as a busy bidder decides together.
BATCH: Final = 48


def studied(catalogue: Catalogue, line_items: Collection[LineItem]) -> Catalogue:
    """The catalogue with line items to study, which replace those with their ids: always in flight, without caps.

    The forecast judges caps and money by what would have been shown, not by what was.
    """
    free = {
        item.id: msgspec.structs.replace(
            item, status=Status.ACTIVE, start_ms=None, end_ms=None, caps=(), min_gap_s=0, budget_shares=()
        )
        for item in line_items
    }
    owners = {item.campaign_id for item in line_items}
    shops = {item.advertiser_id for item in line_items}
    return msgspec.structs.replace(
        catalogue,
        line_items=(*(each for each in catalogue.line_items if each.id not in free), *free.values()),
        campaigns=tuple(
            msgspec.structs.replace(each, status=Status.ACTIVE, start_ms=None, end_ms=None)
            if each.id in owners
            else each
            for each in catalogue.campaigns
        ),
        advertisers=tuple(
            msgspec.structs.replace(each, status=Status.ACTIVE) if each.id in shops else each
            for each in catalogue.advertisers
        ),
    )


class TrialReader:
    """Makes trials of recorded requests for the line items `targets` of one catalogue (see `studied`)."""

    def __init__(
        self,
        compiled: Compiled,
        model: Model,
        consent: ConsentSettings,
        track_url: str,
        targets: Collection[int],
        known_as: tuple[int, int] | None = None,
    ) -> None:
        """`known_as` (a line item, what it is to become): impressions of the first count for the second, too."""
        self._known_as = known_as
        self._policy = RecordedConsent(consent)
        self._book = LeaseBook()
        self._book.bind(compiled.index.pools)
        for position in range(len(compiled.index.pools)):
            self._book.grant(position, position + 1, PLENTY, PLENTY, NEVER_MS)
        self._snapshot = Snapshot(compiled, model, self._book, track_url)
        self._exchanges = {exchange.id: exchange for exchange in compiled.index.exchanges.values()}
        index = compiled.index
        self._targets = np.array([at for each in targets for at in index.by_line_item.get(each, ())], np.int64)
        self._multiplier = self._book.multiplier
        self._multiplier[:] = 1.0

    def read(self, requests: Sequence[RecordedRequest]) -> Trials:
        """The trials of requests in the order of time."""
        parts = [self._batch(requests[at : at + BATCH]) for at in range(0, len(requests), BATCH)]
        return np.concatenate([np.zeros(0, TRIAL), *parts])

    def _batch(self, requests: Sequence[RecordedRequest]) -> Trials:
        now_ms = requests[len(requests) // 2].at_ms
        self._set_multipliers(requests)
        self._snapshot.live.refresh(now_ms, self._book)
        wanted: list[RecordedRequest] = []
        auctions: list[Auction] = []
        for request in requests:
            exchange = self._exchanges.get(request.exchange_id)
            if exchange is None or request.reason in TAKEN:
                continue
            auction = Auction(decode_request(request.body, Tolerances()), exchange, math.inf, speaker_of(exchange))
            if screen(auction, self._snapshot, self._policy):
                auctions.append(auction)
                wanted.append(request)
        if not auctions:
            return np.zeros(0, TRIAL)
        profiles = read_profiles(auctions, [request.profile for request in wanted], now_ms)
        if self._known_as is not None:
            profiles.rings = [_renamed(ring, *self._known_as) for ring in profiles.rings]
        found = evaluate(auctions, profiles, self._snapshot, now_ms)
        if found is None:
            return np.zeros(0, TRIAL)
        return np.array(list(self._rows(found, wanted)), TRIAL)

    def _set_multipliers(self, requests: Sequence[RecordedRequest]) -> None:
        """Set the multipliers of our other line items to what they were; one that was held back bids nothing."""
        table = np.concatenate([request.conditions.table for request in requests])
        at = self._book.pools.find(pool_number(table["line_item"], table["share"]))
        known = at >= 0
        self._multiplier[at[known]] = np.where(table["state"] & HELD, 0.0, table["multiplier"])[known]
        self._multiplier[self._targets] = 1.0

    def _rows(self, found: Evaluation, requests: Sequence[RecordedRequest]) -> Iterator[tuple[Any, ...]]:
        ours = np.isin(found.positions, self._targets)
        pairs = ours.nonzero()[0]
        if not len(pairs):
            return
        scores = found.scored(pairs, personal=True)
        worth = scores.expected_value if scores.modifier is None else scores.expected_value * scores.modifier
        snapshot, lines = self._snapshot, self._snapshot.index.lines
        values = snapshot.model.values[found.positions[pairs]]
        rate = found.rate
        others = np.where(ours | ~found.eligible, -1, found.cpm)
        rivals = self._rivals(found, others)
        for row, pair in enumerate(pairs.tolist()):
            number, position = int(found.slot_of_pair[pair]), int(found.positions[pair])
            slot = found.slots[number]
            own_rate = rate if isinstance(rate, float) else float(rate[pair])
            highest = float(values[row, MAX_CPM]) * own_rate
            shown = showable(slot, snapshot, position, int(highest))
            if not shown:
                continue
            creative = shown[seed_of(slot.auction) % len(shown)].prepared.ad.creative
            rival, rival_line_item = rivals[slot.number, slot.impression.position]
            request, auction = requests[slot.number], slot.auction
            yield (
                request.at_ms, request.person, request.record_id, 1.0 / request.sampled, int(lines.line_item[position]),
                float(worth[row]) * float(values[row, FACTOR]) * own_rate, highest,
                float(snapshot.model.least_cpm[position]) * own_rate, float(found.floors[pair]), rival,
                rival_line_item, float(scores.click_rate[row]),
                float(scores.conversion_rate[row]), auction.exchange.id, auction.currency.encode(), creative.width,
                creative.height, int(_kind(auction)), auction.exchange.clearing is Clearing.HOUSE, own_rate,
                creative.format.encode(), slot.impression.position << 16 | slot.impression.pod_index,
            )  # fmt: skip

    def _rivals(self, found: Evaluation, others: NDArray[np.int64]) -> dict[tuple[int, int], tuple[int, int]]:
        """Our best other bid on each impression and whose it is, by auction and number in it; (0, 0) without one.

        `others` has the bids of pairs, -1 where there is none. Most line items bid once in a request.
        """
        lines, left = self._snapshot.index.lines, others.copy()
        best: dict[tuple[int, int], tuple[int, int]] = {}
        taken: set[tuple[int, int]] = set()
        for number, slot in enumerate(found.slots):
            place = (slot.number, slot.impression.position)
            start, end = found.pairs_of_formats(number)
            while start < end and place not in best:
                pair = start + int(left[start:end].argmax())
                cpm, position = int(left[pair]), int(found.positions[pair])
                mark = (slot.number, int(lines.line_item[position]))
                if cpm <= 0:
                    best[place] = (0, 0)
                elif mark in taken and not lines.several_per_request[position]:
                    left[pair] = -1
                else:
                    best[place] = (cpm, mark[1])
                    taken.add(mark)
        return best


def _renamed(ring: bytes, line_item: int, also: int) -> bytes:
    """A ring in which each impression of one line item counts for another, too. Caps go by `cap_rings` instead."""
    doubled = [pack_record(also, shown_s) for number, shown_s in records(ring) if line_item_of(number) == line_item]
    return b"".join((ring, *doubled))


def _kind(auction: Auction) -> AuctionType:
    return auction.speaker.auction_types[auction.request.at]
