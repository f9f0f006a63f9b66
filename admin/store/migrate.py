"""Brings a database to a schema version: at every start to the newest, by hand also back down.

One migration runs in one transaction, so a failed or killed one leaves the old schema. Two processes that start
together take turns by the write lock (SQLite) or an advisory lock (PostgreSQL).
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from admin.store.database import Database

# Any constant of ours: PostgreSQL's advisory locks are numbers that all clients of a database share.
ADVISORY_LOCK = 0x67726F737A


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def newest() -> str:
    """The newest schema version of this installation."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "migrations are shipped with the package"  # noqa: S101 - a broken installation, not an input
    return head


async def current(database: Database) -> str | None:
    """The schema version of the database, None when it is empty."""
    async with database.read() as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


async def migrate(database: Database, target: str = "head") -> tuple[str | None, str | None]:
    """Moves the schema up or down to `target` (a version, `head`, or `base` for an empty database): (before, after)."""
    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        return await connection.run_sync(_run, target)


def _run(connection: sa.Connection, target: str) -> tuple[str | None, str | None]:
    config = _config(connection)
    before = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory.from_config(config)
    if _is_down(script, before, target):
        command.downgrade(config, target)
    elif target != "base":
        command.upgrade(config, target)
    return before, MigrationContext.configure(connection).get_current_revision()


def _is_down(script: ScriptDirectory, before: str | None, target: str) -> bool:
    if before is None or target == "head":
        return False
    if target == "base":
        return True
    return target in {step.revision for step in script.iterate_revisions(before, "base")} and target != before
