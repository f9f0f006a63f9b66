"""What shop events say of products: stock within a second, interactions for the tables, ids for the doctor."""

import asyncio
import time

from admin.diagnosis.products import check_products
from admin.roles.products import FLUSH_S, ProductWatcher
from core.clock import ManualClock, SystemClock
from core.telemetry.metrics import Telemetry
from creatives.product import Availability
from creatives.products.interactions import InteractionLog
from creatives.products.sessions import ProductTouch
from creatives.products.stock import MAX_CHANGES_A_MINUTE, StockTold
from segments.facts.event import Event, Item, Kind
from tests.integration.admin.conftest import Shop as ApiShop
from tests.kit.api import Api
from tests.kit.feeds import csv_feed
from tests.kit.products import Shop, product_shop

USER = "A" * 22


def event(kind: str, *items: Item, user: str = USER, at_ms: int = 1_800_000_000_000, origin: str = "") -> Event:
    return Event(kind, 1, user, at_ms, items=items, origin=origin)


def watcher_of(shop: Shop) -> ProductWatcher:
    return ProductWatcher(InteractionLog(shop.store), StockTold(shop.store, SystemClock(), Telemetry()))


async def test_stock_of_an_event_is_in_force_within_a_second_and_until_a_newer_feed(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(50), as_of_ms=1_000)
        watcher = watcher_of(shop)
        working = asyncio.create_task(watcher.run())
        began = time.monotonic()
        watcher.take(
            [event(Kind.VIEW_ITEM, Item("7", availability="out_of_stock"), Item("8", availability="in stock"))]
        )
        while (await shop.product("7")).for_sale:
            assert time.monotonic() - began < 20, "a second, where other tests do not have the processor"
            await asyncio.sleep(0.02)
        working.cancel()
        assert FLUSH_S < 0.5
        assert (await shop.store.commands([("HLEN", "{p:1}:changes")])) == [1]  # what was known is not written
        watcher.take([event(Kind.VIEW_ITEM, Item("7", availability="in_stock"), at_ms=1_800_000_000_001)])
        await watcher.flush()
        assert (await shop.product("7")).availability is Availability.IN_STOCK


async def test_a_flood_of_events_cannot_empty_a_shop(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(1_000), as_of_ms=1_000)
        watcher = watcher_of(shop)
        for start in range(1, 1_001, 100):
            items = [Item(str(number), availability="out_of_stock") for number in range(start, start + 100)]
            watcher.take([event(Kind.VIEW_ITEM, *items)])
            await watcher.flush()
        gone = [product for product in (await shop.all()).values() if not product.for_sale]
        assert 0 < len(gone) <= 2 * MAX_CHANGES_A_MINUTE  # a minute may end in between


async def test_an_event_changes_no_price_and_no_unknown_product(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(10), as_of_ms=1_000)
        watcher = watcher_of(shop)
        watcher.take([event(Kind.VIEW_ITEM, Item("3", price_micros=1), Item("zz", availability="in_stock"))])
        watcher.take([event("custom", Item("4", availability="whatever"))])
        await watcher.flush()
        assert (await shop.store.commands([("EXISTS", "{p:1}:changes")])) == [0]


async def test_views_carts_and_purchases_are_kept_for_the_tables(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        watcher = watcher_of(shop)
        watcher.take([
            event(Kind.VIEW_ITEM, Item("1", "shoes")), event(Kind.ADD_TO_CART, Item("1")),
            event(Kind.PURCHASE, Item("1"), Item("2")), event(Kind.PAGE_VIEW), event(Kind.VIEW_ITEM_LIST, Item("9")),
            event(Kind.VIEW_ITEM, Item("3"), origin="another device"),
        ])  # fmt: skip
        await watcher.flush()
        kept = await InteractionLog(shop.store).newest(1)
        assert [(one.product_id, one.touch) for one in kept] == [
            ("1", ProductTouch.VIEW), ("1", ProductTouch.CART), ("1", ProductTouch.BUY), ("2", ProductTouch.BUY),
        ]  # fmt: skip
        assert kept[0].category == "shoes"
        assert USER not in str(kept)


async def test_the_doctor_tells_of_feeds_that_fail_and_ids_that_do_not_match(
    api: Api, shop: ApiShop, valkey: str, clock: ManualClock
) -> None:
    advertiser_id = shop.advertiser["id"]
    feed = await shop.caller.made("/v1/feeds", {"advertiser_id": advertiser_id, "name": "all"})
    async with product_shop(valkey, clock, advertiser_id) as products:

        async def said() -> str:
            findings = await check_products(products.store, api.store.database, clock)
            assert not [finding for finding in findings if finding.severity == "stop"]
            return "\n".join(f"{finding.text} ({finding.advice})" for finding in findings)

        assert "was never loaded" in await said()
        await products.load(csv_feed(100), feed_id=feed["id"])
        assert await said() == "1 feeds with 100 products ()"
        await products.load(csv_feed(10), feed_id=feed["id"])
        assert f"feed {feed['id']}: the feed has 10 products, less than half" in await said()
        log = InteractionLog(products.store)
        watcher = ProductWatcher(log, StockTold(products.store, clock, Telemetry()))
        items = [Item(f"wc_post_id_{number}") for number in range(15)] + [Item(str(number)) for number in range(1, 16)]
        watcher.take([Event(Kind.VIEW_ITEM, advertiser_id, USER, 1, items=tuple(items))])
        await watcher.flush()
        assert "50% of the ids of view_item are in its feeds (such as wc_post_id_" in await said()
