"""The end of an advertiser's day on a manual clock: real Redis, real leases and notices, made-up auctions."""

import math
from collections import defaultdict

import numpy as np

from core.clock import ManualClock
from core.telemetry.metrics import Telemetry
from pacing.budgets.lease_client import LeaseClient
from pacing.budgets.leases import LeaseBook
from pacing.pace.multipliers import PacingFollower
from pacing.pace.pacer import Pacer
from tests.kit.money import ADVERTISER, LINE_ITEM, Shop

AUCTIONS = 120  # a second; more than a window of the controller needs
NOTICE_DELAY_S = 2
MAX_BID = 10_000

# Floors lie below the market's price, so that some bids reach the auction and lose.
FLOOR_OF_PRICE = 0.8


def end_of_day(seconds: int) -> ManualClock:
    """A clock that stands `seconds` before midnight UTC."""
    midnight_ms = (1_790_000_000_000 // 86_400_000 + 1) * 86_400_000
    return ManualClock(midnight_ms - seconds * 1000)


class PacedBidder:
    """A bidder process with leases and multipliers, and the exchange that it bids at."""

    def __init__(self, shop: Shop, book: LeaseBook, client: LeaseClient, seed: int) -> None:
        self.shop, self.book, self.client = shop, book, client
        self.answered = 0
        self.telemetry = Telemetry()
        self.follower = PacingFollower(
            book, shop.transitions, shop.clock, self.telemetry, process=client.process, auctions=lambda: self.answered
        )
        self._random = np.random.default_rng(seed)
        self._due: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)  # second -> (token, price or 0: lost)
        self._second = 0

    @classmethod
    async def open(cls, shop: Shop, process: str = "p1", seed: int = 1) -> "PacedBidder":
        book, client = await shop.bidder(process)
        return cls(shop, book, client, seed)

    async def second(self, auctions: int = AUCTIONS) -> None:
        """Bid for a second, report what became of earlier bids, renew the leases, exchange messages with the worker."""
        self._second += 1
        values = np.minimum(self._random.lognormal(math.log(3_000), 0.9, auctions), MAX_BID)
        prices = self._random.lognormal(math.log(2_000), 0.5, auctions).astype(np.int64) + 1
        bids = (values * self.book.multiplier[0]).astype(np.int64)
        self.book.scored[0] += auctions
        self.answered += auctions
        for at in np.flatnonzero(bids >= prices * FLOOR_OF_PRICE).tolist():
            lease = self.book.reserve(0, int(bids[at]), self.shop.clock.now_ms())
            if lease:
                price = int(prices[at]) if bids[at] >= prices[at] else 0
                token = self.shop.token(lease, int(bids[at]))
                self._due[self._second + NOTICE_DELAY_S].append((token, price))
        for token, price in self._due.pop(self._second, []):
            if price:
                await self.shop.desk.bill(token, f"{price / 1000:.3f}", "PLN")
            else:
                await self.shop.desk.loss(token, "102")
        await self.client.tick()
        await self.follower.tick()


def new_pacer(shop: Shop) -> Pacer:
    """A worker's pacer of its own, as after a restart."""
    return Pacer(shop.transitions, lambda: shop.present, shop.clock, Telemetry())


async def run_seconds(shop: Shop, pacer: Pacer, bidders: list[PacedBidder], seconds: int) -> list[int]:
    """The micros that were spent of the day's budget, after each second."""
    day = shop.clock.now_ms() // 86_400_000
    spent: list[int] = []
    for second in range(seconds):
        for bidder in bidders:
            await bidder.second()
        shop.clock.advance(1.0)
        if second % 5 == 0:
            await shop.bank.tick()
        await pacer.tick()
        spent.append(await spent_of_day(shop, day))
    return spent


async def spent_of_day(shop: Shop, day: int) -> int:
    """Micros that the line item has spent of a day's budget."""
    snapshot = await shop.transitions.snapshot(ADVERTISER, f"{2**64 - 1}-0")
    level = snapshot.levels.get(f"d{LINE_ITEM}@{day}")
    return level.micros.spent if level else 0
