"""The tag in a real browser, on a page with the snippet of docs/events.md and a strict content security policy."""

import asyncio
import base64
import hashlib
import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.clock import SystemClock
from segments.facts.event import Kind, person_digest
from segments.facts.facts import Facts
from tests.kit.fixtures import REPOSITORY
from tests.kit.tracker import Shop, shop

pytestmark = pytest.mark.needs_package("chromium")

PAGE = "http://buty.example/szpilki/7?utm_source=facebook&utm_campaign=spring"
TRACKER = "http://tracker.example"
# A consent platform that answers once, and then says nothing more.
PLATFORM = """window.__tcfapi = (command, version, callback) => setTimeout(() => callback(%s, true), 50);"""


def snippet() -> str:
    """The two lines that a shop copies into its pages."""
    (block,) = re.findall(r"```html\n(.*?)```", (REPOSITORY / "docs" / "events.md").read_text(), re.DOTALL)
    return str(block).replace("https://TRACK", TRACKER)


def policy(page: str) -> str:
    """What the docs say a policy needs, and the page's own inline scripts by their hash; nothing else is allowed."""
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline]
    allowed = " ".join(f"'sha256-{text}'" for text in hashes)
    return f"default-src 'none'; script-src {TRACKER} {allowed}; connect-src {TRACKER}"


