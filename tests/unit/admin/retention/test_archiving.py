"""Old rows leave the database for Parquet files, whole or not at all, over both engines."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from admin.retention import archiving
from admin.retention.archiving import MIN_DAYS, MS_PER_DAY, Archivist, Moved
from admin.store.changes import SYSTEM, ChangeWriter
from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from admin.store.migrate import migrate
from admin.store.tables import archives, change_log, ledger
from core.clock import ManualClock
from core.errors import ConflictError, InputError, UnavailableError
from core.telemetry.metrics import Telemetry
from journal.columnar import Columnar
from pacing.ledger.rows import LedgerRow
from tests.kit.ledger_rows import a_row

NOW_MS = 1_795_000_000_000
OLD_MS = NOW_MS - 100 * MS_PER_DAY
DAY = OLD_MS // MS_PER_DAY


class Killed(BaseException):
    """What ends a process at a bad moment."""


class World:
    """A database with old and new rows of two advertisers, and the folder that they go to."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.store = SqlLedgerStore(database)
        self.columnar = Columnar()

    def archivist(self, files: Any = None) -> Archivist:  # noqa: ANN401 - what stands for the columnar store
        return Archivist(self.database, self.folder, files or self.columnar, ManualClock(NOW_MS), Telemetry())

    async def fill(self) -> None:
        for advertiser, factor in ((1, 1), (2, 10)):
            await self.store.append(advertiser, [*_rows(OLD_MS, 7, factor), *_rows(NOW_MS - MS_PER_DAY, 3, factor)])
        for at_ms in (OLD_MS, OLD_MS + 1, NOW_MS - MS_PER_DAY):
            async with self.database.write() as connection:
                changes = ChangeWriter(connection, SYSTEM, at_ms, f"t{at_ms}")
                await changes.account("users", 1, "update", "name", None, "Żółć")

    async def left(self) -> tuple[int, int]:
        """Rows of ledger and change log that are still in the database."""
        async with self.database.read() as connection:
            rows = await connection.scalar(sa.select(sa.func.count()).select_from(ledger))
            changes = await connection.scalar(sa.select(sa.func.count()).select_from(change_log))
        return int(rows or 0), int(changes or 0)

    async def faults(self) -> list[str]:
        return [text for advertiser in (1, 2) for text in await self.store.check(advertiser)]

    async def in_files(self) -> list[tuple[int, int, int]]:
        """(advertiser, rows, micros) of every row in a file that the database knows of."""
        async with self.database.read() as connection:
            names = list(await connection.scalars(sa.select(archives.c.file).where(archives.c.kind == "ledger")))
        listed = [str(self.folder / name) for name in names]
        sql = "SELECT advertiser_id, count(*), sum(charge_micros) FROM read_parquet(?) GROUP BY ALL ORDER BY ALL"
        return [tuple(map(int, row)) for row in self.columnar.ask(sql, [listed])] if listed else []  # type: ignore[misc]


def _rows(at_ms: int, count: int, factor: int) -> list[LedgerRow]:
    day = at_ms // MS_PER_DAY
    return [
        a_row(f"{at_ms}-{number}", day=day, line_item_id=100 + number % 2, charge_micros=factor * (number + 1))
        for number in range(count)
    ]


