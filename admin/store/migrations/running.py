"""Runs migrations with alembic. Imported only when there is one to run: alembic is a quarter of the admin's start."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory


def run(connection: sa.Connection, target: str) -> tuple[str | None, str | None]:
    """Moves the schema to `target` in the connection's transaction: (before, after)."""
    config = _config(connection)
    before = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory.from_config(config)
    if _is_down(script, before, target):
        command.downgrade(config, target)
    elif target != "base":
        command.upgrade(config, target)
    return before, MigrationContext.configure(connection).get_current_revision()


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _is_down(script: ScriptDirectory, before: str | None, target: str) -> bool:
    if before is None or target == "head":
        return False
    if target == "base":
        return True
    return target in {step.revision for step in script.iterate_revisions(before, "base")} and target != before
