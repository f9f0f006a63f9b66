"""The database of a backup: out of either engine and into either, row by row the same, and usable afterwards."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from admin.backup.database_copy import copy_in, copy_out
from admin.seed.catalogue import seed_demo
from admin.store import tables
from admin.store.catalogue import CatalogueStore
from admin.store.changes import SYSTEM
from admin.store.database import Database
from admin.store.kinds import ADVERTISERS
from admin.store.migrate import migrate
from core.clock import ManualClock
from core.errors import ConflictError
from core.model import Advertiser

Rows = dict[str, list[tuple[object, ...]]]


async def rows_of(database: Database) -> Rows:
    async with database.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in await connection.execute(sa.select(table))), key=repr)
            for table in tables.metadata.sorted_tables
        }


async def opened(url: str) -> Database:
    database = Database.open(url)
    await migrate(database)
    return database


async def test_every_row_comes_back_in_either_engine(any_database_url: str, tmp_path: Path, clock: ManualClock) -> None:
    source = await opened(any_database_url)
    await seed_demo(CatalogueStore(source, clock), 3600)
    await copy_out(source, tmp_path / "backup.sqlite")
    assert sorted(path.name for path in tmp_path.glob("backup.sqlite*")) == ["backup.sqlite"]
    target = await opened(f"sqlite+aiosqlite:///{tmp_path / 'target.sqlite'}")
    await copy_in(tmp_path / "backup.sqlite", target)
    assert await rows_of(target) == await rows_of(source)
    with pytest.raises(ConflictError, match="not empty"):
        await copy_in(tmp_path / "backup.sqlite", target)
    await source.close()
    await target.close()


async def test_a_restored_database_goes_on_with_fresh_ids(
    any_database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    source = await opened(f"sqlite+aiosqlite:///{tmp_path / 'source.sqlite'}")
    await seed_demo(CatalogueStore(source, clock), 3600)
    await copy_out(source, tmp_path / "backup.sqlite")
    target = await opened(any_database_url)
    await copy_in(tmp_path / "backup.sqlite", target)
    assert await rows_of(target) == await rows_of(source)
    store = CatalogueStore(target, clock)
    async with store.write(SYSTEM) as writer:
        (number,) = await writer.reserve_ids(ADVERTISERS, 1)
        await writer.insert(ADVERTISERS, [Advertiser(id=number, name="next", domain="next.example")])
    assert (await store.get(ADVERTISERS, number)).value.name == "next"
    await source.close()
    await target.close()
