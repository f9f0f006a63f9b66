"""Product tables over a real server, for tests."""

import contextlib
import io
from collections.abc import AsyncIterator

import msgspec

from core.clock import Clock, SystemClock
from core.redis.client import PipelinedRedis
from creatives.feeds.loading import FeedJob, FeedLoader
from creatives.feeds.reading import ReadOptions
from creatives.feeds.runs import Run, RunStore
from creatives.product import FeedProduct
from creatives.products.store import ProductStore


class Shop:
    """One advertiser's products: load feeds, look at what is in force."""

    def __init__(self, store: ProductStore, clock: Clock, advertiser_id: int = 1) -> None:
        self.store = store
        self.runs = RunStore(store)
        self.loader = FeedLoader(store, clock)
        self.advertiser_id = advertiser_id

    async def load(
        self, feed: bytes | str, *, feed_id: int = 1, force: bool = False, as_of_ms: int = 0, **options: object
    ) -> Run:
        data = feed.encode() if isinstance(feed, str) else feed
        job = FeedJob(
            feed_id=feed_id,
            advertiser_id=self.advertiser_id,
            url="",
            force=force,
            options=msgspec.convert(options, ReadOptions),
        )
        return await self.loader.load_file(job, io.BytesIO(data), len(data), as_of_ms)

    async def all(self) -> dict[str, FeedProduct]:
        """Every product in force."""
        return {product.id: product async for part in self.store.scan(self.advertiser_id) for product in part}

    async def product(self, product_id: str) -> FeedProduct:
        return (await self.store.find(self.advertiser_id, [product_id]))[product_id].product

    async def keys(self) -> set[str]:
        """Keys of product tables."""
        reply = (await self.store.commands([("KEYS", "*:table:*")]))[0]
        assert isinstance(reply, list)
        return {key.decode() for key in reply}

    async def memory(self) -> int:
        """Bytes of the advertiser's tables, as the server measures them."""
        keys = [*await self.keys(), f"{{p:{self.advertiser_id}}}:heads"]
        replies = await self.store.commands([("MEMORY", "USAGE", key, "SAMPLES", 0) for key in keys])
        return sum(reply for reply in replies if isinstance(reply, int))


@contextlib.asynccontextmanager
async def product_shop(url: str, clock: Clock | None = None, advertiser_id: int = 1) -> AsyncIterator[Shop]:
    """A shop over a connection of its own; the connection's deadlines go by the machine's clock."""
    connection = await PipelinedRedis.open(url, clock=SystemClock())
    try:
        yield Shop(ProductStore(connection, SystemClock()), clock or SystemClock(), advertiser_id)
    finally:
        await connection.close()
