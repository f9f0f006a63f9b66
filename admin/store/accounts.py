"""What proves who somebody is: password hashes, sessions, API-key digests, setup links. Secrets are stored hashed."""

import hashlib
import secrets
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.store import tables
from admin.store.database import Database
from admin.store.model import ApiKey, User
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
# Longer than any lock: a guesser who waits for the count to be forgotten makes fewer guesses than one who does not.
FORGET_MS = 24 * 3_600_000

# `last_used` tells a forgotten key from a used one: minutes do, and a write per request would not.
LAST_USED_STEP_MS = 60_000


# Of SHA-256.
_DIGEST_BYTES = 32


def digest(secret: str) -> bytes:
    """What is stored of a random secret: it has 256 bits, so a plain hash cannot be searched.

    Any header's text is taken, also one with bytes that are no UTF-8 (aiohttp reads those as lone surrogates).
    """
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


class Login(msgspec.Struct, frozen=True):
    """A user with what is needed to check a password."""

    user: User
    password_hash: str | None


class Attempt(msgspec.Struct, frozen=True):
    """A login attempt: whether it may check the password, and until when the address rests (0: it does not)."""

    allowed: bool
    locked_until_ms: int


class Session(msgspec.Struct, frozen=True):
    """A logged-in browser."""

    user: User
    csrf_token: str


class OpenSession(msgspec.Struct, frozen=True):
    """A browser that is logged in. `name` tells it from others and lets nobody in: it is the digest of its cookie."""

    name: str
    created_ms: int
    expires_ms: int
    is_own: bool


