"""The console in Polish: no page says an English sentence, and what the parts behind it say is Polish too."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis

from admin.console.kinds import PAGES as KINDS
from core.product_keys import feed_runs
from creatives.feeds.faults import FaultCount
from creatives.feeds.runs import Run, RunOutcome
from tests.integration.admin.conftest import Shop
from tests.kit.api import Api
from tests.kit.console import Browser, person
from tests.kit.console_pictures import PAGES, shown_console
from tests.kit.page_language import english_in

HEADINGS = {
    "line-items": "Nowa linia", "campaigns": "Nowa kampania", "creatives": "Nowa kreacja", "segments": "Nowy segment",
    "feeds": "Nowy plik produktowy", "conversions": "Nowa konwersja", "deals": "Nowa umowa", "webhooks": "Nowy webhook",
    "advertisers": "Nowy reklamodawca", "exchanges": "Nowa giełda", "users": "Nowa osoba", "api-keys": "Nowy klucz API",
}  # fmt: skip


async def polish(api: Api) -> Browser:
    browser = await person(api, email="pola@szpilka.example")
    browser.cookies["grosz_language"] = "pl"
    return browser


async def names_in(api: Api) -> list[str]:
    """What the demo's people have called things, and their rules, which are code; hints have a bit of that, too."""
    owner = await api.caller()
    found = ["has list.NAZWA", "cart.age > 1h and cart.value >= 500 PLN", "and, or, not"]
    for kind in KINDS:
        items = (await owner.get(f"/v1/{kind}?limit=500")).body["items"]
        found += [one[member] for one in items for member in ("name", "rule", "alt_text") if one.get(member)]
    return found


async def test_no_page_says_an_english_sentence(valkey: str, tmp_path: Path) -> None:
    async with shown_console(valkey, tmp_path) as api:
        browser, names = await polish(api), await names_in(api)
        own = [f"/{kind}{ending}" for kind in KINDS for ending in ("", "/new", "?q=nothing+fits")]
        own += [
            "/line-items/200/findings",
            "/feeds/200/runs",
            "/advertisers/999",
            "/setup?token=x",
            "/password?token=x",
        ]
        said = {}
        for path in dict.fromkeys((*PAGES.values(), *own)):
            page = await browser.get(path.replace(" ", "%20"))
            assert page.status < 500, path
            if found := english_in(page.text, *names):
                said[path] = found
        assert said == {}


async def test_every_time_of_every_page_is_told_in_the_browsers_time_zone(valkey: str, tmp_path: Path) -> None:
    async with shown_console(valkey, tmp_path) as api:
        browser, told = await polish(api), {}
        browser.cookies["grosz_timezone"] = "Europe/Warsaw"
        for name, path in PAGES.items():
            text = (await browser.get(path.replace(" ", "%20"))).text
            # Days have no zone, and are drawn as if they began in UTC.
            if re.search(r"\bUTC\b", text.replace('data-zone="UTC"', "")):
                told[name] = path
        assert told == {}
        assert "30.11.2026, 12:00" in (await browser.get("/account")).text


async def test_dates_are_typed_in_the_browsers_time_zone(api: Api, shop: Shop) -> None:
    browser = await polish(api)
    browser.cookies["grosz_timezone"] = "Europe/Warsaw"
    path = f"/campaigns/{shop.campaign['id']}"
    assert "Początek (Europe/Warsaw)" in (await browser.get(path)).text
    assert (await browser.fill(path, {"start": "2030-07-01T00:30"})).status == 303
    assert (await shop.caller.get(f"/v1{path}")).body["start"] == "2030-06-30T22:30:00.000Z"
    assert 'value="2030-07-01T00:30"' in (await browser.get(path)).text
    assert 'value="2030-07-01T00:30"' in (await browser.get("/campaigns")).text
    cell = {"csrf": await browser.csrf(), "path": "start", "start": "2030-07-01T08:00"}
    await browser.post(f"{path}/cell", cell)
    assert (await shop.caller.get(f"/v1{path}")).body["start"] == "2030-07-01T06:00:00.000Z"
    assert "2030-07-01T06:00:00.000Z" in (await browser.get("/campaigns.csv")).text


def test_an_english_sentence_on_a_page_is_found() -> None:
    page = (
        '<html lang="pl"><p>To jest <code>the rule</code></p><p lang="en">of course</p><b aria-label="the cart">x</b>'
    )
    assert english_in(page) == ["the cart"]
    assert english_in("<p>The budget is spent</p>") == ["The budget is spent"]
    assert english_in("<p>Left of it</p>", "Left of it") == []


async def test_each_kind_has_a_heading_of_its_own_gender(api: Api, shop: Shop) -> None:
    browser = await polish(api)
    assert HEADINGS.keys() == KINDS.keys()
    for kind, heading in HEADINGS.items():
        page = await browser.get(f"/{kind}/new")
        assert f"<h1>{heading}</h1>" in page.text
        assert f">{heading}</a>" in (await browser.get(f"/{kind}")).text
    assert "Nowy obiekt" not in (await browser.get(f"/advertisers/{shop.advertiser['id']}/audiences")).text