@pytest.fixture
async def world(any_database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    database = Database.open(any_database_url)
    await migrate(database)
    found = World(database, tmp_path / "archive")
    await found.fill()
    yield found
    await database.close()


_ASKED = ("stream_ms", "charge_micros", "impressions", "over_micros")
_ONE = {name: ("BIGINT", [1]) for name in _ASKED}
"""A file of one row, which is not the one that was to be written."""

SUM = sum(range(1, 8))
ALL_IN_FILES = [(1, 7, SUM), (2, 7, 10 * SUM)]


@pytest.mark.parametrize("batch_rows", [3, 100])
async def test_old_rows_are_in_files_and_every_sum_stays_as_it_was(world: World, batch_rows: int) -> None:
    before = [await world.store.totals(advertiser, DAY) for advertiser in (1, 2)]
    assert await world.archivist().archive(MIN_DAYS, batch_rows=batch_rows) == Moved(14, 2)
    assert await world.left() == (6, 1)
    assert await world.in_files() == ALL_IN_FILES
    assert [await world.store.totals(advertiser, DAY) for advertiser in (1, 2)] == before
    assert await world.faults() == []
    assert await world.archivist().archive(MIN_DAYS) == Moved(0, 0)
    named = {path.name for path in world.folder.iterdir()}
    assert f"ledger-1-{OLD_MS}-0.parquet" in named
    assert not any(name.endswith(".tmp") for name in named)
    (told,) = world.columnar.ask(
        "SELECT new_value FROM read_parquet(?) LIMIT 1", [str(world.folder / "change-log-0-1.parquet")]
    )
    assert "Żółć" in told[0]
    # Rows that come afterwards are counted on top, and the newest row's mark is still known.
    await world.store.append(1, [a_row(f"{NOW_MS}-0", day=DAY, charge_micros=5), *_rows(OLD_MS, 7, 1)])
    assert await world.left() == (7, 1)
    assert await world.faults() == []


async def test_the_database_itself_deletes_only_what_an_archive_covers(world: World) -> None:
    await world.archivist().archive(MIN_DAYS)
    for table in (ledger, change_log):
        for statement in (sa.delete(table), sa.update(table).values({table.c.kind.name: "x"})):
            with pytest.raises(DBAPIError, match="append-only"):
                async with world.database.write() as connection:
                    await connection.execute(statement)
    assert await world.left() == (6, 1)


@pytest.mark.parametrize("days", [0, 1, MIN_DAYS - 1])
async def test_what_may_still_be_disputed_is_not_moved(world: World, days: int) -> None:
    with pytest.raises(InputError, match="too short"):
        await world.archivist().archive(days)
    assert await world.left() == (20, 3)


class Wrapped:
    """The columnar store, with a fault at one of its calls."""

    def __init__(self, columnar: Columnar, before: Callable[[], None], after: Callable[[Path], None]) -> None:
        self._columnar, self._before, self._after = columnar, before, after

    def write(
        self, path: Path, columns: Mapping[str, tuple[str, Sequence[Any]]], *, order_by: Sequence[str] = ()
    ) -> int:
        self._before()
        rows = self._columnar.write(path, columns, order_by=order_by)
        self._after(path)
        return rows

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._columnar.ask(sql, parameters)


def _nothing(_path: Path | None = None) -> None: ...


def _kill(_path: Path | None = None) -> None:
    raise Killed


@pytest.mark.parametrize("moment", ["before", "after", "noted", "deleted"])
async def test_a_kill_at_any_moment_loses_nothing_and_the_next_run_goes_on(
    world: World, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Wrapped(world.columnar, _kill if moment == "before" else _nothing, _kill if moment == "after" else _nothing)
    with monkeypatch.context() as broken:
        if moment in ("noted", "deleted"):
            step = {"noted": "_note", "deleted": "_delete"}[moment]
            working = getattr(Archivist, step)

            async def dies(archivist: Archivist, *arguments: Any) -> None:  # noqa: ANN401
                await working(archivist, *arguments)
                raise Killed

            broken.setattr(Archivist, step, dies)
        with pytest.raises(Killed):
            await world.archivist(files).archive(MIN_DAYS, batch_rows=4)
    assert await world.left() == (20, 3)
    assert await world.faults() == []
    assert await world.archivist().archive(MIN_DAYS, batch_rows=4) == Moved(14, 2)
    assert await world.in_files() == ALL_IN_FILES
    assert await world.faults() == []


async def test_a_file_that_does_not_hold_its_rows_lets_none_go(world: World) -> None:
    def emptied(path: Path) -> None:
        world.columnar.write(path, _ONE)

    with pytest.raises(UnavailableError, match="does not hold"):
        await world.archivist(Wrapped(world.columnar, _nothing, emptied)).archive(MIN_DAYS)
    assert await world.left() == (20, 3)
    assert await world.archivist().archive(MIN_DAYS) == Moved(14, 2)


async def test_a_folder_that_cannot_be_written_lets_none_go(world: World) -> None:
    world.folder.mkdir()
    (world.folder / f"ledger-1-{OLD_MS}-0.parquet.tmp").mkdir()
    with pytest.raises(UnavailableError, match="cannot be written"):
        await world.archivist().archive(MIN_DAYS)
    assert (await world.left(), await world.faults()) == ((20, 3), [])


async def test_of_two_that_archive_at_once_one_changes_nothing(world: World) -> None:
    slow = world.archivist()
    batch = await slow._ledger_batch(1, NOW_MS - MIN_DAYS * MS_PER_DAY, 100)
    assert batch is not None
    await world.archivist().archive(MIN_DAYS)
    with pytest.raises((ConflictError, DBAPIError)):
        await slow._move(batch)
    assert (await world.in_files(), await world.faults()) == (ALL_IN_FILES, [])


def test_every_column_of_a_row_is_in_its_file() -> None:
    assert archiving._sql_type(ledger.c.late) == "BOOLEAN"
    assert archiving._sql_type(ledger.c.charge_micros) == "BIGINT"
    assert archiving._sql_type(change_log.c.id) == "BIGINT"
    assert archiving._sql_type(ledger.c.note) == "VARCHAR"
