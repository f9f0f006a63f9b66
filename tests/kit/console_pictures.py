"""Pictures of the console's pages: the demo's shops at one frozen moment, in a font of our own, in both themes.

`python -m tests.kit.console_pictures [NAME...]` makes those of docs/console anew; tests/e2e/test_console_pictures.py
compares.
"""

import asyncio
import base64
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.async_api import Browser, Page, Playwright, async_playwright

from admin.mail.sending import MailSender
from admin.seed.catalogue import seed_demo
from admin.store.ledger import SqlLedgerStore
from core import keys
from core.clock import ManualClock
from core.config import MailSettings
from core.network.headers import Edge
from core.redis.client import control_redis
from core.redis.embedded import EmbeddedServer
from journal.rows import BILL, CLICK, CONVERSION
from journal.segment import SegmentFrame
from pacing.bank.bank import calendar
from segments.facts.facts import CartLine, CartStage, Entry, Facts, Lifecycle, Product
from segments.facts.layout import pack_cold, pack_hot
from tests.kit.api import Api, running_api
from tests.kit.console import PASSWORD, person
from tests.kit.fixtures import REPOSITORY
from tests.kit.journal_rows import JournalFolder, a_row
from tests.kit.ledger_rows import a_row as a_bill

FOLDER: Final = REPOSITORY / "docs" / "console"
FONTS: Final = REPOSITORY / "tests" / "vendored" / "inter-5.3.0"
# Noon of a Monday: tables of today and charts of a week have something to show.
NOW_MS: Final = 1_796_036_400_000
DAY_MS: Final = 86_400_000
# Pictures of more bytes are reduced to 256 colours: all together must stay below 5 MiB.
_LARGE: Final = 60_000
# (theme, width, height, language)
LOOKS: Final = (
    ("light", 1280, 640, "en"),
    ("dark", 1280, 640, "en"),
    ("light", 390, 700, "pl"),
    ("dark", 390, 700, "pl"),
)
_WHOLE: Final = {
    "overview": "/", "attention": "/attention", "start": "/start", "line-items": "/line-items",
    "campaigns": "/campaigns", "line-item": "/line-items/200", "delivery": "/line-items/200/delivery",
    "hours": "/line-items/200/hours",
    "creative": "/creatives/200", "segments": "/segments", "segment": "/segments/200", "new-segment": "/segments/new",
    "reports": "/reports?by=day&by=advertiser&measure=impressions&measure=clicks", "figures": "/figures",
    "explain": "/explain", "live": "/live", "given-up": "/given-up",
    "advertiser": "/advertisers/2", "shop": "/advertisers/2/shop", "customers": "/advertisers/2/customers",
    "exchanges": "/exchanges", "people": "/users", "visitors": "/visitors", "account": "/account", "login": "/login",
}  # fmt: skip
# Pictures take most of their test's time, so these pages have two: one wide and light, one narrow and dark.
FEW: Final = {
    "rates": "/rates", "approvals": "/approvals",
    "connection": "/exchanges/1/traffic", "saved-reports": "/reports/saved",
    "audiences": "/advertisers/2/audiences?segment=200&segment=201&rows=visits.count: 2, 5&columns=last_visit: 1d, 7d",
    "recorded": "/line-items/200/recorded", "forecast": "/line-items/200/forecast",
    "visitor": "/visitors?id=Somebody-with-a-cart-1",
    "forgotten": "/password/forgotten",  # last, since it logs out
}  # fmt: skip
PAGES: Final = _WHOLE | FEW


def looks_of(name: str) -> tuple[tuple[str, int, int, str], ...]:
    """The looks that a page has pictures of."""
    return (LOOKS[0], LOOKS[3]) if name in FEW else LOOKS


