"""Links for new passwords do not gather in their table, and outlive links of the other kind in it."""

import sqlalchemy as sa

from admin.store import tables
from admin.store.accounts import AccountStore
from admin.store.database import Database
from admin.store.migrate import migrate
from admin.store.password_links import LINK_MS, PasswordLinks
from core.clock import ManualClock


async def test_links_that_are_over_are_forgotten_when_the_next_is_made(
    any_database_url: str, clock: ManualClock
) -> None:
    database = Database.open(any_database_url)
    await migrate(database)
    links = PasswordLinks(database, clock)
    tokens = []
    for _ in range(3):
        async with database.write() as connection:
            tokens.append(await links.make(connection, 1))
        clock.advance(LINK_MS / 2_000)
    assert [await links.user_of(token) for token in tokens] == [None, None, 1]
    async with database.write() as connection:
        await links.make(connection, 2)
        assert await connection.scalar(sa.select(sa.func.count()).select_from(tables.setup_links)) == 2
    assert [await links.user_of(token) for token in tokens] == [None, None, 1]
    await database.close()


async def test_a_new_set_up_link_ends_those_before_and_no_link_for_a_password(
    any_database_url: str, clock: ManualClock
) -> None:
    database = Database.open(any_database_url)
    await migrate(database)
    links, accounts = PasswordLinks(database, clock), AccountStore(database, clock)
    async with database.write() as connection:
        token = await links.make(connection, 7)
    made = [await accounts.make_setup_link() for _ in range(2)]
    assert [await accounts.knows_setup_link(one) for one in made] == [False, True]
    assert await links.user_of(token) == 7
    await database.close()
