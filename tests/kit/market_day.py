"""Days of a made or recorded market, through the code that paces: auctions at their moments, bids, floors, late bills.

Nothing here is random once the arrays are given: the same market gives the same figures on any machine.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Advertiser, Budget, Campaign, Catalogue, LineItem
from pacing.pace.board import Bids, PacingBoard, Spent
from pacing.pace.plan import PacingPlan
from pacing.pace.traffic import TrafficShape

Floats = npt.NDArray[np.float64]

POINTS = 288
DAY_MS = 86_400_000


class Market(NamedTuple):
    """Auctions in order: moment (unix ms), price to beat and value in micros, and expected clicks of each."""

    at_ms: npt.NDArray[np.int64]
    prices: Floats
    values: Floats
    rates: Floats
    floor: float = 0.0  # no bid below it

    def between(self, from_ms: int, to_ms: int) -> "Market":
        start, end = np.searchsorted(self.at_ms, (from_ms, to_ms)).tolist()
        return Market(
            self.at_ms[start:end], self.prices[start:end], self.values[start:end], self.rates[start:end], self.floor
        )


class Line(NamedTuple):
    """One line item: `budget` is of the day, `max_bid` of an impression (micros); a bid is its value times `factor`."""

    budget: float
    max_bid: float
    spend_all: bool = True
    factor: float = 1.0


class Result(NamedTuple):
    """What one line item did on one day."""

    expected: float  # expected clicks
    best: float  # expected clicks of the best fixed multiplier, chosen in hindsight
    spent: float  # as a part of the budget
    distance: float  # RMSE of cumulative spend from the plan
    first_win: float  # part of the day's traffic that had come at the first win; nan without a win

    @property
    def of_best(self) -> float:
        return self.expected / self.best if self.best else math.nan


def catalogue_of(lines: Sequence[Line], timezone: str, shared: tuple[float, int] | None = None) -> Catalogue:
    """One campaign with these line items; `shared`: their common budget, and when the campaign ends."""
    return Catalogue(
        version=1,
        published_ms=0,
        advertisers=(Advertiser(id=1, name="", timezone=timezone),),
        campaigns=(
            Campaign(
                id=1, advertiser_id=1, name="", total_budget=Budget(micros=int(shared[0])) if shared else Budget(),
                end_ms=shared[1] if shared else None,
            ),
        ),
        line_items=tuple(
            LineItem(
                id=at + 1, advertiser_id=1, campaign_id=1, name="", spend_all=line.spend_all,
                daily_budget=Budget() if shared else Budget(micros=int(line.budget)),
                max_cpm_micros=int(line.max_bid) * 1_000,
            )
            for at, line in enumerate(lines)
        ),
    )  # fmt: skip


class Simulation:
    """Line items that bid in a market, and the board that paces them.

    Money is kept as by leases: what a budget cannot pay is not bought. `shared` is the end of a campaign with one
    budget, that of the first line item, which all of them spend.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        timezone: str,
        start_ms: int,
        traffic: TrafficShape,
        delay_s: float = 0.0,
        shared: int | None = None,
    ) -> None:
        self.lines, self.timezone, self.delay_s, self.shared = list(lines), timezone, delay_s, shared
        self.board = PacingBoard(self._plan(), traffic, start_ms)
        self.budgets = np.array([line.budget for line in lines])
        self.factors = np.array([line.factor for line in lines])
        self.max_bid = np.array([line.max_bid for line in lines])
        self.spent_today = np.zeros(len(lines))
        self._owed: list[tuple[int, Floats, Floats]] = []
        self._seen = np.zeros((2, len(lines)))
        self._seen_day = np.zeros(len(lines))

    def _plan(self) -> PacingPlan:
        shared = (self.lines[0].budget, self.shared) if self.shared is not None else None
        return PacingPlan(catalogue_of(self.lines, self.timezone, shared))

    def day(
        self, market: Market, starts_ms: int, ends_ms: int, step_s: float, change: tuple[int, float] | None = None
    ) -> list[Result]:
        """Bid through one local day; results by line item. `change`: when all budgets are multiplied, and by what."""
        size = len(self.budgets)
        self.spent_today, self._seen_day = np.zeros(size), np.zeros(size)
        expected, first = np.zeros(size), np.full(size, np.nan)
        total = max(len(market.at_ms), 1)
        steps = math.ceil((ends_ms - starts_ms) / 1000 / step_s)
        spends, plans = np.zeros((steps, size)), np.zeros((steps, size))
        planned, came, before = np.zeros(size), 0.0, 0
        for step in range(steps):
            now_ms = min(starts_ms + round((step + 1) * step_s * 1000), ends_ms)
            after = int(np.searchsorted(market.at_ms, now_ms, side="left"))
            reserved, sent, bought, won, gained = self._bid(market, slice(before, after))
            expected += gained
            first = np.where(np.isnan(first) & (won > 0), after / total, first)
            self.spent_today += bought
            self._owed.append((now_ms + round(self.delay_s * 1000), bought, won))
            self._tick(now_ms, after - before, reserved, sent)
            share = (after / total - came) / max(1.0 - came, 1e-9)
            planned, came, before = planned + share * np.maximum(self.budgets - planned, 0.0), after / total, after
            spends[step], plans[step] = self.spent_today, planned
            if change is not None and now_ms >= change[0]:
                self._change_budgets(change[1], now_ms)
                change = None
        at = np.arange(1, POINTS + 1) * steps // POINTS - 1
        whole = np.maximum(self.budgets, plans.max(axis=0))
        distance = np.sqrt((((spends[at] - plans[at]) / whole) ** 2).mean(axis=0))
        return [
            Result(
                float(expected[each]),
                best_fixed(market, float(self.budgets[each]), float(self.max_bid[each])),
                float(self.spent_today[each] / self.budgets[each]),
                float(distance[each]),
                float(first[each]),
            )
            for each in range(size)
        ]

    def _change_budgets(self, factor: float, now_ms: int) -> None:
        self.lines = [line._replace(budget=line.budget * factor) for line in self.lines]
        self.budgets = self.budgets * factor
        renewed = PacingBoard(self._plan(), self.board.traffic, now_ms)
        renewed.carry(self.board)
        self.board = renewed

    def _bid(self, market: Market, part: slice) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        prices, rates = market.prices[part], market.rates[part]
        worth = self.factors[:, None] * market.values[None, part]
        bids = np.minimum(self.board.multipliers[:, None] * worth, self.max_bid[:, None])
        sends = bids >= market.floor
        wins = sends & (bids >= prices)
        if self.shared is not None:  # the dearest bid of ours is sent, and all pay from one purse
            best = bids.argmax(axis=0)
            wins &= np.arange(len(bids))[:, None] == best
        bought, won, gained = (np.zeros(len(self.budgets)) for _ in range(3))
        for at in range(len(self.budgets)):
            spent = self.spent_today.sum() + bought.sum() if self.shared is not None else self.spent_today[at]
            mine = np.flatnonzero(wins[at])
            mine = mine[np.cumsum(prices[mine]) + spent <= self.budgets[0 if self.shared is not None else at]]
            bought[at], won[at], gained[at] = prices[mine].sum(), len(mine), rates[mine].sum()
        return (bids * sends).sum(axis=1), sends.sum(axis=1).astype(np.float64), bought, won, gained

    def _tick(self, now_ms: int, auctions: int, reserved: Floats, sent: Floats) -> None:
        while self._owed and self._owed[0][0] <= now_ms:
            _, bought, won = self._owed.pop(0)
            self._seen = self._seen + np.stack([bought, won])
            self._seen_day = self._seen_day + bought
        size = len(self.budgets)
        bids = Bids(float(auctions), np.full(size, float(auctions)), np.stack([reserved, sent]))
        rows = self._seen_day.copy() if self.shared is None else np.array([self._seen_day.sum()])
        plan = self.board.plan
        self.board.tick(now_ms, Spent(rows, self._seen), bids, np.array([max(self.delay_s, 0.5)]), plan.highest)


