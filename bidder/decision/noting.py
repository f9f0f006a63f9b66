"""What the journal is told of a batch: its bids, gathered after the answers have left, and counts of all answers.

Of what was priced only the chosen pairs are looked at, by columns; most of what a row says is a tuple that exists
already. The worker makes rows of it (journal.bid_batches).
"""

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from bidder.decision.choose import Chosen
from bidder.decision.filling import Filling
from bidder.decision.model_file import CLICK, CONVERSION
from bidder.decision.pricing import Evaluation, Integers
from bidder.decision.recording import AuctionRecorder, Decided
from bidder.decision.snapshot import Snapshot
from bidder.request.auction import Auction
from bidder.targeting import inventory
from bidder.targeting.normalise import browser, normal_domain, operating_system
from core.model import Exchange
from core.reasons import NoBid
from creatives.products.on_bid import BidProducts
from journal.bid_batches import BidBatch
from journal.people import Pseudonyms
from journal.rows import ANSWER
from journal.writing import JournalWriter
from segments.profiles.reading import ProfileBatch


class BidNotes:
    """What one bidder process tells the journal."""

    __slots__ = ("_answers", "_now_ms", "_pending", "_pseudonyms", "_recorder", "_writer")

    def __init__(
        self,
        writer: JournalWriter,
        pseudonyms: Pseudonyms,
        now_ms: Callable[[], int],
        recorder: AuctionRecorder | None = None,
    ) -> None:
        """`recorder` keeps some requests whole; with None, none is kept."""
        self._writer, self._pseudonyms, self._now_ms = writer, pseudonyms, now_ms
        self._recorder = recorder
        self._pending: Decided | None = None
        self._answers: dict[tuple[int, NoBid, str | None, int | None], int] = {}
        writer.before_flush(self._write_answers)

    def silent(self, auction: Auction, reason: NoBid) -> None:
        """Count an answer without a bid. Those with one are counted by their bids."""
        device, answers = auction.request.device, self._answers
        key = (auction.exchange.id, reason, auction.place.country, device.devicetype if device is not None else None)
        try:
            answers[key] += 1
        except KeyError:
            answers[key] = 1

    def unread(self, exchange: Exchange | None, reason: NoBid) -> None:
        """Count a request that was not decoded."""
        key = (0 if exchange is None else exchange.id, reason, None, None)
        self._answers[key] = self._answers.get(key, 0) + 1

    def unwanted(self, pairs: Sequence[tuple[Auction, object]], snapshot: Snapshot) -> None:
        """Note the requests of one turn that were answered without a look at their users, each with its `reply`."""
        if self._recorder is not None:
            self._recorder.unwanted(pairs, snapshot, self._now_ms())

    def hold(
        self,
        auctions: Sequence[Auction],
        found: Evaluation | None,
        chosen: dict[int, Chosen],
        snapshot: Snapshot,
        profiles: ProfileBatch,
        now_ms: int,
    ) -> None:
        """Keep what was chosen until it is known what was sent; `sent` is called before the next batch."""
        self._pending = Decided(auctions, found, chosen, snapshot, profiles, now_ms)

    def sent(self, unsent: Collection[int] = ()) -> None:
        """The answers of the batch have left, but for those of the auctions `unsent`: note their bids.

        Answers to test requests count as unsent: they cost nothing and are no traffic.
        """
        held, self._pending = self._pending, None
        if held is None:
            return
        _auctions, found, chosen, snapshot, profiles, now_ms = held
        if found is not None and chosen:
            if unsent:
                slots = found.slots
                chosen = {number: bid for number, bid in chosen.items() if slots[number].number not in unsent}
            if chosen:
                batch = bid_batch(found, chosen, snapshot, profiles, now_ms, self._pseudonyms)
                self._writer.extend_bids(batch, len(chosen))
        if self._recorder is not None:
            self._recorder.decided(held, unsent)

    def _write_answers(self) -> None:
        if not self._answers:
            return
        now_ms = self._now_ms()
        counted, self._answers = self._answers, {}
        for (exchange, reason, country, device), count in counted.items():
            self._writer.append(ANSWER, (now_ms, exchange, reason.name.lower(), country, device, count))


