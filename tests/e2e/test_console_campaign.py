"""From the set-up link to money in the browser: a shop of one's own, its cart campaign, a visitor, a bid, a sale."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from admin.console.words import words_of
from tests.kit.agents import PERSON
from tests.kit.console_browser import Hands, open_browser
from tests.kit.processes import RunningGrosz, grosz

pytestmark = [pytest.mark.needs_package("chromium"), pytest.mark.slow]

PASSWORD = "correct horse battery"
Text = Callable[[str], str]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningGrosz]:
    with RunningGrosz(tmp_path / "data", "--seed", "demo", "--workers", "1") as up:
        yield up


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = open_browser(playwright)
        yield found
        found.close()


def send(url: str, body: object = None, cookie: str = "") -> tuple[int, bytes, str]:
    """Status, body and the cookie that was set."""
    headers = {"Content-Type": "application/json", "User-Agent": PERSON} | ({"Cookie": cookie} if cookie else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        return answer.status, answer.read(), str(answer.headers.get("Set-Cookie", ""))


class Shopper:
    """Leaves a cart in the shop, reads the news, sees the ad, comes back and buys."""

    def __init__(self, running: RunningGrosz, advertiser: int) -> None:
        self._urls, self._events = running.urls, f"{running.urls['track']}/e/{advertiser}"
        cookie = self._visit()
        self.user_id = cookie.split("=", 1)[1].split(";")[0]

    def _visit(self) -> str:
        """The cookie that the first page sets, once the tracker has heard of the new shop."""
        while True:  # the test's timeout is the bound
            try:
                return send(self._events, {"event": "page_view", "gdpr": 0, "page": "https://obcas.example/"})[2]
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.NOT_FOUND:
                    raise
            time.sleep(0.1)

    def shop(self, event: str, **members: object) -> None:
        send(self._events, {"event": event, "gdpr": 0, **members}, f"grosz_uid={self.user_id}")

    def request(self, number: int) -> dict[str, Any]:
        return {
            "id": f"r{number}", "at": 1, "tmax": 1000, "cur": ["PLN"],
            "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.01, "bidfloorcur": "PLN"}],
            "site": {"domain": "news.example"}, "user": {"buyeruid": self.user_id}, "regs": {"gdpr": 0},
        }  # fmt: skip

    def bid_of(self, campaign: str) -> dict[str, Any]:
        """The first bid of the campaign; the test's timeout is the bound."""
        number = 0
        while True:
            number += 1
            status, body, _ = send(f"{self._urls['bid']}/openrtb2/demo", self.request(number))
            bid: dict[str, Any] = json.loads(body)["seatbid"][0]["bid"][0] if status == 200 else {}
            if bid.get("cid") == campaign:
                return bid
            time.sleep(0.1)


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("pl", 390)])
def test_a_campaign_from_the_setup_link_to_a_sale(
    running: RunningGrosz, browser: Browser, tmp_path: Path, language: str, width: int
) -> None:
    """At most 25 clicks and 6 values beyond who one is, until the bid."""
    text = words_of(language).text
    locale = {"en": "en-GB", "pl": "pl-PL"}[language]
    page = browser.new_context(locale=locale, viewport={"width": width, "height": 900}).new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    hands = Hands(page)
    line_item = make_campaign(page, hands, setup_link(running, tmp_path / "data"), text)
    assert hands.clicks <= 25
    assert hands.typed <= 6
    owner = page.request.get(f"{running.urls['admin']}/v1/line-items/{line_item}").json()
    shopper = Shopper(running, owner["advertiser_id"])
    boot = {"item_id": "boot-1", "price": 640, "quantity": 1}
    shopper.shop("add_to_cart", currency="PLN", value=640, items=[boot])
    bid = shopper.bid_of(str(owner["campaign_id"]))
    charge(running, bid)
    shopper.shop("purchase", transaction_id="t-1", currency="PLN", value=640, items=[boot])
    see_delivery(page, running, line_item, text)
    see_explanation(page, running, shopper, line_item, text)
    see_conversion(page, running, owner["advertiser_id"], text)
    assert errors == []


def setup_link(running: RunningGrosz, data: Path) -> str:
    printed = grosz("setup-link", "--data", str(data)).stdout.split()[-1]
    return running.urls["admin"] + "/setup?" + printed.partition("?")[2]


def make_campaign(page: Page, hands: Hands, link: str, text: Text) -> int:
    """The id of the line item that a person makes, who has nothing but the link."""
    page.goto(link)
    page.get_by_label(text("Your name")).fill("Ada")
    page.get_by_label(text("E-mail address")).fill("ada@shop.example")
    page.get_by_label(text("Password, twelve characters or more")).fill(PASSWORD)
    hands.click(page.get_by_role("button", name=text("Create the administrator")))
    hands.click(page.get_by_role("button", name=text("New campaign")))
    hands.click(page.locator("#advertiser_id"))
    page.locator("#advertiser_id").select_option("new")
    hands.type(page.locator("#shop"), "Obcas")
    hands.type(page.locator("#bid"), "30,00" if page.locator("html").get_attribute("lang") == "pl" else "30.00")
    hands.type(page.locator("#daily_budget"), "200")
    hands.type(page.locator("#p-cart_abandoners-delay"), "2s")
    hands.type(page.locator("#image_url"), "https://obcas.example/ad.png")
    hands.type(page.locator("#landing_url"), "https://obcas.example/koszyk")
    hands.click(page.get_by_role("button", name=text("Review")))
    hands.click(page.locator("main details:has(code) > summary"))
    assert "2s" in page.inner_text("main code")
    hands.click(page.get_by_role("button", name=text("Start the campaign")))
    page.wait_for_url("**/delivery*")
    return int(page.url.split("/")[-2])


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


def see_explanation(page: Page, running: RunningGrosz, shopper: Shopper, line_item: int, text: Text) -> None:
    """Why the line item bids on this visitor's request, or no longer."""
    page.goto(f"{running.urls['admin']}/explain?line_item_id={line_item}")
    page.locator("[name=exchange]").fill("demo")
    page.locator("[name=request]").fill(json.dumps(shopper.request(0)))
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