async def visit(site: Shop, profile: Path, script: str, *, before: str = "", url: str = PAGE) -> None:
    """Load a page whose own script runs behind the snippet; apply what it sent."""
    page = f"<!doctype html><script>{before}</script>{snippet()}<script>{script}</script>"

    async def show(_request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": policy(page)})

    pages = web.Application()
    pages.router.add_get("/{path:.*}", show)
    async with TestServer(pages) as server:
        rules = f"MAP buty.example 127.0.0.1:{server.port}, MAP tracker.example 127.0.0.1:{site.client.port}"
        browser = await asyncio.create_subprocess_exec(
            "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
            f"--host-resolver-rules={rules}", "--unsafely-treat-insecure-origin-as-secure=http://buty.example",
            "--virtual-time-budget=3000", "--dump-dom", url,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await browser.wait()
    await site.rig.settle()


async def visitors(site: Shop) -> list[Facts]:
    """What is known of every visitor of the shop."""
    (keys,) = await site.rig.store.commands([("KEYS", "f:*")])
    names = [key.decode().split("{")[1].rstrip("}") for key in keys] if isinstance(keys, list) else []
    return [facts for name in names if (facts := await site.rig.facts(name)) is not None]


async def test_what_a_page_queued_before_the_tag_had_loaded_arrives(valkey: str, tmp_path: Path) -> None:
    script = """
        grosz.push({set: {gdpr: 0}});
        grosz.push({event: "view_item", items: [{item_id: "red-heels", item_category: "shoes", price: 320}]});
        grosz.push({event: "login", email: " Jan@Example.PL "});
    """
    async with shop(valkey, SystemClock()) as site:
        await visit(site, tmp_path, script)
        (facts,) = await visitors(site)
    assert {Kind.PAGE_VIEW, Kind.VIEW_ITEM, Kind.LOGIN} <= facts.events.keys()
    assert (facts.pages, [page.path for page in facts.paths]) == (1, ["/szpilki/7"])
    assert [(entry.source, entry.campaign) for entry in facts.entries] == [("facebook", "spring")]
    assert [(product.id, product.price_micros) for product in facts.products] == [("red-heels", 320_000_000)]
    assert facts.person == person_digest(1, hashlib.sha256(b"jan@example.pl").hexdigest()), "hashed in the page"


async def test_a_browser_that_keeps_no_cookie_of_ours_is_one_visitor_until_it_opts_out(
    valkey: str, tmp_path: Path
) -> None:
    allowed = "grosz.push({set: {gdpr: 0}});"
    async with shop(valkey, SystemClock()) as site:
        for _ in range(2):
            await visit(site, tmp_path, allowed)
        assert [facts.pages for facts in await visitors(site)] == [2]
        await visit(site, tmp_path, f'{allowed} grosz.push({{event: "opt_out"}});')
        assert await visitors(site) == []
        await visit(site, tmp_path, allowed)
        assert await visitors(site) == [], "the tag sends nothing any more"


@pytest.mark.parametrize(
    ("answer", "pages"),
    [
        ('{gdprApplies: true, tcString: "all", eventStatus: "tcloaded", purpose: {consents: {1: true}}}', [1]),
        ('{gdprApplies: true, tcString: "no", eventStatus: "tcloaded", purpose: {consents: {}}}', []),
        ('{gdprApplies: true, eventStatus: "cmpuishown"}', []),
        ('{gdprApplies: false, eventStatus: "tcloaded"}', [1]),
    ],
)
async def test_the_tag_waits_for_the_consent_platform(
    valkey: str, tmp_path: Path, answer: str, pages: list[int]
) -> None:
    async with shop(valkey, SystemClock()) as site:
        await visit(site, tmp_path, "", before=PLATFORM % answer)
        assert [facts.pages for facts in await visitors(site)] == pages


async def test_leaving_the_page_tells_how_long_it_was_looked_at(valkey: str, tmp_path: Path) -> None:
    script = """
        grosz.push({set: {gdpr: 0}});
        setTimeout(() => {
            const now = Date.now;
            Date.now = () => now() + 30000;
            Object.defineProperty(document, "visibilityState", {value: "hidden"});
            document.dispatchEvent(new Event("visibilitychange"));
        }, 500);
    """
    async with shop(valkey, SystemClock()) as site:
        await visit(site, tmp_path, script)
        (facts,) = await visitors(site)
    assert 30 <= facts.seconds_on_site < 60
    assert facts.pages == 1


async def test_a_long_landing_page_keeps_where_the_visit_came_from(valkey: str, tmp_path: Path) -> None:
    script = """
        grosz.push({set: {gdpr: 0}});
        grosz.push({event: "search", search_term: "b".repeat(5000)});
    """
    url = f"http://buty.example/szpilki/7?x={'y' * 6000}&utm_source=google&utm_medium=cpc&gclid={'z' * 500}"
    async with shop(valkey, SystemClock()) as site:
        await visit(site, tmp_path, script, url=url)
        (facts,) = await visitors(site)
    assert {Kind.PAGE_VIEW, Kind.SEARCH} <= facts.events.keys()
    assert [(entry.source, entry.medium, entry.path) for entry in facts.entries] == [("google", "cpc", "/szpilki/7")]


async def test_what_exceeds_the_browsers_quota_is_split(valkey: str, tmp_path: Path) -> None:
    script = """
        grosz.push({set: {gdpr: 0}});
        const items = n => Array.from({length: 150}, (_, i) => ({item_id: `p${n}-${i}-` + "x".repeat(60)}));
        for (let n = 0; n < 15; n++) grosz.push({event: "view_item_list", items: items(n)});
        for (let n = 0; n < 15; n++) grosz.push({event: `custom_${n}`, attributes: {note: "y".repeat(100)}});
    """
    async with shop(valkey, SystemClock()) as site:
        await visit(site, tmp_path, script)
        (facts,) = await visitors(site)
    assert {f"custom_{number}" for number in range(15)} <= facts.events.keys()
    assert Kind.VIEW_ITEM_LIST in facts.events


async def test_each_event_has_an_id_of_its_own(valkey: str, tmp_path: Path) -> None:
    script = """
        grosz.push({set: {gdpr: 0}});
        for (let n = 0; n < 3; n++) grosz.push({event: "page_view"});
        grosz.push({event: "page_view", event_id: "mine"});
        grosz.push({event: "page_view", event_id: "mine"});
    """
    async with shop(valkey, SystemClock()) as site:
        await visit(site, tmp_path, script)
        (facts,) = await visitors(site)
    assert facts.pages == 5, "one of the snippet, three alike, and one of two with the same id"
    assert len(facts.recent_events) >= 5 * 4, "and perhaps one of a heartbeat"
