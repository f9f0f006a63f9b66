"""Rows that are older than their retention leave the database for Parquet files.

A file is written, read back and compared with its rows before they are deleted, and one transaction deletes them,
notes the file, and adds up what they were: sums and audit agree before, after, and wherever it is cut off. A run that
was killed after the file and before the transaction is repeated: the file bears the name of its first row, and is
written again.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.store.database import Database
from admin.store.tables import archives, change_log, ledger, ledger_archived
from core.clock import Clock
from core.errors import ConflictError, InputError, UnavailableError
from core.telemetry.metrics import Telemetry

# Rows of one file and one transaction: 50 MB of memory, and half a second of SQLite's write lock.
BATCH_ROWS: Final = 50_000
# A bill may come six hours after its bid, and dispute periods of exchanges are weeks: what is younger is never moved.
MIN_DAYS: Final = 40
MS_PER_DAY: Final = 86_400_000

_log = logging.getLogger("grosz.retention")

_SUMS: Final = ("charge_micros", "impressions")
_DAY: Final = ("advertiser_id", "campaign_id", "line_item_id", "share", "day", "exchange_id", "currency")

_READ_BACK: Final = {
    "ledger": (
        "SELECT count(*), sum(charge_micros), sum(impressions), min(stream_ms), max(stream_ms), sum(over_micros) "
        "FROM read_parquet(?)"
    ),
    "change_log": (
        "SELECT count(*), 0, 0, min(id), max(id), sum(strlen(coalesce(new_value, ''))) FROM read_parquet(?)"
    ),
}
"""What a file is asked before its rows are deleted, by table."""


class ParquetFiles(Protocol):
    """The methods of journal.columnar.Columnar that archiving needs."""

    def write(
        self, path: Path, columns: Mapping[str, tuple[str, Sequence[Any]]], *, order_by: Sequence[str] = ()
    ) -> int:
        """Write rows as a file, whole or not at all; how many. Raises UnavailableError."""
        ...

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query. Raises UnavailableError or InputError."""
        ...


class Moved(NamedTuple):
    """How many rows have left the database, by table."""

    ledger: int
    change_log: int


class _ArchiveBatch(NamedTuple):
    """Rows of one table, in order, with where they begin and end: (ms, sequence)."""

    kind: str
    advertiser_id: int
    rows: Sequence[Any]
    first: tuple[int, int]
    last: tuple[int, int]

    @property
    def file_name(self) -> str:
        owner = f"-{self.advertiser_id}" if self.advertiser_id else ""
        return f"{self.kind.replace('_', '-')}{owner}-{self.first[0]}-{self.first[1]}.parquet"

    def sums(self) -> tuple[int, int]:
        """Micros and impressions of ledger rows; zeros of changes."""
        if self.kind != "ledger":
            return 0, 0
        return sum(row.charge_micros for row in self.rows), sum(row.impressions for row in self.rows)

    def expected(self) -> tuple[int, ...]:
        """What _READ_BACK must find in the file."""
        if self.kind == "ledger":
            return (
                len(self.rows),
                *self.sums(),
                self.first[0],
                self.last[0],
                sum(row.over_micros for row in self.rows),
            )
        size = sum(len((row.new_value or "").encode()) for row in self.rows)
        return (len(self.rows), 0, 0, self.first[1], self.last[1], size)


