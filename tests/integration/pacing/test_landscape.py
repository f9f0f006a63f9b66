"""First price from bid to bill on a real server: the landscape is learnt from notices, kept, and bid by."""

import asyncio
import itertools
import random
import re
from collections.abc import AsyncIterator

import numpy as np
import pytest

from core import keys
from core.clock import ManualClock
from core.model import Budget, Catalogue, Goal
from core.telemetry.metrics import Telemetry
from loadtest.exchange.auction import Outcome, Rules, hold
from loadtest.exchange.landscape import log_normal
from pacing.budgets.lease_client import LeaseClient
from pacing.landscape.keeper import HALF_LIFE_S, LandscapeKeeper
from pacing.landscape.messages import decode_steps
from pacing.landscape.observations import LandscapeCell, ObservationKind, Tally
from pacing.landscape.shading import Shading
from pacing.landscape.telling import LandscapeFollower, LandscapeWriter
from pacing.ledger.audit import audit
from pacing.notices.notices import NoticeDesk
from tests.kit.bidding import NOW_MS, Shopper, ShopState, TestBidder, bids_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.money import ADVERTISER, Shop
from tests.kit.openrtb import raw_request

AUCTIONS = 20_000
A_ROUND = 500  # auctions between two rounds of telling, keeping and following
GROSZ = 10_000
CELL = LandscapeCell(1, "PLN", 300, 250)
_TOKEN = re.compile(r"/n/loss/([A-Za-z0-9_-]+)")


def first_price_catalogue(budget: int | None = None) -> Catalogue:
    """A line item whose impressions are worth 1 to 15 PLN CPM, by who sees them."""
    daily = Budget(micros=budget) if budget else Budget()
    return catalogue(line_item(1, goal=Goal.CPC, bid_micros=900_000, daily_budget=daily), advertisers=1)


def shoppers(count: int = 300) -> list[Shopper]:
    chance = random.Random(5)
    return [
        Shopper(
            shops={
                1: ShopState(
                    last_visit_age_s=chance.uniform(60, 2_000_000), visits=chance.randint(1, 12),
                    products_viewed=chance.randint(0, 12),
                )
            }
        )
        for _ in range(count)
    ]  # fmt: skip


@pytest.fixture
async def shop(valkey: str) -> AsyncIterator[Shop]:
    shop = await Shop.open(valkey, ManualClock(NOW_MS), first_price_catalogue())
    yield shop
    await shop.close()


class Market:
    """A bidder, the load test's rivals at first price, and what tracker and worker make of the notices."""

    def __init__(self, shop: Shop, bidder: TestBidder, seed: int) -> None:
        self.shop, self.bidder = shop, bidder
        bidder.signer.nonces = itertools.count(1)
        self.tally = Tally()
        self.desk = NoticeDesk(
            shop.signer, shop.transitions, lambda: shop.present, shop.clock, Telemetry(), shop.delivery,
            landscape=self.tally,
        )  # fmt: skip
        self.writer = LandscapeWriter(self.tally.take, shop.transitions)
        self.keeper = LandscapeKeeper(shop.transitions, shop.clock, Telemetry())
        self.follower = LandscapeFollower(bidder.snapshot.shading, shop.transitions, shop.clock, Telemetry())
        # The median and the spread of the rivals are nowhere else.
        self.rivals = log_normal(2.4, 0.5, 3, 0.2, seed)
        self.request = 0
        self._told: list[asyncio.Task[None]] = []

    def auction(self, shopper: Shopper, floor: int = 0) -> tuple[int, int, bool]:
        """The bid (CPM micros, 0 for none), the rivals' best, and whether it won; notices are sent."""
        self.request += 1
        imp = {"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": floor / 1e6, "bidfloorcur": "PLN"}
        request = raw_request(id=f"r{self.request}", imp=[imp], at=1, regs={"gdpr": 0}, cur=["PLN"])
        bids = bids_of(self.bidder.answer(request, shopper))
        rival = self.rivals.best_competitor() * GROSZ
        if not bids:
            return 0, rival, False
        cpm = round(float(str(bids[0]["price"])) * 1e6)
        outcome = hold(cpm, rival, Rules(floor, first_price=True))
        self._told.append(asyncio.create_task(self._tell(str(bids[0]["lurl"]), outcome)))
        return cpm, rival, outcome.won

    async def _tell(self, url: str, outcome: Outcome) -> None:
        found = _TOKEN.search(url)
        assert found is not None
        token = found[1]
        if outcome.won:
            result = await self.desk.bill(token, f"{outcome.price / 1e6:.2f}", "PLN")
        else:
            result = await self.desk.loss(token, str(outcome.loss_code), f"{(outcome.price + GROSZ) / 1e6:.2f}")
        assert result.status == 204, result

    async def round(self) -> None:
        """What happens each five seconds."""
        await asyncio.gather(*self._told)
        self._told = []
        await self.writer.write()
        await self.keeper.tick()
        await self.follower.tick()


