"""Schema versions, up and down, with data in the tables."""

import base64
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from admin.access.passwords import Passwords
from admin.catalogue.file import export_bytes, import_bytes
from admin.seed.catalogue import seed_demo
from admin.store import tables
from admin.store.accounts import AccountStore
from admin.store.catalogue import CatalogueStore
from admin.store.changes import CLI
from admin.store.database import Database
from admin.store.kinds import ACCOUNT_KINDS, KINDS, LINE_ITEMS
from admin.store.ledger import SqlLedgerStore
from admin.store.migrate import current, migrate, newest
from admin.store.tables import metadata
from core.clock import ManualClock
from tests.kit.fixtures import REPOSITORY
from tests.kit.ledger_rows import a_row

# Every table of a small installation, as the version before the search and the login failures wrote it.
RECORDED = REPOSITORY / "tests" / "golden" / "database_0002.json"


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


async def _fill(database: Database) -> None:
    """Puts the rows of a real database of version 0002 into one that has that schema."""
    recorded: dict[str, list[dict[str, Any]]] = msgspec.json.decode(RECORDED.read_bytes())
    async with database.write() as connection:
        reflected = sa.MetaData()
        await connection.run_sync(lambda sync: reflected.reflect(sync, only=list(recorded)))
        await connection.execute(sa.delete(reflected.tables["counters"]))
        for name, rows in recorded.items():
            table = reflected.tables[name]
            await connection.execute(sa.insert(table), [_typed(table, row) for row in rows])


def _typed(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            values[name] = base64.b64decode(value["bytes"])
        elif isinstance(table.c[name].type, sa.Boolean) and value is not None:
            values[name] = bool(value)
        elif (table.name, name) != ("change_log", "id"):  # which the database counts by itself
            values[name] = value
    return values


async def test_a_database_of_an_older_version_keeps_its_data_on_the_way_up(
    any_database_url: str, clock: ManualClock
) -> None:
    database = Database.open(any_database_url)
    await migrate(database, "0002")
    await _fill(database)
    assert await migrate(database) == ("0002", newest())
    store, accounts = CatalogueStore(database, clock), AccountStore(database, clock)
    catalogue = await store.catalogue(0)
    assert [shop.name for shop in catalogue.advertisers] == ["Łódzkie Buty"]
    (line_item,) = catalogue.line_items
    assert (line_item.notes, line_item.version, line_item.bid_micros) == ("przed świętami", 2, 4_000_000)
    assert catalogue.exchanges[0].bearer_token == "s3cret"
    assert await SqlLedgerStore(database).last_stream_id(1) != ""
    login = await accounts.find_login("ada@buty.example")
    assert login is not None
    assert await Passwords().verify(login.password_hash, "correct horse battery")
    key = await accounts.find_key("grosz_Q_BM9O1YQPRYD0J_4k_12398NtQNY5kMm60oBlT8UMM")
    assert key is not None
    async with database.read() as connection:
        folded = [
            *await connection.scalars(sa.select(tables.advertisers.c.search)),
            *await connection.scalars(sa.select(tables.line_items.c.search)),
            *await connection.scalars(sa.select(tables.users.c.search)),
        ]
        filled = (
            await connection.scalar(sa.select(tables.line_items.c.spend_all)),
            await connection.scalar(sa.select(tables.exchanges.c.price_macro)),
        )
        changes = await connection.scalar(sa.select(sa.func.count()).select_from(tables.change_log))
    assert folded == ["łódzkie buty\nsklep-1", "porzucone koszyki\n", "ada\n"]
    assert changes == 13
    assert filled == (False, "${AUCTION_PRICE}")
    async with store.write(CLI) as writer:
        await writer.update(LINE_ITEMS, line_item, msgspec.structs.replace(line_item, name="NOWA", version=3))
    await database.close()


async def test_the_way_down_and_up_again_keeps_the_data(any_database_url: str, clock: ManualClock) -> None:
    database = Database.open(any_database_url)
    await migrate(database)
    store = CatalogueStore(database, clock)
    await seed_demo(store)
    await SqlLedgerStore(database).append(1, [a_row()])
    first = (await store.catalogue(0)).line_items[0]
    async with store.write(CLI) as writer:
        await writer.update(LINE_ITEMS, first, msgspec.structs.replace(first, spend_all=True, version=2))
    before = await export_bytes(store)
    for older in ("0003", "0002", "0001"):
        # Today's code cannot read the older schema, which lacks a table; its data is what comes up again.
        assert await migrate(database, older) == (newest(), older)
        assert await migrate(database) == (older, newest())
        assert await export_bytes(store) == before
    assert await export_bytes(store) == before
    assert (await import_bytes(store, before, CLI)).unchanged > 200
    assert await SqlLedgerStore(database).last_stream_id(1) == "", "the oldest version had no ledger"
    async with database.read() as connection:
        named = await connection.scalar(sa.select(sa.func.count()).where(tables.line_items.c.search != ""))
        spending = list(
            await connection.scalars(sa.select(tables.line_items.c.id).where(tables.line_items.c.spend_all))
        )
        macros = list(await connection.scalars(sa.select(tables.exchanges.c.price_macro)))
    assert (spending, macros) == ([first.id], ["${AUCTION_PRICE}"])
    assert named == len((await store.catalogue(0)).line_items)
    await database.close()


async def test_objects_of_every_kind_can_be_numbered(any_database_url: str, clock: ManualClock) -> None:
    database = Database.open(any_database_url)
    await migrate(database)
    async with CatalogueStore(database, clock).write(CLI) as writer:
        first = [(await writer.reserve_ids(kind, 1))[0] for kind in (*KINDS, *ACCOUNT_KINDS)]
    assert first == [1] * len(first)
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


def test_the_newest_file_is_the_newest_version() -> None:
    config = Config()
    config.set_main_option("script_location", str(REPOSITORY / "admin" / "store" / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == newest()
