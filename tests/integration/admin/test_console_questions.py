"""Pages that ask desks: approvals, audiences side by side, recorded requests, forecasts, saved reports, connections."""

import re
from urllib.parse import quote

from tests.integration.admin.conftest import Shop, make_shop
from tests.kit.api import Api
from tests.kit.console import Browser, person

REPORT = "by=day&measure=impressions&only=advertiser&values={}"


async def exchange_of(api: Api, **members: object) -> int:
    owner = await api.caller()
    document = {"key": "reviewing", "name": "Reviewing", "dialect": "generic", "default_currency": "PLN", **members}
    return int((await owner.made("/v1/exchanges", document))["id"])


async def test_somebody_who_sees_one_shop_finds_nothing_of_another(api: Api, shop: Shop) -> None:
    other = await make_shop(api, "rival")
    line_item = await other.caller.made("/v1/line-items", other.line_item(name="secret line"))
    exchange = await exchange_of(api, review="before")
    creative = other.creative["id"]
    await (await api.caller()).call("PUT", f"/v1/creatives/{creative}/approvals/{exchange}", {"state": "approved"})
    browser = await person(api, "read", "trade", advertisers=(shop.advertiser["id"],))
    number = other.advertiser["id"]
    for path in (
        f"/line-items/{line_item['id']}/recorded", f"/line-items/{line_item['id']}/forecast",
        f"/advertisers/{number}/audiences", f"/creatives/{creative}/ad",
    ):  # fmt: skip
        assert (await browser.get(path)).status == 404, path
    assert (await browser.get(f"/exchanges/{exchange}/traffic")).status == 403
    approvals = await browser.get(f"/approvals?creative_id={creative}")
    assert approvals.status == 200
    assert "rival" not in approvals.text
    assert f"/creatives/{creative}" not in approvals.text
    csrf = await browser.csrf()
    again = {"csrf": csrf, "action": "again", "creative_id": str(creative), "exchange_id": str(exchange)}
    assert (await browser.post("/approvals", again)).status == 404
    noted = {**again, "action": "note", "state": "approved", "creative_id": str(shop.creative["id"])}
    assert (await browser.post("/approvals", noted)).status == 403
    foreign = {
        "csrf": csrf,
        "action": "save",
        "name": "x",
        "advertiser_id": str(number),
        "query": REPORT.format(number),
    }
    assert (await browser.post("/reports/saved", foreign)).status in (404, 422)
    for path in ("/start/count", "/start/forecast"):
        form = {"csrf": csrf, "advertiser_id": str(number), "audience": "cart_abandoners", "size": "300x250",
                "bid": "1", "max_cpm": "9"}  # fmt: skip
        text = (await browser.post(path, form)).text
        assert "rival" not in text
        assert "<strong>" not in text


async def test_one_line_item_is_told_its_own_reasons_and_not_those_of_another(api: Api, shop: Shop) -> None:
    await exchange_of(api, key="demo")
    price = {"amount": "0.50", "currency": "PLN"}
    await shop.caller.made("/v1/line-items", shop.line_item(name="Too cheap", bid=price, max_cpm=price))
    choosy = await shop.caller.made("/v1/line-items", shop.line_item(name="Choosy", targeting={"countries": ["DEU"]}))
    await api.publisher.publish()
    browser, unpaid = await person(api), "none could pay the floor"
    everything = await browser.fill("/explain", {"line_item_id": ""})
    assert unpaid in everything.text
    assert "no_bid" not in everything.text
    one = await browser.fill("/explain", {"line_item_id": str(choosy["id"])})
    assert "Choosy: no bid" in one.text
    assert "country is not targeted" in one.text
    assert unpaid not in one.text


async def test_a_decision_is_noted_and_asked_for_again(api: Api, shop: Shop) -> None:
    exchange = await exchange_of(api, review="before")
    browser = await person(api)
    await (await api.caller()).call(
        "PUT", f"/v1/creatives/{shop.creative['id']}/approvals/{exchange}", {"state": "pending"}
    )
    page = await browser.get(f"/approvals?exchange_id={exchange}")
    assert (page.status, f"/creatives/{shop.creative['id']}" in page.links) == (200, True)
    form = {"csrf": dict(page.fields)["csrf"], "creative_id": str(shop.creative["id"]), "exchange_id": str(exchange)}
    unreasoned = await browser.post("/approvals", {**form, "action": "note", "state": "rejected"})
    assert unreasoned.status == 422
    saved = await browser.post("/approvals", {**form, "action": "note", "state": "rejected", "reason": "a <b> logo"})
    assert saved.status == 303
    assert "a &lt;b&gt; logo" in (await browser.get(saved.headers["Location"])).text
    assert (await browser.post("/approvals", {**form, "action": "again"})).status == 422, "it has no interface"
    assert (await browser.post("/approvals", {**form, "csrf": "x", "action": "again"})).status == 403
    assert (await browser.get("/approvals?state=odd")).status == 422
    reader = await person(api, "read", email="reader@szpilka.example")
    assert "Ask again" not in (await reader.get("/approvals")).text
    connection = await browser.get(f"/exchanges/{exchange}/traffic")
    assert connection.status == 200
    assert "/openrtb2/reviewing" in connection.text


