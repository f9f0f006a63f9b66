"""Pools: the budgets that bids are paid from, compiled from the catalogue.

A pool is (line item, share): share 0 is the general budget, share n the n-th `BudgetShare`, kept for the members of a
segment. Bidders lease from pools, tokens name them, the ledger books on them. This module is the one place that knows
which budgets limit a pool and how a share cuts a budget.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.model import Budget, Campaign, Catalogue, LineItem, Pacing, Status
from core.money import MAX_BUDGET_MICROS

UNLIMITED = -1
"""A budget that limits nothing, as the scripts store it."""

# Where pacing starts on a line item that nobody has paced yet: starting ten times too low costs under 3% of the
# clicks, ten times too high up to 91% (docs/evidence.md, "Starting low").
COLD_START = 0.1

# How far above the value of an impression a line item may bid that is to spend all. Half of the replayed market cannot
# be bought at the click price of the day before, with it all of it can (docs/pacing.md).
SPEND_ALL_MULTIPLIER = 10.0


class PoolKey(NamedTuple):
    line_item_id: int
    share: int


class PoolSpec(NamedTuple):
    """What a bidder process must know of a pool. Amounts are micros of the advertiser's currency."""

    line_item_id: int
    share: int
    advertiser_id: int
    max_bid_micros: int  # of one impression at the highest bid
    cold_start: float  # pacing multiplier until the controller has spoken
    highest_multiplier: float = 1.0

    @property
    def key(self) -> PoolKey:
        return PoolKey(self.line_item_id, self.share)


class Limit(NamedTuple):
    """A budget as the scripts store it: UNLIMITED or an amount, in micros and in impressions."""

    micros: int
    impressions: int


NO_LIMIT = Limit(UNLIMITED, UNLIMITED)


def limit_of(budget: Budget) -> Limit:
    return Limit(
        UNLIMITED if budget.micros is None else min(budget.micros, MAX_BUDGET_MICROS),
        UNLIMITED if budget.impressions is None else budget.impressions,
    )


def share_percent(line_item: LineItem, share: int) -> int:
    """How much of the line item's budgets pool `share` may use: the general pool has what the shares leave."""
    if share:
        return line_item.budget_shares[share - 1].percent
    return 100 - sum(part.percent for part in line_item.budget_shares)


def share_limit(line_item: LineItem, budget: Budget, share: int) -> Limit:
    """A share's part of a budget, rounded down, so that shares never add up to more than the budget."""
    if not line_item.budget_shares:
        return NO_LIMIT
    percent = share_percent(line_item, share)
    whole = limit_of(budget)
    return Limit(
        UNLIMITED if whole.micros == UNLIMITED else whole.micros * percent // 100,
        UNLIMITED if whole.impressions == UNLIMITED else whole.impressions * percent // 100,
    )


