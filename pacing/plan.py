"""What each pool is paced against, compiled from the catalogue into arrays: one row for each budget and unit.

Only budgets with an end are paced: a day ends, a flight may. A balance, or a total budget without an end, leaves
nothing to spread; leases keep it. Several budgets of one pool are several rows, and the tightest decides.
"""

import datetime
import zoneinfo
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from core.model import Budget, Campaign, Catalogue, LineItem, Pacing
from pacing.days import local_date, number_of, starts_ms
from pacing.goals import is_bound
from pacing.pools import NO_LIMIT, UNLIMITED, Limit, PoolKey, PoolSpec, active_pools, limit_of, pool_number, share_limit
from pacing.traffic import Curves, Floats, Integers, hours_mask

MICROS: Final = 0
IMPRESSIONS: Final = 1

FAR_MS: Final = 2**52
"""An end that never comes, as a number that the traffic curves can still count to."""


class Row(NamedTuple):
    """One budget that is spread over time."""

    advertiser_id: int
    level: str  # the level's name without its day
    unit: int  # MICROS or IMPRESSIONS
    budget: int
    daily: bool
    starts_ms: int
    ends_ms: int
    hours: tuple[int, ...]  # local hours of the week in which it may be spent; none is all
    pools: tuple[int, ...]  # positions

    @property
    def name(self) -> str:
        """Unique among the advertiser's rows, the same every day: what the memory is kept under."""
        return f"{self.level}{'i' if self.unit else ''}"


class Period(NamedTuple):
    """From when to when each row is spread now, and the day that its level counts (0: not by days)."""

    day: Integers
    starts_ms: Integers
    ends_ms: Integers


class PacingPlan:
    """The rows and pools of one catalogue, as arrays that the tick works on."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.pools: list[PoolSpec] = active_pools(catalogue)
        self.lines = {line_item.id: line_item for line_item in catalogue.line_items}
        self.rows = _rows(catalogue, self.pools, self.lines)
        self._zones = {each.id: zoneinfo.ZoneInfo(each.timezone) for each in catalogue.advertisers}
        numbers = pool_number([pool.line_item_id for pool in self.pools], [pool.share for pool in self.pools])
        self.pool_numbers = numbers
        self._order = np.argsort(numbers)
        self.max_bid: Floats = np.array([pool.max_bid_micros for pool in self.pools], np.float64)
        # Nothing to spend all of is no reason to bid more: only pools with a row may rise above 1.
        self.highest: Floats = np.ones(len(self.pools))
        for position in {position for row in self.rows for position in row.pools}:
            self.highest[position] = self.pools[position].highest_multiplier
        # A row of several line items rises as far as any of them may.
        self.row_highest: Floats = np.array([self.highest[list(row.pools)].max() for row in self.rows], np.float64)
        self.advertisers = [each.id for each in catalogue.advertisers]
        index = {number: at for at, number in enumerate(self.advertisers)}
        self.pool_advertiser: Integers = np.array([index[pool.advertiser_id] for pool in self.pools], np.int64)
        self.row_advertiser: Integers = np.array([index[row.advertiser_id] for row in self.rows], np.int64)
        self.bound_pools = [at for at, pool in enumerate(self.pools) if is_bound(self.lines[pool.line_item_id])]
        self.budget: Floats = np.array([row.budget for row in self.rows], np.float64)
        self.unit: Integers = np.array([row.unit for row in self.rows], np.int64)
        pairs = [(at, pool) for at, row in enumerate(self.rows) for pool in row.pools]
        self.pair_row: Integers = np.array([row for row, _ in pairs], np.int64)
        self.pair_pool: Integers = np.array([pool for _, pool in pairs], np.int64)
        self.rows_of_pool = _padded(pairs, len(self.pools))
        self._starts: Integers = np.array([row.starts_ms for row in self.rows], np.int64)
        self._ends: Integers = np.array([row.ends_ms for row in self.rows], np.int64)
        self._daily = np.array([row.daily for row in self.rows], np.bool_)

    def positions(self, numbers: Integers) -> Integers:
        """Positions of pools by their numbers (pacing.pools.pool_number), -1 for those that are not here."""
        if not len(self.pool_numbers) or not len(numbers):
            return np.full(len(numbers), -1, np.int64)
        at = np.searchsorted(self.pool_numbers, numbers, sorter=self._order)
        found = self._order[np.minimum(at, len(self._order) - 1)]
        return np.where(self.pool_numbers[found] == numbers, found, -1)

    def period(self, now_ms: int) -> Period:
        """The days of all time zones at a moment, cut to the flights."""
        days = {advertiser: _day(zone, now_ms) for advertiser, zone in self._zones.items()}
        table = np.array([days[row.advertiser_id] for row in self.rows], np.int64).reshape(-1, 3)
        return Period(
            np.where(self._daily, table[:, 0], 0),
            np.where(self._daily, np.maximum(table[:, 1], self._starts), self._starts),
            np.where(self._daily, np.minimum(table[:, 2], self._ends), self._ends),
        )

    def day(self, advertiser_id: int, now_ms: int) -> tuple[int, float]:
        """Days since 1970 in the advertiser's time zone, and the seconds since its day began."""
        number, starts_ms, _ = _day(self._zones[advertiser_id], now_ms)
        return number, (now_ms - starts_ms) / 1000

    def level_names(self, days: Integers) -> list[str]:
        """The level of each row as the scripts name it on its day."""
        return [
            f"{row.level}@{day}" if row.daily else row.level for row, day in zip(self.rows, days.tolist(), strict=True)
        ]

    def curves(self, weights: Floats, now_ms: int) -> tuple[Curves, Integers]:
        """Traffic by row: the learned week, cut to the hours in which a line item may spend."""
        patterns: dict[tuple[tuple[int, ...], int], int] = {}
        of_row: list[int] = []
        for row in self.rows:
            offset = _offset_ms(self._zones[row.advertiser_id], now_ms) if row.hours else 0
            of_row.append(patterns.setdefault((row.hours, offset), len(patterns)))
        masked = [weights * hours_mask(hours, offset) for hours, offset in patterns]
        return Curves(masked), np.array(of_row, np.int64)


