"""Feeds and products over the API: what a caller may see and change, and that no password is shown."""

import asyncio
import json
from typing import Any

import sqlalchemy as sa

from admin.store import tables
from admin.store.feeds import planned_feeds
from core.clock import ManualClock
from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api
from tests.kit.feeds import csv_feed, google, item

SECRET = "https://shop:topsecret@szpilka.example/feed.xml?lang=pl&token=abcdef"
MASKED = "https://***@szpilka.example/feed.xml?lang=pl&token=***"


async def make_feed(shop: Shop, **more: object) -> dict[str, Any]:
    return await shop.caller.made("/v1/feeds", {"advertiser_id": shop.advertiser["id"], "name": "all", **more})


async def upload(shop: Shop, feed_id: int, data: bytes, *, force: bool = False) -> dict[str, Any]:
    path = f"/v1/feeds/{feed_id}/content" + ("?force=true" if force else "")
    answer = await shop.caller.call("PUT", path, data=data)
    assert answer.status == 200, answer.body
    run: dict[str, Any] = answer.body
    return run


async def test_an_address_with_a_password_is_masked_in_every_answer_and_kept_for_the_worker(
    api: Api, shop: Shop
) -> None:
    feed = await make_feed(shop, url=SECRET)
    path = f"/v1/feeds/{feed['id']}"
    assert feed["url"] == MASKED
    assert feed["secret_url"] == "***"
    for change in ({"name": "renamed"}, {"url": MASKED}, {"secret_url": "***"}, {"refresh_s": 600}):
        assert (await shop.caller.patch(path, change)).status == 200
    seen = [
        await shop.caller.get(path), await shop.caller.get("/v1/feeds"), await shop.caller.get("/v1/feeds?sort=url"),
        await shop.caller.get(f"{path}/report"), await shop.caller.post(f"{path}/copy", {}),
        await (await api.caller()).get("/v1/change-log"),
    ]  # fmt: skip
    shown = json.dumps([answer.body for answer in seen])
    assert "topsecret" not in shown
    assert "abcdef" not in shown
    async with api.store.database.read() as connection:
        documents = tables.DOCUMENTS["feeds"]
        stored = await connection.scalar(sa.select(documents.c.document).where(documents.c.id == feed["id"]))
        column = await connection.scalar(sa.select(tables.feeds.c.url).where(tables.feeds.c.id == feed["id"]))
    assert json.loads(stored or "")["secret_url"] == SECRET
    assert [planned.job.url for planned in await planned_feeds(api.store.database)][:1] == [SECRET]
    assert column == MASKED


async def test_a_new_address_replaces_the_secret_one_and_a_mask_alone_is_refused(api: Api, shop: Shop) -> None:
    feed = await make_feed(shop, url=SECRET)
    changed = await shop.caller.patch(f"/v1/feeds/{feed['id']}", {"url": "https://szpilka.example/open.xml"})
    assert (changed.body["url"], changed.body["secret_url"]) == ("https://szpilka.example/open.xml", "")
    refused = await shop.caller.patch(f"/v1/feeds/{feed['id']}", {"url": MASKED})
    assert refused.status == 422
    assert refused.codes == {"/url": "masked"}


async def test_a_mapping_names_fields_of_products(api: Api, shop: Shop) -> None:
    body = {"advertiser_id": shop.advertiser["id"], "name": "x", "mapping": {"colour": "c", "price": "a//b"}}
    answer = await shop.caller.post("/v1/feeds", body)
    assert answer.status == 422
    assert answer.codes == {"/mapping/colour": "unknown", "/mapping/price": "value"}


