"""Products of the demo shops: a feed each, of the ids that the simulated shoppers look at."""

import asyncio
import csv
import io
import logging
import random
from collections.abc import Sequence

from admin.seed.shops import SHOPS
from admin.store.feeds import job_of
from admin.store.model import Feed
from core.clock import Clock
from creatives.feeds.loading import FeedLoader
from creatives.feeds.runs import RunStore
from creatives.products.store import ProductStore

log = logging.getLogger(__name__)

PRODUCTS = 200
CATEGORIES = 12
_SIZES = ("36", "37", "38", "39", "40", "41")
_COLUMNS = (
    "id", "title", "link", "image_link", "price", "sale_price", "availability", "product_type", "brand",
    "item_group_id", "size", "custom_label_0",
)  # fmt: skip


def demo_feeds() -> tuple[Feed, ...]:
    """One feed a shop, loaded from here and not from an address."""
    return tuple(
        Feed(
            id=number,
            advertiser_id=number,
            name=f"{shop.name}: all products",
            mapping={"margin": "custom_label_0"},
        )
        for number, shop in enumerate(SHOPS, start=1)
    )


def demo_products(seed: int, shop: str, domain: str, currency: str, words: Sequence[str], usual_price: int) -> bytes:
    """A feed as CSV, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - made-up products, not secrets
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for product in range(PRODUCTS):
        price = round(usual_price * chance.lognormvariate(-0.5, 0.5), 2)
        writer.writerow((
            f"p{product}",
            f"{words[product % len(words)].capitalize()} {shop} {product}",
            f"https://www.{domain}/products/{product}",
            f"https://cdn.{domain}/images/{product}.jpg",
            f"{price:.2f} {currency}",
            f"{price * 0.8:.2f} {currency}" if product % 5 == 0 else "",
            "out of stock" if product % 23 == 22 else "in stock",
            f"c{product % CATEGORIES}",
            f"{shop} {('Classic', 'Sport', 'Home')[product % 3]}",
            f"g{product // 4}",
            _SIZES[product % len(_SIZES)],
            ("low", "medium", "high")[product % 3],
        ))  # fmt: skip
    return text.getvalue().encode()


class DemoFeeds:
    """Loads the demo shops' feeds once."""

    def __init__(self, store: ProductStore, clock: Clock) -> None:
        self._runs = RunStore(store)
        self._loader = FeedLoader(store, clock)

    async def run(self) -> None:
        """Load what was never loaded, then rest. Raises UnavailableError: then it is begun again."""
        for feed, shop in zip(demo_feeds(), SHOPS, strict=True):
            if (await self._runs.last(feed.advertiser_id, feed.id))[0] is None:
                data = demo_products(
                    feed.id, shop.name, shop.look.domain, shop.currency, shop.keywords, shop.high_cart // 2
                )
                run = await self._loader.load_file(job_of(feed), io.BytesIO(data), len(data))
                log.info("demo feed %d is %s: %d products", feed.id, run.outcome.value, run.products)
        await asyncio.Event().wait()