def _day(zone: zoneinfo.ZoneInfo, now_ms: int) -> tuple[int, int, int]:
    """Days since 1970, begin and end of the local day."""
    today = local_date(zone, now_ms)
    return number_of(today), starts_ms(zone, today), starts_ms(zone, today + datetime.timedelta(days=1))


def _offset_ms(zone: zoneinfo.ZoneInfo, now_ms: int) -> int:
    offset = datetime.datetime.fromtimestamp(now_ms / 1000, zone).utcoffset()
    return round(offset.total_seconds() * 1000) if offset is not None else 0


def _padded(pairs: Sequence[tuple[int, int]], size: int) -> Integers:
    """Rows of each pool, shape (pools, most rows of any), filled up with -1."""
    grouped: defaultdict[int, list[int]] = defaultdict(list)
    for row, pool in pairs:
        grouped[pool].append(row)
    width = max(map(len, grouped.values()), default=1)
    table: npt.NDArray[np.int64] = np.full((size, width), -1, np.int64)
    for pool, rows in grouped.items():
        table[pool, : len(rows)] = rows
    return table


def _rows(catalogue: Catalogue, pools: Sequence[PoolSpec], lines: dict[int, LineItem]) -> list[Row]:
    campaigns = {campaign.id: campaign for campaign in catalogue.campaigns}
    of_line: defaultdict[int, list[int]] = defaultdict(list)
    of_campaign: defaultdict[int, list[int]] = defaultdict(list)
    for position, pool in enumerate(pools):
        line_item = lines[pool.line_item_id]
        if line_item.pacing is Pacing.EVEN:
            of_line[line_item.id].append(position)
            of_campaign[line_item.campaign_id].append(position)
    rows: list[Row] = []
    for number, positions in of_line.items():
        rows += _line_rows(lines[number], campaigns[lines[number].campaign_id], positions, pools)
    for number, positions in of_campaign.items():
        campaign = campaigns[number]
        ends = [lines[pools[at].line_item_id].end_ms for at in positions]
        end_ms = campaign.end_ms or max((end for end in ends if end is not None and None not in ends), default=None)
        if end_ms is not None:
            limit, start = limit_of(campaign.total_budget), campaign.start_ms or 0
            rows += _rows_of(campaign.advertiser_id, f"c{number}", limit, False, (start, end_ms), (), positions)
    return rows


def _line_rows(line: LineItem, campaign: Campaign, positions: list[int], pools: Sequence[PoolSpec]) -> list[Row]:
    """A line item's own budgets and those of its shares."""
    ends = [end for end in (line.end_ms, campaign.end_ms) if end is not None]
    flight = (max(line.start_ms or 0, campaign.start_ms or 0), min(ends, default=FAR_MS))
    hours = line.targeting.hours_of_week
    rows: list[Row] = []

    def add(level: str, budget: Limit, daily: bool, of: list[int]) -> None:
        rows.extend(_rows_of(line.advertiser_id, level, budget, daily, flight, hours, of))

    add(f"d{line.id}", limit_of(line.daily_budget), True, positions)
    add(f"l{line.id}", limit_of(line.total_budget), False, positions)
    for position in positions:
        key = PoolKey(line.id, pools[position].share)
        add(f"q{key.line_item_id}.{key.share}", _share(line, line.daily_budget, key.share), True, [position])
        add(f"p{key.line_item_id}.{key.share}", _share(line, line.total_budget, key.share), False, [position])
    return rows


def _share(line: LineItem, budget: Budget, share: int) -> Limit:
    return share_limit(line, budget, share) if line.budget_shares else NO_LIMIT


def _rows_of(
    advertiser_id: int, level: str, limit: Limit, daily: bool, flight: tuple[int, int], hours: tuple[int, ...],
    positions: list[int],
) -> list[Row]:  # fmt: skip
    """A row for each unit that the budget limits; a total that never ends is not paced."""
    if not daily and flight[1] == FAR_MS:
        return []
    return [
        Row(advertiser_id, level, unit, amount, daily, *flight, hours, tuple(positions))
        for unit, amount in ((MICROS, limit.micros), (IMPRESSIONS, limit.impressions))
        if amount != UNLIMITED
    ]
