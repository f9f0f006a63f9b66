"""Opens the database: one SQL for SQLite and PostgreSQL, with what each needs to be safe under several processes."""

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.errors import ConfigError, UnavailableError

# A bulk write of 10,000 rows holds SQLite's write lock for about a second; another process waits for it, not fails.
BUSY_TIMEOUT_MS = 10_000
# The control plane serves people and a few programs; PostgreSQL's default allows 100 connections for all its clients.
POSTGRES_POOL = 8
# Readers of SQLite: each is a thread with its own page cache.
SQLITE_POOL = 4
# Compiled statements that are kept. Lists have thousands of forms, of which people use a few again and again. Each
# collection of garbage visits all that are kept: 30 ms with 75 of them, 100 with 200.
STATEMENTS_KEPT = 50

_HOW_TO_SET = "set GROSZ_ADMIN_DATABASE_URL to one that admin and worker share; `grosz up` has one of its own"


def database_url(url: str, data_dir: Path | None = None) -> str:
    """The URL with its async driver: `postgresql://...`, `sqlite:///file`, or '' for `grosz.sqlite` in `data_dir`."""
    if not url:
        if data_dir is None:
            raise ConfigError("no database is set", hint=_HOW_TO_SET)
        return f"sqlite+aiosqlite:///{data_dir / 'grosz.sqlite'}"
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigError(f"'{url}' is not a database URL", hint="write sqlite:///file or postgresql://user@host/name")
    drivers = {"sqlite": "sqlite+aiosqlite", "postgres": "postgresql+asyncpg", "postgresql": "postgresql+asyncpg"}
    if scheme not in (*drivers, *drivers.values()):
        raise ConfigError(f"database '{scheme}' is not supported", hint="use sqlite or postgresql")
    return f"{drivers.get(scheme, scheme)}://{rest}"


# What engines say of a column or table that they do not have: undefined_column, undefined_table.
_POSTGRES_UNKNOWN: Final = frozenset(("42703", "42P01"))
_SQLITE_UNKNOWN: Final = re.compile("no such (column|table)|has no column")


class Database:
    """An engine and the right to write: readers run beside each other, writers of this process one by one.

    Several processes may open the same database: SQLite's own lock or PostgreSQL's row lock on `counters` then orders
    their writes.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._writing = asyncio.Lock()

    @classmethod
    def open(cls, url: str) -> "Database":
        """Opens `url` (see database_url). Connections are made when first used."""
        if url.startswith("sqlite"):
            engine = create_async_engine(
                url,
                pool_size=SQLITE_POOL,
                max_overflow=SQLITE_POOL,
                query_cache_size=STATEMENTS_KEPT,
                hide_parameters=True,
            )
            path = _file_of(url)
            if path is not None:
                sa.event.listen(engine.sync_engine, "connect", lambda _connection, _record: _keep_private(path))
            sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
        else:
            engine = create_async_engine(
                url,
                pool_size=POSTGRES_POOL,
                max_overflow=POSTGRES_POOL,
                pool_pre_ping=True,
                query_cache_size=STATEMENTS_KEPT,
                hide_parameters=True,  # errors and logs must not quote the values
            )
        return cls(engine)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @property
    def is_writing(self) -> bool:
        """Whether this process holds its writer: the next write would wait."""
        return self._writing.locked()

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one consistent state."""
        with _translated():
            async with self.engine.connect() as connection:
                options = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
                yield await connection.execution_options(**options)

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a write transaction: committed at the end of the block, rolled back when it raises."""
        with _translated():
            async with self._writing, self.engine.connect() as opened:
                connection = await opened.execution_options(grosz_write=True)
                async with connection.begin():
                    yield connection

    async def close(self) -> None:
        await self.engine.dispose()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, OSError) as error:
        if isinstance(error, DBAPIError) and _is_of_another_schema(error):
            raise UnavailableError(
                "the database has another schema than this release",
                hint="start this release's admin, which migrates it, or run grosz migrate",
            ) from error
        if isinstance(error, DBAPIError) and type(error.orig) is sqlite3.DatabaseError:
            raise UnavailableError(
                "the database file is damaged, or is no database", hint="bring back a backup (grosz restore)"
            ) from error
        if isinstance(error, DBAPIError) and not _is_outage(error):
            raise
        raise UnavailableError(
            "the database does not answer", hint="check that it runs and that its disk is not full"
        ) from error


def _is_of_another_schema(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.OperationalError):
        return _SQLITE_UNKNOWN.search(str(error.orig)) is not None
    return getattr(error.orig, "sqlstate", None) in _POSTGRES_UNKNOWN


def _is_outage(error: DBAPIError) -> bool:
    return error.connection_invalidated or isinstance(error.orig, sqlite3.OperationalError)


def _file_of(url: str) -> Path | None:
    name = sa.make_url(url).database or ""
    return None if not name or name == ":memory:" or name.startswith("file:") else Path(name)


def _keep_private(path: Path) -> None:
    """Let only this user read the file, also one of a release that left it to the umask; its WAL follows its mode."""
    with contextlib.suppress(PermissionError):  # another user's file: its owner decides
        for part in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            if part.exists() and part.stat().st_mode & 0o077:
                part.chmod(0o600)


def _prepare_sqlite(connection: object, _record: object) -> None:
    """WAL: readers never wait for the writer. FULL: an acknowledged change survives a power cut."""
    raw = connection.driver_connection if hasattr(connection, "driver_connection") else connection
    # The driver's implicit BEGIN starts a read transaction that cannot always become a write one; we begin ourselves.
    raw.isolation_level = None  # type: ignore[union-attr]  # SQLAlchemy types the raw connection as object
    cursor = connection.cursor()  # type: ignore[attr-defined]  # as above
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "cache_size=-65536",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    writing = connection.get_execution_options().get("grosz_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
