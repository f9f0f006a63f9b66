"""`/r/{advertiser}`: products for the shop's own pages, over real HTTP, tables and profiles."""

import asyncio
import json
import time
from typing import Any

import msgspec
import pytest
from yarl import URL

from admin.roles.page_lists import LATE_S
from admin.roles.page_lists_web import ASKS_A_MINUTE, is_own_origin
from core.clock import SystemClock
from core.model import Segment
from core.telemetry.metrics import render
from creatives.product import Availability
from creatives.products.changes import StockChange
from creatives.products.models import LOOK_S
from creatives.products.store import Command
from segments.facts.event import Event, Item, Kind
from segments.facts.meta import Meta, pack_meta
from tests.kit.feeds import google, item
from tests.kit.page_lists import BOOKS, OWN, SHOES, PageShop, page_shop
from tests.kit.profiles import catalogue
from tests.kit.shoppers import baskets, visits

CLOCK = SystemClock()
# For what is seen within a second: longer where other tests have the processor, and less than what is looked at anyway.
PATIENCE_S = LOOK_S - 1
CATEGORIES = {"A": "shoes", "B": "shoes", "C": "shoes", "D": "bags", "E": "bags"}
SALE = {"C": ["<g:sale_price>9 PLN</g:sale_price>"]}
FEED = google(*(
    item(name, f"<g:product_type>{category}</g:product_type>", *SALE.get(name, ()))
    for name, category in CATEGORIES.items()
))  # fmt: skip
BUYERS = Segment(id=7, advertiser_id=1, name="buyers", rule="purchases.count >= 1")
FOREIGN = [
    "https://evil.example", "http://buty.example.evil.example", "http://xbuty.example", "null", "",
    "http://m.buty.example", "ftp://buty.example", "http://buty.example/", "http://buty.example@evil.example",
]  # fmt: skip


async def stocked(site: PageShop) -> None:
    """The shop's feed, and tables: A and B are looked at together, D is bought with A; A, then B sell best."""
    assert (await site.products.load(FEED)).products == 5
    now_s = CLOCK.now_ms() // 1000 - 86_400
    rows = visits(*["AB"] * 20, *["ACA"] * 9, *["DE"] * 4, start_s=now_s, gap_s=60)
    await site.fit([*rows, *baskets(*["AD"] * 12, start_s=now_s)])


async def ask(site: PageShop, query: str = "", **headers: str) -> Any:  # noqa: ANN401 - whatever the answer says
    answer = await site.client.get(URL(f"/r/1?gdpr=0&{query}", encoded=True), headers=OWN | headers)
    assert answer.status == 200, await answer.text()
    return json.loads(await answer.text())


def ids(listed: Any) -> list[str]:  # noqa: ANN401
    return [one["id"] for one in listed["products"]]


async def shops(site: PageShop, user: str, *events: tuple[str, str], advertiser_id: int = 1, **more: Any) -> None:  # noqa: ANN401
    now_ms = CLOCK.now_ms()
    await site.rig.send(*(
        Event(kind, advertiser_id, user, now_ms - 1_000 * (len(events) - at), items=(Item(name),), order=at + 1, **more)
        for at, (kind, name) in enumerate(events)
    ))  # fmt: skip
    await site.rig.settle()


USER = "A" * 21 + "w"
COOKIE = f"grosz_uid={USER}"


async def test_a_list_is_for_the_cookie_and_tells_what_a_page_shows(valkey: str) -> None:
    async with page_shop(valkey, CLOCK, published=catalogue([BUYERS], (SHOES, BOOKS))) as site:
        await stocked(site)
        await shops(site, USER, (Kind.VIEW_ITEM, "E"), (Kind.VIEW_ITEM, "C"), (Kind.PURCHASE, "D"), person=b"p" * 16)
        listed = await ask(site, "n=3", Cookie=COOKIE)
        assert ids(listed) == ["C", "E", "A"]
        assert listed["visitor"] == {"identified": True, "orders": 1, "segments": [7]}
        assert listed["products"][0] == {
            "id": "C", "title": "Product C", "link": "https://szpilka.example/p/C", "brand": "", "category": "shoes",
            "image": "https://cdn.szpilka.example/C.jpg", "price": {"amount": "9.00", "currency": "PLN"},
            "old_price": {"amount": "15.00", "currency": "PLN"}, "strategy": "last_visit",
        }  # fmt: skip
        assert listed["shed"] is False
        assert await ask(site, "n=0", Cookie=COOKIE) == {"products": [], "visitor": listed["visitor"], "shed": False}


