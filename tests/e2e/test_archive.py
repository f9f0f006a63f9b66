"""Old ledger rows leave the database: by the worker of a running Grosz, and by the command."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from admin.store.tables import archives, ledger
from tests.kit.ledger_rows import a_row
from tests.kit.processes import RunningGrosz, grosz

MS_PER_DAY: Final = 86_400_000
SHOP: Final = 1
PATIENCE_S: Final = 60


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="grosz-") as directory:  # short: it holds a socket
        yield Path(directory)


def booked(data: Path, days_ago: int, count: int) -> None:
    """Rows as the worker would have written them so many days ago."""
    at_ms = round(time.time() * 1000) - days_ago * MS_PER_DAY
    rows = [a_row(f"{at_ms}-{number}", day=at_ms // MS_PER_DAY, line_item_id=1) for number in range(count)]

    async def append() -> None:
        database = Database.open(f"sqlite+aiosqlite:///{data / 'grosz.sqlite'}")
        await SqlLedgerStore(database).append(SHOP, rows)
        await database.close()

    asyncio.run(append())


def kept(data: Path) -> tuple[int, int]:
    """Rows in the database, and rows in the files that it knows of and that are there."""

    async def count() -> tuple[int, int]:
        database = Database.open(f"sqlite+aiosqlite:///{data / 'grosz.sqlite'}")
        async with database.read() as connection:
            rows = await connection.scalar(sa.select(sa.func.count()).select_from(ledger))
            files = (await connection.execute(sa.select(archives.c.file, archives.c.row_count))).all()
        await database.close()
        return int(rows or 0), sum(count for name, count in files if (data / "archive" / name).exists())

    return asyncio.run(count())


@pytest.mark.slow
def test_old_rows_leave_by_the_worker_and_by_the_command(data: Path) -> None:
    assert grosz("migrate", "--data", str(data)).returncode == 0
    booked(data, 100, 7)
    booked(data, 50, 2)
    booked(data, 1, 3)
    with RunningGrosz(data, "--seed", "demo", environ={"GROSZ_WORKER_RETENTION_DAYS": "60"}) as up:
        deadline = time.monotonic() + PATIENCE_S
        while kept(data) != (5, 7):
            assert time.monotonic() < deadline, up.log()
            time.sleep(0.2)
        audit = grosz("audit", "--data", str(data))
        assert audit.returncode == 0, audit.stdout + audit.stderr
    assert grosz("ledger", "archive", "--older-than", "39", "--data", str(data)).returncode != 0, "bills may still come"
    done = grosz("ledger", "archive", "--older-than", "40", "--data", str(data))
    assert done.returncode == 0, done.stderr
    assert kept(data) == (3, 9)
    again = grosz("ledger", "archive", "--older-than", "40", "--data", str(data))
    assert (again.returncode, kept(data)) == (0, (3, 9))