async def test_an_upload_is_loaded_searched_and_changed(api: Api, shop: Shop, clock: ManualClock) -> None:
    feed = await make_feed(shop)
    run = await upload(shop, feed["id"], csv_feed(60))
    clock.advance(1)
    assert (run["outcome"], run["products"], run["form"]) == ("loaded", 60, "csv")
    products = f"/v1/advertisers/{shop.advertiser['id']}/products"
    found = (await shop.caller.get(f"{products}?q=product&limit=5")).body
    assert (found["count"], found["complete"]) == (5, False)
    body = {"products": [
        {"id": "7", "availability": "out_of_stock", "price": {"amount": "12.50"}}, {"id": "nope", "sale_price": None},
        {"id": "8", "sale_price": {"amount": "9.00", "currency": "PLN"}},
    ]}  # fmt: skip
    assert (await shop.caller.patch(products, body)).body == {"changed": 2, "unknown": ["nope"]}
    (seven,) = (await shop.caller.get(f"{products}?id=7")).body["items"]
    assert (seven["availability"], seven["price"]) == ("out_of_stock", {"amount": "12.50", "currency": "PLN"})
    (eight,) = (await shop.caller.get(f"{products}?id=8")).body["items"]
    assert (eight["on_sale"], eight["current_price"]["amount"]) == (True, "9.00")
    await shop.caller.patch(products, {"products": [{"id": "8", "sale_price": None}]})
    (eight,) = (await shop.caller.get(f"{products}?id=8")).body["items"]
    assert (eight["on_sale"], eight["sale_price"]) == (False, None)
    wrong = await shop.caller.patch(products, {"products": [{"id": "8", "price": {"amount": "1", "currency": "EUR"}}]})
    assert wrong.codes == {"/products/0/price/currency": "currency"}
    far = {"id": "8", "price": {"amount": "10000001", "currency": "PLN"}}
    free = {"id": "7", "price": {"amount": "0", "currency": "PLN"}, "sale_price": {"amount": "0", "currency": "PLN"}}
    wrong = await shop.caller.patch(products, {"products": [far, free]})
    assert wrong.codes == {"/products/0/price/amount": "range", "/products/1/price/amount": "range"}
    many = {"products": [{"id": str(number)} for number in range(1_001)]}
    assert (await shop.caller.patch(products, many)).status == 422


async def test_a_sale_price_above_the_price_is_refused_as_a_feed_s_is_not_believed(
    api: Api, shop: Shop, clock: ManualClock
) -> None:
    await upload(shop, (await make_feed(shop))["id"], csv_feed(60))
    clock.advance(1)
    products = f"/v1/advertisers/{shop.advertiser['id']}/products"
    (before,) = (await shop.caller.get(f"{products}?id=8")).body["items"]
    above = {"id": "8", "sale_price": {"amount": "15.50"}}
    assert before["price"]["amount"] == "15.00"
    wrong = await shop.caller.patch(products, {"products": [{"id": "7", "availability": "in_stock"}, above]})
    assert wrong.codes == {"/products/1/sale_price": "sale_not_lower"}
    dearer = {"id": "8", "price": {"amount": "15.51"}}
    assert (await shop.caller.patch(products, {"products": [above, dearer]})).status == 200
    (eight,) = (await shop.caller.get(f"{products}?id=8")).body["items"]
    assert (eight["on_sale"], eight["current_price"]["amount"]) == (True, "15.50")


async def test_a_refused_upload_says_why_and_leaves_the_products(api: Api, shop: Shop) -> None:
    feed = await make_feed(shop)
    await upload(shop, feed["id"], csv_feed(60))
    run = await upload(shop, feed["id"], csv_feed(20))
    assert (run["outcome"], run["code"], run["products"]) == ("refused", "shrunk", 60)
    report = (await shop.caller.get(f"/v1/feeds/{feed['id']}/report")).body
    assert (report["last"]["code"], report["good"]["read"]) == ("shrunk", 60)
    assert (await upload(shop, feed["id"], csv_feed(20), force=True))["outcome"] == "loaded"


async def test_a_refresh_is_asked_of_the_worker_and_needs_an_address(api: Api, shop: Shop) -> None:
    feed = await make_feed(shop)
    assert (await shop.caller.post(f"/v1/feeds/{feed['id']}/refresh", {})).status == 422
    named = await make_feed(shop, name="by address", url="https://szpilka.example/feed.xml")
    answer = await shop.caller.post(f"/v1/feeds/{named['id']}/refresh", {"force": True})
    assert (answer.status, answer.body) == (202, {"feed_id": named["id"], "requested": True})


async def test_shops_see_and_change_only_their_own(api: Api, shop: Shop) -> None:
    feed = await make_feed(shop)
    await upload(shop, feed["id"], csv_feed(10))
    rival = await make_shop(api, "rival")
    products = f"/v1/advertisers/{shop.advertiser['id']}"
    calls = await asyncio.gather(
        rival.caller.get(f"/v1/feeds/{feed['id']}/report"),
        rival.caller.post(f"/v1/feeds/{feed['id']}/refresh", {}),
        rival.caller.call("PUT", f"/v1/feeds/{feed['id']}/content", data=b"x"),
        rival.caller.get(f"{products}/products"),
        rival.caller.patch(f"{products}/products", {"products": [{"id": "1", "availability": "out_of_stock"}]}),
        rival.caller.get(f"{products}/products/match"),
        rival.caller.post(f"{products}/recommendations", {}),
    )
    assert [answer.status for answer in calls] == [404] * len(calls)
    reader = await api.caller("read", advertisers=(shop.advertiser["id"],))
    assert (await reader.get(f"{products}/products")).status == 200
    assert (await reader.patch(f"{products}/products", {"products": [{"id": "1"}]})).status == 403
    assert (await reader.call("PUT", f"/v1/feeds/{feed['id']}/content", data=b"x")).status == 403
    assert (await api.anonymous.get(f"{products}/products")).status == 401