def best_fixed(market: Market, budget: float, max_bid: float, candidates: int = 300) -> float:
    """Expected clicks of the best of many multipliers, each kept all day or until the budget is gone."""
    best = 0.0
    for multiplier in np.geomspace(1e-3, 10.0, candidates):
        bids = np.minimum(multiplier * market.values, max_bid)
        won = np.flatnonzero((bids >= market.prices) & (bids >= market.floor))
        affordable = np.searchsorted(np.cumsum(market.prices[won]), budget, side="right")
        best = max(best, float(market.rates[won[:affordable]].sum()))
    return best


def moments(hours: Sequence[float], starts_ms: int, count: int, length_ms: int = DAY_MS) -> npt.NDArray[np.int64]:
    """`count` moments within `length_ms` from `starts_ms` on, spread by the hours' relative traffic.

    On days of 23 or 25 hours the clock changes two hours after midnight.
    """
    minutes = np.arange(length_ms // 60_000 + 1)
    shift = (DAY_MS - length_ms) // 60_000
    clock = np.where(minutes >= 120 + max(-shift, 0), minutes + shift, minutes) / 60
    rates = np.interp(clock - 0.5, np.arange(24), np.asarray(hours, np.float64), period=24)
    cumulative = np.concatenate([[0.0], np.cumsum((rates[1:] + rates[:-1]) / 2)])
    at = np.interp((np.arange(count) + 0.5) / count * cumulative[-1], cumulative, minutes * 60_000.0)
    found: npt.NDArray[np.int64] = (starts_ms + at).astype(np.int64)
    return found
