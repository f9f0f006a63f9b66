"""Feeds for rules that ask what a product was like: joins `creatives.products` to `segments`, which do not know each
other.

`of_products` is asked when events are applied and when a pass goes over the profiles. What rules say of the present
(`products.reduced`) also depends on the feeds, so their swaps are part of the rules' fingerprint: after a feed was
loaded, a pass brings it to the profiles of those advertisers whose rules ask.
"""

import asyncio
import logging
import zlib
from collections.abc import Callable, Collection, Mapping
from typing import Final

from core.clock import Clock
from core.errors import CatalogueError, UnavailableError
from creatives.product import FeedProduct
from creatives.products.choosing import margin_rank
from creatives.products.store import ProductStore
from segments.facts.facts import FOREVER_S, Traits
from segments.facts.traits import REDUCED, Detail
from segments.rules.patterns import SEPARATOR

log = logging.getLogger(__name__)

MARGINS: Final = ("low", "medium", "high")
# Below the time for which a pass waits for all workers to agree (segments.worker.reindex.SETTLE_S).
POLL_S: Final = 2.0
# Products asked for in one go: 0.2 s of the worker at most.
AT_ONCE: Final = 500


class FeedTraits:
    """Tells what feeds say of products now."""

    def __init__(self, store: ProductStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def of_products(self, wanted: Mapping[int, Collection[str]]) -> Mapping[int, Mapping[str, Detail]]:
        """Details by advertiser and product id, of products that a feed has. Raises UnavailableError."""
        found: dict[int, dict[str, Detail]] = {}
        for advertiser_id, ids in wanted.items():
            found[advertiser_id] = {}
            asked = sorted(ids)
            for start in range(0, len(asked), AT_ONCE):
                found[advertiser_id] |= await self._of_shop(advertiser_id, asked[start : start + AT_ONCE])
        return found

    async def _of_shop(self, advertiser_id: int, ids: Collection[str]) -> dict[str, Detail]:
        try:
            found = await self._store.find(advertiser_id, ids)
        except CatalogueError as error:  # events are worth more than what a damaged feed would say of them
            log.warning("events of advertiser %d are applied without its feed: %s", advertiser_id, error)
            return {}
        now_s = self._clock.now_ms() // 1000
        return {product_id: detail_of(one.product, now_s) for product_id, one in found.items()}


def detail_of(product: FeedProduct, now_s: int) -> Detail:
    """A product of a feed as rules see it at a moment (unix seconds)."""
    rank = margin_rank(product)
    is_reduced = 0 < product.sale_micros < product.price_micros
    traits = Traits(
        MARGINS[rank] if rank >= 0 else product.margin,
        product.brand,
        tuple(label.replace(SEPARATOR, " ") for label in product.labels if label),
        product.on_sale(now_s),
        product.sale_from_s if is_reduced else 0,
        (product.sale_to_s or FOREVER_S) if is_reduced else 0,
    )
    return Detail(product.current_micros(now_s), traits)


class SwapsOfFeeds:
    """Fingerprints of rules that change with the feeds as well, where rules ask what is reduced now."""

    def __init__(self, store: ProductStore, asked: Callable[[int], frozenset[str]]) -> None:
        """`asked` gives the traits that an advertiser's rules ask for."""
        self._store = store
        self._asked = asked
        self._swaps: Mapping[int, int] = {}

    def with_feeds(self, versions: Mapping[int, int]) -> Mapping[int, int]:
        """The fingerprints of rules by advertiser; where rules ask for what is reduced, with the swaps of the feeds."""
        return {
            advertiser_id: zlib.crc32(f"{version} {self._swaps[advertiser_id]}".encode()) or 1
            if self._swaps.get(advertiser_id)
            else version
            for advertiser_id, version in versions.items()
        }

    async def run(self, versions: Callable[[], Mapping[int, int]], is_busy: Callable[[], bool]) -> None:
        """Work until cancelled. Swaps are not read while a pass is under way.

        Otherwise a shop whose feed changes more often than a pass takes would never see the end of one.
        """
        while True:
            if not is_busy():
                try:
                    await self.look(versions())
                except UnavailableError as error:
                    log.warning("swaps of feeds are not seen, Redis does not answer: %s", error.message)
            await asyncio.sleep(POLL_S)

    async def look(self, versions: Collection[int]) -> None:
        """Read the swaps of those advertisers whose rules ask. Raises UnavailableError."""
        asking = [advertiser_id for advertiser_id in versions if REDUCED in self._asked(advertiser_id)]
        self._swaps = {advertiser_id: await self._store.swaps(advertiser_id) for advertiser_id in asking}
