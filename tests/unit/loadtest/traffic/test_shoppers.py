from collections import Counter

import orjson

from core.clock import ManualClock
from loadtest.measure.tally import Tally
from loadtest.traffic.scenario import ShopperPlan
from loadtest.traffic.shoppers import ShopperEvent, Shoppers
from loadtest.wire.client import Pool, parse_target
from tests.kit.fake_bidder import FakeBidder, json_answer, until


class Shop:
    """Shoppers in front of a fake tracker that gives out cookies, in manual time."""

    def __init__(self, tracker: FakeBidder, plan: ShopperPlan) -> None:
        self.clock = ManualClock()
        self.tally = Tally()
        self.tracker = tracker
        self.events: list[dict[str, object]] = []
        self.users: list[bytes] = []
        self.pool: Pool[ShopperEvent] = Pool(parse_target(tracker.url), 1, self._on_answer, self.clock.monotonic)
        self.shoppers = Shoppers(
            plan, "shop", self.pool, self.tally, self.clock.monotonic, 1, self.users.append, currency="PLN"
        )
        tracker.reply = self.take

    def _on_answer(self, event: ShopperEvent, status: int, head: bytes, body: bytes) -> None:
        self.shoppers.on_answer(event, status, head, body)

    def take(self, body: bytes) -> bytes:
        self.events.append(orjson.loads(body))
        number = len(self.tracker.heads)
        cookie = b"Set-Cookie: gid=%022d; Path=/; HttpOnly\r\n" % number
        return b"HTTP/1.1 204 No Content\r\n%b\r\n" % (b"" if b"Cookie: " in self.tracker.heads[-1] else cookie)

    async def play(self, seconds: float, count: int = 20) -> None:
        await self.pool.open()
        self.shoppers.start(count)
        for _ in range(int(seconds / 0.25)):
            self.clock.advance(0.25)
            self.shoppers.pump(self.clock.monotonic())
            await until(lambda: self.pool.outstanding == 0)
        await self.pool.close()


PLAN = ShopperPlan(count=20, advertisers=(3, 4), cart_share=1.0, buy_share=0.5, return_share=0.0, ad_lift=0.0)


async def test_journeys_are_told_to_the_tracker_in_order_and_with_the_browsers_cookie() -> None:
    async with FakeBidder() as tracker:
        shop = Shop(tracker, PLAN)
        await shop.play(6.0, count=1)
        assert {head.split(b" ")[1] for head in tracker.heads} <= {b"/e/3", b"/e/4"}
        assert b"Cookie" not in tracker.heads[0]
        assert b"Cookie: gid=" in tracker.heads[1]
    names = [event["event"] for event in shop.events]
    assert names[0] == "page_view"
    assert names.index("view_item") < names.index("add_to_cart")
    assert shop.users


async def test_a_purchase_carries_what_was_in_the_cart_and_an_order_number() -> None:
    async with FakeBidder() as tracker:
        shop = Shop(tracker, PLAN)
        await shop.play(30.0)
    purchases = [event for event in shop.events if event["event"] == "purchase"]
    assert purchases
    assert all(event["transaction_id"] and event["items"] and event["currency"] == "PLN" for event in purchases)
    revenue = sum(round(float(str(event["value"])) * 1_000_000) for event in purchases)
    assert shop.tally.counts["shopper.revenue_micros"] == revenue
    assert shop.tally.counts["shopper.purchases"] == len(purchases)


async def test_without_ads_nobody_returns_because_of_one() -> None:
    async with FakeBidder() as tracker:
        shop = Shop(tracker, ShopperPlan(return_share=0.5, ad_lift=0.5))
        await shop.play(60.0)
    assert shop.tally.counts["shopper.returns"] > 0
    assert shop.tally.counts["shopper.returns_by_ad"] == 0


async def test_an_ad_brings_back_those_who_would_have_stayed_away() -> None:
    async with FakeBidder() as tracker:
        shop = Shop(tracker, ShopperPlan(return_share=0.0, ad_lift=1.0, buy_share=1.0, cart_share=1.0))
        shop.users.clear()
        take = shop.take

        def take_and_show_an_ad(body: bytes) -> bytes:
            for user in shop.users:
                shop.shoppers.exposed(user)
            return take(body)

        tracker.reply = take_and_show_an_ad
        await shop.play(60.0)
    counts = shop.tally.counts
    assert counts["shopper.returns"] == counts["shopper.returns_by_ad"] > 0
    assert counts["shopper.exposed"] >= counts["shopper.returns_by_ad"]
    assert counts["shopper.purchases_by_ad"] > 0


async def test_refused_events_are_counted_and_errors_are_violations() -> None:
    async with FakeBidder() as tracker:
        shop = Shop(tracker, PLAN)
        statuses = Counter[int]()

        def fail(body: bytes) -> bytes:
            status = 500 if len(tracker.heads) % 2 else 400
            statuses[status] += 1
            return json_answer(b"{}", status)

        tracker.reply = fail
        await shop.play(5.0)
    assert shop.tally.counts["shopper.events_refused"] == statuses.total() > 0
    assert shop.tally.violations["event-5xx"] == statuses[500]