class Archivist:
    """Moves old rows of one database into one folder."""

    def __init__(
        self, database: Database, folder: Path, files: ParquetFiles, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._database = database
        self._folder = folder
        self._files = files
        self._clock = clock
        self._moved = telemetry.counter(
            "grosz_archived_rows_total", "Rows that have left the database for Parquet files.", ("table",)
        )

    async def archive(self, days: int, *, batch_rows: int = BATCH_ROWS) -> Moved:
        """Move what is older than so many days; how much that was.

        Raises InputError for a retention below MIN_DAYS, UnavailableError where database or disk refuse, ConflictError
        when another process archives at the same time: then nothing of the batch in question has changed.
        """
        if days < MIN_DAYS:
            raise InputError(f"a retention of {days} days is too short", hint=f"keep {MIN_DAYS} days at least")
        before_ms = self._clock.now_ms() - days * MS_PER_DAY
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        rows = 0
        for advertiser_id in await self._advertisers(before_ms):
            while batch := await self._ledger_batch(advertiser_id, before_ms, batch_rows):
                rows += await self._move(batch)
        changes = 0
        while batch := await self._change_batch(before_ms, batch_rows):
            changes += await self._move(batch)
        return Moved(rows, changes)

    async def _advertisers(self, before_ms: int) -> list[int]:
        statement = sa.select(ledger.c.advertiser_id).where(ledger.c.stream_ms < before_ms).distinct()
        async with self._database.read() as connection:
            return sorted(await connection.scalars(statement))

    async def _ledger_batch(self, advertiser_id: int, before_ms: int, limit: int) -> _ArchiveBatch | None:
        statement = (
            sa.select(ledger)
            .where(ledger.c.advertiser_id == advertiser_id, ledger.c.stream_ms < before_ms)
            .order_by(ledger.c.stream_ms, ledger.c.stream_sequence)
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        if not rows:
            return None
        first, last = ((row.stream_ms, row.stream_sequence) for row in (rows[0], rows[-1]))
        return _ArchiveBatch("ledger", advertiser_id, rows, first, last)

    async def _change_batch(self, before_ms: int, limit: int) -> _ArchiveBatch | None:
        # Ids are given at the beginning of a transaction, so that a row with a higher id may have an earlier time.
        oldest_kept = sa.select(sa.func.min(change_log.c.id)).where(change_log.c.at_ms >= before_ms).scalar_subquery()
        statement = (
            sa.select(change_log)
            .where(change_log.c.at_ms < before_ms, change_log.c.id < sa.func.coalesce(oldest_kept, 2**62))
            .order_by(change_log.c.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return _ArchiveBatch("change_log", 0, rows, (0, rows[0].id), (0, rows[-1].id)) if rows else None

    async def _move(self, batch: _ArchiveBatch) -> int:
        path = self._folder / batch.file_name
        # The file may take a second, in which the worker's other loops go on.
        await asyncio.to_thread(self._write, path, batch)
        async with self._database.write() as connection:
            await self._note(connection, batch)
            await self._delete(connection, batch)
        self._moved.labels(batch.kind).inc(len(batch.rows))
        fields = {"file": path.name, "rows": len(batch.rows)}
        _log.info("rows have left the database for a file", extra={"fields": fields})
        return len(batch.rows)

    def _write(self, path: Path, batch: _ArchiveBatch) -> None:
        """Write the file, and look whether it holds what it should. Raises UnavailableError."""
        table = ledger if batch.kind == "ledger" else change_log
        columns = {
            column.name: (_sql_type(column), [getattr(row, column.name) for row in batch.rows])
            for column in table.columns
        }
        self._files.write(path, columns)
        (found,) = self._files.ask(_READ_BACK[batch.kind], [str(path)])
        if tuple(map(int, found)) != batch.expected():
            raise UnavailableError(f"{path} does not hold what was written into it", hint="is the disk sound?")

    async def _note(self, connection: AsyncConnection, batch: _ArchiveBatch) -> None:
        charge, impressions = batch.sums()
        await connection.execute(
            sa.insert(archives).values(
                kind=batch.kind, advertiser_id=batch.advertiser_id, last_ms=batch.last[0], last_sequence=batch.last[1],
                first_ms=batch.first[0], first_sequence=batch.first[1], row_count=len(batch.rows),
                charge_micros=charge, impressions=impressions, file=batch.file_name,
                archived_ms=self._clock.now_ms(),
            )
        )  # fmt: skip
        if batch.kind == "ledger":
            await _add_sums(connection, batch)

    async def _delete(self, connection: AsyncConnection, batch: _ArchiveBatch) -> None:
        if batch.kind == "ledger":
            place = sa.tuple_(ledger.c.stream_ms, ledger.c.stream_sequence)
            statement = sa.delete(ledger).where(
                ledger.c.advertiser_id == batch.advertiser_id, place <= sa.tuple_(*batch.last)
            )
        else:
            statement = sa.delete(change_log).where(change_log.c.id <= batch.last[1])
        deleted = (await connection.execute(statement)).rowcount
        if deleted != len(batch.rows):
            raise ConflictError(
                f"{deleted} rows are there where {len(batch.rows)} were written: does another process archive?"
            )


async def _add_sums(connection: AsyncConnection, batch: _ArchiveBatch) -> None:
    """Keep what the rows add up to, by pool, day, exchange and currency, beside what was archived before."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    for row in batch.rows:
        amounts = sums.setdefault(tuple(getattr(row, name) for name in _DAY), [0, 0])
        amounts[0] += row.charge_micros
        amounts[1] += row.impressions
    for key, (charge, impressions) in sums.items():
        here = sa.and_(*(ledger_archived.c[name] == value for name, value in zip(_DAY, key, strict=True)))
        more = {
            "charge_micros": ledger_archived.c.charge_micros + charge,
            "impressions": ledger_archived.c.impressions + impressions,
        }
        if not (await connection.execute(sa.update(ledger_archived).where(here).values(more))).rowcount:
            new = dict(zip(_DAY, key, strict=True)) | dict(zip(_SUMS, (charge, impressions), strict=True))
            await connection.execute(sa.insert(ledger_archived).values(new))


def _sql_type(column: sa.Column[Any]) -> str:
    if isinstance(column.type, sa.Boolean):
        return "BOOLEAN"
    return "BIGINT" if isinstance(column.type, sa.Integer) else "VARCHAR"