def pools_of(line_item: LineItem, campaign: Campaign) -> list[PoolSpec]:
    """The pools of one line item, the general one first."""
    unlimited = line_item.daily_budget == line_item.total_budget == campaign.total_budget == Budget()
    paced = line_item.pacing is Pacing.EVEN and not unlimited
    start = COLD_START if paced else 1.0
    highest = SPEND_ALL_MULTIPLIER if line_item.spend_all and paced else 1.0
    max_bid = max(1, line_item.max_cpm_micros // 1000)
    return [
        PoolSpec(line_item.id, share, line_item.advertiser_id, max_bid, start, highest)
        for share in range(len(line_item.budget_shares) + 1)
    ]


class Owners(NamedTuple):
    """The owners that may spend: the ids of active advertisers, and active campaigns by id."""

    advertisers: frozenset[int]
    campaigns: dict[int, Campaign]


def owners_of(catalogue: Catalogue) -> Owners:
    return Owners(
        frozenset(advertiser.id for advertiser in catalogue.advertisers if advertiser.status is Status.ACTIVE),
        {campaign.id: campaign for campaign in catalogue.campaigns if campaign.status is Status.ACTIVE},
    )


def pools_under(owners: Owners, line_items: Iterable[LineItem]) -> list[PoolSpec]:
    """Every pool of the line items that may spend now, in their order; the bid path looks at the flights."""
    pools: list[PoolSpec] = []
    for line_item in line_items:
        campaign = owners.campaigns.get(line_item.campaign_id)
        if campaign is not None and line_item.status is Status.ACTIVE and line_item.advertiser_id in owners.advertisers:
            pools += pools_of(line_item, campaign)
    return pools


def active_pools(catalogue: Catalogue) -> list[PoolSpec]:
    """Every pool that may spend now, in the catalogue's order."""
    return pools_under(owners_of(catalogue), catalogue.line_items)


def pool_number(line_items: ArrayLike, shares: ArrayLike) -> NDArray[np.int64]:
    """A number that identifies a pool, for sorting and searching; a line item has far fewer than 2^16 shares."""
    return (np.asarray(line_items, np.int64) << 16) | np.asarray(shares, np.int64)


_DTYPES = (np.int64, np.int64, np.int64, np.int64, np.float64, np.float64)


class Numbered:
    """A table with a number for each position, by which positions are found."""

    __slots__ = ("_order", "_sorted", "numbers")

    def __init__(self, numbers: NDArray[np.int64]) -> None:
        self.numbers = numbers
        self._order = numbers.argsort(kind="stable")
        self._sorted = numbers[self._order]

    def find(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The position of each number; -1 where it is not here."""
        if not len(self._sorted):
            return np.full(len(numbers), -1, np.int64)
        places = self._sorted.searchsorted(numbers).clip(max=len(self._sorted) - 1)
        return np.where(self._sorted[places] == numbers, self._order[places], -1)


class PoolTable(Numbered):
    """Pools by position, as arrays: as an object each, 100,000 of them hold up the event loop for 0.1 s.

    Positions that have lost their pool are of line item 0, which nobody has; they are to be skipped. The numbers are
    each pool's `pool_number`.
    """

    __slots__ = ("advertiser", "cold_start", "columns", "highest", "line_item", "max_bid", "share")

    def __init__(self, columns: Sequence[NDArray[Any]]) -> None:
        """An array over positions for each field of PoolSpec, in their order: multipliers as float64, the rest as
        int64."""
        self.columns = tuple(columns)
        self.line_item, self.share, self.advertiser, self.max_bid, self.cold_start, self.highest = self.columns
        super().__init__(pool_number(self.line_item, self.share))

    @classmethod
    def of(cls, pools: Iterable[PoolSpec]) -> Self:
        columns = list(zip(*pools, strict=True)) or [()] * len(_DTYPES)
        return cls([np.array(column, dtype) for column, dtype in zip(columns, _DTYPES, strict=True)])

    @classmethod
    def joined(cls, tables: Sequence["PoolTable"]) -> Self:
        """The positions of several tables one after the other."""
        columns = zip(*(table.columns for table in (PoolTable.of([]), *tables)), strict=True)
        return cls([np.concatenate(parts) for parts in columns])

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.columns,)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, position: int) -> PoolSpec:
        return PoolSpec(*(column[position].item() for column in self.columns))

    def __iter__(self) -> Iterator[PoolSpec]:
        return map(PoolSpec, *(column.tolist() for column in self.columns))

    def key(self, position: int) -> PoolKey:
        return PoolKey(int(self.line_item[position]), int(self.share[position]))

    def position(self, pool: PoolKey) -> int | None:
        found = int(self.find(pool_number([pool.line_item_id], [pool.share]))[0])
        return None if found < 0 else found

    def above(self, base: "PoolTable", gone: NDArray[np.int64]) -> "PoolTable":
        """This table on the positions after those of `base`, whose positions `gone` have lost their pools."""
        below = [column.copy() for column in base.columns]
        for column in below:
            column[gone] = 0
        return PoolTable([np.concatenate(pair) for pair in zip(below, self.columns, strict=True)])


def table_of(pools: "PoolTable | Sequence[PoolSpec]") -> PoolTable:
    """The pools as a table; a table is returned as it is."""
    return pools if isinstance(pools, PoolTable) else PoolTable.of(pools)
