"""Links for new passwords do not gather in their table."""

import sqlalchemy as sa

from admin.store import tables
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
