"""Everything the bid path derives from one version of the catalogue, swapped as one reference."""

import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bidder.decision.answer import PreparedBid, creative_rules, may_show, tactic_json
from bidder.decision.model_file import Model
from bidder.decision.price_memo import PriceMemo
from bidder.decision.score import BoundModel
from bidder.request.auction import Auction, Impression, Size
from bidder.targeting.bitmaps import UnpackedRows
from bidder.targeting.compiled import Compiled
from bidder.targeting.counting import FunnelCounts
from bidder.targeting.eligible_now import LiveSets
from bidder.targeting.fields import bytes_of
from bidder.targeting.match import Matcher
from core.model import Exchange
from core.money import MoneyError
from pacing.budgets.leases import LeaseBook
from pacing.notices.claims import terms_of
from pacing.notices.tokens import TokenSigner

# Distinct (line item, offered sizes, exchange, rules) whose creatives are remembered; some 400 bytes each. Senders
# decide how long their lists are: longer ones are looked at each time.
MAX_FITTING = 50_000
MAX_FITTING_KEY_BYTES = 4_096


class Line(NamedTuple):
    """What a bid says of its line item."""

    line_item_id: int
    share: int
    advertiser_id: int
    campaign_id: int
    several_per_request: bool


class Offer:
    """A line item with a creative that it may show, on one exchange."""

    __slots__ = ("_exchange", "_token_part", "line", "prepared", "tactic")

    def __init__(self, prepared: PreparedBid, line: Line, exchange: Exchange) -> None:
        self.prepared = prepared
        self.line = line
        self.tactic = tactic_json(line.line_item_id)
        self._exchange = exchange
        self._token_part = b""

    def token_part(self, signer: TokenSigner, *, is_test: bool) -> bytes:
        """The offer's part of a token, made once; `signer` is always the same."""
        if is_test:
            return self._make_token_part(signer, is_test=True)
        if not self._token_part:
            self._token_part = self._make_token_part(signer, is_test=False)
        return self._token_part

    def _make_token_part(self, signer: TokenSigner, *, is_test: bool) -> bytes:
        return signer.offer_part(
            terms=terms_of(self._exchange),
            is_test=is_test,
            share=self.line.share,
            line_item_id=self.line.line_item_id,
            advertiser_id=self.line.advertiser_id,
            campaign_id=self.line.campaign_id,
            creative_id=self.prepared.creative.id,
            exchange_id=self._exchange.id,
            landing=self.prepared.landing,
            markup=self.prepared.creative.format,
            model_version=0,
        )


class Snapshot:
    """The compiled catalogue with its bound model and memos. `book` must have been bound to the same pools."""

    __slots__ = (
        "_advertiser_domains", "_fitting", "_lines", "_prepared", "_rates", "_track_url", "book", "caps",
        "counts", "index", "live", "matcher", "model", "prices", "unpacked",
    )  # fmt: skip

    def __init__(self, compiled: Compiled, model: Model, book: LeaseBook, track_url: str) -> None:
        self.index = compiled.index
        self.caps = compiled.caps
        self.book = book
        self.model = BoundModel(model, self.index)
        self.live = LiveSets(self.index)
        self.matcher = Matcher(self.index, self.live)
        self.counts = FunnelCounts(self.index, self.live, self.matcher.settle)
        self.unpacked = UnpackedRows(self.index.count)
        self.prices = PriceMemo(self.index.count)
        self._advertiser_domains = compiled.advertiser_domains
        self._track_url = track_url
        self._prepared: dict[tuple[int, int, int], PreparedBid] = {}
        self._fitting: dict[tuple[object, ...], tuple[Offer, ...]] = {}
        self._lines: dict[int, Line] = {}
        self._rates: dict[str, NDArray[np.float64]] = {}

    @property
    def is_bound(self) -> bool:
        """Whether the book's positions are this snapshot's; another one's may have been bound while a batch waited."""
        return self.book.pools is self.index.pools

    def rehearsal(self) -> "Snapshot":
        """The same snapshot on a copy of the book and with counters of its own: what it does leaves no trace."""
        twin = copy.copy(self)
        twin.book = self.book.copy()
        twin.matcher = Matcher(self.index, self.live, counts_hits=False)
        twin.counts = FunnelCounts(self.index, LiveSets(self.index), twin.matcher.settle)
        return twin

    def prepared(self, position: int, sizes: tuple[Size, ...], exchange: Exchange) -> tuple[PreparedBid, ...]:
        """Prepared bids of a line item's creatives in the offered sizes."""
        banners = self.index.banners_of(position)
        fitting = [each.id for size in sizes for each in banners if (each.width, each.height) == size]
        return tuple(self._prepare(creative_id, exchange, position) for creative_id in fitting)

    def showable(self, position: int, auction: Auction, impression: Impression) -> "tuple[Offer, ...]":
        """Offers of those of `prepared` that the request admits, remembered by the rules that decide it."""
        key = (position, impression.sizes, auction.exchange.id, *creative_rules(auction, impression))
        found = self._fitting.get(key)
        if found is None:
            line, exchange = self.line(position), auction.exchange
            prepared = self.prepared(position, impression.sizes, exchange)
            admitted = (each for each in prepared if may_show(each, auction, impression))
            found = tuple(Offer(each, line, exchange) for each in admitted)
            if bytes_of(key) <= MAX_FITTING_KEY_BYTES:
                if len(self._fitting) >= MAX_FITTING:
                    self._fitting.clear()
                self._fitting[key] = found
        return found

    def _prepare(self, creative_id: int, exchange: Exchange, position: int) -> PreparedBid:
        campaign_id = self.line(position).campaign_id
        key = (creative_id, exchange.id, campaign_id)
        prepared = self._prepared.get(key)
        if prepared is None:
            creative = self.index.creatives[creative_id]
            domain = self._advertiser_domains[creative.advertiser_id]
            prepared = self._prepared[key] = PreparedBid(creative, exchange, domain, campaign_id, self._track_url)
        return prepared

    def line(self, position: int) -> Line:
        """What a bid says of its line item, as Python values: reading them from arrays costs 0.1 us each."""
        line = self._lines.get(position)
        if line is None:
            lines = self.index.lines
            line = self._lines[position] = Line(
                int(lines.line_item[position]),
                int(lines.share[position]),
                int(lines.advertiser[position]),
                int(lines.campaign[position]),
                bool(lines.several_per_request[position]),
            )
        return line

    def rates_to(self, currency: str) -> NDArray[np.float64]:
        """Units of `currency` for one unit of each of the index's currencies; 0, which never bids, without a rate."""
        rates = self._rates.get(currency)
        if rates is None:
            rates = self._rates[currency] = np.array([self._rate(source, currency) for source in self.index.currencies])
        return rates

    def _rate(self, source: str, target: str) -> float:
        try:
            return self.index.fx.rate(source, target)
        except MoneyError:
            return 0.0
