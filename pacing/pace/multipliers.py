"""The bidder's end of pacing: multipliers come in, what was scored and reserved goes out, once a second.

A bidder without a worker keeps the last multipliers: leases hold every budget, so what is lost is evenness, not money.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import numpy as np

from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from core.telemetry.metrics import Merge, Telemetry
from pacing.budgets.leases import LeaseBook
from pacing.budgets.pools import PoolTable
from pacing.budgets.transitions import Transitions
from pacing.pace.controller import LEAST_MULTIPLIER
from pacing.pace.messages import (
    DEMAND,
    Demand,
    Multipliers,
    decode_multipliers,
    encode_demand,
    pool_numbers,
)

# The worker makes a new array each second.
EXCHANGE_S: Final = 1.0

# A new catalogue brings pools that start cold; they get their known multipliers after this at the latest.
CHECK_S: Final = 0.1


class PacingFollower:
    """Background task of a bidder process: keeps `book.multiplier` current and reports demand.

    `auctions` is the number of requests answered since the process started.
    """

    def __init__(
        self,
        book: LeaseBook,
        transitions: Transitions,
        clock: Clock,
        telemetry: Telemetry,
        *,
        process: str,
        auctions: Callable[[], int],
    ) -> None:
        self._book = book
        self._transitions = transitions
        self._clock = clock
        self._process = process
        self._auctions = auctions
        self._latest: Multipliers | None = None
        self._bound: PoolTable | None = None
        age = telemetry.gauge(
            "grosz_pacing_multiplier_age_seconds",
            "Seconds since the multipliers in use were computed.",
            merge=Merge.MAX,
        )
        age.labels().follow(self._age_s)
        self._failures = telemetry.counter(
            "grosz_pacing_exchange_failures_total", "Times that multipliers were not read from Redis."
        ).labels()

    async def run(self) -> None:
        """Follow until cancelled."""
        due = 0.0
        while True:
            if self._clock.monotonic() >= due:
                due = self._clock.monotonic() + EXCHANGE_S
                await self.tick()
            elif self._bound is not self._book.pools:
                self._apply()
            await asyncio.sleep(CHECK_S)

    async def tick(self) -> None:
        """One exchange with Redis; its absence is counted, not raised."""
        report = ("HSET", keys.PACING_DEMAND, self._process, encode_demand(self._demand()))
        try:
            _, packed = await self._transitions.commands([report, ("GET", keys.PACING_MULTIPLIERS)])
        except UnavailableError:
            self._failures.inc()
            return
        found = decode_multipliers(packed) if isinstance(packed, bytes) else None
        if found is not None:
            self._latest = found
        self._apply()

    async def close(self) -> None:
        """Remove the process's report from Redis; the worker has counted what it said."""
        try:
            await self._transitions.command("HDEL", keys.PACING_DEMAND, self._process)
        except UnavailableError:
            self._failures.inc()

    def _age_s(self) -> float:
        return 0.0 if self._latest is None else max(self._clock.now_ms() - self._latest.made_ms, 0) / 1000

    def _demand(self) -> Demand:
        self._bind()
        book = self._book
        reserved, impressions = book.demand()
        active = np.flatnonzero((book.scored > 0) | (reserved > 0))
        records = np.zeros(len(active), DEMAND)
        records["line_item"] = book.pools.line_item[active]
        records["share"] = book.pools.share[active]
        records["scored"] = book.scored[active]
        records["reserved"] = reserved[active]
        records["reserved_impressions"] = impressions[active]
        return Demand(self._clock.now_ms(), self._auctions(), records)

    def _bind(self) -> None:
        pools = self._book.pools
        if self._bound is not pools:
            # A pool that may no longer bid above an impression's value stops with the catalogue that says so.
            np.minimum(self._book.multiplier, pools.highest, out=self._book.multiplier)
            self._bound = pools

    def _apply(self) -> None:
        """Put the latest multipliers where the bid path reads them; pools without one keep theirs."""
        self._bind()
        pools = self._book.pools
        if self._latest is None or not len(self._latest.records) or not len(pools):
            return
        at = pools.find(pool_numbers(self._latest.records))
        values = self._latest.records["multiplier"]
        # A block that another program wrote must not become a bid of any size; NaN fails both comparisons.
        sane = (at >= 0) & (values >= LEAST_MULTIPLIER) & (values <= pools.highest[at])
        self._book.multiplier[at[sane]] = values[sane]
