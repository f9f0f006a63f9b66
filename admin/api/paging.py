"""Finds a page of a list, and the total, in a few milliseconds whatever is asked for.

No planner knows how many rows have a part of a text in them, nor that the rows of one shop were all made last; one that
guesses wrong walks an index through 100,000 rows one by one. So none is left to guess:

1. Look along the order, at the rows after the cursor, until a page is full: at so many of them that one in
   ROWS_LOOKED_AT has to fit.
2. Else few fit. Collect their ids in no order, by a scan or by the index of what names few, and sort those; how many
   they are is the total. That ends at ROWS_COLLECTED.
3. Else many fit, but not where the order begins: look along it as far as it takes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.access.principal import Principal
from admin.api.listing import Query, visible
from admin.store.kinds import ObjectKind
from admin.store.tables import DOCUMENTS, order_index

# Rows that are looked at for each row of a page. A thousand of them, for a page of 50, take a millisecond.
ROWS_LOOKED_AT = 20
# At most so many rows that fit are sorted, which takes 3 ms. They are one in twenty of 100,000: where more rows fit,
# ROWS_LOOKED_AT rows for each row of a page are likely to hold the page.
ROWS_COLLECTED = 5_000
# A number below every value. `sort >= LOWEST` stands for `IS NOT NULL`, which SQLite does not take as a range of an
# index; rows without a value come first in the index.
LOWEST = -(2**63) + 1

Clause = sa.ColumnElement[bool]
Select = sa.Select[Any]


async def find_page(
    connection: AsyncConnection, kind: ObjectKind, query: Query, principal: Principal
) -> tuple[Sequence[Any], int | None]:
    """(rows, total): one row more than the page if there are more; the number of rows of all pages, if asked for."""
    finder = _Finder(kind, query, principal)
    rows: Sequence[Any]
    if order_index(query.sort.column):
        rows = (await connection.execute(finder.near())).all()
        if len(rows) > query.limit:
            return rows, await _total(connection, finder)
    if finder.narrows:
        rows = (await connection.execute(finder.collected())).all()
        found: int = rows[0].found
        if found <= ROWS_COLLECTED:
            return [row for row in rows if row.id is not None], found if query.total else None
    rows = (await connection.execute(finder.along())).all()
    return rows, await _total(connection, finder)


async def _total(connection: AsyncConnection, finder: "_Finder") -> int | None:
    return int(await connection.scalar(finder.count()) or 0) if finder.query.total else None


class _Finder:
    """The statements of one list request."""

    def __init__(self, kind: ObjectKind, query: Query, principal: Principal) -> None:
        self._table = kind.table
        self.query = query
        self._sort = query.sort.column
        self._conditions = [*query.conditions, *visible(kind, principal)]
        # Whether a condition leaves out more than archived objects, which every list leaves out.
        self.narrows = any(condition.is_range or condition.is_one for condition in self._conditions)
        self._sought = [condition.sought() for condition in self._conditions]
        self._ranges = [
            condition.make(self._sort)
            for condition in self._conditions
            if condition.is_range and condition.column is self._sort
        ]

    def near(self) -> Select:
        """The page out of the rows that come next in the order; it is short where too few of them fit."""
        columns = {condition.column.name: condition.column for condition in self._conditions}
        columns.pop("id", None)
        near = self._walk((self.query.limit + 1) * ROWS_LOOKED_AT, [*columns.values()], [])
        fitting = [condition.make(near.c[condition.column.name]) for condition in self._conditions]
        page = sa.select(near.c.id, near.c.sort_value).where(*fitting)
        return self._whole(self._first(page, near.c.id, near.c.sort_value))

    def along(self) -> Select:
        """The page, by going along the order until enough rows fit."""
        fitting = [condition.tested() for condition in self._conditions]
        walk = self._walk(self.query.limit + 1, [], fitting)
        return self._whole(sa.select(walk.c.id, walk.c.sort_value))

    def collected(self) -> Select:
        """The page out of all rows that fit, with their number (`found`); where the page is empty, one row of nulls.

        `found` is at most ROWS_COLLECTED + 1.
        """
        table, sort = self._table, self._sort
        found = sa.select(table.c.id, sort.label("sort_value")).where(*self._sought)
        fitting = found.limit(_constant(ROWS_COLLECTED + 1)).cte("fitting")
        page = sa.select(fitting.c.id, fitting.c.sort_value)
        if self.query.after is not None:
            page = page.where(self._after(fitting.c.id, fitting.c.sort_value))
        whole = self._whole(self._first(page, fitting.c.id, fitting.c.sort_value)).order_by(None).subquery()
        counted = sa.select(sa.func.count().label("found")).select_from(fitting).subquery()
        joined = sa.select(whole, counted.c.found).select_from(counted.outerjoin(whole, sa.true()))
        return joined.order_by(*self._order(whole.c.id, whole.c.sort_value))

    def count(self) -> Select:
        """How many rows all pages have together."""
        return sa.select(sa.func.count()).select_from(self._table).where(*self._sought)

    def _whole(self, page: Select) -> Select:
        """The objects of a page's ids; they are looked up only after the page is found."""
        rows, table, whole = page.subquery(), self._table, DOCUMENTS[self._table.name]
        joined = rows.join(table, table.c.id == rows.c.id).join(whole, whole.c.id == rows.c.id)
        found = sa.select(rows.c.id, rows.c.sort_value, table.c.created_ms, table.c.updated_ms, whole.c.document)
        return found.select_from(joined).order_by(*self._order(rows.c.id, rows.c.sort_value))

    def _walk(self, rows: int, columns: list[sa.Column[Any]], fitting: list[Clause]) -> sa.Subquery:
        """The next `rows` rows in the order: one run after the other (`_runs`), each one range of the index."""
        table, direction = self._table, self._direction
        parts = []
        for run in self._runs():
            part = sa.select(table.c.id, self._sort.label("sort_value"), *columns)
            part = part.where(*run, *self._ranges, *fitting)
            keys = [table.c.id] if self._sort is table.c.id else [self._sort, table.c.id]
            parts.append(part.order_by(*map(direction, keys)).limit(_constant(rows)).subquery())
        if len(parts) == 1:
            return parts[0]
        return sa.union_all(*(sa.select(part) for part in parts)).limit(_constant(rows)).subquery()

    def _runs(self) -> list[list[Clause]]:
        """The conditions of each run after the cursor: rows with the cursor's value, beyond it, and without a value."""
        sort, after, descending = self._sort, self.query.after, self.query.descending
        if sort is self._table.c.id or not order_index(sort):
            return [[] if after is None else [self._after(self._table.c.id, sort)]]
        empty: list[Clause] = [sort.is_(None)]
        valued: list[Clause] = [sort >= LOWEST] if isinstance(sort.type, sa.BigInteger) else [sort.is_not(None)]
        has_empty = sort.nullable and not self._ranges
        if not has_empty:
            valued = []
        if after is None:
            runs = [valued]
        elif after[0] is None:
            return [[*empty, self._past_id(after[1])], *([valued] if descending else [])]
        else:
            value = sa.literal(after[0], sort.type)
            runs = [[sort == value, self._past_id(after[1])], [sort < value if descending else sort > value]]
            if descending:  # rows without a value came before the cursor
                return runs
        if not has_empty:
            return runs
        return [empty, *runs] if descending else [*runs, empty]

    def _past_id(self, last_id: int) -> Clause:
        object_id: sa.Column[Any] = self._table.c.id
        return object_id < last_id if self.query.descending else object_id > last_id

    def _after(self, object_id: Any, column: Any) -> Clause:  # noqa: ANN401 - columns
        """Whether a row comes after the cursor, in one condition."""
        assert self.query.after is not None  # noqa: S101 - the callers have checked
        (value, last_id), descending = self.query.after, self.query.descending
        past_id: Clause = object_id < last_id if descending else object_id > last_id
        if self._sort is self._table.c.id:
            return past_id
        if value is None:
            same = sa.and_(column.is_(None), past_id)
            return sa.or_(same, column.is_not(None)) if descending else same
        last = sa.literal(value, column.type)  # true and false too are values here, which have an order
        beyond = column < last if descending else column > last
        condition = sa.or_(beyond, sa.and_(column == last, past_id))
        return sa.or_(condition, column.is_(None)) if self._sort.nullable and not descending else condition

    @property
    def _direction(self) -> Callable[[Any], Any]:
        return sa.desc if self.query.descending else sa.asc

    def _first(self, statement: Select, object_id: Any, value: Any) -> Select:  # noqa: ANN401 - columns
        return statement.order_by(*self._order(object_id, value)).limit(_constant(self.query.limit + 1))

    def _order(self, object_id: Any, value: Any) -> list[Any]:  # noqa: ANN401 - columns
        # Rows without a value come last upwards and first downwards, in both databases.
        empty = [value.is_(None)] if self._sort.nullable else []
        return [self._direction(key) for key in (*empty, value, object_id)]


def _constant(number: int) -> sa.ColumnElement[int]:
    """A number in the statement's text: for a limit that is a parameter PostgreSQL expects a tenth of all rows."""
    return sa.literal_column(str(number), sa.Integer())
