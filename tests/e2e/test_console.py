"""The console in a real browser: from the set-up link to a delivering campaign, and every page against WCAG 2.2 AA."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from admin.console.kinds import PAGES
from tests.kit.console_browser import Hands, faults_of, open_browser, sniffed
from tests.kit.fixtures import REPOSITORY
from tests.kit.peers import packages_of
from tests.kit.processes import RunningGrosz, grosz

pytestmark = [pytest.mark.needs_package("chromium"), pytest.mark.slow]

AXE = gzip.decompress((REPOSITORY / "tests/vendored/axe-core-4.11.0.gz").read_bytes()).decode()
PASSWORD = "correct horse battery"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningGrosz]:
    mail = {
        "GROSZ_MAIL_HOST": "127.0.0.1",
        "GROSZ_MAIL_SENDER": "a@x.example",
        "GROSZ_ADMIN_PUBLIC_URL": "http://x.example",
    }
    with RunningGrosz(tmp_path / "data", "--seed", "demo", environ=mail) as up:
        yield up


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = open_browser(playwright)
        yield found
        found.close()


def setup_link(running: RunningGrosz, data: Path) -> str:
    """The way in that `grosz setup-link` prints, at the port that this test's admin has."""
    printed = grosz("setup-link", "--data", str(data)).stdout.split()[-1]
    return running.urls["admin"] + "/setup?" + printed.partition("?")[2]


def enter(page: Page, link: str) -> None:
    """Makes the first administrator, who is logged in then."""
    page.goto(link)
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("E-mail address").fill("ada@shop.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create the administrator").click()
    page.wait_for_selector("h1:text('Overview')")


def test_from_the_setup_link_to_a_campaign_of_ones_own(running: RunningGrosz, browser: Browser, tmp_path: Path) -> None:
    """At most 25 clicks and 6 values beyond who one is."""
    page = browser.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    enter(page, setup_link(running, tmp_path / "data"))
    hands = Hands(page)
    hands.click(page.get_by_role("button", name="New campaign"))
    hands.click(page.locator("#advertiser_id"))
    page.locator("#advertiser_id").select_option(label="Szpilka")
    hands.type(page.locator("#name"), "Carts of autumn")
    hands.type(page.locator("#bid"), "1,50")
    hands.type(page.locator("#daily_budget"), "200")
    hands.type(page.locator("#p-cart_abandoners-at_least"), "500")
    hands.type(page.locator("#image_url"), "https://szpilka.example/ad.png")
    hands.type(page.locator("#landing_url"), "https://szpilka.example/koszyk")
    hands.click(page.get_by_role("button", name="Review"))
    assert "500" in page.inner_text("main")  # the audience in words
    assert "cart.value >= 500" in (page.text_content("main") or "")  # its rule stands behind them, closed
    hands.click(page.get_by_role("button", name="Start the campaign"))
    page.wait_for_selector("h1:text('Carts of autumn')")
    assert hands.clicks <= 25
    assert hands.typed <= 6
    assert errors == []
    hands.click(page.get_by_role("link", name="Line items").first)
    cell = page.get_by_label("Bid: Carts of autumn")
    cell.fill("1.75")
    cell.press("Tab")
    page.wait_for_selector("[aria-label='Bid: Carts of autumn'][aria-invalid=false]")
    page.reload()
    assert page.get_by_label("Bid: Carts of autumn").input_value() == "1.75"
    assert errors == []


HOSTILE_AD = """<a href="${CLICK_URL}">ad</a><p id="told"></p><script>
const told = [], place = document.getElementById("told");
const tried = (name, what) => { try { what(); told.push(name); } catch { told.push("no " + name); } };
tried("cookie", () => document.cookie);
tried("storage", () => localStorage.length);
tried("page", () => parent.document.title);
tried("top", () => { if (top === self) throw 0; top.location = "/line-items"; });
fetch("/v1/users").then(() => told.push("fetch"), () => told.push("no fetch"))
  .then(() => { place.textContent = told.join(", "); });
</script>"""


