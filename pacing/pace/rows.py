"""The rows of a plan: one for each budget that is spread over time, and unit; as values, then as arrays.

Only budgets with an end are paced: a day ends, a flight may. A balance, or a total budget without an end, leaves
nothing to spread; leases keep it. Several budgets of one pool are several rows, and the tightest decides.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from core.model import Budget, Campaign, LineItem, Pacing
from pacing.budgets.pools import UNLIMITED, Limit, Numbered, Owners, PoolTable, limit_of, pools_under, share_limit
from pacing.pace.goals import is_bound
from pacing.pace.local_time import Integers

MICROS: Final = 0
IMPRESSIONS: Final = 1

FAR_MS: Final = 2**52
"""Stands for an end that never comes: a number that the traffic curves can still count to."""

_NEVER_MS: Final = 2**62
"""Stands for a missing end in a table of pools; larger than any real one."""

_KINDS: Final = "dlqpc"
"""Letters that levels begin with: day and total of a line item, of its share, total of a campaign."""

_ROW: Final = np.dtype(
    [
        ("number", "i8"), ("advertiser", "i8"), ("unit", "i8"), ("budget", "f8"), ("daily", "?"), ("starts_ms", "i8"),
        ("ends_ms", "i8"), ("hours", "i8"),
    ]
)  # fmt: skip

_POOL: Final = np.dtype([("campaign", "i8"), ("ends_ms", "i8"), ("is_even", "?"), ("is_bound", "?")])

NO_MARKS: Final = np.zeros(0, _POOL)


class PlanRow(NamedTuple):
    """One budget that is spread over time."""

    advertiser_id: int
    kind: str  # one of _KINDS
    object_id: int  # of the line item or campaign
    share: int
    unit: int  # MICROS or IMPRESSIONS
    budget: int
    daily: bool
    starts_ms: int
    ends_ms: int
    hours: tuple[int, ...]  # local hours of the week in which it may be spent; none is all
    pools: tuple[int, ...]  # positions

    @property
    def level(self) -> str:
        """The level's name without its day."""
        return f"{self.kind}{self.object_id}{f'.{self.share}' if self.kind in 'qp' else ''}"

    @property
    def number(self) -> int:
        """Unique among all rows, the same every day; to be sorted and searched, as pacing.budgets.pools.pool_number
        is."""
        return self.object_id << 20 | self.share << 4 | _KINDS.index(self.kind) << 1 | self.unit


class RowTable(Numbered):
    """Rows by position, as arrays: as an object each, a plan of 100,000 line items took 2 s of CPU at each change.

    The numbers are each Row's `number`. `pair_row` and `pair_pool` are the positions of each row and each of its pools,
    ascending by row.
    """

    __slots__ = ("data", "hours", "levels", "pair_pool", "pair_row")

    def __init__(
        self,
        data: npt.NDArray[np.void],
        hours: Sequence[tuple[int, ...]],
        levels: npt.NDArray[np.object_],
        pairs: tuple[Integers, Integers],
    ) -> None:
        """`data` is of _ROW, its `hours` the position in `hours`; `levels` as of Row."""
        super().__init__(data["number"].copy())
        self.data, self.hours, self.levels = data, tuple(hours), levels
        self.pair_row, self.pair_pool = pairs

    @classmethod
    def of(cls, rows: Sequence[PlanRow]) -> Self:
        hours: dict[tuple[int, ...], int] = {}
        values = [
            (
                row.number, row.advertiser_id, row.unit, row.budget, row.daily, row.starts_ms, row.ends_ms,
                hours.setdefault(row.hours, len(hours)),
            )
            for row in rows
        ]  # fmt: skip
        pairs = [(at, pool) for at, row in enumerate(rows) for pool in row.pools]
        table = np.array(pairs, np.int64).reshape(-1, 2)
        return cls(np.array(values, _ROW), [*hours], _strings([row.level for row in rows]), (table[:, 0], table[:, 1]))

    @classmethod
    def joined(cls, tables: Sequence["RowTable"], first_pools: Sequence[int]) -> Self:
        """Several tables as one; pool 0 of each is `first_pools` of the whole."""
        hours: dict[tuple[int, ...], int] = {}
        data = np.concatenate([np.zeros(0, _ROW), *(table.data for table in tables)])
        start, pairs = 0, list[tuple[Integers, Integers]]()
        for table, first_pool in zip(tables, first_pools, strict=True):
            numbers = np.array([hours.setdefault(each, len(hours)) for each in table.hours], np.int64)
            data["hours"][start : start + len(table)] = numbers[table.data["hours"]]
            pairs.append((table.pair_row + start, table.pair_pool + first_pool))
            start += len(table)
        pair_row, pair_pool = (np.concatenate([np.zeros(0, np.int64), *part]) for part in zip(*pairs, strict=True))
        levels = np.concatenate([_strings([]), *(table.levels for table in tables)])
        return cls(data, [*hours], levels, (pair_row, pair_pool))

    def __len__(self) -> int:
        return len(self.data)

    def names(self) -> list[str]:
        """Of each row a name that is unique among the advertiser's, the same every day: what memory is kept under."""
        units = self.data["unit"].tolist()
        return [f"{level}i" if unit else level for level, unit in zip(self.levels.tolist(), units, strict=True)]


