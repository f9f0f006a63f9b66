"""Schema versions, up and down, with data in the tables."""

import msgspec
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from admin.catalogue_file import export_bytes, import_bytes
from admin.seed import seed_demo
from admin.store.catalogue import CatalogueStore
from admin.store.changes import CLI
from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from admin.store.migrate import current, migrate, newest
from admin.store.tables import metadata
from core.clock import ManualClock
from tests.kit.ledger_rows import a_row


async def test_the_migrations_build_exactly_the_tables_of_the_code(any_database_url: str) -> None:
    database = Database.open(any_database_url)
    assert await current(database) is None
    assert await migrate(database) == (None, newest())

    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
    assert await migrate(database) == (newest(), newest())
    await database.close()


async def test_a_database_of_the_first_version_keeps_its_data_on_the_way_up(
    any_database_url: str, clock: ManualClock
) -> None:
    database = Database.open(any_database_url)
    await migrate(database, "0001")
    store = CatalogueStore(database, clock)
    await seed_demo(store)
    before = await export_bytes(store)
    assert await migrate(database) == ("0001", newest())
    assert await export_bytes(store) == before
    await SqlLedgerStore(database).append(1, [a_row()])
    assert await migrate(database, "0001") == (newest(), "0001")
    assert await export_bytes(store) == before
    assert (await import_bytes(store, before, CLI)).unchanged > 200
    await migrate(database)
    assert await SqlLedgerStore(database).last_stream_id(1) == "", "the older version had no ledger"
    await database.close()


async def test_down_to_the_base_leaves_an_empty_database(any_database_url: str) -> None:
    database = Database.open(any_database_url)
    await migrate(database)
    await migrate(database, "base")
    async with database.read() as connection:
        left = await connection.run_sync(lambda sync: set(sa.inspect(sync).get_table_names()))
    assert left <= {"alembic_version"}
    await database.close()


async def test_rows_of_the_change_log_and_the_ledger_cannot_be_changed(
    any_database_url: str, clock: ManualClock
) -> None:
    database = Database.open(any_database_url)
    await migrate(database)
    await seed_demo(CatalogueStore(database, clock))
    await SqlLedgerStore(database).append(1, [a_row()])
    for statement in ("UPDATE change_log SET field = 'x'", "DELETE FROM change_log", "DELETE FROM ledger"):
        refused = ""
        try:
            async with database.write() as connection:
                await connection.execute(sa.text(statement))
        except sa.exc.DBAPIError as error:
            refused = str(error)
        assert "append-only" in refused, statement
    await database.close()


def test_versions_are_encoded_in_file_names() -> None:
    assert msgspec.json.encode(newest()) == b'"0002"'
