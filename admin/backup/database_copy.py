"""The database as one SQLite file, and back into either engine.

SQLite copies itself (its backup interface, while writers go on). PostgreSQL is read row by row in one
repeatable-read transaction into the same tables, so a backup of either engine can be brought back into either.
"""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.store import tables
from admin.store.database import Database
from admin.store.migrate import migrate
from core.errors import ConflictError

ROWS_AT_ONCE: Final = 1_000


async def copy_out(database: Database, target: Path) -> None:
    """Everything in `database` into a new SQLite file, as of one moment."""
    if database.is_sqlite:
        await asyncio.to_thread(_copy_file, str(database.engine.url.database), target)
        return
    copy = Database.open(f"sqlite+aiosqlite:///{target}")
    try:
        await migrate(copy)
        async with database.read() as source, copy.write() as sink:
            await _copy_rows(source, sink)
    finally:
        await copy.close()
    await asyncio.to_thread(_fold_journal, target)


async def copy_in(source: Path, database: Database) -> None:
    """What `copy_out` wrote into a database with the newest schema and nothing in it. Raises ConflictError.

    A backup of an older release is brought up to this release's schema first, in a copy of its own.
    """
    copy = Database.open(f"sqlite+aiosqlite:///{source}")
    try:
        await migrate(copy)
        await migrate(database)
        async with copy.read() as reading, database.write() as writing:
            if await writing.scalar(sa.select(sa.func.count()).select_from(tables.change_log)):
                raise ConflictError("the database is not empty", hint="restore into a new one")
            await _copy_rows(reading, writing)
            if not database.is_sqlite:
                await _advance_sequences(writing)
    finally:
        await copy.close()


async def _copy_rows(source: AsyncConnection, sink: AsyncConnection) -> None:
    for table in tables.metadata.sorted_tables:
        if table.name == "counters":  # a new database has rows in it already
            await sink.execute(sa.delete(table))
        result = await source.stream(sa.select(table))
        async for rows in result.mappings().partitions(ROWS_AT_ONCE):
            await sink.execute(sa.insert(table), [dict(row) for row in rows])


async def _advance_sequences(connection: AsyncConnection) -> None:
    """Ids that PostgreSQL gives by itself go on after the highest that was copied."""
    for table in tables.metadata.sorted_tables:
        key = table.autoincrement_column
        if key is None:
            continue
        sequence = await connection.scalar(sa.select(sa.func.pg_get_serial_sequence(table.name, key.name)))
        highest = await connection.scalar(sa.select(sa.func.max(key)))
        if sequence and highest:
            await connection.execute(sa.select(sa.func.setval(sequence, highest)))


def _copy_file(source: str, target: Path) -> None:
    """Copy by SQLite's own backup in one step, which sees one moment; with a write-ahead log writers go on."""
    with contextlib.closing(sqlite3.connect(source)) as reading, contextlib.closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)
    _fold_journal(target)


def _fold_journal(path: Path) -> None:
    """Leave one file: nothing of it in a write-ahead log beside it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