def _strings(values: Sequence[str]) -> npt.NDArray[np.object_]:
    table = np.empty(len(values), np.object_)
    table[:] = values
    return table


class RowBlock(NamedTuple):
    """What a block of line items adds to a plan; positions are those of `pools`."""

    pools: PoolTable
    marks: npt.NDArray[np.void]  # of _POOL, by pool
    rows: RowTable


def block_of(line_items: Iterable[LineItem], owners: Owners) -> RowBlock:
    """The pools of line items that may spend now, and the rows of the line items' own budgets."""
    lines = {line_item.id: line_item for line_item in line_items}
    pools = pools_under(owners, lines.values())
    marks = [_marks(lines[pool.line_item_id]) for pool in pools]
    rows: list[PlanRow] = []
    start = 0
    while start < len(pools):
        line = lines[pools[start].line_item_id]
        end = start + len(line.budget_shares) + 1
        if line.pacing is Pacing.EVEN:
            rows += _line_rows(line, owners.campaigns[line.campaign_id], range(start, end))
        start = end
    return RowBlock(PoolTable.of(pools), np.array(marks, _POOL), RowTable.of(rows))


def _marks(line: LineItem) -> tuple[int, int, bool, bool]:
    ends_ms = _NEVER_MS if line.end_ms is None else line.end_ms
    return line.campaign_id, ends_ms, line.pacing is Pacing.EVEN, is_bound(line)


def campaign_rows(campaigns: Iterable[Campaign], marks: npt.NDArray[np.void]) -> list[PlanRow]:
    """The rows of budgets that several line items share. `marks` has an entry for each pool, by position."""
    limited = {campaign.id: campaign for campaign in campaigns if campaign.total_budget != Budget()}
    even = np.flatnonzero(marks["is_even"])
    numbers, first, counts = np.unique(marks["campaign"][even], return_index=True, return_counts=True)
    groups = np.split(even[marks["campaign"][even].argsort(kind="stable")], counts.cumsum())
    rows: list[PlanRow] = []
    for at in first.argsort().tolist():
        campaign = limited.get(int(numbers[at]))
        if campaign is None:
            continue
        last = int(marks["ends_ms"][groups[at]].max())
        ends_ms = campaign.end_ms or (FAR_MS if last == _NEVER_MS else last)
        level = PlanRow(
            campaign.advertiser_id, "c", campaign.id, 0, MICROS, 0, False, campaign.start_ms or 0, ends_ms, (),
            tuple(groups[at].tolist()),
        )  # fmt: skip
        rows += _by_unit(level, limit_of(campaign.total_budget))
    return rows


def _line_rows(line: LineItem, campaign: Campaign, positions: Sequence[int]) -> Iterator[PlanRow]:
    """A line item's own budgets and those of its shares; `positions` of its pools."""
    ends = [end for end in (line.end_ms, campaign.end_ms) if end is not None]
    level = PlanRow(
        line.advertiser_id, "d", line.id, 0, MICROS, 0, True, max(line.start_ms or 0, campaign.start_ms or 0),
        min(ends, default=FAR_MS), line.targeting.hours_of_week, tuple(positions),
    )  # fmt: skip
    yield from _by_unit(level, limit_of(line.daily_budget))
    yield from _by_unit(level._replace(kind="l", daily=False), limit_of(line.total_budget))
    if line.budget_shares:
        for share, position in enumerate(positions):
            part = level._replace(kind="q", share=share, pools=(position,))
            yield from _by_unit(part, share_limit(line, line.daily_budget, share))
            yield from _by_unit(part._replace(kind="p", daily=False), share_limit(line, line.total_budget, share))


def _by_unit(level: PlanRow, limit: Limit) -> Iterator[PlanRow]:
    """A row for each unit that the budget limits; a total that never ends is not paced."""
    if level.daily or level.ends_ms != FAR_MS:
        for unit, amount in ((MICROS, limit.micros), (IMPRESSIONS, limit.impressions)):
            if amount != UNLIMITED:
                yield level._replace(unit=unit, budget=amount)
