"""The widget in a real browser: boxes, blocks, pop-ups, consent, no layout shift; and a page of somebody else."""

import asyncio
import contextlib
import json
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, Route, async_playwright

from core.clock import SystemClock
from core.model import Advertiser, Segment
from core.telemetry.metrics import render
from segments.facts.event import Event, Item, Kind
from tests.kit.feeds import google, item
from tests.kit.page_lists import BOOKS, SHOES, PageShop, page_shop
from tests.kit.profiles import catalogue
from tests.kit.shoppers import visits
from tests.kit.tls import make_certificate

pytestmark = pytest.mark.needs_package("chromium")

CLOCK = SystemClock()
BUYERS = Segment(id=7, advertiser_id=1, name="buyers", rule="purchases.count >= 3")
FEED = google(item("A"), item("B", "<g:sale_price>9 PLN</g:sale_price>"), item("C"))
OWN, TRACKER, FOREIGN = "https://buty.example", "https://tracker.example", "https://evil.example"
DECLARED = "https://shoes.example"
USER = "A" * 21 + "w"
SHIFT = """
    new PerformanceObserver(list => list.getEntries().forEach(one => window.shift = (window.shift || 0) + one.value))
        .observe({type: "layout-shift", buffered: true});
"""
SCRIPT = f'<script async src="{TRACKER}/widget.js" data-advertiser="1" data-gdpr="0"></script>'
BODY = """<h1>Heels</h1>
<div id="box" data-grosz-box="product:A" data-n="2" style="height: 240px"></div>
<div id="low" data-grosz-box="home"></div>
<div id="coupon" data-grosz-if="unidentified" style="height: 40px"><template>10% for you</template></div>
<div id="thanks" data-grosz-if="orders:3" style="height: 40px"><template>Thank you</template></div>
<div id="club" data-grosz-if="segment:7" style="height: 40px"><template>Club</template></div>
<template id="welcome" data-grosz-if="unidentified">A coupon: HELLO10</template>
<template id="fourth" data-grosz-if="orders:3" data-days="1">A coupon: AGAIN</template>
<p id="end">End</p>
"""
# What docs/recommendations.md says that a shop's policy needs.
POLICY = "; ".join((
    "default-src 'none'", f"script-src {TRACKER} 'unsafe-inline'", f"connect-src {TRACKER}", "img-src data: https:",
    "style-src-attr 'unsafe-inline'",
))  # fmt: skip


class Pages:
    """A shop's page in a browser, beside a tracker that knows its visitor."""

    def __init__(self, page: Page, site: PageShop) -> None:
        self.page = page
        self.site = site
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))

    async def open(self, *shown: str, origin: str = OWN) -> None:
        """Until these are shown too, which a busy machine may do later."""
        await self.page.goto(origin)
        await self.page.wait_for_load_state("networkidle")
        for selector in shown:
            await self.page.locator(selector).first.wait_for()

    async def texts(self, *names: str) -> list[str]:
        return [str(await self.page.inner_text(f"#{name}")).strip() for name in names]

    async def popups(self) -> list[str]:
        return [text.partition("\n")[2].strip() for text in await self.page.locator("dialog").all_inner_texts()]


