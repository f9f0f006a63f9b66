"""A banner shows what its visitor left in the cart, at today's prices: over HTTP, from the feed to the click."""

import html
import http.client
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from core.ids import new_user_id
from creatives.products.following import HEADS_S
from tests.kit.guides import make_key
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.waiting import wait_until

AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)
SHOP, OTHER = 1, 2
LOADED, INLINE = (300, 250), (728, 90)  # sizes whose ads are filled when shown, and in the bid
NAMES = ("heels", "boots", "bag", "belt", "socks", "scarf")
FOUND_S, MODEL_S = 40.0, 90.0
# What is changed by the API is in force within a second, where other tests do not have the processor: long before the
# products are looked at anyway.
STOCK_S = HEADS_S / 3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def feed(shop: int) -> str:
    rows = [
        f"{name}-{shop},{name.title()} {shop},https://shop{shop}.example/{name}?v=1,https://shop{shop}.example/{name}.jpg,"
        f"{100 + place}.00 PLN,in stock,{name}s"
        for place, name in enumerate(NAMES)
    ]
    return "\n".join(("id,title,link,image_link,price,availability,product_type", *rows))


def shop(number: int) -> dict[str, list[dict[str, Any]]]:
    own = {"advertiser_id": number, "name": f"shop {number}"}
    domain = f"shop{number}.example"
    look = {"name": "grid", "parameters": {"shop": f"Shop {number}"}}
    choice = {"strategies": ["cart", "last_visit", "complementary"], "count": 3}

    def ad(creative: int, size: tuple[int, int], **members: str) -> dict[str, Any]:
        return {
            **own, "id": creative, "width": size[0], "height": size[1], "landing_url": f"https://{domain}/",
            "advertiser_domain": domain, "language": "pl", "products": choice, "template": {**look, **members},
        }  # fmt: skip

    return {
        "advertisers": [{"id": number, "name": f"shop {number}", "domain": domain}],
        "campaigns": [{**own, "id": number}],
        "segments": [{**own, "id": number, "rule": "visits.count >= 1"}],
        "creatives": [ad(10 * number, LOADED), ad(10 * number + 1, INLINE, delivery="inline")],
        "line_items": [
            {**own, "id": number, "campaign_id": number, "goal": "cpm", "creative_ids": [10 * number, 10 * number + 1],
             "bid": {"amount": f"{40 - number}.00"}, "max_cpm": {"amount": "50.00"},
             "targeting": {"segments_any": [number]}}
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Site"]:
    folder = tmp_path_factory.mktemp("dynamic")
    first, second = shop(SHOP), shop(OTHER)
    catalogue = {
        "format": "grosz-catalogue/1",
        "exchanges": [{"id": 1, "key": "demo", "seat": "grosz", "default_currency": "PLN"}],
        **{name: first[name] + second[name] for name in first},
    }
    (folder / "catalogue.json").write_text(json.dumps(catalogue))
    imported = grosz("catalogue", "import", str(folder / "catalogue.json"), "--data", str(folder / "data"))
    assert imported.returncode == 0, imported.stderr
    with RunningGrosz(folder / "data", "--workers", "1") as running:
        up = Site(running, make_key(running, folder / "data"))
        _buy_together(up)
        for number in (SHOP, OTHER):
            up.feeds[number] = json.loads(up.api("POST", "feeds", {"advertiser_id": number, "name": "all"}))["id"]
            _load_feed(up, number)
        yield up


def _load_feed(up: "Site", number: int) -> None:
    answer = json.loads(up.api("PUT", f"feeds/{up.feeds[number]}/content", feed(number).encode()))
    assert (answer["outcome"], answer["products"]) == ("loaded", len(NAMES))


def _buy_together(up: "Site") -> None:
    """Others have bought socks with their boots: known before the feed is, so that the first model has it."""
    for order in range(4):
        buyer = Visitor(up, SHOP)
        buyer.send("purchase", items=["boots", "socks"], transaction_id=f"other-{order}", value=200)


class Page(NamedTuple):
    """An ad that was loaded."""

    text: str
    headers: dict[str, str]

    @property
    def products(self) -> list[str]:
        return [html.unescape(each).strip() for each in re.findall(r'class="title"[^>]*>([^<]*)<', self.text)]

    @property
    def prices(self) -> list[str]:
        return [
            html.unescape(each).replace("\u00a0", " ")
            for each in re.findall(r'class="price [^"]*">([^<]*)<', self.text)
        ]

    @property
    def clicks(self) -> list[str]:
        return [html.unescape(each) for each in re.findall(r'class="product" href="([^"]*)"', self.text)]


class Site:
    """A running Grosz with two shops."""

    def __init__(self, running: RunningGrosz, key: str) -> None:
        self.urls = running.urls
        self.feeds: dict[int, int] = {}
        self.bid_made: dict[str, Any] = {}
        self._key = key

    def api(self, method: str, path: str, body: object) -> bytes:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.urls['admin']}/v1/{path}", data, headers, method=method)
        with urllib.request.urlopen(request) as response:
            return bytes(response.read())

    def bid(self, user_id: str, size: tuple[int, int], number: int = 0) -> str:
        """The markup of the bid for an impression; "" for a no-bid."""
        body = {
            "id": f"{user_id}-{number}", "at": 2, "tmax": 1000, "cur": ["PLN"],
            "imp": [{"id": "1", "banner": {"w": size[0], "h": size[1]}, "bidfloor": 0.01, "bidfloorcur": "PLN"}],
            "site": {"domain": "news.example"}, "user": {"buyeruid": user_id}, "regs": {"gdpr": 0},
        }  # fmt: skip
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.urls['bid']}/openrtb2/demo", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as response:
            answer = response.read()
        if not answer:
            return ""
        self.bid_made = json.loads(answer)["seatbid"][0]["bid"][0]
        return str(self.bid_made["adm"])

    def bill(self) -> None:
        """The exchange says that the last bid was shown."""
        address = self.bid_made["burl"].replace("${AUCTION_PRICE}", "1.00")
        with urllib.request.urlopen(urllib.request.Request(address, headers={"User-Agent": AGENT})) as response:
            assert response.status in (200, 204)

    def load(self, markup: str, cookie: str = "", **headers: str) -> Page:
        """What the frame in a bid's markup loads."""
        found = re.search(r'<iframe src="([^"]*)"', markup)
        assert found is not None, markup
        sent = {"User-Agent": AGENT, **({"Cookie": f"grosz_uid={cookie}"} if cookie else {}), **headers}
        with urllib.request.urlopen(urllib.request.Request(html.unescape(found[1]), headers=sent)) as response:
            return Page(response.read().decode(), dict(response.headers))


