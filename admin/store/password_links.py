"""Links by which somebody sets a new password without the old one; an administrator makes them, or a
mail to the person's own address brings one. Stored hashed.

They lie in the table of set-up links, whose digests are SHA-256 of the token. These are BLAKE2b with a personality of
its own, so that no link is ever taken for one of the other kind, and longer, so that each kind can be removed alone.
"""

import hashlib
import secrets
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.store import tables
from admin.store.database import Database
from core.clock import Clock
from core.ids import MAX_ID

LINK_MS: Final = 24 * 3_600_000
# Other than the 32 bytes of a set-up link's digest.
_DIGEST_BYTES: Final = 48


def _digest(token: str) -> bytes:
    content = token.encode(errors="surrogatepass")
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, person=b"grosz password").digest()


def _user_of(token: str) -> int | None:
    number, separator, _ = token.partition(".")
    is_id = separator and number.isascii() and number.isdigit() and len(number) <= len(str(MAX_ID))
    return int(number) if is_id else None


class PasswordLinks:
    """One-time tokens, each of one user, valid for a day."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def make(self, connection: AsyncConnection, user_id: int, lasts_ms: int = LINK_MS) -> str:
        """A fresh token of a user. Links of everybody that are over are forgotten."""
        token, now = f"{user_id}.{secrets.token_urlsafe(32)}", self._clock.now_ms()
        await connection.execute(sa.delete(tables.setup_links).where(tables.setup_links.c.expires_ms <= now))
        row = {"digest": _digest(token), "created_ms": now, "expires_ms": now + lasts_ms}
        await connection.execute(sa.insert(tables.setup_links), row)
        return token

    async def user_of(self, token: str) -> int | None:
        """The user whose password the token would set now; None for one that is used up, too old or made up."""
        async with self._database.read() as connection:
            found = await connection.scalar(sa.select(sa.literal(1)).where(*self._usable(token)))
        return None if found is None else _user_of(token)

    async def use(self, connection: AsyncConnection, token: str) -> bool:
        """Use the token up; whether it was valid."""
        statement = sa.update(tables.setup_links).where(*self._usable(token)).values(used_ms=self._clock.now_ms())
        return (await connection.execute(statement)).rowcount == 1

    def _usable(self, token: str) -> tuple[sa.ColumnElement[bool], ...]:
        links = tables.setup_links.c
        return (links.digest == _digest(token), links.used_ms.is_(None), links.expires_ms > self._clock.now_ms())