async def test_a_recommendation_says_why_each_product_was_taken_or_left_out(api: Api, shop: Shop) -> None:
    feed = await make_feed(shop)
    await upload(shop, feed["id"], google(item(1), item(2, stock="out_of_stock"), item(3)).encode())
    path = f"/v1/advertisers/{shop.advertiser['id']}/recommendations"
    answer = await shop.caller.post(path, {"products": ["1", "2", "9"], "strategies": ["last_visit", "ever_seen"]})
    assert answer.status == 200, answer.body
    assert [product["id"] for product in answer.body["products"]] == ["1"]
    why = {choice["id"]: choice.get("left_out", "") for choice in reversed(answer.body["choices"])}
    assert why == {"1": "", "2": "is out of stock", "9": "is not in the feed"}
    assert (await shop.caller.post(path, {"user_id": "nobody"})).status == 422
    assert (await shop.caller.post(path, {"user_id": "A" * 22})).status == 404
    assert (await shop.caller.post(path, {"strategies": ["best"]})).status == 422


async def test_a_creative_says_which_products_it_shows(api: Api, shop: Shop) -> None:
    feed = await make_feed(shop, mapping={"margin": "custom_label_0"})
    margins = ("high", "low", "high", "high")
    items = [item(n, f"<g:custom_label_0>{margin}</g:custom_label_0>") for n, margin in enumerate(margins, start=1)]
    await upload(shop, feed["id"], google(*items).encode())
    advertiser_id = shop.advertiser["id"]
    banner = {
        "advertiser_id": advertiser_id, "name": "dynamic", "width": 300, "height": 250, "html": "${CLICK_URL}",
        "landing_url": "https://szpilka.example/", "advertiser_domain": "szpilka.example",
    }  # fmt: skip
    static = await shop.caller.made("/v1/creatives", banner)
    assert static["products"] is None
    chosen = {"strategies": ["ever_seen"], "count": 2, "least_margin": "medium"}
    made = await shop.caller.made("/v1/creatives", banner | {"products": chosen})
    assert made["products"] == {
        "strategies": ["ever_seen"], "count": 2, "exclude_bought_days": 30, "cool_down": True, "in_stock": True,
        "with_image": True, "least_margin": "medium", "one_of_group": True, "price_within_percent": 20,
        "reorder_after_days": 30, "successor_after_days": 365, "successor_step": 1.0,
    }  # fmt: skip
    path = f"/v1/advertisers/{advertiser_id}/recommendations"
    asked = {"products": ["1", "2", "3", "4"], "creative_id": made["id"], "strategies": ["bestsellers"]}
    answer = await shop.caller.post(path, asked)
    assert [product["id"] for product in answer.body["products"]] == ["4", "3"]
    why = {choice["id"]: choice.get("left_out", "") for choice in answer.body["choices"]}
    assert why == {"4": "", "3": "", "2": "has a margin below medium", "1": "the list is full"}

    assert (await shop.caller.post(path, asked | {"creative_id": static["id"]})).status == 422
    rival = await make_shop(api, "rival")
    other = await rival.caller.made("/v1/creatives", banner | {"advertiser_id": rival.advertiser["id"]})
    assert (await shop.caller.post(path, asked | {"creative_id": other["id"]})).status == 404
    everybody = await api.caller()
    assert (await everybody.post(path, asked | {"creative_id": other["id"]})).status == 404

    creative = f"/v1/creatives/{made['id']}"
    faults: tuple[dict[str, object], ...] = (
        {"strategies": []}, {"strategies": ["cart", "cart"]}, {"strategies": ["luck"]}, {"count": 0}, {"count": 51},
        {"least_margin": "huge"}, {"successor_step": -1}, {"unknown": 1}, {"exclude_bought_days": 4_000},
        {"price_within_percent": 0},
    )  # fmt: skip
    for wrong in faults:
        refused = await shop.caller.patch(creative, {"products": wrong})
        assert refused.status == 422, wrong
        assert refused.body["errors"][0]["pointer"].startswith("/products"), refused.body
    assert (await shop.caller.patch(creative, {"products": None})).body["products"] is None