@contextlib.asynccontextmanager
async def shown_console(redis_url: str, folder: Path) -> AsyncIterator[Api]:
    """The console of the demo's shops, with a week behind them."""
    clock = ManualClock(NOW_MS)
    journal = JournalFolder(folder / "journal", clock)
    bills, clicks, orders = [], [], []
    for day in range(7):
        for shop, scale in ((1, 5), (2, 9), (3, 3), (4, 7)):
            count = scale * (10 + (day * 3 + shop) % 7)
            of = {
                "bid_id": day * 100 + shop,
                "bid_ms": NOW_MS - day * DAY_MS,
                "advertiser_id": shop,
                "line_item_id": 100 * shop,
            }
            money = {"currency": "PLN", "entry": "bill", "charge_micros": count * 8_000}
            bills.append(list(a_row(BILL, **of, **money, impressions=count)))
            clicks.append(list(a_row(CLICK, **of, at_ms=of["bid_ms"], invalid="")))
            order = {"credit": "click", "entry": "order", "value_micros": count * 90_000, "currency": "PLN"}
            orders.append(list(a_row(CONVERSION, **of, **order, at_ms=of["bid_ms"])))
    kinds = ((BILL, bills), (CLICK, clicks), (CONVERSION, orders))
    journal.converter.write("made", [SegmentFrame(kind.name, kind.names, rows) for kind, rows in kinds])
    journal.archive.note_stored_until(NOW_MS)
    url = f"sqlite+aiosqlite:///{folder / 'grosz.sqlite'}"
    mailer = MailSender(MailSettings(host="mail.example", sender="grosz@mail.example"))
    edge = Edge("http://grosz.example")
    async with running_api(url, redis_url, clock, archive=journal.archive, edge=edge, mailer=mailer) as api:
        await seed_demo(api.store)
        today = calendar("Europe/Warsaw", NOW_MS).day
        ledger = SqlLedgerStore(api.store.database)
        for shop in (1, 2, 3, 4):
            row = a_bill(line_item_id=100 * shop, day=today, charge_micros=shop * 41_000_000, impressions=shop * 5_100)
            await ledger.append(shop, [row])
        await person(api)
        await api.publisher.publish()
        await _visited(redis_url)
        yield api
    journal.close()


async def _visited(redis_url: str) -> None:
    """One visitor of a shop, who left a cart an hour ago and is a member of a segment."""
    now_s, hour_s, user = NOW_MS // 1000, 3_600, "Somebody-with-a-cart-1"
    facts = Facts(
        first_visit_s=now_s - 20 * 24 * hour_s, last_visit_s=now_s - hour_s, visit_start_s=now_s - 2 * hour_s, visits=4,
        pages=23, visit_pages=7, seconds_on_site=1_900, score=31.5, engagement=42, lifecycle=Lifecycle.SALES,
        cart=[CartLine("boots-41", "shoes", 349_000_000, since_s=now_s - hour_s)],
        cart_micros=349_000_000, cart_stage=CartStage.SHIPPING,
        cart_since_s=now_s - hour_s, cart_changed_s=now_s - hour_s, cart_idle_s=now_s - hour_s,
        products=[Product("socks-m", "socks", now_s - 2 * hour_s),
                  Product("boots-41", "shoes", now_s - hour_s, 349_000_000, 3)],
        entries=[Entry(now_s - 2 * hour_s, "google", "organic", phrase="winter boots", path="/boots")],
        attributes={"loyalty_tier": "gold"}, country="POL",
    )  # fmt: skip
    hot = pack_hot(facts, [(200, now_s - hour_s, now_s + 24 * hour_s)], now_s, now_s + 90 * 24 * hour_s)
    async with control_redis(redis_url) as redis:
        await redis.hset(keys.user_profile(user), "2", hot)
        await redis.hset(keys.user_facts(user), "2", pack_cold(facts))


async def _judged(api: Api) -> None:
    """Add what pages about reviews and saved reports show: an exchange that reviews ads, decisions, two reports."""
    owner = await api.caller()
    exchange = {"key": "strict", "name": "Strict SSP", "dialect": "generic", "default_currency": "PLN"}
    reviewing = (await owner.made("/v1/exchanges", {**exchange, "review": "before"}))["id"]
    for creative, state, reason in (
        (100, "approved", ""), (101, "pending", ""), (200, "approved", ""), (201, "rejected", "the logo is too small"),
    ):  # fmt: skip
        decided = {"state": state} | ({"reason": reason} if reason else {})
        answer = await owner.call("PUT", f"/v1/creatives/{creative}/approvals/{reviewing}", decided)
        assert answer.status in (200, 201), answer.body
    for name, dimensions in (("Spending by day", ["day"]), ("Line items of a month", ["line_item", "day"])):
        query = {"dimensions": dimensions, "measures": ["impressions", "clicks", "spend"]}
        report = {"name": name, "advertiser_id": 2, "request": query | {"filters": {"advertiser": [2]}}}
        await owner.made("/v1/reports/saved", report)