async def test_faults_of_rules_and_exchanges_are_told_in_polish(api: Api, shop: Shop) -> None:
    browser = await polish(api)
    csrf, own = await browser.csrf(), str(shop.advertiser["id"])
    counted = await browser.post("/count", {"csrf": csrf, "advertiser_id": own, "rule": "cart.valu > 5 PLN"})
    assert "wiersz 1, kolumna 1: nie ma faktu „cart.valu”" in counted.text
    assert "czy chodziło o „cart.value”" in counted.text
    assert english_in(counted.text) == []
    exchange = {"key": "xandr", "name": "Xandr", "dialect": "pubmatic", "default_currency": "USD", "seat": "x"}
    refused = await browser.fill("/exchanges/new", exchange)
    assert refused.status == 422
    assert "miejsca (seat) giełdy PubMatic to liczby: użyj samych cyfr" in refused.text
    assert english_in(refused.text) == []


USA: dict[str, Any] = {"ua": "Mozilla/5.0", "geo": {"country": "USA"}}
REQUEST = {
    "id": "r1",
    "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.5}],
    "site": {"page": "https://gazeta.example/moda", "domain": "gazeta.example"},
    "device": USA,
    "user": {"id": "u1"},
    "at": 2,
    "cur": ["PLN"],
}

# What line items want, and what is said where a request has something else.
NEAR_MISSES: list[tuple[dict[str, Any], str]] = [
    ({"start": "2099-01-01T00:00:00Z"}, "emisja zaczyna się 2099-01-01 00:00 UTC"),
    ({"targeting": {"hours_of_week": [100]}},
     "jest poniedziałek 12:00 (Europe/Warsaw), najbliższa wybrana godzina: piątek 04:00"),
    ({"targeting": {"countries": ["DEU", "POL"]}}, "wymaga: DEU, POL, zapytanie: USA"),
    ({"targeting": {"domains_deny": ["gazeta.example"]}}, "wyklucza: gazeta.example, zapytanie: gazeta.example"),
    ({"targeting": {"categories": ["IAB18"]}}, "wymaga: IAB18, zapytanie: nie podaje"),
    ({}, "cena minimalna 1.82 PLN, Twoja stawka 0.50"),
]  # fmt: skip


async def make_near_misses(api: Api) -> None:
    owner = await api.caller()
    of = {name: (await owner.get("/v1/line-items/200")).body[name] for name in ("advertiser_id", "campaign_id")}
    prices = {name: {"amount": "5.00", "currency": "PLN"} for name in ("bid", "max_cpm")}
    for wanted, _ in NEAR_MISSES:
        await owner.made("/v1/line-items", {"name": "Blisko", "creative_ids": [200]} | of | prices | wanted)
    await api.publisher.publish()


async def test_why_there_is_no_bid_is_told_in_polish(valkey: str, tmp_path: Path) -> None:
    poland = USA | {"geo": {"country": "POL"}}
    other_size = {"id": "1", "banner": {"w": 301, "h": 250}}
    async with shown_console(valkey, tmp_path) as api:
        await make_near_misses(api)
        browser, names = await polish(api), await names_in(api)
        csrf = await browser.csrf()
        told = ""
        for more in (
            {}, {"imp": [other_size]}, {"imp": [{"id": "1"}]}, {"device": poland}, {"regs": {"gdpr": 1}},
            {"regs": {"coppa": 1}},
        ):  # fmt: skip
            asked = {"csrf": csrf, "exchange": "demo", "request": json.dumps(REQUEST | more), "user_id": ""}
            page = await browser.post("/explain", asked | {"line_item_id": ""})
            assert page.status == 200, page.text
            assert english_in(page.text, *names) == []
            told += page.text
    for _, near in NEAR_MISSES:
        assert near in told
    assert "oferuje: 301x250, kreacje: 300x250" in told
    assert "obowiązuje RODO (kraj jest na jego obszarze) i w zapytaniu nie ma łańcucha zgody" in told
    assert "obowiązuje RODO (gdpr to 1) i w zapytaniu nie ma łańcucha zgody" in told
    assert "zapytanie pochodzi od dziecka (coppa)" in told
    assert "/imp/0: nie oferuje żadnego z formatów" in told


async def test_outcomes_of_feeds_are_told_in_polish(api: Api, shop: Shop, valkey: str) -> None:
    feed = await shop.caller.made("/v1/feeds", {"advertiser_id": shop.advertiser["id"], "name": "Buty"})
    run = Run(
        feed_id=feed["id"], advertiser_id=shop.advertiser["id"], outcome=RunOutcome.REFUSED, code="shrunk",
        message="the feed has 3 products, less than half of the 900 before", hint="see its faults", rows=5,
        faults=[FaultCount("price", "no_currency", 2)],
    )  # fmt: skip
    redis = Redis.from_url(valkey)
    await redis.hset(feed_runs(run.advertiser_id), str(run.feed_id), msgspec.json.encode(run))
    await redis.aclose()
    page = await (await polish(api)).get(f"/feeds/{feed['id']}/runs")
    assert "plik odrzucony: plik ma 3 produktów, mniej niż połowę z wcześniejszych 900" in page.text
    assert "nie ma waluty" in page.text
    assert english_in(page.text) == []
