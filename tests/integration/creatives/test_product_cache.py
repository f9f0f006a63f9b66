"""The cache of products: bounded, filled from misses, and fresh within a second."""

import asyncio
import time

import pytest

from core.clock import SystemClock
from core.errors import CatalogueError
from core.ids import product_reference
from core.telemetry.metrics import Telemetry
from creatives.product import Availability, FeedProduct
from creatives.products.cache import FETCH_AT_ONCE, RENEWED, ProductCache
from creatives.products.changes import StockChange
from creatives.products.following import HEADS_S, POLL_S, ProductFollower
from creatives.products.store import table_key
from tests.kit.feeds import csv_feed, google, item
from tests.kit.products import Shop, product_shop


def references(*ids: str) -> list[int]:
    return [product_reference(one) for one in ids]


def known(cache: ProductCache, *ids: str, advertiser_id: int = 1) -> list[str]:
    """Ids of the products that are found by these references."""
    rows, _unknown = cache.get(advertiser_id, references(*ids))
    return [row.id for row in rows if row is not None]


def followed(shop: Shop) -> tuple[ProductCache, ProductFollower]:
    """A cache, and what keeps it as the shop's feeds are."""
    cache = ProductCache(Telemetry(), size=1_000)
    return cache, ProductFollower(cache, shop.store, SystemClock())


async def test_a_miss_is_known_after_the_next_round_trip(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(500))
        cache, follower = followed(shop)
        await follower.follow()
        assert cache.get(1, references("7", "8", "unknown")) == ([None, None, None], 3)
        await follower.fetch()
        assert known(cache, "7", "8", "unknown") == ["7", "8"]
        assert cache.get(1, references("unknown")) == ([None], 0)
        assert cache.waiting() == []  # that there is no such product is known too


async def test_a_group_is_found_by_its_reference(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(google(item(1, "<g:item_group_id>G1</g:item_group_id>"), item(2)))
        cache, follower = followed(shop)
        cache.get(1, references("G1"))
        await follower.fetch()
        assert known(cache, "G1") == ["1"]


async def test_changes_and_new_feeds_are_seen_within_a_second(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(50), as_of_ms=1)
        cache = ProductCache(Telemetry(), size=1_000)
        following = asyncio.create_task(ProductFollower(cache, shop.store, SystemClock()).run())

        async def until(wanted: int, stock: Availability) -> None:
            """Within a second where there is a processor, which is not measured; well before the next full look."""
            began = time.monotonic()
            while True:
                (row,), _unknown = cache.get(1, references("3"))
                if row is not None and (row.price_micros, row.availability) == (wanted, stock):
                    break
                assert time.monotonic() - began < HEADS_S / 2
                await asyncio.sleep(0.01)

        await until(15_000_000, Availability.IN_STOCK)
        await shop.store.tell(1, [StockChange("3", Availability.OUT_OF_STOCK, 5_000_000)], SystemClock().now_ms())
        await until(5_000_000, Availability.OUT_OF_STOCK)
        await shop.load(csv_feed(50, price="33.00 PLN"), as_of_ms=SystemClock().now_ms() + 1)
        await until(33_000_000, Availability.IN_STOCK)
        assert POLL_S < 0.5
        following.cancel()


async def test_a_bid_shows_products_while_those_of_a_new_feed_are_fetched(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(50))
        cache, follower = followed(shop)
        await follower.follow()
        cache.get(1, references("3", "4", "60"))
        await follower.fetch()
        await shop.load(csv_feed(60, price="33.00 PLN"), as_of_ms=SystemClock().now_ms())
        await follower.follow()
        assert known(cache, "3", "4", "60") == ["3", "4"]
        await follower.fetch()
        rows, unknown = cache.get(1, references("3", "4", "60"))
        assert ([row.price_micros for row in rows if row is not None], unknown) == ([33_000_000] * 3, 0)


async def test_products_of_before_go_where_those_of_the_new_feed_cannot_be_read(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(5))
        cache, follower = followed(shop)
        await follower.follow()
        cache.get(1, references("3"))
        await follower.fetch()
        await shop.load(csv_feed(5, price="33.00 PLN"))
        (head,) = (await shop.store.heads(1)).values()
        await shop.store.commands([("HSET", table_key(1, head), 0, b"rubbish")])
        await follower.follow()
        with pytest.raises(CatalogueError):
            await follower.fetch()
        assert cache.get(1, references("3")) == ([None], 1)


def test_of_a_large_shop_the_newest_products_stay_until_they_are_fetched_anew() -> None:
    cache = ProductCache(Telemetry(), size=10_000)
    for number in range(RENEWED + 1):
        cache.put((1, number), FeedProduct(str(number)))
    cache.put((2, 0), FeedProduct("another shop's"))
    cache.renew(1)
    assert [cache.get(shop, [number])[1] for shop, number in ((1, 0), (1, 1), (1, RENEWED), (2, 0))] == [1, 0, 0, 0]
    assert len(cache.waiting()) == FETCH_AT_ONCE


def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    telemetry = Telemetry()
    cache = ProductCache(telemetry, size=100)
    cache.put((1, 0), FeedProduct("used"))
    for number in range(1, 1_000):
        cache.put((1, number), FeedProduct(str(number)))
        assert cache.get(1, [0])
    (size,) = [family for family in telemetry.families() if family.name == "grosz_product_cache_size"]
    assert size.samples[0].value <= 102


def test_products_of_shops_are_kept_apart() -> None:
    cache = ProductCache(Telemetry(), size=1_000)
    cache.put((1, 5), FeedProduct("one"))
    cache.put((2, 5), FeedProduct("two"))
    assert cache.get(2, [5]) == ([FeedProduct("two")], 0)
    cache.forget([(1, 5)])
    assert cache.get(1, [5]) == ([None], 1)
    assert cache.get(2, [5]) == ([FeedProduct("two")], 0)


async def test_a_follower_outlives_damaged_tables(valkey: str, caplog: pytest.LogCaptureFixture) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(5))
        (head,) = (await shop.store.heads(1)).values()
        await shop.store.commands([("HSET", table_key(1, head), 0, b"rubbish")])
        cache = ProductCache(Telemetry(), size=1_000)
        cache.get(1, references("3"))
        following = asyncio.create_task(ProductFollower(cache, shop.store, SystemClock()).run())
        for _ in range(1_000):
            if "load the feed again" in caplog.text:
                break
            await asyncio.sleep(0.01)
        assert "load the feed again" in caplog.text
        assert not following.done()
        following.cancel()


def test_what_is_not_known_is_fetched_before_what_several_new_feeds_renew() -> None:
    cache = ProductCache(Telemetry(), size=10_000)
    for shop in (1, 2):
        for number in range(RENEWED):
            cache.put((shop, number), FeedProduct(str(number)))
        cache.renew(shop)
    cache.get(3, [7])
    cache.get(1, [RENEWED])
    first = cache.waiting()
    assert first[:2] == [(3, 7), (1, RENEWED)]
    assert len(first) == FETCH_AT_ONCE
    rest = [key for _ in range(2 * RENEWED // FETCH_AT_ONCE) for key in cache.waiting()]
    assert sorted(first[2:] + rest) == [(shop, number) for shop in (1, 2) for number in range(RENEWED)]
    assert cache.waiting() == []