async def take(browser: Browser, api: Api, target: Path, names: Collection[str] = PAGES.keys()) -> None:
    """Takes a picture of these pages in every look into `target`."""
    faces = "".join(_face(path) for path in sorted(FONTS.glob("*.woff2")))
    whole, few = [name for name in _WHOLE if name in names], [name for name in FEW if name in names]
    for look in LOOKS:
        await _take(browser, api, target, look, whole, faces)
    if few:
        await _judged(api)  # last, since one more exchange would be seen on other pages
    for look in LOOKS:
        await _take(browser, api, target, look, [name for name in few if look in looks_of(name)], faces)


async def _take(
    browser: Browser, api: Api, target: Path, look: tuple[str, int, int, str], names: Collection[str], faces: str
) -> None:
    if not names:
        return
    theme, width, _, _ = look
    page = await logged_in(browser, api, look)
    for name in names:
        if name in ("login", "forgotten"):
            await page.context.clear_cookies()
        await page.goto(str(api.client.make_url(PAGES[name])))
        await _settle(page, faces)
        file = target / f"{name}-{theme}-{width}.png"
        await page.screenshot(path=file, animations="disabled", caret="hide", mask=[page.locator("[data-unsteady]")])
    await page.context.close()


async def logged_in(browser: Browser, api: Api, look: tuple[str, int, int, str]) -> Page:
    """The console's first page in a browser of its own."""
    theme, width, height, language = look
    context = await browser.new_context(
        bypass_csp=True,  # only for the font, which goes into the page as a style
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
        locale="pl-PL" if language == "pl" else "en-GB",
        timezone_id="UTC",
    )
    page = await context.new_page()
    await page.clock.set_fixed_time(NOW_MS)
    await page.goto(str(api.client.make_url("/login")))
    for name, text in (("email", "ada@szpilka.example"), ("password", PASSWORD)):
        await page.locator(f"[name={name}]").fill(text)
    await page.locator("main button").click()
    await page.wait_for_url(str(api.client.make_url("/")))
    return page


async def _settle(page: Page, faces: str) -> None:
    """Wait for what the page loads by itself, and show it in our font."""
    await page.add_style_tag(content=f"{faces} * {{ font-family: Inter !important; }}")
    await page.wait_for_load_state("networkidle" if "/live" not in page.url else "load")
    await page.evaluate("document.fonts.ready")
    await page.evaluate("document.querySelectorAll('.plot').forEach((one) => one.replaceChildren())")
    await page.evaluate("document.dispatchEvent(new Event('htmx:afterSettle'))")


def _face(path: Path) -> str:
    weight = "700" if "-700-" in path.name else "400"
    letters = "U+0100-02FF, U+1E00-1EFF" if "-ext-" in path.name else "U+0000-00FF, U+2000-20FF, U+2190-21FF, U+25CF"
    text = base64.b64encode(path.read_bytes()).decode()
    source = f"url(data:font/woff2;base64,{text}) format('woff2')"
    return f"@font-face {{ font-family: Inter; font-weight: {weight}; src: {source}; unicode-range: {letters}; }}"


async def launched(playwright: Playwright) -> Browser:
    """The system's Chromium, headless, that draws the same on every machine."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    steady = ["--font-render-hinting=none", "--disable-lcd-text", "--force-device-scale-factor=1"]
    return await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*flags, *steady])


async def renew(names: Collection[str]) -> None:
    """Make the pictures of the documentation; large ones get 256 colours, which takes less than half the bytes."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as own:
        redis = EmbeddedServer(Path(own))
        redis.start()
        try:
            async with shown_console(redis.url, Path(own)) as api, async_playwright() as playwright:
                browser = await launched(playwright)
                await take(browser, api, FOLDER, names)
                await browser.close()
        finally:
            redis.stop()
    for path in FOLDER.glob("*.png"):
        if path.stat().st_size > _LARGE:
            with Image.open(path) as picture:
                fewer = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            fewer.save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(renew(sys.argv[1:] or PAGES.keys()))
