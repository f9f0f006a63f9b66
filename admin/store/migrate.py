"""Brings a database to a schema version: at every start to the newest, by hand also back down.

One migration runs in one transaction, so a failed or killed one leaves the old schema. Two processes that start
together take turns by the write lock (SQLite) or an advisory lock (PostgreSQL).
"""

from pathlib import Path

import sqlalchemy as sa

from admin.store.database import Database
from core.errors import ConfigError, InputError

# Any constant of ours: PostgreSQL's advisory locks are numbers that all clients of a database share.
ADVISORY_LOCK = 0x67726F737A

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest() -> str:
    """The newest schema version of this installation; a file `v0003_...` brings 0003."""
    return versions()[-1]


def versions() -> list[str]:
    """Every schema version that this installation knows, oldest first."""
    return sorted(file.name[1:5] for file in _VERSIONS.glob("v[0-9]*.py"))


def require_known(target: str) -> None:
    """Raises InputError for a target that is no schema version of this installation."""
    if target not in ("head", "base", *versions()):
        raise InputError(
            f"'{target}' is no schema version", hint=f"head, base, or one of {versions()[0]} to {versions()[-1]}"
        )


async def current(database: Database) -> str | None:
    """The schema version of the database, None when it is empty."""
    async with database.read() as connection:
        return await connection.run_sync(_version)


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return version


async def migrate(database: Database, target: str = "head") -> tuple[str | None, str | None]:
    """Moves the schema up or down to `target` (a version, `head`, or `base` for an empty database): (before, after).

    Raises InputError for an unknown target, ConfigError for a database that a newer release has migrated.
    """
    require_known(target)
    present = await current(database)
    if present is not None and present not in versions():
        raise ConfigError(
            f"the database has schema {present}, and this release knows {newest()} as the newest",
            hint="run the release that migrated it, or let that one go back: `grosz migrate " + newest() + "`",
        )
    if target == "head" and present == newest():
        return newest(), newest()
    from admin.store.migrations.running import run

    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        return await connection.run_sync(run, target)