def bid_batch(
    found: Evaluation,
    chosen: dict[int, Chosen],
    snapshot: Snapshot,
    profiles: ProfileBatch,
    now_ms: int,
    pseudonyms: Pseudonyms,
) -> BidBatch:
    """The chosen bids of one batch, by slot. Columns are bytes: making Python numbers of them costs as much again."""
    pairs = np.array([bid.pair for bid in chosen.values()])
    slots, segments, users = found.slots, profiles.segments, profiles.user_ids
    auctions: list[tuple[Any, ...]] = []
    bids: list[tuple[Any, ...]] = []
    last = at = -1
    for slot_number, bid in chosen.items():
        slot = slots[slot_number]
        number = slot.number
        if number != last:  # slots of an auction lie side by side, and bids in the order of their slots
            last, at = number, at + 1
            auctions.append(_auction(slot.auction, pseudonyms.digest(users[number], now_ms), segments[number]))
        impression = slot.impression
        bids.append((
            at, bid.shown.offer_row, bid.nonce, impression.imp.id, impression.offer.placement, bid.deal_id,
            bid.shading, bid.cpm, bid.auction_type, bid.cost,
            None if bid.products is None else _shown(bid.products, bid.shown.prepared.filling),
        ))  # fmt: skip
    return BidBatch(
        now_ms, auctions, bids, found.floors.take(pairs).tobytes(), found.cpm.take(pairs).tobytes(),
        *_scores(found, pairs, snapshot), snapshot.book.multiplier.take(found.positions.take(pairs)).tobytes(),
        b"" if found.frequency is None else found.frequency.take(pairs).tobytes(), *_states(found, pairs, profiles),
        snapshot.model.version,
    )  # fmt: skip


def _scores(found: Evaluation, pairs: Integers, snapshot: Snapshot) -> tuple[bytes, bytes, bytes, bytes]:
    """Probability of a click, factor of a conversion, expected value (NaN where the bid is the same for everybody),
    and what carts add (b"" where nobody has one)."""
    model, scores = snapshot.model, found.scores
    kinds = found.slot_kinds.take(found.slot_of_pair.take(pairs))
    slot_rates = model.slot_rates
    if not model.one_column:
        kinds = kinds * slot_rates.shape[2] + model.column.take(found.positions.take(pairs))
    rates = slot_rates.reshape(len(slot_rates), -1).take(kinds, axis=1)
    if scores is None:
        return rates[CLICK].tobytes(), rates[CONVERSION].tobytes(), b"", b""
    at = found.personal.searchsorted(pairs)
    own = (found.personal.take(at, mode="clip") == pairs).nonzero()[0]
    rows = at.take(own)
    rates[CLICK, own], rates[CONVERSION, own] = scores.click_rate.take(rows), scores.conversion_rate.take(rows)
    expected = np.full(len(pairs), np.nan)
    expected[own] = scores.expected_value.take(rows)
    carts = b""
    if scores.cart_value is not None:
        added = np.zeros(len(pairs))
        added[own] = scores.cart_value.take(rows)
        carts = added.tobytes()
    return rates[CLICK].tobytes(), rates[CONVERSION].tobytes(), expected.tobytes(), carts


def _states(found: Evaluation, pairs: Integers, profiles: ProfileBatch) -> tuple[bytes, bytes]:
    """Indices of the bids for users whom their shop knows, and by columns what it knows of them."""
    if found.state is None:
        return b"", b""
    states = found.state.take(pairs)
    known = states.nonzero()[0]
    if not len(known):
        return b"", b""
    rows = states.take(known) - 1
    columns = (
        profiles.visits, profiles.products_viewed, profiles.last_visit_age_s, profiles.last_purchase_age_s,
        profiles.cart_micros, profiles.cart_age_s, profiles.cart_stage,
    )  # fmt: skip
    return known.tobytes(), np.array(columns).take(rows, axis=1).tobytes()


def _shown(products: BidProducts, filling: Filling | None) -> list[str]:
    """The products that a bid carries: no more than its ad has room for."""
    return [product.id for product in products.products[: filling.most if filling is not None else None]]


def _auction(auction: Auction, person: bytes, segments: bytes | None) -> tuple[Any, ...]:
    """What all bids of an auction have in common; see `BidBatch.auctions`."""
    request = auction.request
    device, site = request.device, request.site
    kind = system = family = offset = domain = publisher = app = None
    if device is not None:
        kind, geo = device.devicetype, device.geo
        system, family = _agent(device.os, device.ua or inventory.agent(auction))
        if geo is not None:
            offset = geo.utcoffset
    if site is not None:
        domain = _domain(site.domain or inventory.domain(auction))
        if site.publisher is not None:
            publisher = site.publisher.id
    else:
        publisher, app = inventory.publisher(auction), inventory.app(auction)
    place = auction.place
    return (
        request.id,
        domain,
        app,
        publisher,
        place.country,
        place.region,
        place.city,
        kind,
        system,
        family,
        offset,
        auction.currency,
        person,
        segments,
    )


@functools.lru_cache(maxsize=16_384)
def _domain(text: str | None) -> str | None:
    return normal_domain(text) if text else None


@functools.lru_cache(maxsize=16_384)
def _agent(named: str | None, agent: str | tuple[str, ...] | None) -> tuple[str | None, str | None]:
    """Families of system and browser: the agent itself is not written."""
    system = operating_system(named, agent if isinstance(agent, str) else None)
    family = browser(agent)
    return (system[0] if system else None, family[0] if family else None)
