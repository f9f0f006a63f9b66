"""Everything that is paced, between two ticks: plan, controllers, bids in flight and the shape of traffic, as arrays.

Pure of input and output: a replay of recorded auctions, a simulated day and the worker's loop run the same code.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from pacing.budgets.pools import PoolTable
from pacing.pace.controller import (
    LEAST_MULTIPLIER,
    ControllerState,
    Flags,
    Floats,
    Observation,
    advance,
    cold_state,
    restarted,
    tightest,
)
from pacing.pace.in_flight import InFlight
from pacing.pace.local_time import Integers
from pacing.pace.plan import PacingPlan
from pacing.pace.rows import IMPRESSIONS, MICROS, RowTable
from pacing.pace.traffic import Curves, TrafficShape

# The day of a row that was not observed yet.
_UNSEEN: Final = -1

# Curves are made anew this often: the learned shape changes by one bin in five minutes, zones' offsets twice a year.
_CURVES_MS: Final = 60_000


class Spent(NamedTuple):
    """Settled spend, in all."""

    rows: Floats  # of each row's level, in its unit
    pools: Floats  # shape (2, pools): micros and impressions


class Bids(NamedTuple):
    """What the bidders did since the last tick."""

    auctions: float  # requests answered, whatever the answer
    scored: Floats  # by pool
    reserved: Floats  # shape (2, pools): micros and impressions


class PacingBoard:
    """The pacing state of one catalogue. `remembered` are logarithms of multipliers by (advertiser id, row name)."""

    def __init__(
        self,
        plan: PacingPlan,
        traffic: TrafficShape,
        now_ms: int,
        remembered: Mapping[tuple[int, str], float] = MappingProxyType({}),
    ) -> None:
        self.plan = plan
        self.traffic = traffic
        traffic.move_to(plan.usual_zone, now_ms)
        size = len(plan.rows)
        self.state: ControllerState = cold_state(size, now_ms)
        for at, name in enumerate(plan.row_names() if remembered else ()):
            known = remembered.get(name, math.nan)
            if math.isfinite(known):
                self.state.log_multiplier[at] = max(known, math.log(LEAST_MULTIPLIER))
        self._log_most: Floats = np.log(plan.row_highest)
        np.minimum(self.state.log_multiplier, self._log_most, out=self.state.log_multiplier)
        self.multipliers: Floats = tightest(self.state, plan.rows_of_pool, plan.highest)
        self.in_flight = InFlight(len(plan.pools))
        self.charged: Floats = np.zeros((2, len(plan.pools)))  # settled in the last tick
        self.ratio: Floats = np.zeros(size)  # what was committed, as a part of the plan until now
        self._days: Integers = np.full(size, _UNSEEN, np.int64)
        self._scored: Floats = np.zeros(len(plan.pools))
        self._pools_spent: Floats | None = None
        self._known: Flags = np.zeros(len(plan.pools), np.bool_)
        self._seen_ms = now_ms
        self._curves: tuple[Curves, Integers] | None = None
        self._curves_ms = 0

    def carry(self, other: "PacingBoard") -> None:
        """Go on from another catalogue's board: rows and pools that both have keep their state to the micro."""
        here, there = _common(self.plan.pools, other.plan.pools)
        self.in_flight.carry(other.in_flight, here, there)
        self._scored[here] = other._scored[there]
        self._seen_ms = other._seen_ms
        if other._pools_spent is not None:
            self._pools_spent = np.zeros((2, len(self.plan.pools)))
            self._pools_spent[:, here] = other._pools_spent[:, there]
            self._known[here] = True
        here, there = self._common_rows(other)
        for mine, theirs in zip(self.state, other.state, strict=True):
            mine[here] = theirs[there]
        # A row that gained or lost a pool would compare sums over different pools: its window begins anew.
        same = self._has_same_pools(other, here, there)
        self._days[here] = np.where(same, other._days[there], _UNSEEN)
        np.minimum(self.state.log_multiplier, self._log_most, out=self.state.log_multiplier)
        self.multipliers = tightest(self.state, self.plan.rows_of_pool, self.plan.highest)

    def _common_rows(self, other: "PacingBoard") -> tuple[Integers, Integers]:
        """Positions of the rows that both boards have: in this one, and in the other."""
        here, there = _common(self.plan.rows, other.plan.rows)
        # A line item that has moved to another advertiser counts on other levels now.
        stayed = self.plan.rows.data["advertiser"][here] == other.plan.rows.data["advertiser"][there]
        return here[stayed], there[stayed]

    def _has_same_pools(self, other: "PacingBoard", here: Integers, there: Integers) -> Flags:
        """Whether each of these rows has the same pools in both boards."""
        mine, theirs = self.plan, other.plan
        row_here: Integers = np.full(len(theirs.rows), -1, np.int64)
        row_here[there] = here
        row, pool = row_here[theirs.pair_row], mine.pools.find(theirs.pools.numbers)[theirs.pair_pool]
        pairs, size = mine.pair_row * len(mine.pools) + mine.pair_pool, len(mine.rows)
        known = (row >= 0) & (pool >= 0) & np.isin(row * len(mine.pools) + pool, pairs)
        common = np.bincount(row[known], minlength=size)[here]
        counts = np.bincount(mine.pair_row, minlength=size)[here]
        same: Flags = (common == counts) & (common == np.bincount(theirs.pair_row, minlength=len(theirs.rows))[there])
        return same

    def tick(self, now_ms: int, spent: Spent, bids: Bids, delay_s: Floats, ceiling: Floats) -> Floats:
        """New multipliers by pool. `delay_s`: from bid to bill, by advertiser; `ceiling`: by pool, of cost targets."""
        plan = self.plan
        elapsed_s = max(now_ms - self._seen_ms, 1) / 1000
        self._seen_ms = now_ms
        self.traffic.count(bids.auctions, now_ms)
        self._settle(spent)
        self.in_flight.observe(bids.reserved, self.charged, delay_s[plan.pool_advertiser], elapsed_s)
        self._scored = self._scored + bids.scored
        committed = spent.rows + self._by_row(self.in_flight.expected())
        scored = self._sum(self._scored)
        period = plan.period(now_ms)
        self.state = restarted(self.state, period.day != self._days, now_ms, committed, scored)
        self._days = period.day
        curves, pattern = self._traffic_curves(now_ms)
        since = np.maximum(self.state.since_ms, period.starts_ms)
        charge, is_measured = self._charges(spent.pools)
        seen = Observation(
            now_ms=now_ms,
            budget=plan.budget,
            committed=committed,
            scored=scored,
            share=curves.share(pattern, since, now_ms, period.ends_ms),
            charge=charge,
            is_measured=is_measured,
            delay_ms=1000 * delay_s[plan.row_advertiser],
            log_most=self._log_most,
        )
        self.state = advance(self.state, seen)
        planned = plan.budget * curves.share(pattern, np.minimum(period.starts_ms, now_ms), now_ms, period.ends_ms)
        self.ratio = np.where(planned > 0.0, committed / np.where(planned > 0.0, planned, 1.0), 0.0)
        self.multipliers = tightest(self.state, plan.rows_of_pool, ceiling)
        return self.multipliers

    def memory(self) -> dict[tuple[int, str], float]:
        """Logarithms of the rows' multipliers, for a worker that goes on after a restart."""
        logs = self.state.log_multiplier.tolist()
        return dict(zip(self.plan.row_names(), logs, strict=True))

    def tightest_row(self) -> Integers:
        """The row that decides each pool's multiplier; -1 for a pool without rows."""
        logs = np.append(self.state.log_multiplier, np.inf)[self.plan.rows_of_pool]
        rows: Integers = self.plan.rows_of_pool[np.arange(len(self.plan.pools)), logs.argmin(axis=1)]
        return rows

    def _settle(self, spent: Spent) -> None:
        """Work out what was settled since the last tick; a pool that is new here has settled nothing yet."""
        before = self._pools_spent
        if before is None:
            self.charged = np.zeros_like(spent.pools)
        else:
            self.charged = np.where(self._known, np.maximum(spent.pools - before, 0.0), 0.0)
        self._pools_spent = spent.pools
        self._known[:] = True

    def _by_row(self, by_pool: Floats) -> Floats:
        plan = self.plan
        return np.where(plan.unit == IMPRESSIONS, self._sum(by_pool[IMPRESSIONS]), self._sum(by_pool[MICROS]))

    def _sum(self, of_pool: Floats) -> Floats:
        """The sum over each row's pools."""
        plan = self.plan
        sums = np.bincount(plan.pair_row, weights=of_pool[plan.pair_pool], minlength=len(plan.rows))
        return sums.astype(np.float64)

    def _charges(self, pools_spent: Floats) -> tuple[Floats, Flags]:
        """A typical charge of each row, and whether it was measured: before the first one it is a typical bid, or 0."""
        plan, sent = self.plan, self.in_flight.sent
        shown = self._sum(pools_spent[IMPRESSIONS])
        bids = np.maximum(self._sum(sent[IMPRESSIONS]), 1.0)
        is_measured: Flags = shown > 0.0
        spent = np.where(is_measured, self._sum(pools_spent[MICROS]) / np.maximum(shown, 1.0), 0.0)
        charge = np.where(is_measured, spent, self._sum(sent[MICROS]) / bids)
        return np.where(plan.unit == IMPRESSIONS, 1.0, charge), is_measured

    def _traffic_curves(self, now_ms: int) -> tuple[Curves, Integers]:
        if self._curves is None or now_ms - self._curves_ms >= _CURVES_MS:
            self._curves = self.plan.curves(self.traffic.weights(), now_ms, self.traffic.clock(now_ms))
            self._curves_ms = now_ms
        return self._curves


def _common(mine: PoolTable | RowTable, theirs: PoolTable | RowTable) -> tuple[Integers, Integers]:
    """Positions of the numbers that both tables have, in each of them."""
    found = theirs.find(mine.numbers)
    here = np.flatnonzero(found >= 0)
    return here, found[here]