async def test_each_kind_of_page_has_its_own_list(valkey: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        await stocked(site)
        await shops(site, USER, (Kind.ADD_TO_CART, "A"))
        assert ids(await ask(site, "context=product:A&n=1")) == ["B"]
        assert "A" not in ids(await ask(site, "context=product:A&n=20"))
        assert ids(await ask(site, "context=cart&n=2", Cookie=COOKIE)) == ["D", "B"]
        assert ids(await ask(site, "context=category:Bags&n=3")) == ["D", "E", "A"]
        assert ids(await ask(site, "strategy=bestsellers&n=2")) == ["A", "B"]
        assert ids(await ask(site, "strategy=next&context=product:A&n=1", Cookie=COOKIE)) == ["B"]


async def test_a_declared_origin_is_one_of_the_shops_and_its_neighbours_are_not(valkey: str) -> None:
    declared = ("http://m.buty.example:8080", "https://buty.de")
    shop = msgspec.structs.replace(SHOES, origins=declared)
    async with page_shop(valkey, CLOCK, published=catalogue([BUYERS], (shop, BOOKS))) as site:
        await stocked(site)
        for origin in declared:
            answer = await site.client.get("/r/1?gdpr=0", headers={"Origin": origin, "Cookie": COOKIE})
            assert answer.status == 200
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert "Origin" in answer.headers["Vary"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert (await site.client.get("/r/2?gdpr=0", headers={"Origin": origin})).status == 403
        for origin in (
            "http://m.buty.example", "https://m.buty.example:8080", "http://m.buty.example:80800", "https://www.buty.de",
            "http://buty.de", "https://buty.de/", "https://BUTY.de", "https://buty.de.evil.example",
        ):  # fmt: skip
            assert (await site.client.get("/r/1?gdpr=0", headers={"Origin": origin})).status == 403, origin
        assert (await site.client.get("/r/1?gdpr=0", headers={"Origin": OWN["Origin"]})).status == 200


@pytest.mark.parametrize("origin", FOREIGN)
async def test_pages_of_others_get_nothing(valkey: str, origin: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        await stocked(site)
        await shops(site, USER, (Kind.VIEW_ITEM, "E"))
        answer = await site.client.get("/r/1?gdpr=0", headers={"Origin": origin, "Cookie": COOKIE})
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Product" not in await answer.text()
        assert (await site.client.get("/r/2?gdpr=0", headers=OWN)).status == 403
        assert (await site.client.get("/r/9?gdpr=0", headers=OWN)).status == 403
        assert (await site.client.get("/r/1?gdpr=0&callback=steal")).status == 403, "no origin, no answer"


async def test_the_answer_names_the_page_that_may_read_it(valkey: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        answer = await site.client.get("/r/1?gdpr=0&callback=x", headers=OWN)
        expected = {
            "Access-Control-Allow-Origin": "http://buty.example", "Access-Control-Allow-Credentials": "true",
            "Cache-Control": "no-store", "Vary": "Origin, Cookie", "X-Content-Type-Options": "nosniff",
            "Content-Type": "application/json",
        }  # fmt: skip
        assert {name: answer.headers.get(name) for name in expected} == expected
        assert (await answer.text()).startswith("{")


def test_over_tls_a_page_is_the_shops_only_by_https() -> None:
    assert is_own_origin("https://www.buty.example", "buty.example", secure=True)
    assert is_own_origin("https://buty.example", "www.buty.example", secure=True)
    for origin in (
        "http://buty.example",
        "https://buty.example:8443",
        "https://buty.example:bad",
        "https://[",
        *FOREIGN,
    ):
        assert not is_own_origin(origin, "buty.example", secure=True), origin
    assert not is_own_origin("https://buty.example", "", secure=True)


@pytest.mark.parametrize(
    ("query", "headers"),
    [("gdpr=1", {}), ("gdpr=0&gdpr=1", {}), ("gdpr=1&consent=no", {}), ("gdpr=0&npa=1", {}), ("", {}),
     ("gdpr=0", {"Sec-GPC": "1"}), ("gdpr=0", {"Cookie": f"{COOKIE}; grosz_optout=1"})],
)  # fmt: skip
async def test_who_has_not_consented_is_nobody(valkey: str, query: str, headers: dict[str, str]) -> None:
    async with page_shop(valkey, CLOCK) as site:
        await stocked(site)
        await shops(site, USER, (Kind.VIEW_ITEM, "E"))
        answer = await site.client.get(f"/r/1?{query}&n=1", headers=OWN | {"Cookie": COOKIE} | headers)
        listed = json.loads(await answer.text())
        assert (ids(listed), listed["visitor"]) == (["A"], None)


async def test_who_has_left_is_nobody(valkey: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        await stocked(site)
        await shops(site, USER, (Kind.VIEW_ITEM, "E"))
        assert ids(await ask(site, "n=1", Cookie=COOKIE)) == ["E"]
        await site.rig.store.commands([("HSET", f"u:{{{USER}}}", "m", pack_meta(Meta(opted_out=True)))])
        assert (await ask(site, "n=1", Cookie=COOKIE))["visitor"] is None
        await site.identities.forget(USER, "test")
        assert ids(await ask(site, "n=1", Cookie=COOKIE)) == ["A"]


async def test_nothing_of_another_shop_is_seen(valkey: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        await stocked(site)
        await shops(site, USER, (Kind.VIEW_ITEM, "E"), advertiser_id=2, person=b"p" * 16)
        assert await ask(site, "n=1", Cookie=COOKIE) == await ask(site, "n=1")
        answer = await site.client.get("/r/2?gdpr=0", headers={"Origin": "http://books.example", "Cookie": COOKIE})
        listed = json.loads(await answer.text())
        assert listed["products"] == []
        assert listed["visitor"]["identified"] is True


async def test_a_browser_that_keeps_no_cookie_is_known_by_the_shops_own_id(valkey: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        await stocked(site)
        client_id = "0b6f4c1e-5a52-4d0c-9a51-2c5d0a1f9e77"
        event = {"event": "view_item", "items": [{"item_id": "E"}], "gdpr": 0}
        body = json.dumps({"events": [event], "client_id": client_id})
        assert (await site.client.post("/e/1", data=body, headers=OWN)).status == 204
        await site.rig.settle()
        site.client.session.cookie_jar.clear()
        assert ids(await ask(site, f"n=1&client={client_id}")) == ["E"]
        assert ids(await ask(site, "n=1&client=" + "x" * 36)) == ["A"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("strategy=cheapest", "/strategy"), ("n=21", "/n"), ("n=-1", "/n"), ("n=1.5", "/n"),
     ("context=product", "/context"), ("context=home:x", "/context"), ("context=wishes", "/context"),
     ("context=product:" + "x" * 300, "/context"),
     ("strategy=" + ",".join(["cart"] * 7), "/strategy"), ("x=" + "y" * 9_000, "")],
)  # fmt: skip
async def test_a_faulty_question_is_told_what_is_wrong(valkey: str, query: str, pointer: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        answer = await site.client.get(f"/r/1?gdpr=0&{query}", headers=OWN)
        assert answer.status in (400, 414)
        if answer.status == 400 and pointer:
            faults = json.loads(await answer.text())["errors"]
            assert [fault["pointer"] for fault in faults] == [pointer]
            assert answer.headers["Access-Control-Allow-Origin"] == OWN["Origin"]


async def test_a_browser_asks_sixty_times_a_minute(valkey: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        statuses = [
            (await site.client.get("/r/1?gdpr=0&n=0", headers=OWN | {"Cookie": COOKIE})).status
            for _ in range(ASKS_A_MINUTE + 1)
        ]
        assert statuses == [200] * ASKS_A_MINUTE + [429]
        answer = await site.client.get("/r/1?gdpr=0&n=0", headers=OWN | {"Cookie": COOKIE})
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["Access-Control-Allow-Origin"] == OWN["Origin"]
        assert (await site.client.get("/r/1?gdpr=0&n=0", headers=OWN)).status == 200, "others may"


async def test_what_sells_out_is_gone_within_a_second(valkey: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        await stocked(site)
        assert ids(await ask(site, "n=2")) == ["A", "B"]
        await site.products.store.tell(1, [StockChange("A", availability=Availability.OUT_OF_STOCK)], CLOCK.now_ms())
        began = time.monotonic()
        while "A" in ids(await ask(site, "n=2")):
            assert time.monotonic() - began < PATIENCE_S
            await asyncio.sleep(0.05)
        await site.products.load(google(item("E")), force=True)
        began = time.monotonic()
        while ids(await ask(site, "n=2")) != ["E"]:
            assert time.monotonic() - began < PATIENCE_S
            await asyncio.sleep(0.05)


async def test_a_late_process_leaves_out_what_costs(valkey: str) -> None:
    moments = iter(range(1_000_000))
    async with page_shop(valkey, CLOCK, elapsed=lambda: next(moments) * LATE_S * 1.5) as site:
        await stocked(site)
        listed = await ask(site, "strategy=next,similar&context=product:B&n=1")
        assert listed["shed"] is True
        assert [one["strategy"] for one in listed["products"]] == ["bestsellers"]
        assert 'grosz_page_lists_total{outcome="shed"} 1.0' in render(site.rig.telemetry.families()).decode()


async def test_before_the_model_is_in_memory_a_list_has_what_needs_none(valkey: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        await site.products.load(FEED)
        await shops(site, USER, (Kind.VIEW_ITEM, "E"))
        listed = await ask(site, Cookie=COOKIE)
        assert (ids(listed), listed["shed"]) == (["E"], True)


async def test_damaged_tables_are_no_fault_of_the_page(valkey: str) -> None:
    async with page_shop(valkey, CLOCK) as site:
        await stocked(site)
        damage: list[Command] = [("HSET", "{p:1}:heads", 1, b"rubbish"), ("HINCRBY", "{p:1}:model", "swaps", 1)]
        await site.products.store.commands(damage)
        answer = await site.client.get("/r/1?gdpr=0", headers=OWN)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.headers["Access-Control-Allow-Origin"] == OWN["Origin"]
