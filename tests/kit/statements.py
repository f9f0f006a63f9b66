"""What a database is asked: statements, and the work of SQLite's machine for them, which no other load changes."""

from typing import Any

import sqlalchemy as sa

from admin.store.database import Database

_EVERY = 100


class Statements:
    """Counts statements from `start` on, on connections that are opened or taken from the pool after it was made."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        self.steps = 0
        """Instructions of SQLite's virtual machine, by begun hundreds; 0 with PostgreSQL."""
        engine = database.engine.sync_engine
        sa.event.listen(engine, "before_cursor_execute", self._asked)
        if database.is_sqlite:
            sa.event.listen(engine, "checkout", self._watch)

    def start(self) -> None:
        """Begins at zero."""
        self.count = self.steps = 0

    def _asked(self, *_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        self.count += 1

    def _watch(self, connection: Any, *_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        # The driver's own method would have to be waited for.
        connection.driver_connection._conn.set_progress_handler(self._stepped, _EVERY)

    def _stepped(self) -> None:
        self.steps += _EVERY