def test_a_hostile_ad_reaches_nothing_of_the_console(running: RunningGrosz, browser: Browser, tmp_path: Path) -> None:
    """In the frame of its creative's page, and opened by its own address."""
    page = browser.new_page()
    enter(page, setup_link(running, tmp_path / "data"))
    base = running.urls["admin"]
    page.goto(f"{base}/creatives/new")
    page.get_by_label("Advertiser").first.select_option(label="Szpilka")
    page.get_by_label("Name").first.fill("hostile")
    page.get_by_label("Width").fill("300")
    page.get_by_label("Height").fill("250")
    page.get_by_label("Markup").fill(HOSTILE_AD)
    page.get_by_label("Landing page").fill("https://szpilka.example/")
    page.get_by_label("Domain of the advertiser").fill("szpilka.example")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("text=Saved.")
    own = page.url.partition("?")[0]
    page.locator("iframe.ad").scroll_into_view_if_needed()
    nothing = "no cookie, no storage, no page, no top, no fetch"
    told = page.frame_locator("iframe.ad").locator("#told")
    told.filter(has_text="fetch").wait_for()
    assert told.text_content() == nothing
    assert page.url.startswith(own)
    page.goto(f"{own}/ad")
    page.locator("#told").filter(has_text="fetch").wait_for()
    alone = str(page.locator("#told").text_content())
    assert alone.startswith("no cookie, no storage")
    assert alone.endswith("no fetch")


def test_the_question_mark_tells_the_keys(running: RunningGrosz, browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    enter(page, setup_link(running, tmp_path / "data"))
    page.goto(running.urls["admin"] + "/line-items")
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("e")
    assert page.evaluate("document.activeElement.name") == "bid"
    page.keyboard.press("?")  # a text is typed: it is no key
    assert not page.locator("dialog[open]").count()
    page.keyboard.press("Escape")


@pytest.mark.timeout(600)  # two checkers look at some eighty pages
@pytest.mark.parametrize(("scheme", "width", "language"), [("light", 1280, "en"), ("dark", 390, "pl")])
def test_every_page_is_accessible_and_fits(
    running: RunningGrosz, browser: Browser, tmp_path: Path, scheme: str, width: int, language: str
) -> None:
    sniffer = (packages_of("html") / "html_codesniffer/build/HTMLCS.js").read_text()
    context = browser.new_context(
        bypass_csp=True,  # for axe and the sniffer alone, which are put into the page as scripts
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 900},
        reduced_motion="reduce",
    )
    page = context.new_page()
    base = running.urls["admin"]
    page.goto(setup_link(running, tmp_path / "data"))
    found = {"/setup": faults_of(page, AXE) + sniffed(page, sniffer)}
    enter(page, page.url)
    context.add_cookies([{"name": "grosz_language", "value": language, "url": base}])
    for path in _paths(context, base):
        page.goto(base + path)
        assert page.locator("html").get_attribute("lang") == language
        found[path] = faults_of(page, AXE) + sniffed(page, sniffer)
    context.clear_cookies(name=re.compile("session"))
    for path in ("/login", "/password/forgotten", "/password?token=used"):
        page.goto(base + path)
        assert urlsplit(page.url).path == urlsplit(path).path
        found[path] = faults_of(page, AXE) + sniffed(page, sniffer)
    assert {path: faults for path, faults in found.items() if faults} == {}


def _paths(context: BrowserContext, base: str) -> list[str]:
    """Every page, with one object of each kind that has any."""
    page = context.new_page()
    paths = ["/", "/attention", "/explain", "/start", "/account", "/reports", "/figures", "/live", "/given-up"]
    paths += ["/rates", "/approvals", "/reports/saved", "/reports/saved?query=by%3Dday%26measure%3Dclicks"]
    paths += [f"/{name}" for name in PAGES]
    for name in PAGES:
        page.goto(f"{base}/{name}")
        first = page.locator("tbody td > a").first
        paths += [f"/{name}/new"] + ([str(first.get_attribute("href"))] if first.count() else [])
    crossed = "audiences?rows=visits.count: 2&columns=last_visit: 1d"
    parts = {
        "line-items": ("delivery", "hours", "findings", "recorded", "forecast"),
        "advertisers": ("shop", "customers", "audiences", crossed),
        "exchanges": ("traffic",),
        "feeds": ("runs",),
    }
    for path in list(paths):
        _, kind, *rest = path.split("/")
        paths += [f"{path}/{part}" for part in parts.get(kind, ()) if rest and rest[0].isdigit()]
    page.close()
    return [*paths, "/visitors", f"/visitors?id={'A' * 22}"]