@contextlib.asynccontextmanager
async def opened(valkey: str, folder: Path, *, before: str = "", shoes: Advertiser = SHOES) -> AsyncIterator[Pages]:
    """Pages of the shop and of somebody else; the browser has the visitor's cookie."""

    async def show(_request: web.Request) -> web.Response:
        text = f"<!doctype html><html lang=pl><script>{SHIFT}{before}</script>{BODY}{SCRIPT}"
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    pages = web.Application()
    pages.router.add_get("/{path:.*}", show)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*make_certificate(folder))
    server = TestServer(pages, scheme="https")
    await server.start_server(ssl=tls)
    async with (
        server,
        page_shop(valkey, CLOCK, published=catalogue([BUYERS], (shoes, BOOKS)), tls=tls) as site,
        async_playwright() as playwright,
    ):
        await site.products.load(FEED)
        await site.fit(visits(*["AB"] * 9, *["AC"] * 5, start_s=CLOCK.now_ms() // 1000 - 9_000, gap_s=60))
        ports = {
            "buty.example": server.port,
            "evil.example": server.port,
            "shoes.example": server.port,
            "tracker.example": site.client.port,
        }
        rules = ", ".join(f"MAP {host} 127.0.0.1:{port}" for host, port in ports.items())
        # A profile of its own, whose owner lets third parties keep cookies: Chromium does not by default.
        preferences = folder / "profile" / "Default" / "Preferences"
        preferences.parent.mkdir(parents=True)
        preferences.write_text('{"profile": {"cookie_controls_mode": 0, "block_third_party_cookies": false}}')
        context = await playwright.chromium.launch_persistent_context(
            folder / "profile", executable_path=shutil.which("chromium"), ignore_https_errors=True,
            args=["--no-sandbox", "--disable-gpu", f"--host-resolver-rules={rules}"],
        )  # fmt: skip
        cookie: Any = {"name": "grosz_uid", "value": USER, "url": TRACKER, "sameSite": "None", "secure": True}
        await context.add_cookies([cookie])
        yield Pages(await context.new_page(), site)
        await context.close()


async def happen(site: PageShop, *names: str, orders: int = 0, person: bytes = b"") -> None:
    now_ms = CLOCK.now_ms()
    events = [Event(Kind.VIEW_ITEM, 1, USER, now_ms, items=(Item(name),), person=person) for name in names]
    events += [Event(Kind.PURCHASE, 1, USER, now_ms, value_micros=5, order=number + 1) for number in range(orders)]
    await site.rig.send(*events)
    await site.rig.settle()


async def test_boxes_blocks_and_pop_ups_appear_without_a_layout_shift(valkey: str, tmp_path: Path) -> None:
    async with opened(valkey, tmp_path) as pages:
        warnings: list[str] = []
        pages.page.on("console", lambda message: warnings.append(message.text))
        await pages.open("#box li", "dialog")
        assert await pages.page.locator("#box li").count() == 2
        lines = (await pages.texts("box"))[0].replace("\xa0", " ").split("\n")
        assert [line for line in lines if line.strip()] == ["Product B", "9,00 zł15,00 zł", "Product C", "15,00 zł"]
        assert await pages.page.locator("#box a").first.get_attribute("href") == "https://szpilka.example/p/B"
        assert await pages.texts("coupon", "thanks", "club", "low") == ["10% for you", "", "", ""]
        assert any("no height" in text for text in warnings), "a box without a height would move the page"
        assert await pages.popups() == ["A coupon: HELLO10"]
        await asyncio.sleep(0.3)
        assert await pages.page.evaluate("window.shift || 0") == 0
        assert pages.faults == []
        await pages.page.click("dialog button")
        await pages.open("#box li")
        assert await pages.popups() == [], "who has closed a pop-up is not asked again"


async def test_who_is_known_sees_what_is_for_him(valkey: str, tmp_path: Path) -> None:
    async with opened(valkey, tmp_path) as pages:
        await happen(pages.site, "C", orders=3, person=b"p" * 16)
        await pages.open("text=Thank you", "text=Club", "dialog")
        assert await pages.texts("coupon", "thanks", "club") == ["", "Thank you", "Club"]
        assert await pages.popups() == ["A coupon: AGAIN"]


@pytest.mark.parametrize(
    ("answer", "asked", "personal"),
    [
        ('{gdprApplies: true, tcString: "all", eventStatus: "tcloaded", purpose: {consents: {1: true}}}', True, True),
        ('{gdprApplies: true, tcString: "no", eventStatus: "tcloaded", purpose: {consents: {}}}', True, False),
        ('{gdprApplies: true, eventStatus: "cmpuishown"}', False, False),
    ],
)
async def test_the_widget_does_what_the_visitor_permits(
    valkey: str, tmp_path: Path, answer: str, asked: bool, personal: bool
) -> None:
    platform = f"window.__tcfapi = (command, version, call) => setTimeout(() => call({answer}, true), 50);"
    async with opened(valkey, tmp_path, before=platform) as pages:
        await happen(pages.site, "C", orders=3)
        await pages.open(*(["#box li"] if asked else []), *(["text=Thank you", "dialog"] if personal else []))
        await asyncio.sleep(0.2)
        assert (await pages.page.locator("#box li").count() > 0) == asked
        assert await pages.texts("thanks") == ["Thank you" if personal else ""]
        assert (await pages.popups() != []) == personal, "without consent nothing is remembered, so nothing pops up"
        kept: dict[str, Any] = json.loads(await pages.page.evaluate("JSON.stringify({...localStorage})"))
        assert kept == {}


async def test_what_a_feed_says_stays_text(valkey: str, tmp_path: Path) -> None:
    hostile: dict[str, Any] = {
        "id": "A", "title": "<img src=x onerror=alert(1)>", "link": 'https://szpilka.example/"onclick=alert(2)//',
        "image": "javascript:alert(3)", "price": {"amount": "1", "currency": "PLN"}, "old_price": None,
    }  # fmt: skip
    listed = json.dumps({"products": [hostile, hostile | {"link": "javascript:alert(4)"}], "visitor": None})
    allowed = {"Access-Control-Allow-Origin": OWN, "Access-Control-Allow-Credentials": "true"}

    async def answer(route: Route) -> None:
        await route.fulfill(body=listed, content_type="application/json", headers=allowed)

    async with opened(valkey, tmp_path) as pages:
        await pages.page.route("**/r/1*", answer)
        await pages.open("#box li")
        assert hostile["title"] in (await pages.texts("box"))[0]
        assert await pages.page.locator("#box a").count() == 1
        assert await pages.page.locator("#box img").count() == 0
        assert pages.faults == []


async def test_pages_of_a_declared_origin_have_boxes(valkey: str, tmp_path: Path) -> None:
    shoes = msgspec.structs.replace(SHOES, origins=(DECLARED,))
    async with opened(valkey, tmp_path, shoes=shoes) as pages:
        await pages.open("#box li", origin=DECLARED)
        assert await pages.page.locator("#box li").count() == 2
        await pages.open(origin=FOREIGN)
        assert await pages.page.locator("#box li").count() == 0
        assert pages.faults == []


async def test_a_page_of_somebody_else_reads_nothing(valkey: str, tmp_path: Path) -> None:
    steal = f"""
        const tries = [
            () => fetch("{TRACKER}/r/1?gdpr=0", {{credentials: "include"}}).then(answer => answer.text()),
            () => fetch("{TRACKER}/r/1?gdpr=0", {{credentials: "include", mode: "no-cors"}}).then(one => one.text()),
            () => new Promise((yes, no) => {{
                const tag = document.createElement("script");
                tag.src = "{TRACKER}/r/1?gdpr=0&callback=alert"; tag.onload = () => yes("ran"); tag.onerror = no;
                document.documentElement.append(tag);
            }}),
        ];
        window.stolen = Promise.all(tries.map(one => one().catch(() => "")));
    """
    async with opened(valkey, tmp_path, before=steal) as pages:
        await happen(pages.site, "C", orders=3)
        await pages.open(origin=FOREIGN)
        assert await pages.page.evaluate("window.stolen") == ["", "", ""]
        counted = render(pages.site.rig.telemetry.families()).decode()
        refused = re.search(r'grosz_page_lists_total\{outcome="foreign"\} (\d+)', counted)
        assert refused is not None
        assert int(refused[1]) >= 3, "each try was answered with 403"
        assert 'outcome="personal"' not in counted
        assert await pages.page.locator("#box li").count() == 0
        assert pages.faults == []
