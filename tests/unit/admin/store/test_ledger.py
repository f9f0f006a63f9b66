"""The ledger in SQL behaves as the suite says, over both engines, and so does the one that stands for it in tests."""

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from admin.store.database import Database
from admin.store.ledger import SqlLedgerStore
from admin.store.migrate import migrate
from admin.store.tables import ledger
from core.errors import UnavailableError
from tests.kit.ledger_rows import a_row
from tests.kit.ledger_store import MemoryLedgerStore
from tests.kit.ledger_suite import CHECKS, Check


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[SqlLedgerStore]:
    database = Database.open(any_database_url)
    await migrate(database)
    yield SqlLedgerStore(database)
    await database.close()


async def test_rows_come_back_as_they_were(store: SqlLedgerStore) -> None:
    rows = [a_row("5-0"), a_row("5-1", late=True, over_micros=7, note="odd; text"), a_row("1790000000000-12")]
    await store.append(3, rows)
    assert await store.rows_after(3, "", 10) == rows
    assert await store.rows_after(3, "5-0", 1) == rows[1:2]
    assert await store.rows_after(4, "", 10) == []
    assert await store.last_stream_id(3) == "1790000000000-12"
    assert await store.last_stream_id(4) == ""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_sql_store_behaves(check: Check, store: SqlLedgerStore) -> None:
    await check(store)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_store_of_the_tests_behaves_alike(check: Check) -> None:
    await check(MemoryLedgerStore())


async def test_the_database_refuses_to_change_a_row(store: SqlLedgerStore, any_database_url: str) -> None:
    await store.append(3, [a_row("5-0")])
    database = Database.open(any_database_url)
    try:
        for statement in (sa.update(ledger).values(charge_micros=0), sa.delete(ledger)):
            with pytest.raises(Exception, match="append"):
                async with database.write() as connection:
                    await connection.execute(statement)
    finally:
        await database.close()
    assert await store.rows_after(3, "", 10) == [a_row("5-0")]


async def test_a_schema_of_another_release_is_told_as_such(any_database_url: str) -> None:
    """Rows of a worker that was upgraded before the admin wait; it must neither end nor blame the connection."""
    database = Database.open(any_database_url)
    try:
        with pytest.raises(UnavailableError, match="another schema") as fault:
            await SqlLedgerStore(database).last_stream_id(3)
        assert "migrate" in fault.value.hint
        await migrate(database)
        async with database.write() as connection:
            await connection.execute(sa.text("ALTER TABLE ledger DROP COLUMN shading"))
        with pytest.raises(UnavailableError, match="another schema"):
            await SqlLedgerStore(database).append(3, [a_row("5-0")])
    finally:
        await database.close()
