"""What a database that cannot be used is called: a sentence and a way out, never an engine's own error."""

import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from admin.store.database import Database
from admin.store.migrate import migrate
from core.errors import UnavailableError


@pytest.mark.parametrize("cut", [False, True])
async def test_a_damaged_file_is_told_as_such(tmp_path: Path, *, cut: bool) -> None:
    path = tmp_path / "grosz.sqlite"
    database = Database.open(f"sqlite+aiosqlite:///{path}")
    await migrate(database)
    await database.close()
    path.write_bytes(path.read_bytes()[:4096] + b"x" * 8192 if cut else os.urandom(50_000))
    database = Database.open(f"sqlite+aiosqlite:///{path}")
    try:
        with pytest.raises(UnavailableError, match="damaged"):
            async with database.read() as connection:
                await connection.execute(sa.text("SELECT count(*) FROM line_items"))
        with pytest.raises(UnavailableError, match="damaged"):
            async with database.write() as connection:
                await connection.execute(sa.text("DELETE FROM line_items"))
        with pytest.raises(UnavailableError, match="damaged"):
            await migrate(database)
    finally:
        await database.close()