async def test_a_report_is_saved_opened_shared_and_deleted(api: Api, shop: Shop) -> None:
    browser, number = await person(api, "read", "trade", advertisers=(shop.advertiser["id"],)), shop.advertiser["id"]
    query = REPORT.format(number) + "&since=2026-11-01&until=2026-11-03"
    form = await browser.get(f"/reports/saved?query={quote(query)}")
    fields = {**dict(form.fields), "name": "Mine", "advertiser_id": str(number), "action": "save"}
    assert (await browser.post("/reports/saved", fields | {"query": "by=day"})).status == 422
    assert (await browser.post("/reports/saved", fields)).status == 303
    listed = await browser.get("/reports/saved")
    (address,) = [link for link in listed.links if link.startswith("/reports?")]
    assert "since=2026-11-01" in address
    assert f"values={number}" in address
    kept = dict(listed.fields)
    shared = await browser.post("/reports/saved", {"csrf": kept["csrf"], "id": kept["id"], "action": "share"})
    (link,) = re.findall(r"/shared/[\w-]+", shared.text)
    assert (await Browser(api.client).get(link)).status in (200, 404)
    assert (
        await browser.post("/reports/saved", {"csrf": kept["csrf"], "id": kept["id"], "action": "delete"})
    ).status == 303
    assert "Mine" not in (await browser.get("/reports/saved")).text
    assert (await browser.post("/reports/saved", {"csrf": "x", "id": kept["id"], "action": "delete"})).status == 403


async def test_audiences_are_compared_and_crossed(api: Api, shop: Shop) -> None:
    made = [
        await shop.caller.made(
            "/v1/segments", {"advertiser_id": shop.advertiser["id"], "name": name, "rule": "visits.count > 1"}
        )
        for name in ("Often", "Rare")
    ]
    browser, path = await person(api), f"/advertisers/{shop.advertiser['id']}/audiences"
    page = await browser.get(f"{path}?segment={made[0]['id']}&segment={made[1]['id']}&segment=x")
    assert page.status == 200
    assert page.text.count('<th scope="row">') == 2
    crossed = await browser.get(f"{path}?rows=visits.count: 2&columns=last_visit: 1d, 7d")
    links = [link for link in crossed.links if link.startswith("/segments/new?")]
    assert len(links) == 2 * 4
    assert "visits.count" in dict((await browser.get(links[0].replace("&amp;", "&"))).fields)["rule"]


async def test_the_wizard_counts_its_audience_and_says_why_there_is_no_forecast(api: Api, shop: Shop) -> None:
    browser = await person(api)
    form = {"csrf": await browser.csrf(), "advertiser_id": str(shop.advertiser["id"]), "audience": "cart_abandoners",
            "size": "300x250", "bid": "1", "max_cpm": "9"}  # fmt: skip
    assert "<strong>0</strong>" in (await browser.post("/start/count", form)).text
    new = await browser.post("/start/count", form | {"advertiser_id": "new"})
    assert "a new advertiser has no visitors yet" in new.text
    assert "no journal is kept here" in (await browser.post("/start/forecast", form)).text
    assert "ad of this size" in (await browser.post("/start/forecast", form | {"size": "1x1"})).text
    assert (
        "a new advertiser has no traffic"
        in (await browser.post("/start/forecast", form | {"advertiser_id": "new"})).text
    )
    line_item = await shop.caller.made("/v1/line-items", shop.line_item())
    for name in ("recorded", "forecast"):
        page = await browser.get(f"/line-items/{line_item['id']}/{name}")
        assert page.status == 200
        assert "journal" in page.text


async def test_every_format_has_a_preview(api: Api, shop: Shop) -> None:
    native = await shop.caller.made(
        "/v1/creatives",
        {
            "advertiser_id": shop.advertiser["id"], "name": "n", "format": "native", "landing_url": "https://x.example/",
            "advertiser_domain": "x.example", "native": {
                "titles": ["<script>alert(1)</script>"], "texts": ["t"],
                "images": [{"url": "https://x.example/a.png", "width": 1200, "height": 627}],
            },
        },
    )  # fmt: skip
    browser = await person(api)
    page = await browser.get(f"/creatives/{native['id']}/ad")
    assert page.status == 200
    assert "<script>alert(1)" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("sandbox")
    assert f"/creatives/{native['id']}/ad" in (await browser.get(f"/creatives/{native['id']}")).text


async def test_the_rule_is_judged_while_it_is_written(api: Api, shop: Shop) -> None:
    browser = await person(api)
    page = await browser.get(f"/segments/new?advertiser_id={shop.advertiser['id']}")
    assert 'hx-trigger="input changed' in page.text
    assert "<code>cart.value &gt;= 500 PLN</code>" in page.text
