"""From the set-up link to money in the browser, with nothing there before.

A shop of one's own, whose pages have the code that the console shows, its cart campaign, an exchange, a bid, a sale.
"""

import http.client
import http.server
import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from admin.console.words import words_of
from tests.kit.agents import PERSON
from tests.kit.console_browser import Hands, open_browser
from tests.kit.media import picture
from tests.kit.processes import RunningGrosz, grosz

pytestmark = [pytest.mark.needs_package("chromium"), pytest.mark.slow]

PASSWORD = "correct horse battery"
Text = Callable[[str], str]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningGrosz]:
    """A new installation: no advertiser, no exchange, no rate."""
    with RunningGrosz(tmp_path / "data", "--workers", "1") as up:
        yield up


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = open_browser(playwright)
        yield found
        found.close()


class ShopSite:
    """The pages of a shop on this machine; each has the markup that was put into it."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = f"<!doctype html><title>shop</title>{site.pages.get(self.path, '')}".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[ShopSite]:
    made = ShopSite()
    yield made
    made.close()


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("pl", 390)])
def test_a_campaign_from_the_setup_link_to_a_sale(
    running: RunningGrosz, browser: Browser, site: ShopSite, tmp_path: Path, language: str, width: int
) -> None:
    """At most 25 clicks and 6 values until the bid, one's own name, address and password among them."""
    text = words_of(language).text
    locale = {"en": "en-GB", "pl": "pl-PL"}[language]
    context = browser.new_context(locale=locale, viewport={"width": width, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    hands = Hands(page)
    line_item = make_campaign(page, hands, setup_link(running, tmp_path / "data"), site, text)
    copy_the_code(browser, page, hands, site, text)
    visitor = visit(browser, site, ("/", "/koszyk"))
    bid, request = first_bid(page, hands, text)
    counted = (hands.clicks, hands.typed)
    assert hands.clicks <= 25, counted
    assert hands.typed <= 6, counted
    owner = page.request.get(f"{running.urls['admin']}/v1/line-items/{line_item}").json()
    assert bid["cid"] == str(owner["campaign_id"])
    charge(running, bid)
    visitor.new_page().goto(f"http://{site.host}/dziekujemy")
    see_delivery(page, running, line_item, text)
    see_explanation(page, running, request, line_item, text)
    see_conversion(page, running, owner["advertiser_id"], text)
    refused = "Failed to load resource: the server responded with a status of 422 (Unprocessable Entity)"
    assert errors == [refused], "the form that was sent empty, and nothing else"


def setup_link(running: RunningGrosz, data: Path) -> str:
    printed = grosz("setup-link", "--data", str(data)).stdout.split()[-1]
    return running.urls["admin"] + "/setup?" + printed.partition("?")[2]


def in_view(page: Page, selector: str) -> bool:
    """Whether the beginning of an element is to be seen without scrolling."""
    place = page.locator(selector).bounding_box()
    height = page.viewport_size["height"] if page.viewport_size else 0
    return place is not None and -1 <= place["y"] < height


def make_campaign(page: Page, hands: Hands, link: str, site: ShopSite, text: Text) -> int:
    """The id of the line item that a person makes, who has nothing but the link."""
    page.goto(link)
    hands.type(page.get_by_label(text("Your name")), "Ada")
    hands.type(page.get_by_label(text("E-mail address")), "ada@shop.example")
    hands.type(page.get_by_label(text("Password, twelve characters or more")), PASSWORD)
    hands.click(page.get_by_role("button", name=text("Create the administrator")))
    hands.click(page.get_by_role("button", name=text("New campaign")))
    hands.click(page.get_by_role("button", name=text("Review")))
    page.locator("#result .problem").wait_for()
    assert in_view(page, "#result")
    assert page.locator("[aria-invalid=true]").count() == 2
    hands.type(page.locator("#landing_url"), f"{site.host}/koszyk")
    hands.type(page.locator("#p-cart_abandoners-delay"), "2s")
    hands.clicks += 2  # the button of the file and the file itself
    page.locator("#picture").set_input_files(
        {"name": "ad.png", "mimeType": "image/png", "buffer": picture(size=(336, 280))}
    )
    page.locator("#picture-said", has_text="336x280").wait_for()
    assert page.locator("#size").input_value() == "336x280"
    hands.click(page.get_by_role("button", name=text("Review")))
    page.locator("#result.done").wait_for()
    assert in_view(page, "#result")
    assert "127.0.0.1" in page.inner_text("#result")
    hands.click(page.get_by_role("button", name=text("Start the campaign")))
    page.wait_for_url("**/delivery*")
    page.locator("#next").wait_for()
    assert in_view(page, "#next")
    page.wait_for_selector("[hx-get$='/findings'] .box")
    alarms = page.locator("[hx-get$='/findings'] .box.problem").all_inner_texts()
    assert len(alarms) == 1, "there is no exchange; that nobody is in the audience yet is no fault"
    assert page.locator("[hx-get$='/findings'] .box.note").count() >= 1
    return int(page.url.split("/")[-2])


def copy_the_code(browser: Browser, page: Page, hands: Hands, site: ShopSite, text: Text) -> None:
    """Puts what the buttons copy into the shop's pages: on each one, and the cart's and the order's on their own."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    hands.click(page.get_by_role("link", name=text("The code for the pages")))
    buttons = page.locator("#code").get_by_role("button", name=text("Copy"), exact=True)
    assert buttons.count() == 7
    copied = []
    for at in (0, 2, 4, 5):  # every page, the cart, the order, and that there is no consent platform
        hands.click(page.locator("#code .copy").nth(at))
        page.locator("#code .copy").nth(at).filter(has_text=text("Copied")).wait_for()
        copied.append(page.evaluate("navigator.clipboard.readText()"))
    every, cart, order, consent = copied
    site.pages |= {"/": every, "/koszyk": every + cart, "/dziekujemy": consent + every + order}
    visit(browser, site, ("/koszyk",))
    while not page.locator("[role=alert] a[href='#consent']").count():  # the test's timeout is the bound
        page.wait_for_timeout(200)
        page.reload()
    site.pages |= {"/": consent + every, "/koszyk": consent + every + cart}


def visit(browser: Browser, site: ShopSite, paths: tuple[str, ...]) -> BrowserContext:
    """A visitor who has looked at these pages of the shop."""
    visitor = browser.new_context(user_agent=PERSON)
    page = visitor.new_page()
    for path in paths:
        with page.expect_response("**/e/*"):
            page.goto(f"http://{site.host}{path}")
    page.close()
    return visitor


def first_bid(page: Page, hands: Hands, text: Text) -> tuple[dict[str, Any], str]:
    """Connects an exchange, and sends the request that its page shows, until it is bid on: the bid and the request."""
    page.go_back()
    hands.clicks += 1
    hands.click(page.get_by_role("link", name=text("New exchange")).first)
    hands.click(page.get_by_role("button", name=text("Save")))
    page.wait_for_url("**/traffic?saved")
    while True:  # the test's timeout is the bound
        command = str(page.locator("pre").last.text_content())
        if "buyeruid" in command:
            ran = subprocess.run(["bash", "-c", f"{command} --silent"], capture_output=True, text=True, check=True)
            head, _, body = ran.stdout.partition("\n\n")  # text mode has made the header's line ends plain
            if " 200 " in head.splitlines()[0]:
                return json.loads(body)["seatbid"][0]["bid"][0], command.partition("-d '")[2].removesuffix("'")
        page.wait_for_timeout(300)
        page.reload()


def send(url: str) -> None:
    """A notice of the exchange."""
    with urllib.request.urlopen(urllib.request.Request(url, headers={"User-Agent": PERSON})) as answer:
        assert answer.status < 300


def charge(running: RunningGrosz, bid: dict[str, Any]) -> None:
    """The exchange's notices of a won impression, the impression itself, and the click."""
    for name in ("nurl", "burl"):
        if bid.get(name):
            send(bid[name].replace("${AUCTION_PRICE}", f"{bid['price']:.4f}"))
    click = bid["adm"].partition('href="')[2].partition('"')[0].replace("&amp;", "&")
    place = urlsplit(click)
    connection = http.client.HTTPConnection(place.netloc)  # follows no redirect: the shop's landing page is nowhere
    connection.request("GET", f"{place.path}?{place.query}", headers={"User-Agent": PERSON})
    assert connection.getresponse().status == 302
    connection.close()
    assert running.process.poll() is None


def see_delivery(page: Page, running: RunningGrosz, line_item: int, text: Text) -> None:
    """Spend and the funnel on the line item's page; they are there within seconds."""
    while True:
        page.goto(f"{running.urls['admin']}/line-items/{line_item}/delivery")
        budgets = page.get_by_role("region", name=text("Budgets"))
        clicks = page.locator(".funnel dd").nth(4)
        if budgets.locator("tbody td").count() > 4 and clicks.count() and clicks.inner_text().strip() == "1":
            break
        time.sleep(0.5)
    assert [page.locator(".funnel dd").nth(at).inner_text().strip() for at in (2, 3)] == ["1", "1"]
    page.locator(".plot canvas").first.wait_for()


def see_explanation(page: Page, running: RunningGrosz, request: str, line_item: int, text: Text) -> None:
    """Why the line item bids on this visitor's request, or no longer."""
    page.goto(f"{running.urls['admin']}/explain?line_item_id={line_item}")
    page.locator("[name=exchange]").select_option(label=f"{text('Exchange')} 1")
    page.locator("[name=request]").fill(request)
    page.get_by_role("button", name=text("Explain"), exact=True).click()
    page.get_by_role("table").locator(f"a[href='/line-items/{line_item}']").wait_for()


def see_conversion(page: Page, running: RunningGrosz, advertiser: int, text: Text) -> None:
    """The sale in a report: it is there once the journal has stored it."""
    query = f"by=advertiser&measure=conversions&measure=revenue&only=advertiser&values={advertiser}"
    while True:
        page.goto(f"{running.urls['admin']}/reports?{query}")
        rows = page.locator("main tbody tr")
        if rows.count() and "640" in rows.first.inner_text():
            break
        time.sleep(1)
    assert text("Conversions") in page.inner_text("main thead")