@pytest.mark.slow
async def test_20000_auctions_earn_nine_tenths_of_the_best_fixed_ratio(shop: Shop) -> None:
    bidder, full = (TestBidder(first_price_catalogue()) for _ in range(2))
    people = shoppers()
    second = raw_request(imp=[{"id": "1", "banner": {"w": 300, "h": 250}}], at=2, regs={"gdpr": 0}, cur=["PLN"])
    worth = [round(float(str(bids_of(full.answer(second, who))[0]["price"])) * 1e6) for who in people]
    market, chance = Market(shop, bidder, seed=11), random.Random(7)
    values, bids, rivals = [], [], []
    for number in range(AUCTIONS):
        who = chance.randrange(len(people))
        bid, rival, _won = market.auction(people[who])
        values.append(worth[who])
        bids.append(bid)
        rivals.append(rival)
        if number % A_ROUND == 0:
            await market.round()
    value, sent, beaten = (np.array(column, np.float64) for column in (values, bids, rivals))
    assert (sent <= value).all()

    def earned(bid: np.ndarray) -> float:
        return float(((value - bid) * (bid > beaten)).sum())

    fixed = max(earned(np.floor(ratio * value / GROSZ) * GROSZ) for ratio in np.linspace(0.02, 1.0, 99))
    assert earned(sent) >= 0.90 * fixed


async def test_spend_never_passes_the_budget_at_first_price(shop: Shop) -> None:
    budget = 400_000
    shop.present = first_price_catalogue(budget)
    await shop.bank.tick()
    book, client = await shop.bidder()
    bidder = TestBidder(shop.present, leases=False)
    bidder.book = bidder.snapshot.book = book
    book.bind(bidder.snapshot.index.pools)
    market, chance, people = Market(shop, bidder, seed=3), random.Random(1), shoppers()
    won = await spend(market, chance, people, client)
    day = NOW_MS // 86_400_000
    snapshot = await shop.transitions.snapshot(ADVERTISER, f"{2**64 - 1}-0")
    spent = sum(level.micros.spent for name, level in snapshot.levels.items() if name == f"d1@{day}")
    assert won > 20
    assert 0.9 * budget <= spent <= budget
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []


async def spend(market: Market, chance: random.Random, people: list[Shopper], client: LeaseClient) -> int:
    won = 0
    for number in range(600):
        market.bidder.refresh()
        won += market.auction(chance.choice(people))[2]
        if number % 10 == 0:
            market.shop.clock.advance(1.0)
            await client.tick()
            await market.round()
    return won


async def test_what_was_learnt_survives_a_restart_and_fades_by_half_in_a_day(shop: Shop) -> None:
    market = Market(shop, TestBidder(first_price_catalogue()), seed=2)
    for _ in range(2_000):
        market.tally.note(CELL, ObservationKind.LOSS, 1_000_000, 6_000_000)
    await market.round()
    before = await published(shop)
    assert await shop.transitions.command("LLEN", keys.LANDSCAPE_NEWS) == 0
    await market.keeper.close()
    shop.clock.advance(HALF_LIFE_S)
    again = LandscapeKeeper(shop.transitions, shop.clock, Telemetry())
    market.tally.note(CELL, ObservationKind.LOSS, 1_000_000, 6_000_000)
    await market.writer.write()
    await again.tick()
    after = await published(shop)
    assert before[CELL][0] == 2_000
    assert after[CELL][0] == pytest.approx(1_001, abs=0.1)
    assert after[CELL][1] == before[CELL][1]
    fresh = Shading()
    follower = LandscapeFollower(fresh, shop.transitions, shop.clock, Telemetry())
    unlearnt = fresh.cell(*CELL).bid_at_least(20_000_000, 0)
    await follower.tick()
    assert unlearnt < 6_000_000 < fresh.cell(*CELL).bid_at_least(20_000_000, 0)


async def published(shop: Shop) -> dict[LandscapeCell, tuple[float, bytes]]:
    packed = await shop.transitions.command("GET", keys.LANDSCAPE_STEPS)
    assert isinstance(packed, bytes)
    found = decode_steps(packed)
    assert found is not None
    return {LandscapeCell(*cell[:4]): (cell.weight, cell.steps) for cell in found[1]}


async def test_state_of_another_version_is_begun_anew(shop: Shop) -> None:
    await shop.transitions.command("HSET", keys.LANDSCAPE_STATE, b"1:PLN:300x250", b"\x93\xc4\x04gls9\x00\x90")
    await shop.transitions.command("SET", keys.LANDSCAPE_STEPS, b"nonsense")
    await shop.transitions.command("RPUSH", keys.LANDSCAPE_NEWS, b"nonsense")
    market = Market(shop, TestBidder(first_price_catalogue()), seed=2)
    await market.follower.tick()
    market.tally.note(CELL, ObservationKind.WIN, 1_000_000)
    await market.round()
    assert (await published(shop))[CELL][0] == 1


async def test_two_workers_count_each_block_once(shop: Shop) -> None:
    market = Market(shop, TestBidder(first_price_catalogue()), seed=2)
    other = LandscapeKeeper(shop.transitions, shop.clock, Telemetry())
    for _ in range(3):
        market.tally.note(CELL, ObservationKind.WIN, 1_000_000)
        await market.writer.write()
        await market.keeper.tick()
        await other.tick()
    assert (await published(shop))[CELL][0] == 3
