"""The ledger in SQL: pacing.ledger.rows.LedgerStore. Rows are added and never changed: the database refuses it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.store.database import Database
from admin.store.tables import ledger
from pacing.ledger.rows import DayLine, LedgerRow, PoolTotal, PriceSource, RowHead, RowKind, Totals, stream_id_order

# `unreadable` is told by the row's `price_source`.
_HEAD_COLUMNS = tuple(name for name in RowHead.__struct_fields__ if name not in ("price_source", "unreadable"))
_ROW_COLUMNS = ("settled_ms", "price_cpm", "charge_micros", "impressions", "late", "over_micros")


class SqlLedgerStore:
    """Keeps ledger rows in SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # A batch that was already kept (a crash between the two ends) brings the same keys again.
        self._insert = _insert_new(database)

    async def append(self, advertiser_id: int, rows: Sequence[LedgerRow]) -> None:
        """Keep the rows in one transaction; leave out what is there already. Raises UnavailableError."""
        if not rows:
            return
        async with self._database.write() as connection:
            await connection.execute(self._insert, [_values(advertiser_id, row) for row in rows])

    async def last_stream_id(self, advertiser_id: int) -> str:
        """The id of the newest row, "" without one."""
        async with self._database.read() as connection:
            return await _last(connection, advertiser_id)

    async def totals(self, advertiser_id: int) -> Totals:
        """Sums by pool and day, with the id that they go up to, from one consistent read."""
        by = (ledger.c.campaign_id, ledger.c.line_item_id, ledger.c.share, ledger.c.day)
        statement = (
            sa.select(*by, sa.func.sum(ledger.c.charge_micros), sa.func.sum(ledger.c.impressions))
            .where(ledger.c.advertiser_id == advertiser_id)
            .group_by(*by)
            .order_by(*by)
        )
        async with self._database.read() as connection:
            last = await _last(connection, advertiser_id)
            rows = (await connection.execute(statement)).all()
        return Totals(last, [PoolTotal(*(int(value) for value in row)) for row in rows])

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
            return list(await connection.scalars(sa.select(ledger.c.day).distinct().order_by(ledger.c.day)))

    async def day_lines(self, day: int) -> list[DayLine]:
        """Sums of one day by advertiser, line item, exchange and currency, ordered so."""
        by = (ledger.c.advertiser_id, ledger.c.line_item_id, ledger.c.exchange_id, ledger.c.currency)
        statement = (
            sa.select(*by, sa.func.sum(ledger.c.impressions), sa.func.sum(ledger.c.charge_micros))
            .where(ledger.c.day == day)
            .group_by(*by)
            .order_by(*by)
        )
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


async def _last(connection: AsyncConnection, advertiser_id: int) -> str:
    statement = (
        sa.select(ledger.c.stream_ms, ledger.c.stream_sequence)
        .where(ledger.c.advertiser_id == advertiser_id)
        .order_by(ledger.c.stream_ms.desc(), ledger.c.stream_sequence.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).first()
    return f"{row.stream_ms}-{row.stream_sequence}" if row else ""


def _insert_new(database: Database) -> sa.Insert:
    """An INSERT that leaves rows as they are which the table has."""
    if database.is_sqlite:  # imported where it is used: PostgreSQL's dialect would be a sixth of the worker's start
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(ledger).on_conflict_do_nothing()
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(ledger).on_conflict_do_nothing()


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