class Visitor:
    """A browser at one shop."""

    def __init__(self, site: Site, number: int) -> None:
        self._site, self._shop, self._bids = site, number, 0
        self.user_id = new_user_id()
        self.send("page_view", page=f"https://shop{number}.example/")

    def send(self, event: str, items: list[str] = [], **members: object) -> None:  # noqa: B006 - it is only read
        listed = [{"item_id": f"{name}-{self._shop}", "item_category": f"{name}s", "price": 100} for name in items]
        body = {"event": event, "gdpr": 0, "currency": "PLN", **members, **({"items": listed} if items else {})}
        headers = {"Content-Type": "application/json", "User-Agent": AGENT, "Cookie": f"grosz_uid={self.user_id}"}
        url = f"{self._site.urls['track']}/e/{self._shop}"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as response:
            assert response.status in (200, 202, 204)

    def bid(self, size: tuple[int, int] = LOADED) -> str:
        self._bids += 1
        return self._site.bid(self.user_id, size, self._bids)

    def ad(self, cookie: str = "") -> Page:
        """The ad of the next bid."""
        return self._site.load(wait_until(self.bid), cookie)


def with_cart(site: Site) -> Visitor:
    visitor = Visitor(site, SHOP)
    visitor.send("view_item", items=["bag"])
    visitor.send("add_to_cart", items=["heels"])
    visitor.send("add_to_cart", items=["boots"])
    wait_until(lambda: set(visitor.ad().products) >= {"Heels 1", "Boots 1", "Bag 1"})
    return visitor


def test_the_next_bid_shows_the_cart_and_a_click_leads_to_the_product(site: Site) -> None:
    visitor = with_cart(site)
    page = visitor.ad()
    assert page.headers["Cache-Control"] == "no-store, private"
    assert "sandbox" in page.headers["Content-Security-Policy"]
    assert dict(zip(page.products, page.prices, strict=True)) == {
        "Heels 1": "100,00 zł", "Boots 1": "101,00 zł", "Bag 1": "102,00 zł"
    }  # fmt: skip
    place = page.products.index("Boots 1")
    opened = _landing(page.clicks[place])
    assert opened.startswith("https://shop1.example/boots?v=1&utm_source=grosz&")
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(opened).query)["utm_term"] == ["boots-1"]
    # The same link with another page, or for another product, is refused.
    for part in ("to=https%3A%2F%2Fevil.example%2F", "i=heels-1"):
        name = part.partition("=")[0]
        assert not _landing(re.sub(rf"(?<=[?&]){name}=[^&]*", part, page.clicks[place]))


