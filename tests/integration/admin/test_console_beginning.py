"""From a campaign to its first bid: what is next, the exchange's address, an example request, exchange rates."""

import html
import json

from core.clock import ManualClock
from core.ids import new_user_id
from segments.audiences.sizes import Membership, SegmentSizes
from tests.integration.admin.conftest import Shop
from tests.kit.api import Api
from tests.kit.console import person
from tests.kit.profiles import catalogue, event_rig


async def test_a_new_line_item_says_what_is_next_until_it_bids(api: Api, shop: Shop) -> None:
    browser = await person(api)
    segment = {"advertiser_id": shop.advertiser["id"], "name": "carts", "rule": "cart.value >= 5 PLN"}
    made = await shop.caller.made("/v1/segments", segment)
    item = await shop.caller.made("/v1/line-items", shop.line_item(targeting={"segments_any": [made["id"]]}))
    page = (await browser.get(f"/line-items/{item['id']}/delivery")).text
    assert [page.count(word) for word in ("To do:", "Done:")] == [3, 0]
    assert f'href="/advertisers/{shop.advertiser["id"]}/shop#code"' in page
    assert 'href="/exchanges/new"' in page
    exchange = await browser.fill("/exchanges/new", {"name": "Żółty SSP"})
    assert exchange.headers["Location"] == "/exchanges/1/traffic?saved"
    page = (await browser.get(f"/line-items/{item['id']}/delivery")).text
    assert [page.count(word) for word in ("To do:", "Done:")] == [2, 1]
    assert 'href="/exchanges/1/traffic"' in page
    await shop.caller.post(f"/v1/line-items/{item['id']}/pause")
    assert "What is next" not in (await browser.get(f"/line-items/{item['id']}/delivery")).text


async def test_a_name_is_enough_for_an_exchange_and_there_is_one_to_begin_with(api: Api, shop: Shop) -> None:
    browser = await person(api)
    made = await browser.fill("/exchanges/new", {"name": "Żółty SSP"})
    assert made.status == 303, made.text
    (exchange,) = (await shop.caller.get("/v1/exchanges")).body["items"]
    known = {name: exchange[name] for name in ("key", "name", "dialect", "default_currency", "clearing")}
    assert known == {
        "key": "zolty-ssp", "name": "Żółty SSP", "dialect": "generic", "default_currency": "PLN",
        "clearing": "reported",
    }  # fmt: skip
    nameless = await browser.fill("/exchanges/new", {"name": "…"})
    assert nameless.status == 422
    assert (await browser.fill("/exchanges/new", {})).status == 303
    names = {(one["key"], one["name"]) for one in (await shop.caller.get("/v1/exchanges")).body["items"]}
    assert names == {("zolty-ssp", "Żółty SSP"), ("exchange-2", "Exchange 2")}
    await browser.post("/exchanges/2/archive", {"csrf": await browser.csrf()})
    assert (await browser.fill("/exchanges/new", {})).status == 303
    assert (await shop.caller.get("/v1/exchanges/3")).body["key"] == "exchange-3"


async def test_the_connection_has_the_whole_address_and_a_request_that_can_be_sent(
    api: Api, shop: Shop, valkey: str, clock: ManualClock
) -> None:
    browser, user = await person(api), new_user_id()
    await (await api.caller()).made("/v1/exchanges", {"key": "ssp"})
    empty = (await browser.get("/exchanges/1/traffic")).text
    assert "No line item is active" in empty
    assert "https://BIDDER/openrtb2/ssp" in empty
    assert "https://track.example/sync/ssp" in empty
    segment = {"advertiser_id": shop.advertiser["id"], "name": "carts", "rule": "cart.value >= 5 PLN"}
    number = (await shop.caller.made("/v1/segments", segment))["id"]
    targeting = {"segments_any": [number], "countries": ["DEU"]}
    await shop.caller.made("/v1/line-items", shop.line_item(targeting=targeting))
    assert "Nobody is in its audience now" in (await browser.get("/exchanges/1/traffic")).text
    async with event_rig(valkey, clock, published=catalogue()) as rig:
        now_s = clock.now_ms() // 1000
        stay = Membership(number, user, (now_s - 10, now_s + 1_000))
        gone = Membership(number, new_user_id(), (now_s - 10, now_s - 5))
        await rig.store.commands(SegmentSizes(rig.store).commands([stay, gone]))
    page = html.unescape((await browser.get("/exchanges/1/traffic")).text)
    assert "Nobody is in its audience now" not in page
    request = json.loads(page.partition("-d '")[2].partition("'")[0])
    assert request["user"] == {"buyeruid": user}
    assert request["imp"][0] == {
        "id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.01, "bidfloorcur": "PLN"
    }  # fmt: skip
    assert request["device"]["geo"] == {"country": "DEU"}
    reader = await person(api, "read", email="bea@szpilka.example")  # may see no visitor's card
    page = html.unescape((await reader.get("/exchanges/1/traffic")).text)
    assert user not in page
    assert json.loads(page.partition("-d '")[2].partition("'")[0])["user"] == {"buyeruid": "VISITOR"}


async def test_a_rate_is_set_at_a_page(api: Api, shop: Shop) -> None:
    browser = await person(api)
    assert "There is no rate yet" in (await browser.get("/rates")).text
    csrf = await browser.csrf()
    set_one = {"csrf": csrf, "action": "set"}
    for currency, rate in (("USD", "3,64"), ("EUR", "4.25")):
        answer = await browser.post("/rates", set_one | {"currency": currency, "rate": rate})
        assert answer.status == 303, answer.text
    assert (await shop.caller.get("/v1/fx-rates")).body["rates"] == {"EUR": "4.25", "USD": "3.64"}
    assert ">3.64<" in (await browser.get("/rates")).text
    for wrong in ({"currency": "USD", "rate": "much"}, {"currency": "XXX", "rate": "1"}, {"currency": "USD"}):
        assert (await browser.post("/rates", set_one | wrong)).status == 422
    reader = await person(api, "read", email="bea@szpilka.example")
    assert '<form method="post" action="/rates"' not in (await reader.get("/rates")).text
    forbidden = {"csrf": await reader.csrf(), "currency": "USD", "rate": "1"}
    assert (await reader.post("/rates", forbidden)).status == 403
