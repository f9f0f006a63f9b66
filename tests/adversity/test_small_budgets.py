"""Budgets that are small for the number of processes are spent all the same, and never beyond.

Each process has a lease book and a client of its own on a real server; auctions price the pool, reserve a bid where the
lease covers it, and most bids are billed or lost at once. Time is the test's.
"""

import random
from collections.abc import AsyncIterator

import pytest

from core.clock import ManualClock
from core.model import Budget
from pacing.budgets.lease_client import TICK_S, LeaseClient
from pacing.budgets.leases import LeaseBook
from pacing.budgets.levels import broken_invariants
from pacing.ledger.audit import audit
from tests.kit.money import ADVERTISER, LINE_ITEM, Shop, catalogue, line_item

DAY = 20717  # the manual clock's
PLN = 1_000_000
SECONDS = 120


@pytest.fixture
async def shop(valkey: str, clock: ManualClock) -> AsyncIterator[Shop]:
    shop = await Shop.open(valkey, clock)
    yield shop
    snapshot = await shop.transitions.snapshot(ADVERTISER, "")
    assert broken_invariants(snapshot.levels, snapshot.leases.values()) == []
    await shop.writer.drain(ADVERTISER)
    assert (await audit(shop.transitions, shop.store, ADVERTISER)).differences == []
    await shop.close()


class Fleet:
    """Bidder processes behind one port."""

    def __init__(self, shop: Shop, *, seed: int) -> None:
        self.shop = shop
        self.draw = random.Random(seed)
        self.bidders: list[tuple[LeaseBook, LeaseClient]] = []

    async def start(self, processes: int) -> None:
        self.bidders = [await self.shop.bidder(f"p{number}", jitter=self.draw.random) for number in range(processes)]

    async def auction(self, process: int, cost: int, *, wins: float = 0.5) -> bool:
        """One auction in which the pool is priced; whether it bid."""
        book = self.bidders[process][0]
        book.scored[0] += 1
        lease = book.reserve(0, cost, self.shop.clock.now_ms())
        if not lease:
            return False
        token = self.shop.token(lease, cost)
        if self.draw.random() < wins:
            await self.shop.desk.bill(token, f"{cost / 1000:.2f}", "PLN")
        else:
            await self.shop.desk.loss(token, "102")
        return True

    async def tick(self, seconds: float = TICK_S) -> None:
        self.shop.clock.advance(seconds)
        for _, client in self.bidders:
            await client.tick()


@pytest.mark.parametrize("processes", [1, 2, 8])
@pytest.mark.parametrize("spread", ["one connection", "many"])
@pytest.mark.parametrize(
    ("budget", "max_cpm"),
    [(Budget(micros=PLN), 400), (Budget(micros=10 * PLN), 400), (Budget(impressions=100), 40)],
    ids=["1 PLN", "10 PLN", "100 impressions"],
)
async def test_a_small_budget_is_spent(shop: Shop, processes: int, spread: str, budget: Budget, max_cpm: int) -> None:
    shop.present = catalogue(line_item(daily_budget=budget, max_cpm_micros=max_cpm * PLN), version=2)
    await shop.bank.tick()
    fleet = Fleet(shop, seed=processes)
    await fleet.start(processes)
    cost = 20_000 if budget.micros else 1_000
    for _ in range(round(SECONDS / TICK_S)):
        for _ in range(8):
            await fleet.auction(0 if spread == "one connection" else fleet.draw.randrange(processes), cost)
        await fleet.tick()
    level = (await shop.transitions.snapshot(ADVERTISER, "")).levels[f"d{LINE_ITEM}@{DAY}"]
    if budget.micros:
        assert 0.97 * budget.micros <= level.micros.spent <= budget.micros
    else:
        assert 97 <= level.impressions.spent <= 100


async def test_dear_bids_find_the_money_that_the_others_do_not_use(shop: Shop) -> None:
    """Of 1 PLN each of eight processes could take a part; a bid of 0.40 PLN needs most of what is there."""
    shop.present = catalogue(line_item(daily_budget=Budget(micros=PLN), max_cpm_micros=400 * PLN), version=2)
    await shop.bank.tick()
    fleet = Fleet(shop, seed=1)
    await fleet.start(8)
    for _ in range(round(SECONDS / TICK_S)):
        for process in range(8):
            await fleet.auction(process, 390_000, wins=1.0)
        await fleet.tick()
    level = (await shop.transitions.snapshot(ADVERTISER, "")).levels[f"d{LINE_ITEM}@{DAY}"]
    assert level.micros.spent == 2 * 390_000


async def test_a_campaign_of_many_line_items_is_spent_by_those_that_win(shop: Shop) -> None:
    """Nineteen line items hold nothing that the one with traffic could spend."""
    lines = [line_item(id=number, name=str(number)) for number in range(7, 27)]
    shop.present = catalogue(*lines, total=Budget(micros=PLN), version=2)
    await shop.bank.tick()
    fleet = Fleet(shop, seed=2)
    await fleet.start(4)
    for _ in range(round(SECONDS / TICK_S)):
        for _ in range(4):
            await fleet.auction(fleet.draw.randrange(4), 10_000)
        await fleet.tick()
    assert (await shop.transitions.snapshot(ADVERTISER, "")).levels["c3"].micros.spent >= 0.97 * PLN


async def test_no_process_holds_more_than_a_hundredth_of_a_day_ahead_of_demand(shop: Shop) -> None:
    shop.present = catalogue(line_item(daily_budget=Budget(micros=500 * PLN)), version=2)
    await shop.bank.tick()
    books = [await shop.bidder(f"p{number}", demanded=False) for number in range(8)]
    held = [int(book.remaining[0]) for book, _ in books]
    assert max(held) == 5 * PLN
    assert min(held) >= 4.5 * PLN
    assert all(client.is_settled for _, client in books)


async def test_a_lease_that_nobody_else_wants_stays_where_it_is(shop: Shop) -> None:
    shop.present = catalogue(line_item(daily_budget=Budget(micros=9_000)), version=2)
    await shop.bank.tick()
    fleet = Fleet(shop, seed=3)
    await fleet.start(1)
    book = fleet.bidders[0][0]
    for _ in range(40):
        book.scored[0] += 1
        await fleet.tick(0.5)
        assert book.remaining[0] == 9_000


async def test_a_burst_right_after_the_start_finds_leases(shop: Shop) -> None:
    shop.present = catalogue(line_item(daily_budget=Budget(micros=1_000 * PLN)), version=2)
    await shop.bank.tick()
    book, client = await shop.bidder(demanded=False)
    assert client.is_settled
    bids = sum(bool(book.reserve(0, 10_000, shop.clock.now_ms())) for _ in range(500))
    assert bids == 500


async def test_a_pool_without_a_lease_gets_one_as_soon_as_it_is_priced(shop: Shop) -> None:
    shop.present = catalogue(line_item(daily_budget=Budget(micros=100_000)), version=2)
    await shop.bank.tick()
    book, client = await shop.bidder(demanded=False)
    assert (book.open.tolist(), client.is_settled) == ([False], True)
    assert not client._is_urgent()
    book.scored[0] += 1
    assert client._is_urgent()
    await client.tick()
    assert book.reserve(0, 10_000, shop.clock.now_ms())
