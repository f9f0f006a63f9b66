"""An abandoned cart raises its shop's bid for the same cookie, and a purchase ends it: over HTTP and a real server."""

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.ids import new_user_id
from tests.kit.processes import RunningGrosz, grosz

CART_DELAY_S = 8  # above the seconds that a slow machine may need from event to bid
SHOP, OTHER_SHOP = 1, 2
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)


def shop(number: int) -> dict[str, list[dict[str, Any]]]:
    """A shop that pays 30 PLN a sale, more for its own abandoned carts, and nothing for its buyers."""
    own = {"id": number, "advertiser_id": number, "name": f"shop {number}"}
    domain = f"shop{number}.example"
    return {
        "advertisers": [{"id": number, "name": f"shop {number}", "domain": domain}],
        "campaigns": [own],
        "segments": [{**own, "rule": "purchases.count >= 1"}],
        "creatives": [
            {**own, "width": 300, "height": 250, "html": '<a href="${CLICK_URL}">buy</a>',
             "landing_url": f"https://{domain}/", "advertiser_domain": domain}
        ],
        "line_items": [
            {**own, "campaign_id": number, "goal": "cpa", "creative_ids": [number],
             "bid": {"amount": "30.00"}, "max_cpm": {"amount": "50.00"},
             "cart": {"delay_s": CART_DELAY_S, "rise_s": 1}, "targeting": {"segments_none": [number]}}
        ],
    }  # fmt: skip


def catalogue() -> dict[str, Any]:
    """Two shops; the second is cheaper, so the first wins every auction that it takes part in."""
    first, second = shop(SHOP), shop(OTHER_SHOP)
    second["line_items"][0]["bid"] = {"amount": "10.00"}
    return {
        "format": "grosz-catalogue/1",
        "fx_rates": {"USD": "3.64"},
        "exchanges": [{"id": 1, "key": "demo", "seat": "grosz", "default_currency": "PLN"}],
        **{name: first[name] + second[name] for name in first},
    }


@contextlib.contextmanager
def running_with(published: dict[str, Any], folder: Path) -> Iterator[RunningGrosz]:
    """A server of a catalogue file; its data lies in `data` of the folder."""
    file = folder / "catalogue.json"
    file.write_text(json.dumps(published))
    imported = grosz("catalogue", "import", str(file), "--data", str(folder / "data"))
    assert imported.returncode == 0, imported.stderr
    with RunningGrosz(folder / "data", "--workers", "1") as up:
        yield up


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningGrosz]:
    with running_with(catalogue(), tmp_path) as up:
        yield up


def post(url: str, body: object, **headers: str) -> tuple[int, bytes, str]:
    """Status, body and the cookie that was set."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json", "User-Agent": AGENT, **headers}
    )
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read(), str(response.headers.get("Set-Cookie", ""))
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"{url}: {error.code} {error.read()!r}") from error


class Visitor:
    """A browser that the shop's page and an exchange see."""

    def __init__(self, running: RunningGrosz) -> None:
        self._urls = running.urls
        self.user_id = self._arrive()
        self._bids = 0

    def _arrive(self) -> str:
        url = f"{self._urls['track']}/e/{SHOP}"
        _status, _body, cookie = post(url, self._event("page_view", page="https://shop1.example/"))
        return cookie.split("=", 1)[1].split(";")[0]

    @staticmethod
    def _event(name: str, **members: object) -> dict[str, object]:
        return {"event": name, "gdpr": 0, **members}

    def send(self, name: str, **members: object) -> None:
        url = f"{self._urls['track']}/e/{SHOP}"
        status, _body, _cookie = post(url, self._event(name, **members), Cookie=f"grosz_uid={self.user_id}")
        assert status in (200, 202, 204)

    def bid(self) -> tuple[str, float]:
        """(campaign, price) of the answer to this visitor's impression on a news page; ("", 0.0) for a no-bid."""
        self._bids += 1
        status, body, _cookie = post(
            f"{self._urls['bid']}/openrtb2/demo",
            {
                "id": f"{self.user_id}-{self._bids}", "at": 2, "tmax": 1000, "cur": ["PLN"],
                "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.01, "bidfloorcur": "PLN"}],
                "site": {"domain": "news.example"}, "user": {"buyeruid": self.user_id}, "regs": {"gdpr": 0},
            },
        )  # fmt: skip
        if status == 204:
            return "", 0.0
        bid = json.loads(body)["seatbid"][0]["bid"][0]
        return bid["cid"], bid["price"]

    def bid_until(self, wanted: str, above: float = 0.0) -> float:
        """Ask until the campaign bids above a price; the test's timeout is the bound."""
        while True:
            campaign, price = self.bid()
            if campaign == wanted and price > above:
                return price
            time.sleep(0.05)


class Stranger(Visitor):
    """Somebody whom no shop has seen."""

    def _arrive(self) -> str:
        return new_user_id()


def test_an_abandoned_cart_raises_its_shop_s_bid_until_the_purchase(running: RunningGrosz) -> None:
    plain, shopper = Visitor(running), Visitor(running)
    usual = plain.bid_until(str(SHOP), above=Stranger(running).bid_until(str(SHOP)))
    shopper.send("add_to_cart", currency="PLN", value=640, items=[{"item_id": "boot-1", "price": 640, "quantity": 1}])
    left = time.monotonic()
    filled = shopper.bid_until(str(SHOP), above=usual)  # a cart makes a sale likelier at once
    raised = shopper.bid_until(str(SHOP), above=filled * 1.4)  # its value counts once it is abandoned
    assert time.monotonic() - left >= CART_DELAY_S - 1.0, "times are whole seconds"
    assert raised > filled > usual
    campaign, price = plain.bid()
    assert campaign == str(SHOP)
    assert price == pytest.approx(usual, rel=0.2)

    shopper.send(
        "purchase", transaction_id="t-1", currency="PLN", value=640,
        items=[{"item_id": "boot-1", "price": 640, "quantity": 1}],
    )  # fmt: skip
    shopper.bid_until(str(OTHER_SHOP))
    assert {shopper.bid()[0] for _ in range(5)} == {str(OTHER_SHOP)}, "a buyer hears of the shop no more"
    assert plain.bid()[0] == str(SHOP)
