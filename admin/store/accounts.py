"""What proves who somebody is: password hashes, sessions, API-key digests, setup links. Secrets are stored hashed."""

import hashlib
import secrets
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.model import ApiKey, User
from admin.store import tables
from admin.store.database import Database
from core.clock import Clock
from core.model import Status

SESSION_MS = 12 * 3_600_000
SETUP_LINK_MS = 24 * 3_600_000
KEY_PREFIX = "grosz_"
SHOWN_CHARS = len(KEY_PREFIX) + 6

# After the fifth wrong password an account rests for a minute, then twice as long each time, up to an hour: an online
# guesser gets about a hundred tries a day, a person who mistypes loses a minute.
FREE_FAILURES = 5
FIRST_LOCK_MS = 60_000
LONGEST_LOCK_MS = 3_600_000

# `last_used` tells a forgotten key from a used one: minutes do, and a write per request would not.
LAST_USED_STEP_MS = 60_000


def digest(secret: str) -> bytes:
    """What is stored of a random secret: it has 256 bits, so a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode()).digest()


class Login(msgspec.Struct, frozen=True):
    """A user with what is needed to check a password."""

    user: User
    password_hash: str | None
    failed_logins: int
    locked_until_ms: int


class Session(msgspec.Struct, frozen=True):
    """A logged-in browser."""

    user: User
    csrf_token: str


class AccountStore:
    """Sessions, secrets and setup links of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def has_users(self) -> bool:
        async with self._database.read() as connection:
            return await connection.scalar(sa.select(tables.users.c.id).limit(1)) is not None

    async def make_setup_link(self) -> str:
        """A fresh one-time token; older ones end."""
        token = secrets.token_urlsafe(32)
        now = self._clock.now_ms()
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.setup_links))
            row = {"digest": digest(token), "created_ms": now, "expires_ms": now + SETUP_LINK_MS}
            await connection.execute(sa.insert(tables.setup_links), row)
        return token

    async def use_setup_link(self, connection: AsyncConnection, token: str) -> bool:
        """Whether the token was valid; it is no longer."""
        links = tables.setup_links
        now = self._clock.now_ms()
        statement = (
            sa.update(links)
            .where(links.c.digest == digest(token), links.c.used_ms.is_(None), links.c.expires_ms > now)
            .values(used_ms=now)
        )
        return (await connection.execute(statement)).rowcount == 1

    async def find_login(self, email: str) -> Login | None:
        """The active user of that address."""
        users, private = tables.users, tables.user_secrets
        statement = (
            tables.documents(users, private.c.password_hash, private.c.failed_logins, private.c.locked_until_ms)
            .outerjoin(private, private.c.user_id == users.c.id)
            .where(users.c.email == email.lower(), users.c.status == Status.ACTIVE.value)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
        if row is None:
            return None
        user = msgspec.json.decode(row.document, type=User)
        return Login(user, row.password_hash, row.failed_logins or 0, row.locked_until_ms or 0)

    async def note_failure(self, user_id: int) -> int:
        """Counts a wrong password; until when the account is locked (unix ms), 0 if it is not."""
        private = tables.user_secrets
        async with self._database.write() as connection:
            counted = (
                sa.update(private)
                .where(private.c.user_id == user_id)
                .values(failed_logins=private.c.failed_logins + 1)
                .returning(private.c.failed_logins)
            )
            failures: int = (await connection.execute(counted)).scalar() or 0
            if failures < FREE_FAILURES:
                return 0
            doublings = min(16, failures - FREE_FAILURES)
            until = self._clock.now_ms() + min(LONGEST_LOCK_MS, FIRST_LOCK_MS << doublings)
            await connection.execute(
                sa.update(private).where(private.c.user_id == user_id).values(locked_until_ms=until)
            )
            return until

    async def open_session(self, user_id: int) -> tuple[str, str]:
        """(session token, CSRF token) after a right password; ends the lock and sweeps sessions that are over."""
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        now = self._clock.now_ms()
        private, sessions = tables.user_secrets, tables.sessions
        async with self._database.write() as connection:
            await connection.execute(sa.delete(sessions).where(sessions.c.expires_ms <= now))
            row = {
                "digest": digest(token),
                "user_id": user_id,
                "csrf_token": csrf,
                "created_ms": now,
                "expires_ms": now + SESSION_MS,
            }
            await connection.execute(sa.insert(sessions), row)
            reset = {"failed_logins": 0, "locked_until_ms": 0, "last_login_ms": now}
            await connection.execute(sa.update(private).where(private.c.user_id == user_id).values(reset))
        return token, csrf

    async def close_session(self, token: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.digest == digest(token)))

    async def find_session(self, token: str) -> Session | None:
        """The session of a cookie, if it is not over and its user is active."""
        sessions, users = tables.sessions, tables.users
        statement = (
            tables.documents(users, sessions.c.csrf_token)
            .join(sessions, users.c.id == sessions.c.user_id)
            .where(
                sessions.c.digest == digest(token),
                sessions.c.expires_ms > self._clock.now_ms(),
                users.c.status == Status.ACTIVE.value,
            )
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
        return Session(msgspec.json.decode(row.document, type=User), row.csrf_token) if row else None

    async def find_key(self, secret: str) -> ApiKey | None:
        """The active, unexpired key of a secret; notes that it was used."""
        keys, private = tables.api_keys, tables.api_key_secrets
        now = self._clock.now_ms()
        statement = (
            tables.documents(keys, private.c.last_used_ms)
            .join(private, private.c.api_key_id == keys.c.id)
            .where(
                private.c.digest == digest(secret),
                keys.c.status == Status.ACTIVE.value,
                sa.or_(keys.c.expires_ms.is_(None), keys.c.expires_ms > now),
            )
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
        if row is None:
            return None
        key = msgspec.json.decode(row.document, type=ApiKey)
        if now - (row.last_used_ms or 0) >= LAST_USED_STEP_MS:
            async with self._database.write() as connection:
                used = sa.update(private).where(private.c.api_key_id == key.id).values(last_used_ms=now)
                await connection.execute(used)
        return key


async def set_password_hash(connection: AsyncConnection, user_id: int, password_hash: str) -> None:
    """The user's password from now on; ends his sessions."""
    private = tables.user_secrets
    await connection.execute(sa.delete(private).where(private.c.user_id == user_id))
    row = {"user_id": user_id, "password_hash": password_hash, "failed_logins": 0, "locked_until_ms": 0}
    await connection.execute(sa.insert(private), row)
    await connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.user_id == user_id))


def new_key_secret() -> str:
    """A fresh API key."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


async def set_key_digest(connection: AsyncConnection, api_key_id: int, secret: str) -> None:
    await connection.execute(sa.insert(tables.api_key_secrets), {"api_key_id": api_key_id, "digest": digest(secret)})


async def last_used(connection: AsyncConnection, ids: list[int]) -> dict[int, int | None]:
    """When each of the API keys was last used (unix ms, to the minute)."""
    private = tables.api_key_secrets
    rows: Any = await connection.execute(
        sa.select(private.c.api_key_id, private.c.last_used_ms).where(private.c.api_key_id.in_(ids))
    )
    return {row.api_key_id: row.last_used_ms for row in rows}
