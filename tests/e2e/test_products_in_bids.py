"""Products in real processes: what a bidder has in memory, and what rules of a worker see of a feed."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_cart_retargeting import SHOP, Visitor, catalogue, running_with
from tests.kit.feeds import csv_feed, google, item
from tests.kit.processes import RunningGrosz, grosz

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEEN = [str(number) for number in range(1, 9)]
SEGMENTS = {11: 'viewed brand "acme" and viewed price < 20 PLN', 12: "products.reduced >= 1"}


class FedShop:
    """A running installation, and the shop's feed."""

    def __init__(self, running: RunningGrosz, data: Path) -> None:
        self.running = running
        self._data = data

    def ask(self, *command: str) -> str:
        done = grosz(*command, "--data", str(self._data))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def load(self, feed: bytes) -> None:
        file = self._data.parent / "feed"
        file.write_bytes(feed)
        self.ask("feed", "refresh", "1", "--file", str(file))

    def lookups(self) -> dict[str, float]:
        """How many products bids asked for, by whether they were in memory."""
        page = self.running.metrics("bidder")
        found = re.findall(r'grosz_product_cache_total\{outcome="(\w+)"\} ([\d.e+]+)', page)
        return {"hit": 0.0, "miss": 0.0} | {outcome: float(count) for outcome, count in found}

    def visitors(self, segment: int) -> int:
        sizes = json.loads(self.ask("audience", "sizes", str(SHOP), "--json"))
        return int(next(row["visitors"] for row in sizes if row["segment"] == segment))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FedShop]:
    folder = tmp_path_factory.mktemp("shop")
    published = catalogue()
    published["creatives"][0]["products"] = {"strategies": ["cart", "last_visit"], "count": 3}
    published["segments"] += [
        {"id": number, "advertiser_id": SHOP, "name": rule, "rule": rule} for number, rule in SEGMENTS.items()
    ]
    with running_with(published, folder) as running:
        made = FedShop(running, folder / "data")
        made.ask("feed", "create", "--set", f"advertiser_id={SHOP}", "--set", "name=all")
        made.load(csv_feed(500))
        yield made


def test_products_that_a_visitor_saw_are_in_the_bidders_memory_from_the_second_bid_on(shop: FedShop) -> None:
    stranger, shopper = Visitor(shop.running), Visitor(shop.running)
    stranger.bid_until(str(SHOP))
    assert shop.lookups() == {"hit": 0, "miss": 0}, "who has seen nothing costs no look-up"
    shopper.send("view_item", items=[{"item_id": one} for one in SEEN])
    while shop.lookups()["miss"] < len(SEEN):
        shopper.bid()
        time.sleep(0.05)
    hits = 0.0
    while hits < len(SEEN):  # what was missed is fetched in the background; the test's timeout is the bound
        before = shop.lookups()["hit"]
        shopper.bid()
        hits = shop.lookups()["hit"] - before
    known = shop.lookups()
    for _ in range(20):
        shopper.bid()
    assert shop.lookups() == {"hit": known["hit"] + 20 * len(SEEN), "miss": known["miss"]}
    size = re.search(r"^grosz_product_cache_size ([\d.]+)", shop.running.metrics("bidder"), re.MULTILINE)
    assert size is not None
    assert float(size[1]) == len(SEEN)


def test_rules_see_the_feed_of_the_event_and_the_reductions_of_a_later_one(shop: FedShop) -> None:
    before = {segment: shop.visitors(segment) for segment in SEGMENTS}
    assert before[12] == 0
    Visitor(shop.running).send("view_item", items=[{"item_id": "7"}])
    while shop.visitors(11) <= before[11]:
        time.sleep(0.2)
    sale = "<g:sale_price>9 PLN</g:sale_price>"
    shop.load(google(*(item(number, sale, price="90 PLN") for number in range(1, 400))).encode())
    while shop.visitors(12) == 0:  # a pass brings it to visitors who do nothing
        time.sleep(0.5)
    assert shop.visitors(11) == before[11] + 1, "what a product cost when it was seen stays"
