"""What each pool is paced against, compiled from the catalogue into arrays: pools, rows (pacing/pace/rows.py),
periods."""

import datetime
import zoneinfo
from typing import NamedTuple

import numpy as np

from core.model import Catalogue
from pacing.budgets.blocks import BlockBook
from pacing.budgets.days import local_date, number_of, starts_ms
from pacing.budgets.pools import PoolTable
from pacing.pace.day_curve import Floats
from pacing.pace.local_time import Integers, LocalTime, offset_ms
from pacing.pace.rows import NO_MARKS, RowBlock, RowTable, block_of, campaign_rows
from pacing.pace.traffic import Curves, hours_mask


class Period(NamedTuple):
    """From when to when each row's budget is spread, and the day that its level counts (0: not by days)."""

    day: Integers
    starts_ms: Integers
    ends_ms: Integers


class PlanBook(BlockBook[RowBlock]):
    """Remembers the parts of a plan that the next one has too: after one change it takes a twentieth of the time."""

    def __init__(self) -> None:
        super().__init__(block_of)


class PacingPlan:
    """The rows and pools of one catalogue, as arrays that the tick works on. `book` is that of the plan before it."""

    def __init__(self, catalogue: Catalogue, book: PlanBook | None = None) -> None:
        self.catalogue = catalogue
        blocks = (book or PlanBook()).update(catalogue)
        self.pools = PoolTable.joined([block.pools for block in blocks])
        marks = np.concatenate([NO_MARKS, *(block.marks for block in blocks)])
        starts = np.cumsum([0, *(len(block.pools) for block in blocks)]).tolist()
        shared = RowTable.of(campaign_rows(catalogue.campaigns, marks))
        self.rows = RowTable.joined([*(block.rows for block in blocks), shared], [*starts[:-1], 0])
        lines = {line_item.id: line_item for line_item in catalogue.line_items}
        bound = np.flatnonzero(marks["is_bound"]).tolist()
        self.bound_pools = [(at, lines[int(self.pools.line_item[at])]) for at in bound]
        self.lines = lines
        self._zones = [zoneinfo.ZoneInfo(each.timezone) for each in catalogue.advertisers]
        self.advertisers = [each.id for each in catalogue.advertisers]
        self._index = {number: at for at, number in enumerate(self.advertisers)}
        self.pool_advertiser = self._indices(self.pools.advertiser)
        self.row_advertiser = self._indices(self.rows.data["advertiser"])
        self.max_bid: Floats = self.pools.max_bid.astype(np.float64)
        self.budget: Floats = self.rows.data["budget"].copy()
        self.unit: Integers = self.rows.data["unit"].copy()
        self.pair_row, self.pair_pool = self.rows.pair_row, self.rows.pair_pool
        # Without a row there is no budget to spend up: only pools with a row may rise above 1.
        self.highest: Floats = np.ones(len(self.pools))
        self.highest[self.pair_pool] = self.pools.highest[self.pair_pool]
        # A row of several line items rises as far as any of them may.
        self.row_highest: Floats = np.zeros(len(self.rows))
        np.maximum.at(self.row_highest, self.pair_row, self.highest[self.pair_pool])
        self.rows_of_pool = _padded(self.pair_row, self.pair_pool, len(self.pools))

    def _indices(self, advertisers: Integers) -> Integers:
        """The position of each advertiser in `advertisers`."""
        numbers, places = np.unique(advertisers, return_inverse=True)
        return np.array([self._index[number] for number in numbers.tolist()], np.int64)[places]

    def period(self, now_ms: int) -> Period:
        """The period of each row at a moment: the local day cut to the flight, or the whole flight."""
        days = {zone: _day(zone, now_ms) for zone in set(self._zones)}
        table = np.array([days[zone] for zone in self._zones], np.int64).reshape(-1, 3)[self.row_advertiser]
        data = self.rows.data
        return Period(
            np.where(data["daily"], table[:, 0], 0),
            np.where(data["daily"], np.maximum(table[:, 1], data["starts_ms"]), data["starts_ms"]),
            np.where(data["daily"], np.minimum(table[:, 2], data["ends_ms"]), data["ends_ms"]),
        )

    def day(self, advertiser_id: int, now_ms: int) -> tuple[int, float]:
        """Days since 1970 in the advertiser's time zone, and the seconds since its day began."""
        number, starts_ms, _ = _day(self._zones[self._index[advertiser_id]], now_ms)
        return number, (now_ms - starts_ms) / 1000

    def level_names(self, days: Integers) -> list[str]:
        """The level of each row as the scripts name it on its day."""
        columns = (self.rows.levels.tolist(), self.rows.data["daily"].tolist(), days.tolist())
        return [f"{level}@{day}" if daily else level for level, daily, day in zip(*columns, strict=True)]

    def row_names(self) -> list[tuple[int, str]]:
        """The advertiser of each row, and a name that is unique among the advertiser's rows and the same every day."""
        return list(zip(self.rows.data["advertiser"].tolist(), self.rows.names(), strict=True))

    @property
    def usual_zone(self) -> str:
        """The time zone of most advertisers; of several such, the first by name."""
        names = [zone.key for zone in self._zones]
        return min(set(names), key=lambda name: (-names.count(name), name), default="UTC")

    def curves(self, weights: Floats, now_ms: int, clock: LocalTime | None = None) -> tuple[Curves, Integers]:
        """Traffic by row: the learned week of `clock` (None: UTC), cut to the hours in which a line item may spend."""
        here_ms = clock.local(now_ms) - now_ms if clock is not None else 0
        kinds = self.rows.data["hours"] * len(self._zones) + self.row_advertiser
        numbers, places = np.unique(kinds, return_inverse=True)
        patterns: dict[tuple[tuple[int, ...], int], int] = {}
        of_kind: list[int] = []
        for hours_at, zone_at in zip(*np.divmod(numbers, max(len(self._zones), 1)), strict=True):
            hours = self.rows.hours[hours_at]
            offset = offset_ms(self._zones[zone_at], now_ms) - here_ms if hours else 0
            of_kind.append(patterns.setdefault((hours, offset), len(patterns)))
        masked = [weights * hours_mask(hours, offset) for hours, offset in patterns]
        return Curves(masked, clock), np.array(of_kind, np.int64)[places]


def _day(zone: zoneinfo.ZoneInfo, now_ms: int) -> tuple[int, int, int]:
    """Days since 1970, begin and end of the local day."""
    today = local_date(zone, now_ms)
    return number_of(today), starts_ms(zone, today), starts_ms(zone, today + datetime.timedelta(days=1))


def _padded(rows: Integers, pools: Integers, size: int) -> Integers:
    """The rows of each pool in ascending order, shape (pools, most rows of any pool), filled up with -1."""
    order = pools.argsort(kind="stable")
    counts = np.bincount(pools, minlength=size)
    table: Integers = np.full((size, max(int(counts.max(initial=0)), 1)), -1, np.int64)
    pools = pools[order]
    table[pools, np.arange(len(pools)) - (counts.cumsum() - counts)[pools]] = rows[order]
    return table
