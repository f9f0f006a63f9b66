"""What SQLite's planner must be told because it keeps no statistics of the values.

It takes the index of any condition for the short way. For one that most rows meet (a bid above zero, a status) it is
the long one: each row is then looked up by itself, 30 ms to count 100,000 line items where a scan takes 10.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


class Unindexed(sa.ColumnElement[Any]):
    """A column that SQLite must not look up in its index. PostgreSQL, which has statistics, decides for itself."""

    inherit_cache = True
    _traverse_internals = [("column", sa.sql.visitors.InternalTraversal.dp_clauseelement)]

    def __init__(self, column: sa.ColumnElement[Any]) -> None:
        self.column = column
        self.type = column.type


@compiles(Unindexed)
def _plain(element: Unindexed, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    return compiler.process(element.column, **options)


@compiles(Unindexed, "sqlite")
def _with_plus(element: Unindexed, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    return f"+{compiler.process(element.column, **options)}"
