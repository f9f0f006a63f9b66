"""What the journal is told of a batch: its bids, gathered after the answers have left, and counts of all answers.

Of what was priced only the chosen pairs are looked at, by columns; most of what a row says is a tuple that exists
already. The worker makes rows of it (journal.bid_batches).
"""

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import numpy as np

from bidder.decision.choose import Chosen, pairs_of
from bidder.decision.filling import Filling
from bidder.decision.pricing import Evaluation, Integers
from bidder.decision.recording import AuctionRecorder, Decided
from bidder.decision.score import BoundModel
from bidder.decision.snapshot import Snapshot
from bidder.request.auction import Auction
from bidder.targeting import inventory
from bidder.targeting.normalise import browser, normal_domain, operating_system
from core.model import Exchange
from core.reasons import NoBid
from core.remembered import RememberedValues
from creatives.products.on_bid import BidProducts
from journal.bid_batches import BidBatch
from journal.people import Pseudonyms
from journal.rows import ANSWER
from journal.writing import JournalWriter
from segments.profiles.reading import ProfileBatch

_Agent = str | tuple[str, ...] | None
_Families = tuple[str | None, str | None]
_NO_AGENT: Final[_Families] = (None, None)
# Senders choose what is remembered: some 10 MiB of real agents. One agent names its system in one or two ways.
_REMEMBERED: Final = 16_384
_NAMES: Final = 4
_NONE: Final[Integers] = np.zeros(0, np.int64)


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
                found.winners = pairs_of(chosen)
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
    slots, segments, users, people = found.slots, profiles.segments, profiles.user_ids, pseudonyms.at(now_ms)
    auctions: list[tuple[Any, ...]] = []
    bids: list[tuple[Any, ...]] = []
    places: dict[int, int] = {}  # of the auctions in the batch, by number
    last = at = -1
    for slot_number, bid in chosen.items():
        slot = slots[slot_number]
        number = slot.number
        if number != last:  # slots of an auction lie side by side, but for those of second bids, which are the last
            last, at = number, places.setdefault(number, len(auctions))
            if at == len(auctions):
                auctions.append(_auction(slot.auction, people[users[number]], segments[number]))
        impression = slot.impression
        bids.append((
            at, bid.shown.offer_row, bid.nonce, impression.imp.id, impression.offer.placement, bid.deal_id,
            bid.shading, bid.cpm, bid.auction_type, bid.cost,
            None if bid.products is None else _shown(bid.products, bid.shown.prepared.filling),
        ))  # fmt: skip
    pairs = found.winners
    positions = found.positions[pairs]
    known, states = _states(found, pairs, profiles)
    return BidBatch(
        now_ms, auctions, bids, found.floors[pairs].tobytes(), found.cpm[pairs].tobytes(),
        _rates(found, pairs, positions, snapshot.model), *_prices(found, pairs, known),
        snapshot.book.multiplier[positions].tobytes(),
        b"" if found.frequency is None else found.frequency[pairs].tobytes(), known.tobytes(), *states,
        snapshot.model.version,
    )  # fmt: skip


def _rates(found: Evaluation, pairs: Integers, positions: Integers, model: BoundModel) -> bytes:
    """See `BidBatch.rates`."""
    kinds = found.slot_kinds[found.slot_of_pair[pairs]]
    rates = model.slot_rates
    if not model.one_column:
        kinds = kinds * rates.shape[2] + model.column[positions]
    return rates.reshape(len(rates), -1).take(kinds, axis=1).tobytes()


def _prices(found: Evaluation, pairs: Integers, known: Integers) -> tuple[bytes, Sequence[bytes]]:
    """See `BidBatch.priced` and `prices`; `known` are the numbers of the bids whose user the shop knows."""
    scores = found.scores
    if scores is None:
        return b"", ()
    if found.frequency is None and scores.modifier is None:  # nothing else makes a price personal
        priced, rows = known, found.personal.searchsorted(pairs[known])
    else:
        at = found.personal.searchsorted(pairs)
        priced = (found.personal.take(at, mode="clip") == pairs).nonzero()[0]
        rows = at[priced]
    cart = scores.cart_value
    return priced.tobytes(), (
        scores.click_rate[rows].tobytes(), scores.conversion_rate[rows].tobytes(),
        scores.expected_value[rows].tobytes(), b"" if cart is None else cart[rows].tobytes(),
    )  # fmt: skip


def _states(
    found: Evaluation, pairs: Integers, profiles: ProfileBatch
) -> tuple[Integers, tuple[bytes, Sequence[bytes]]]:
    """The numbers of the bids whose user the shop knows, and what it knows: see `BidBatch.facts` and `carts`."""
    if found.state is None:
        return _NONE, (b"", ())
    states = found.state[pairs]
    known = states.nonzero()[0]
    rows = states[known] - 1
    carts = (profiles.cart_micros[rows].tobytes(), profiles.cart_stage[rows].tobytes()) if profiles.has_carts else ()
    return known, (profiles.facts.take(rows, axis=0).tobytes(), carts)


def _shown(products: BidProducts, filling: Filling | None) -> list[str]:
    """The products that a bid carries: no more than its ad has room for."""
    return [product.id for product in products.products[: filling.most if filling is not None else None]]


def _auction(auction: Auction, person: bytes, segments: bytes | None) -> tuple[Any, ...]:
    """What all bids of an auction have in common; see `BidBatch.auctions`."""
    request, place = auction.request, auction.place
    device, site = request.device, request.site
    if device is None:
        kind = offset = None
        system, family = _NO_AGENT
    else:
        kind, geo = device.devicetype, device.geo
        offset = None if geo is None else geo.utcoffset
        system, family = _agents[device.ua or inventory.agent(auction)][device.os]
    if site is None:
        domain, app, publisher = None, inventory.app(auction), inventory.publisher(auction)
    else:
        text = site.domain or inventory.domain(auction)
        domain, app = _domains[text] if text else None, None
        publisher = None if site.publisher is None else site.publisher.id
    return (
        request.id, domain, app, publisher, place.country, place.region, place.city, kind, system, family, offset,
        auction.currency, person, segments,
    )  # fmt: skip


def _families(agent: _Agent, named: str | None) -> _Families:
    """Families of system and browser, from the agent, which itself is not written, and the system's name."""
    system = operating_system(named, agent if isinstance(agent, str) else None)
    family = browser(agent)
    return (system[0] if system else None, family[0] if family else None)


def _named_with(agent: _Agent) -> RememberedValues[str | None, _Families]:
    return RememberedValues(functools.partial(_families, agent), _NAMES)


_domains = RememberedValues(normal_domain, _REMEMBERED)
# By the agent, then by the system's name: hashing both as a tuple takes as long as all else of looking up.
_agents = RememberedValues(_named_with, _REMEMBERED)