class AccountStore:
    """Sessions, secrets and setup links of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def has_users(self) -> bool:
        async with self._database.read() as connection:
            return await connection.scalar(sa.select(tables.users.c.id).limit(1)) is not None

    async def make_setup_link(self) -> str:
        """A fresh one-time token; older ones end, and links for new passwords, which are in the table too, do not."""
        token = secrets.token_urlsafe(32)
        now = self._clock.now_ms()
        async with self._database.write() as connection:
            stored = tables.setup_links.c.digest
            await connection.execute(sa.delete(tables.setup_links).where(sa.func.length(stored) == _DIGEST_BYTES))
            row = {"digest": digest(token), "created_ms": now, "expires_ms": now + SETUP_LINK_MS}
            await connection.execute(sa.insert(tables.setup_links), row)
        return token

    async def knows_setup_link(self, token: str) -> bool:
        """Whether the token would be valid now; use_setup_link decides."""
        async with self._database.read() as connection:
            found = await connection.scalar(sa.select(sa.literal(1)).where(*self._usable(token)))
        return found is not None

    def _usable(self, token: str) -> tuple[sa.ColumnElement[bool], ...]:
        links = tables.setup_links
        return (links.c.digest == digest(token), links.c.used_ms.is_(None), links.c.expires_ms > self._clock.now_ms())

    async def use_setup_link(self, connection: AsyncConnection, token: str) -> bool:
        """Use the token up; whether it was valid."""
        statement = sa.update(tables.setup_links).where(*self._usable(token)).values(used_ms=self._clock.now_ms())
        return (await connection.execute(statement)).rowcount == 1

    async def find_login(self, email: str) -> Login | None:
        """The active user of that address."""
        users, private = tables.users, tables.user_secrets
        statement = (
            tables.documents(users, private.c.password_hash)
            .outerjoin(private, private.c.user_id == users.c.id)
            .where(users.c.email == email.lower(), users.c.status == Status.ACTIVE.value)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
        if row is None:
            return None
        return Login(msgspec.json.decode(row.document, type=User), row.password_hash)

    async def begin_attempt(self, email: str) -> Attempt:
        """Counts an attempt as failed, before the password is looked at: guesses sent at once count one by one.

        An address that nobody has is counted and locked alike. `open_session` takes the count back.
        """
        table, key, now = tables.login_failures, address_digest(email), self._clock.now_ms()
        async with self._database.write() as connection:
            await connection.execute(sa.delete(table).where(table.c.last_ms <= now - FORGET_MS))
            known = sa.select(table).where(table.c.address_digest == key).with_for_update()
            row = (await connection.execute(known)).first()
            if row is not None and row.locked_until_ms > now:
                return Attempt(False, row.locked_until_ms)
            failures = 1 if row is None else row.failures + 1
            lock_ms = 0 if failures < FREE_FAILURES else FIRST_LOCK_MS << min(16, failures - FREE_FAILURES)
            until = now + min(LONGEST_LOCK_MS, lock_ms) if lock_ms else 0
            values = {"failures": failures, "locked_until_ms": until, "last_ms": now}
            if row is None:
                await connection.execute(sa.insert(table), values | {"address_digest": key})
            else:
                await connection.execute(sa.update(table).where(table.c.address_digest == key).values(values))
            return Attempt(True, until)

    async def open_session(self, user: User) -> tuple[str, str]:
        """(session token, CSRF token) after a right password; ends the lock and sweeps sessions that are over."""
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        now = self._clock.now_ms()
        private, sessions = tables.user_secrets, tables.sessions
        async with self._database.write() as connection:
            await connection.execute(sa.delete(sessions).where(sessions.c.expires_ms <= now))
            row = {
                "digest": digest(token),
                "user_id": user.id,
                "csrf_token": csrf,
                "created_ms": now,
                "expires_ms": now + SESSION_MS,
            }
            await connection.execute(sa.insert(sessions), row)
            await connection.execute(sa.update(private).where(private.c.user_id == user.id).values(last_login_ms=now))
            await forget_failures(connection, user.email)
        return token, csrf

    async def close_session(self, token: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.digest == digest(token)))

    async def sessions_of(self, user_id: int, token: str) -> list[OpenSession]:
        """The sessions of a user that are not over: the one with the cookie `token`, then the newest first."""
        sessions = tables.sessions
        own = (sessions.c.user_id == user_id, sessions.c.expires_ms > self._clock.now_ms())
        statement = sa.select(sessions).where(*own).order_by(sessions.c.created_ms.desc(), sessions.c.digest)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        mine = digest(token)
        found = [OpenSession(row.digest.hex(), row.created_ms, row.expires_ms, row.digest == mine) for row in rows]
        return sorted(found, key=lambda session: not session.is_own)

    async def close_sessions_of(self, user_id: int, token: str, session: str | None = None) -> int:
        """Ends the named session of a user, or all but the one with the cookie `token`; how many ended."""
        sessions = tables.sessions
        chosen = sessions.c.digest != digest(token) if session is None else sessions.c.digest == bytes.fromhex(session)
        async with self._database.write() as connection:
            ended = await connection.execute(sa.delete(sessions).where(sessions.c.user_id == user_id, chosen))
        return int(ended.rowcount)

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
        # A bulk request holds the writer for seconds: reading does not wait for it to note that the key was used.
        if now - (row.last_used_ms or 0) >= LAST_USED_STEP_MS and not self._database.is_writing:
            async with self._database.write() as connection:
                used = sa.update(private).where(private.c.api_key_id == key.id).values(last_used_ms=now)
                await connection.execute(used)
        return key


async def set_password_hash(connection: AsyncConnection, user: User, password_hash: str) -> None:
    """The user's password from now on; ends their sessions, and the rest after wrong passwords."""
    private = tables.user_secrets
    await connection.execute(sa.delete(private).where(private.c.user_id == user.id))
    await connection.execute(sa.insert(private), {"user_id": user.id, "password_hash": password_hash})
    await connection.execute(sa.delete(tables.sessions).where(tables.sessions.c.user_id == user.id))
    await forget_failures(connection, user.email)


async def change_password_hash(connection: AsyncConnection, login: Login, password_hash: str, token: str) -> bool:
    """Set a new password if it is still that of `login`, and end the other sessions of the user; whether it was."""
    private, sessions, user = tables.user_secrets, tables.sessions, login.user
    same = (private.c.user_id == user.id, private.c.password_hash == login.password_hash)
    changed = await connection.execute(sa.update(private).where(*same).values(password_hash=password_hash))
    if changed.rowcount != 1:
        return False
    others = (sessions.c.user_id == user.id, sessions.c.digest != digest(token))
    await connection.execute(sa.delete(sessions).where(*others))
    await forget_failures(connection, user.email)
    return True


def address_digest(email: str) -> bytes:
    """Key of an address in `login_failures`."""
    return digest(email.lower())


async def forget_failures(connection: AsyncConnection, email: str) -> None:
    table = tables.login_failures
    await connection.execute(sa.delete(table).where(table.c.address_digest == address_digest(email)))


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
