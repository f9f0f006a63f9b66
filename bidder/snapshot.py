"""Everything the bid path derives from one version of the catalogue, swapped as one reference."""

import numpy as np
from numpy.typing import NDArray

from bidder.artefact import Model
from bidder.counting import FunnelCounts
from bidder.index import Index, compile_index
from bidder.live import LiveSets
from bidder.stages.match import Matcher
from bidder.stages.respond import PreparedBid
from bidder.stages.score import BoundModel
from core.model import Catalogue, Exchange
from core.money import MoneyError
from pacing.caps import CapTable
from pacing.leases import LeaseBook
from pacing.pools import PoolSpec


class Compiled:
    """What a child process compiles from a catalogue and hands over; plain data that pickles."""

    __slots__ = ("advertiser_domains", "caps", "index", "pools")

    def __init__(self, catalogue: Catalogue) -> None:
        self.index = compile_index(catalogue)
        self.caps = CapTable(catalogue)
        self.pools: list[PoolSpec] = self.index.pools
        self.advertiser_domains = {advertiser.id: advertiser.domain for advertiser in catalogue.advertisers}

    def __getstate__(self) -> tuple[object, ...]:
        return self.index, self.caps, self.pools, self.advertiser_domains

    def __setstate__(self, state: tuple[Index, CapTable, list[PoolSpec], dict[int, str]]) -> None:
        self.index, self.caps, self.pools, self.advertiser_domains = state


class Snapshot:
    """The compiled catalogue with its bound model and memos. `book` must have been bound to the same pools."""

    __slots__ = (
        "_advertiser_domains", "_prepared", "_rates", "_track_url", "book", "caps", "counts", "index", "live",
        "matcher", "model",
    )  # fmt: skip

    def __init__(self, compiled: Compiled, model: Model, book: LeaseBook, track_url: str) -> None:
        self.index = compiled.index
        self.caps = compiled.caps
        self.book = book
        self.model = BoundModel(model, self.index)
        self.live = LiveSets(self.index)
        self.matcher = Matcher(self.index, self.live)
        self.counts = FunnelCounts(self.index, self.live)
        self._advertiser_domains = compiled.advertiser_domains
        self._track_url = track_url
        self._prepared: dict[tuple[int, int, int], PreparedBid] = {}
        self._rates: dict[str, NDArray[np.float64]] = {}

    def prepared(self, line_item_id: int, creative_id: int, exchange: Exchange, position: int) -> PreparedBid:
        """The prepared bid of a creative on an exchange for one line item."""
        key = (line_item_id, creative_id, exchange.id)
        found = self._prepared.get(key)
        if found is None:
            creative = self.index.creatives[creative_id]
            campaign = int(self.index.lines.campaign[position])
            domain = self._advertiser_domains[creative.advertiser_id]
            found = self._prepared[key] = PreparedBid(creative, exchange, domain, campaign, self._track_url)
        return found

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
