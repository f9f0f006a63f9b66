"""Everything the bid path derives from one version of the catalogue, swapped as one reference."""

import copy

import numpy as np
from numpy.typing import NDArray

from bidder.decision.bids_out import BidsOut
from bidder.decision.creatives import Showcase
from bidder.decision.model_file import Model
from bidder.decision.price_memo import PriceMemo
from bidder.decision.score import BoundModel
from bidder.targeting.bitmaps import UnpackedRows
from bidder.targeting.compiled import Compiled
from bidder.targeting.counting import FunnelCounts
from bidder.targeting.eligible_now import LiveSets
from bidder.targeting.match import Matcher
from bidder.targeting.memory import MemoryBudget
from bidder.targeting.quality import Quality
from core.money import MoneyError
from creatives.products.cache import ProductCache
from pacing.budgets.leases import LeaseBook
from pacing.landscape.shading import Shading


class Snapshot:
    """The compiled catalogue with its bound model and memos. `book` must have been bound to the same pools.

    All that is remembered, of requests and of creatives, shares the bytes of `memory`. `out` outlives the snapshot: it
    is what this process has bid (None: bids that are out count against no cap). So does `products`, its cache of
    products (None: ads are filled when they are shown).
    """

    __slots__ = (
        "_rates", "_uncounted", "book", "caps", "counts", "index", "live", "matcher", "memory", "model", "out",
        "prices", "products", "quality", "shading", "showcase", "unpacked",
    )  # fmt: skip

    def __init__(
        self,
        compiled: Compiled,
        model: Model,
        book: LeaseBook,
        track_url: str,
        shading: Shading | None = None,
        out: BidsOut | None = None,
        quality: Quality | None = None,
        products: ProductCache | None = None,
    ) -> None:
        self.index = compiled.index
        self.caps = compiled.caps
        self.book = book
        self.out = out
        self.quality = quality or Quality()
        self.products = products
        self.shading = shading or Shading()
        self.model = BoundModel(model, self.index)
        self.live = LiveSets(self.index)
        self.memory = MemoryBudget()
        self.matcher = Matcher(self.index, self.live, self.memory)
        self.counts = FunnelCounts(self.index, self.live, self.matcher.dimensions, self.matcher.settle)
        self.unpacked = UnpackedRows(self.index.count)
        self.prices = PriceMemo(self.index.count)
        self.showcase = Showcase(self.index, compiled.caps, compiled.shops, track_url, self.model.version)
        self.memory.reserve(self.prices.nbytes)
        for memo in (self.model, self.unpacked, self.showcase):
            memo.join(self.memory)
        self._uncounted: Matcher | None = None
        self._rates: dict[str, NDArray[np.float64]] = {}

    @property
    def is_bound(self) -> bool:
        """Whether the book's positions are this snapshot's; another one's may have been bound while a batch waited."""
        return self.book.pools is self.index.pools

    @property
    def uncounted(self) -> Matcher:
        """A matcher of the same index whose questions are not counted; made when it is first asked for."""
        if self._uncounted is None:
            self._uncounted = Matcher(self.index, self.live, self.memory, counts_hits=False)
        return self._uncounted

    def rehearsal(self) -> "Snapshot":
        """The same snapshot on a copy of the book and with counters of its own: what it does leaves no trace."""
        twin = copy.copy(self)
        twin.book, twin.out, twin.products = self.book.copy(), None, None
        twin.matcher = self.uncounted
        twin.counts = FunnelCounts(self.index, LiveSets(self.index), (), twin.matcher.settle)
        return twin

    def rates_to(self, currency: str) -> NDArray[np.float64]:
        """Units of `currency` for one of each of the index's currencies; without a rate 0, at which nothing bids."""
        rates = self._rates.get(currency)
        if rates is None:
            rates = self._rates[currency] = np.array([self._rate(source, currency) for source in self.index.currencies])
        return rates

    def _rate(self, source: str, target: str) -> float:
        try:
            return self.index.fx.rate(source, target)
        except MoneyError:
            return 0.0
