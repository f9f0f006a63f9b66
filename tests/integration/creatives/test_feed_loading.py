"""A good feed replaces the one before at once and whole; a bad one changes nothing."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConflictError
from creatives.feeds.runs import RunOutcome
from creatives.product import Availability
from creatives.products.changes import StockChange
from creatives.products.codec import TableHead
from tests.bench.feed import write_feed
from tests.kit import feeds
from tests.kit.feeds import csv_feed, csv_row, google, gzipped, item
from tests.kit.products import product_shop


async def test_each_of_the_ten_feeds_comes_back_from_redis_as_it_was_read(valkey: str) -> None:
    ten: list[tuple[bytes | str, dict[str, Any]]] = [
        (feeds.CZECH, {}), (feeds.SPANISH, {}), (feeds.ATOM, {}), (feeds.ARABIC, {}), (feeds.META, {}),
        (feeds.CENEO, {}), (feeds.YML, {}), (feeds.POLISH_1250, {}), (feeds.FAULTY, {}),
        (feeds.DANISH, {"item_element": "product", "mapping": feeds.DANISH_MAPPING, "currency": "DKK"}),
    ]  # fmt: skip
    async with product_shop(valkey) as shop:
        for feed, options in ten:
            run = await shop.load(feed, force=True, **options)
            expected = {product.id: product for product in feeds.read(feed, **options).products}  # the last of an id
            assert run.outcome is RunOutcome.LOADED
            assert await shop.all() == expected
            assert run.products == len(expected)


async def test_a_repeated_id_counts_once_and_is_told(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        run = await shop.load(feeds.CZECH)
        assert (run.products, run.repeated) == (2, 1)
        assert (await shop.product("4f9a2c10-0000-4000-8000-000000000001")).price_micros == 17_990_000_000
        (fault,) = run.faults
        assert (fault.code, fault.count, fault.examples[0].line) == ("repeated_id", 1, 26)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (csv_feed(100)[:-30], "truncated"),
        (gzipped(csv_feed(100))[:-30], "truncated"),
        (google(*(item(number) for number in range(100))).encode()[:-60], "truncated"),
        (b"", "empty"),
        (google().encode(), "empty"),
        (csv_feed(49), "shrunk"),
        (b"<html>shop is down</html>", "html"),
        ((feeds.CSV_HEAD + csv_row(1, price="15")).encode(), "no_good_row"),
    ],
)
async def test_a_bad_feed_never_replaces_a_good_one(valkey: str, bad: bytes, code: str) -> None:
    async with product_shop(valkey) as shop:
        good = await shop.load(csv_feed(100))
        before, keys = await shop.all(), await shop.keys()
        run = await shop.load(bad)
        assert (run.outcome, run.code) == (RunOutcome.REFUSED, code)
        assert run.products == 100
        assert await shop.all() == before
        assert await shop.keys() == keys
        last, last_good = await shop.runs.last(1, 1)
        assert last == run
        assert last_good == good


async def test_half_of_the_products_are_enough_and_fewer_can_be_forced(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(100))
        assert (await shop.load(csv_feed(50))).outcome is RunOutcome.LOADED
        assert (await shop.load(csv_feed(24))).code == "shrunk"
        assert (await shop.load(csv_feed(24), force=True)).outcome is RunOutcome.LOADED
        assert len(await shop.all()) == 24


async def test_readers_see_one_version_or_the_other_while_prices_change(valkey: str) -> None:
    ids = [str(number) for number in range(1, 400)]
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(399, price="1.00 PLN"))
        seen: set[frozenset[int]] = set()

        async def look() -> None:
            while True:
                found = await shop.store.find(1, ids)
                assert len(found) == 399
                seen.add(frozenset(one.product.price_micros for one in found.values()))

        looking = asyncio.create_task(look())
        for price in range(2, 12):
            await shop.load(csv_feed(399, price=f"{price}.00 PLN"))
        await asyncio.sleep(0.05)
        assert not looking.done()
        looking.cancel()
        assert all(len(prices) == 1 for prices in seen)
        assert len(seen) > 2


async def test_at_most_two_versions_exist_and_the_one_before_goes(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        for _ in range(3):
            await shop.load(csv_feed(40))
        head: TableHead = (await shop.store.heads(1))[1]
        keys = sorted(await shop.keys())
        ttls = await shop.store.commands([("TTL", key) for key in keys])
        lasting = [key for key, ttl in zip(keys, ttls, strict=True) if ttl == -1]
        assert lasting == [f"{{p:1}}:table:1:{head.version}"]
        assert len(keys) - len(lasting) <= 2
        assert all(isinstance(ttl, int) and ttl <= 10 for ttl in ttls)


async def test_a_loader_that_is_killed_while_writing_leaves_the_good_feed(valkey: str, tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    with path.open("w") as file:
        write_feed(file, "csv", 60_000)
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(30))
        before = await shop.all()
        command = [sys.executable, "-m", "tests.bench.feed", "--load", valkey, str(path)]
        for wait_s in (0.8, 1.6, 2.4):
            child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
            await asyncio.sleep(wait_s)
            if child.returncode is None:
                os.kill(child.pid, signal.SIGKILL)
            await child.wait()
            if child.returncode == 0:
                break
            assert await shop.all() == before
            await shop.store.commands([("DEL", "{p:1}:lock:1")])  # it would run out within a minute
        assert (await shop.load(csv_feed(30_000), force=True)).outcome is RunOutcome.LOADED
        assert len(await shop.all()) == 30_000


async def test_a_feed_is_loaded_by_one_at_a_time_and_a_lost_lock_loses_the_swap(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(10))
        lock = await shop.store.lock(1, 1)
        assert lock is not None
        with pytest.raises(ConflictError):
            await shop.load(csv_feed(20))
        await shop.store.unlock(lock)
        other = await shop.store.lock(1, 1)
        assert other is not None
        head = (await shop.store.heads(1))[1]
        with pytest.raises(ConflictError):
            await shop.store.swap(lock, head)
        await shop.store.unlock(other)
        assert len(await shop.all()) == 10


async def test_several_feeds_of_a_shop_add_up_and_a_removed_one_takes_its_products_away(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(10), feed_id=1)
        await shop.load(csv_feed(10, first=6, price="99.00 PLN"), feed_id=2)
        products = await shop.all()
        assert len(products) == 15
        assert products["6"].price_micros == 15_000_000
        assert products["11"].price_micros == 99_000_000
        await shop.store.remove(1, 1)
        assert set(await shop.all()) == {str(number) for number in range(6, 16)}


async def test_a_product_is_found_by_its_group_when_no_id_is(valkey: str) -> None:
    feed = google(item(1, "<g:item_group_id>G1</g:item_group_id>"), item(2, "<g:item_group_id>G1</g:item_group_id>"))
    async with product_shop(valkey) as shop:
        await shop.load(feed)
        found = await shop.store.find(1, ["2", "G1", "G2"])
        assert {asked: (one.product.id, one.by_group) for asked, one in found.items()} == {
            "2": ("2", False), "G1": ("1", True),
        }  # fmt: skip


async def test_of_a_group_a_variant_that_is_for_sale_is_shown(valkey: str) -> None:
    group = "<g:item_group_id>G</g:item_group_id>"
    async with product_shop(valkey) as shop:
        variants = {"36": "out of stock", "37": "in stock", "38": "in stock", "39": "out of stock"}
        run = await shop.load(google(*(item(name, group, stock=stock) for name, stock in variants.items())))
        assert (run.products, run.repeated, run.faults_total) == (4, 0, 0)
        assert (await shop.product("G")).id == "37"
        await shop.load(google(item("36", group, stock="out of stock"), item("37", group, stock="out of stock")))
        assert (await shop.product("G")).id == "36"


async def test_a_change_between_runs_holds_until_a_newer_feed(valkey: str) -> None:
    async with product_shop(valkey) as shop:
        await shop.load(csv_feed(10), as_of_ms=1_000)
        change = StockChange("3", availability=Availability.OUT_OF_STOCK, price_micros=5_000_000)
        assert await shop.store.tell(1, [change, StockChange("unknown", price_micros=1)], 5_000) == ["unknown"]
        await shop.store.tell(1, [StockChange("3", price_micros=9_000_000)], 4_000)  # told later, but happened before
        product = await shop.product("3")
        assert (product.availability, product.price_micros) == (Availability.OUT_OF_STOCK, 5_000_000)
        await shop.load(csv_feed(10, price="20.00 PLN"), as_of_ms=4_999)  # a file from before the change
        assert await shop.product("3") == (await shop.all())["3"]
        assert (await shop.product("3")).price_micros == 5_000_000
        assert (await shop.product("4")).price_micros == 20_000_000
        await shop.load(csv_feed(10, price="30.00 PLN"), as_of_ms=5_001)
        product = await shop.product("3")
        assert (product.availability, product.price_micros) == (Availability.IN_STOCK, 30_000_000)
        assert (await shop.store.commands([("EXISTS", "{p:1}:changes")])) == [0]


async def test_one_shop_sees_nothing_of_another(valkey: str) -> None:
    async with product_shop(valkey) as shop, product_shop(valkey, advertiser_id=2) as rival:
        await shop.load(csv_feed(10))
        await rival.load(csv_feed(10, price="99.00 PLN"))
        await rival.store.tell(2, [StockChange("1", price_micros=1)], 10**15)
        assert {product.price_micros for product in (await shop.all()).values()} == {15_000_000}
        await rival.store.remove(2, 1)
        assert len(await shop.all()) == 10
        assert await rival.all() == {}


async def test_a_product_costs_at_most_300_bytes_of_redis(valkey: str, tmp_path: Path) -> None:
    path = tmp_path / "feed.xml"
    async with product_shop(valkey) as shop:
        for form, count in (("xml", 300), ("xml", 5_000), ("csv", 2_000)):
            with path.open("w") as file:
                write_feed(file, form, count)
            run = await shop.load(path.read_bytes(), force=True)
            assert run.products == count
            await shop.store.commands([("DEL", key) for key in await shop.keys() if str(run.version) not in key])
            assert await shop.memory() / count < 300
