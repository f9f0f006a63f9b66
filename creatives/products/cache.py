"""Products in a process's memory, by the references of hot profiles: what the bid path asks, without waiting.

A hit is a look-up in a dict. A miss is noted, answered with "not known yet", and fetched in the background
(following.py); until then an ad that needs the product is filled when it is shown. The cache has two generations: what
is used moves to the younger one, and when that is half of the bound the older one goes.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from core.telemetry.metrics import Telemetry
from creatives.product import FeedProduct

# How many misses wait to be fetched; further ones are noted when they are asked for again.
MAX_WAITING: Final = 5_000
FETCH_AT_ONCE: Final = 200
# Of a shop whose feed was loaded anew so many stay until they are fetched anew, half a second at FETCH_AT_ONCE a round
# and that for each shop after the other where several were; the rest are forgotten. Without them the next ads that are
# filled in the bid would show no products.
RENEWED: Final = 1_000

Key = tuple[int, int]
"""Advertiser id, product reference."""

Row = FeedProduct | None
"""None: no feed has such a product, or it is not known yet."""


class ProductCache:
    """Keeps `size` products of all advertisers together at most; that no feed has a product is remembered, too.

    `is_used` says whether it was ever asked: until then no news of products needs to be followed.
    """

    def __init__(self, telemetry: Telemetry, size: int) -> None:
        self._young: dict[Key, FeedProduct | None] = {}
        self._old: dict[Key, FeedProduct | None] = {}
        self._half = max(1, size // 2)
        self._waiting: dict[Key, None] = {}
        self._renewed: dict[Key, None] = {}  # known as they were; misses come before them
        self.is_used = False
        looked = telemetry.counter(
            "grosz_product_cache_total", "Products that bids asked the process's memory for.", ("outcome",)
        )
        self._hits, self._misses = looked.labels("hit"), looked.labels("miss")
        telemetry.gauge("grosz_product_cache_size", "Products in the process's memory.").labels().follow(
            lambda: float(len(self._young) + len(self._old))
        )

    def get(self, advertiser_id: int, references: Sequence[int]) -> tuple[list[Row], int]:
        """One row for each reference, in their order, and how many are not known yet: these are fetched soon."""
        young = self._young
        rows: list[Row] = []
        unknown = 0
        for reference in references:
            key = (advertiser_id, reference)
            try:
                rows.append(young[key])
            except KeyError:
                if key in self._old:
                    rows.append(self._promote(key))
                else:
                    self._miss(key)
                    unknown += 1
                    rows.append(None)
        self._hits.value += len(references) - unknown
        return rows, unknown

    def _miss(self, key: Key) -> None:
        self.is_used = True
        self._misses.value += 1
        if len(self._waiting) < MAX_WAITING:
            self._waiting[key] = None

    def _promote(self, key: Key) -> FeedProduct | None:
        product = self._old.pop(key)
        self.put(key, product)
        return product

    def put(self, key: Key, product: FeedProduct | None) -> None:
        """Remember a product, or that there is none."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = product

    def waiting(self) -> list[Key]:
        """Takes what is to be fetched next off the lists, at most FETCH_AT_ONCE: misses, then what is to be renewed."""
        taken = list(self._waiting)[:FETCH_AT_ONCE]
        taken += [key for key in self._renewed if key not in self._waiting][: FETCH_AT_ONCE - len(taken)]
        for key in taken:
            self._waiting.pop(key, None)
            self._renewed.pop(key, None)
        return taken

    def forget(self, keys: Iterable[Key]) -> None:
        """Products that changed, or of which nobody knows whether they did."""
        for key in keys:
            self._young.pop(key, None)
            self._old.pop(key, None)

    def renew(self, advertiser_id: int) -> None:
        """All products of an advertiser are fetched anew: the newest are shown as they were until then."""
        own = [key for part in (self._young, self._old) for key in reversed(part) if key[0] == advertiser_id]
        self._renewed |= dict.fromkeys(own[:RENEWED])
        self.forget(own[RENEWED:])

    def forget_all(self) -> None:
        self._young.clear()
        self._old.clear()
