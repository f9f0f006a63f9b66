"""The ledger in SQL: pacing.ledger.rows.LedgerStore. Rows are added and never changed: the database refuses it.

Sums by pool and day are kept beside the rows and change with them, in one transaction: counters are rebuilt and audited
from the sums, so that neither takes longer with every day. `grosz audit` compares the sums with the rows.
"""

import importlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.store.database import Database
from admin.store.tables import ledger, ledger_archived, ledger_days, ledger_marks, ledger_pools
from pacing.ledger.rows import (
    BEFORE,
    DayLine,
    LedgerRow,
    PoolTotal,
    PriceSource,
    RowHead,
    RowKind,
    Totals,
    stream_id_order,
)

# `unreadable` is told by the row's `price_source`.
_HEAD_COLUMNS = tuple(name for name in RowHead.__struct_fields__ if name not in ("price_source", "unreadable"))
_ROW_COLUMNS = ("settled_ms", "price_cpm", "charge_micros", "impressions", "late", "over_micros")


class SqlLedgerStore:
    """Keeps ledger rows in SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert_mark, self._add_to = _statements(database)

    async def append(self, advertiser_id: int, rows: Sequence[LedgerRow]) -> None:
        """Keep the rows, and add them to the sums, in one transaction; leave out what is there already.

        Raises UnavailableError.
        """
        if not rows:
            return
        async with self._database.write() as connection:
            last = await self._lock(connection, advertiser_id)
            new = [row for row in rows if stream_id_order(row.stream_id) > last]
            if not new:
                return
            await connection.execute(sa.insert(ledger), [_values(advertiser_id, row) for row in new])
            for table, name_of in ((ledger_days, _day_of), (ledger_pools, _pool_of)):
                await connection.execute(self._add_to[table.name], _sums(advertiser_id, new, name_of))
            milliseconds, sequence = max(stream_id_order(row.stream_id) for row in new)
            mark = {"stream_ms": milliseconds, "stream_sequence": sequence}
            await connection.execute(
                sa.update(ledger_marks).where(ledger_marks.c.advertiser_id == advertiser_id).values(mark)
            )

    async def _lock(self, connection: AsyncConnection, advertiser_id: int) -> tuple[int, int]:
        """Lock the advertiser's mark, so that writers go one after the other; the newest row's (ms, sequence)."""
        start = {"advertiser_id": advertiser_id, "stream_ms": -1, "stream_sequence": -1}
        await connection.execute(self._insert_mark, start)
        statement = sa.select(ledger_marks).where(ledger_marks.c.advertiser_id == advertiser_id).with_for_update()
        row = (await connection.execute(statement)).one()
        return (row.stream_ms, row.stream_sequence)

    async def last_stream_id(self, advertiser_id: int) -> str:
        """The id of the newest row, "" without one."""
        async with self._database.read() as connection:
            return await _last(connection, advertiser_id)

    async def totals(self, advertiser_id: int, since_day: int = 0) -> Totals:
        """Sums by pool and day, with the id that they go up to, from one consistent read.

        The days before `since_day` are one sum for each pool, given as day BEFORE.
        """
        by_day = (
            sa.select(*_names(ledger_days, (*_POOL, "day")), *_added(ledger_days))
            .where(ledger_days.c.advertiser_id == advertiser_id, ledger_days.c.day >= since_day)
            .group_by(*_names(ledger_days, (*_POOL, "day")))
            .order_by(*_names(ledger_days, (*_POOL, "day")))
        )
        whole = sa.select(*_names(ledger_pools, (*_POOL, *_SUMS))).where(ledger_pools.c.advertiser_id == advertiser_id)
        async with self._database.read() as connection:
            last = await _last(connection, advertiser_id)
            days = [PoolTotal(*(int(value) for value in row)) for row in await connection.execute(by_day)]
            pools = [tuple(map(int, row)) for row in await connection.execute(whole)] if since_day else []
        recent: defaultdict[tuple[int, ...], list[int]] = defaultdict(lambda: [0, 0])
        for total in days:
            for at, amount in enumerate((total.charge_micros, total.impressions)):
                recent[total[:3]][at] += amount
        before = [
            PoolTotal(
                campaign, line_item, share, BEFORE, charge - recent[campaign, line_item, share][0],
                impressions - recent[campaign, line_item, share][1],
            )
            for campaign, line_item, share, charge, impressions in pools
        ]  # fmt: skip
        return Totals(last, [*(total for total in before if total[4:] != (0, 0)), *days])

    async def check(self, advertiser_id: int) -> list[str]:
        """Where the kept sums differ from the sums of the rows, archived rows included; reads all rows."""
        faults = []
        async with self._database.read() as connection:
            for table, names in ((ledger_days, _DAY), (ledger_pools, _POOL)):
                of_rows = (
                    sa.select(*_names(ledger, names), *_added(ledger))
                    .where(ledger.c.advertiser_id == advertiser_id)
                    .group_by(*_names(ledger, names))
                )
                archived = (
                    sa.select(*_names(ledger_archived, names), *_added(ledger_archived))
                    .where(ledger_archived.c.advertiser_id == advertiser_id)
                    .group_by(*_names(ledger_archived, names))
                )
                kept = sa.select(*_names(table, (*names, *_SUMS))).where(table.c.advertiser_id == advertiser_id)
                rows: dict[tuple[Any, ...], tuple[int, int]] = {}
                for part in (of_rows, archived):
                    for row in await connection.execute(part):
                        charge, impressions = rows.get(tuple(row[:-2]), (0, 0))
                        rows[tuple(row[:-2])] = (charge + int(row[-2]), impressions + int(row[-1]))
                sums = {tuple(row[:-2]): _amounts(row) for row in await connection.execute(kept)}
                faults += [
                    f"{table.name} {key}: the sum is {sums.get(key)}, its rows add up to {rows.get(key)}"
                    for key in sorted(rows.keys() | sums.keys())
                    if rows.get(key) != sums.get(key)
                ]
        return faults

    async def notices_since(self, advertiser_id: int, issued_s: int) -> list[tuple[str, int]]:
        """(notice in hex, issued_s) of every bill of a bid made at or after `issued_s`."""
        statement = (
            sa.select(ledger.c.notice, ledger.c.issued_s)
            .where(
                ledger.c.advertiser_id == advertiser_id,
                ledger.c.issued_s >= issued_s,
                ledger.c.kind == RowKind.BILL.value,
            )
            .order_by(ledger.c.stream_ms, ledger.c.stream_sequence)
        )
        async with self._database.read() as connection:
            return [(row.notice, row.issued_s) for row in await connection.execute(statement)]

    async def days(self) -> list[int]:
        """Days on which anything was booked, ascending."""
        async with self._database.read() as connection:
            statement = sa.select(ledger_days.c.day).distinct().order_by(ledger_days.c.day)
            return list(await connection.scalars(statement))

    async def day_lines(self, day: int) -> list[DayLine]:
        """Sums of one day by advertiser, line item, exchange and currency, ordered so."""
        by = _names(ledger_days, ("advertiser_id", "line_item_id", "exchange_id", "currency"))
        charge, impressions = _added(ledger_days)
        statement = sa.select(*by, impressions, charge).where(ledger_days.c.day == day).group_by(*by).order_by(*by)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [DayLine(*row[:4], int(row[4]), int(row[5])) for row in rows]

    async def rows_after(self, advertiser_id: int, stream_id: str, limit: int) -> list[LedgerRow]:
        """Up to `limit` rows that were settled after `stream_id` ("" for the first), in order."""
        after = stream_id_order(stream_id)
        statement = (
            sa.select(ledger)
            .where(
                ledger.c.advertiser_id == advertiser_id,
                sa.tuple_(ledger.c.stream_ms, ledger.c.stream_sequence) > sa.tuple_(*after),
            )
            .order_by(ledger.c.stream_ms, ledger.c.stream_sequence)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [_row(row._mapping) for row in await connection.execute(statement)]

    async def count_after(self, advertiser_id: int, stream_id: str) -> int:
        """How many rows were settled after `stream_id` ("" for all)."""
        statement = sa.select(sa.func.count()).where(
            ledger.c.advertiser_id == advertiser_id,
            sa.tuple_(ledger.c.stream_ms, ledger.c.stream_sequence) > sa.tuple_(*stream_id_order(stream_id)),
        )
        async with self._database.read() as connection:
            return int(await connection.scalar(statement) or 0)

    async def booked_until(self, advertiser_id: int, stream_id: str) -> dict[tuple[int, int], tuple[int, int]]:
        """(line item, day) -> micros and impressions of the rows up to `stream_id`, without those that are archived."""
        by = _names(ledger, ("line_item_id", "day"))
        statement = (
            sa.select(*by, *_added(ledger))
            .where(
                ledger.c.advertiser_id == advertiser_id,
                sa.tuple_(ledger.c.stream_ms, ledger.c.stream_sequence) <= sa.tuple_(*stream_id_order(stream_id)),
            )
            .group_by(*by)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return {(int(row[0]), int(row[1])): (int(row[2]), int(row[3])) for row in rows}

    async def archived_days(self, advertiser_id: int) -> set[tuple[int, int]]:
        """(line item, day) of which rows have been archived."""
        by = _names(ledger_archived, ("line_item_id", "day"))
        statement = sa.select(*by).where(ledger_archived.c.advertiser_id == advertiser_id).distinct()
        async with self._database.read() as connection:
            return {(int(row[0]), int(row[1])) for row in await connection.execute(statement)}


_POOL = ("campaign_id", "line_item_id", "share")
_DAY = (*_POOL, "day", "exchange_id", "currency")
_SUMS = ("charge_micros", "impressions")


def _names(table: sa.Table, names: Iterable[str]) -> list[sa.Column[Any]]:
    return [table.c[name] for name in names]


def _added(table: sa.Table) -> list[sa.ColumnElement[Any]]:
    return [sa.func.sum(table.c[name]) for name in _SUMS]


def _amounts(row: Sequence[Any]) -> tuple[int, int]:
    return int(row[-2]), int(row[-1])


def _pool_of(row: LedgerRow) -> tuple[object, ...]:
    return tuple(getattr(row.head, name) for name in _POOL)


def _day_of(row: LedgerRow) -> tuple[object, ...]:
    return tuple(getattr(row.head, name) for name in _DAY)


def _sums(
    advertiser_id: int, rows: Iterable[LedgerRow], name_of: Callable[[LedgerRow], tuple[object, ...]]
) -> list[dict[str, object]]:
    """What rows add to a table of sums: one entry for each key that `name_of` gives."""
    found: dict[tuple[object, ...], list[int]] = {}
    for row in rows:
        amounts = found.setdefault(name_of(row), [0, 0])
        amounts[0] += row.charge_micros
        amounts[1] += row.impressions
    return [
        {
            "advertiser_id": advertiser_id,
            **dict(zip(_DAY, name, strict=False)),
            **dict(zip(_SUMS, amounts, strict=True)),
        }
        for name, amounts in found.items()
    ]


async def _last(connection: AsyncConnection, advertiser_id: int) -> str:
    statement = sa.select(ledger_marks).where(ledger_marks.c.advertiser_id == advertiser_id)
    row = (await connection.execute(statement)).first()
    return "" if row is None or row.stream_ms < 0 else f"{row.stream_ms}-{row.stream_sequence}"


def _statements(database: Database) -> tuple[sa.Insert, dict[str, sa.Insert]]:
    """The insert that makes a missing mark, and for each table of sums the insert that adds amounts to its rows."""
    # Imported where it is used: PostgreSQL's dialect would be a sixth of the worker's start.
    dialect: Any = importlib.import_module(f"sqlalchemy.dialects.{'sqlite' if database.is_sqlite else 'postgresql'}")
    adding: dict[str, sa.Insert] = {}
    for table in (ledger_days, ledger_pools):
        statement = dialect.insert(table)
        more = {name: table.c[name] + statement.excluded[name] for name in _SUMS}
        key = [column.name for column in table.primary_key.columns]
        adding[table.name] = statement.on_conflict_do_update(index_elements=key, set_=more)
    mark: sa.Insert = dialect.insert(ledger_marks).on_conflict_do_nothing()
    return mark, adding


def _values(advertiser_id: int, row: LedgerRow) -> dict[str, object]:
    milliseconds, sequence = stream_id_order(row.stream_id)
    values: dict[str, object] = {name: getattr(row.head, name) for name in _HEAD_COLUMNS}
    values |= {name: getattr(row, name) for name in _ROW_COLUMNS}
    return values | {
        "advertiser_id": advertiser_id,
        "stream_ms": milliseconds,
        "stream_sequence": sequence,
        "kind": row.head.kind.value,
        "head_price_source": row.head.price_source.value,
        "price_source": row.price_source.value,
    }


def _row(values: Any) -> LedgerRow:  # noqa: ANN401 - a row mapping
    head = {name: values[name] for name in _HEAD_COLUMNS}
    head |= {"kind": RowKind(values["kind"]), "price_source": PriceSource(values["head_price_source"])}
    return LedgerRow(
        stream_id=f"{values['stream_ms']}-{values['stream_sequence']}",
        head=RowHead(**head),
        price_source=PriceSource(values["price_source"]),
        **{name: values[name] for name in _ROW_COLUMNS},
    )