def _landing(url: str) -> str:
    """Where a click leads; "" where it leads nowhere."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("GET", f"{parts.path}?{parts.query}", headers={"User-Agent": AGENT})
    location = connection.getresponse().getheader("Location") or ""
    connection.close()
    return location


def test_prices_and_stock_are_those_of_the_moment_in_both_ways(site: Site) -> None:
    visitor = with_cart(site)
    wait_until(lambda: "Boots 1" in visitor.bid(INLINE))
    markup = wait_until(visitor.bid)  # before the change: what is loaded later knows better
    change = {"products": [{"id": "heels-1", "sale_price": {"amount": "79.90"}}]}
    site.api("PATCH", f"advertisers/{SHOP}/products", change)
    wait_until(lambda: "79,90 zł" in site.load(markup).prices, STOCK_S)
    wait_until(lambda: "79,90" in visitor.bid(INLINE), FOUND_S)
    site.api("PATCH", f"advertisers/{SHOP}/products", {"products": [{"id": "boots-1", "availability": "out_of_stock"}]})
    wait_until(lambda: "Boots 1" not in site.load(markup).products, STOCK_S)
    wait_until(lambda: "Boots 1" not in visitor.bid(INLINE), STOCK_S)
    assert "Heels 1" in site.load(markup).products
    _load_feed(site, SHOP)  # what the other tests expect
    wait_until(lambda: "100,00 zł" in visitor.ad().prices and "Boots 1" in visitor.ad().products, MODEL_S)


def test_after_the_purchase_complementary_products_appear(site: Site) -> None:
    visitor = with_cart(site)
    visitor.send("purchase", items=["heels", "boots"], transaction_id=visitor.user_id, value=201)
    page = wait_until(lambda: page if "Socks 1" in (page := visitor.ad()).products else None, MODEL_S)
    assert not {"Heels 1", "Boots 1"} & set(page.products)


def test_reports_tell_the_products_that_were_shown_and_clicked_in_both_ways(site: Site) -> None:
    visitor = with_cart(site)
    of_creative = {LOADED: 10 * SHOP, INLINE: 10 * SHOP + 1}
    before = _counted_until_now(site)
    for size in of_creative:
        markup = wait_until(visitor.bid) if size == LOADED else wait_until(lambda: _with_heels(visitor.bid(INLINE)))
        site.bill()
        loads = [site.load(markup) for _ in range(2)] if size == LOADED else [Page(html.unescape(markup), {})]
        page = loads[0]  # loaded again it is the same ad
        clicked = next(each for each in page.clicks if "i=heels-1&" in each)
        assert _landing(clicked).startswith("https://shop1.example/heels")

    def told() -> bool:
        now = _counted(site)[1]
        return all(
            now.get((creative, product), (0, 0))[0] > before.get((creative, product), (0, 0))[0]
            and now[creative, product][1] - before.get((creative, product), (0, 0))[1] == (product == "heels-1")
            for creative in of_creative.values()
            for product in ("heels-1", "boots-1")
        )

    wait_until(told, 60.0)


def _with_heels(markup: str) -> str:
    return markup if "Heels 1" in markup and "Boots 1" in markup else ""


def _counted_until_now(site: Site) -> dict[tuple[int, str], tuple[int, int]]:
    """What was counted when all that has happened is: clicks of other tests too."""
    now = datetime.now(UTC)
    wait_until(lambda: _counted(site)[0] > now, 60.0)
    return _counted(site)[1]


def _counted(site: Site) -> tuple[datetime, dict[tuple[int, str], tuple[int, int]]]:
    """Until when all is counted; impressions and clicks by creative and product."""
    question = {"dimensions": ["creative", "product"], "measures": ["impressions", "clicks"]}
    answer = json.loads(site.api("POST", "reports/query", question))
    fresh_until = datetime.fromisoformat(answer["fresh_until"] or "1970-01-01T00:00:00+00:00")
    return fresh_until, {(row[0], row[1]): (row[2], row[3]) for row in answer["rows"]}


def test_nobody_else_sees_the_cart(site: Site) -> None:
    visitor, other = with_cart(site), Visitor(site, OTHER)
    other.send("add_to_cart", items=["scarf"])
    wait_until(lambda: other.ad().products == ["Scarf 2"])
    markup = wait_until(visitor.bid)
    stranger = site.load(markup, new_user_id())
    assert not {"Heels 1", "Bag 1"} & set(stranger.products) or set(stranger.products) == set(
        _bestsellers(site, markup)
    )
    both = Visitor(site, SHOP)
    both.send("view_item", items=["belt"])
    page = wait_until(lambda: page if (page := both.ad()).products else None)
    assert page.products == ["Belt 1"]
    own = site.load(markup, visitor.user_id)
    assert {"Heels 1", "Boots 1"} <= set(own.products)


def _bestsellers(site: Site, markup: str) -> list[str]:
    """What every stranger sees."""
    return site.load(markup, new_user_id()).products


def test_who_objects_is_shown_nothing_of_the_cart(site: Site) -> None:
    visitor = with_cart(site)
    markup = wait_until(visitor.bid)
    everybody = site.load(markup, new_user_id()).products
    assert site.load(markup, "", **{"Sec-GPC": "1"}).products == everybody
    assert site.load(markup, "", Cookie="grosz_optout=1").products == everybody
    refused = markup.replace("gdpr=0", "gdpr=1")
    assert refused != markup
    assert site.load(refused).products == everybody
    assert "Heels 1" in site.load(markup).products
    request = urllib.request.Request(
        f"{site.urls['track']}/optout", b"", {"Cookie": f"grosz_uid={visitor.user_id}", "User-Agent": AGENT}
    )
    urllib.request.build_opener(urllib.request.HTTPRedirectHandler).open(request)
    assert site.load(markup).products == everybody
