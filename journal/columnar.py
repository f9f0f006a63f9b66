"""Parquet files and questions about them: the only place that knows DuckDB.

A file is written under a temporary name, read back, flushed to the disk and only then renamed; the folder is flushed
after it. So a file that has its name is whole, and a process that dies leaves at most a temporary file, which the next
start removes.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from core.disk import TEMPORARY, disk_hint, flush_folder, told_hint
from core.errors import GroszError, InputError, UnavailableError

# Rows of one row group: what one thread reads at a time, and what DuckDB keeps minima and maxima of.
_ROW_GROUP: Final = 122_880
# Both cores of a small machine; data beyond this memory goes to files beside the data.
DEFAULT_THREADS: Final = 2
DEFAULT_MEMORY: Final = "512MB"

_DTYPES: Final[Mapping[str, str]] = {
    "UBIGINT": "u8", "BIGINT": "i8", "UINTEGER": "u4", "INTEGER": "i4", "FLOAT": "f4", "DOUBLE": "f8", "BOOLEAN": "?",
}  # fmt: skip

Value = Any
"""A parameter of a query, or a value in a row."""


class Columnar:
    """One DuckDB connection in memory. Not to be used by two threads at once; `cursor` makes another for a thread."""

    def __init__(
        self, *, threads: int = DEFAULT_THREADS, memory: str = DEFAULT_MEMORY, spill: Path | None = None
    ) -> None:
        """`spill` is the folder for what does not fit into `memory`."""
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": threads, "memory_limit": memory, "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }  # fmt: skip
        if spill is not None:
            config["temp_directory"] = str(spill)
        self._connection = duckdb.connect(":memory:", config=config)
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET preserve_insertion_order = true")

    def close(self) -> None:
        self._connection.close()

    def interrupt(self) -> None:
        """End the query that another thread runs here; it raises there."""
        self._connection.interrupt()

    def ask(self, sql: str, parameters: Sequence[Value] | Mapping[str, Value] = ()) -> list[tuple[Value, ...]]:
        """The rows of a query. Raises UnavailableError for files that vanished, InputError for what DuckDB refuses."""
        return self.ask_named(sql, parameters)[1]

    def ask_named(
        self, sql: str, parameters: Sequence[Value] | Mapping[str, Value] = ()
    ) -> tuple[list[str], list[tuple[Value, ...]]]:
        """Names of the columns and rows of a query; raises as `ask`."""
        try:
            found = self._connection.execute(sql, parameters or None)
            names = [column[0] for column in found.description or ()]
            return names, found.fetchall()
        except duckdb.Error as error:
            raise _translated(error) from error

    def set_table(self, name: str, types: Sequence[str], rows: Sequence[Sequence[Value]]) -> None:
        """Make a temporary table from values: its columns are `c0`, `c1`, ... of these SQL types."""
        arrays = {f"c{at}": _array(sql, [row[at] for row in rows]) for at, sql in enumerate(types)}
        chosen = ", ".join(f"CAST(c{at} AS {sql}) AS c{at}" for at, sql in enumerate(types))
        self._connection.register("rows_to_keep", arrays)
        try:
            self._connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {chosen} FROM rows_to_keep"  # noqa: S608 - names of ours
            )
        finally:
            self._connection.unregister("rows_to_keep")

    def keep(self, name: str, sql: str, parameters: Sequence[Value], *, add: bool) -> None:
        """Make a temporary table of a query's rows, or `add` them to an existing one; raises as `ask`."""
        begin = f"INSERT INTO {name}" if add else f"CREATE OR REPLACE TEMP TABLE {name} AS"
        self.ask(f"{begin} {sql}", parameters)

    def forget(self, names: Iterable[str]) -> None:
        """Drop temporary tables; without effect for those that do not exist."""
        for name in names:
            self.ask(f"DROP TABLE IF EXISTS {name}")

    def write(
        self, path: Path, columns: Mapping[str, tuple[str, Sequence[Value]]], *, order_by: Sequence[str] = ()
    ) -> int:
        """Write rows as a Parquet file, from (SQL type, values) by name of column. Returns how many rows it has.

        Lists are given as texts that DuckDB casts (`[1, 2]`). Raises UnavailableError where the disk refuses; a file of
        that name is then as it was before.
        """
        rows = len(next(iter(columns.values()))[1]) if columns else 0
        arrays = {f"c{number}": _array(sql, values) for number, (sql, values) in enumerate(columns.values())}
        self._connection.register("rows_to_write", arrays)
        try:
            chosen = ", ".join(
                f'CAST(c{number} AS {sql}) AS "{name}"' for number, (name, (sql, _values)) in enumerate(columns.items())
            )
            self.copy(f"SELECT {chosen} FROM rows_to_write", path, order_by=order_by, rows=rows)  # noqa: S608 - names of ours
        finally:
            self._connection.unregister("rows_to_write")
        return rows

    def copy(
        self,
        select: str,
        path: Path,
        *,
        order_by: Sequence[str] = (),
        rows: int | None = None,
    ) -> int:
        """Write a query's rows as a Parquet file, whole or not at all; `rows` is how many there must be.

        Raises UnavailableError.
        """
        temporary = path.with_name(path.name + TEMPORARY)
        order = f" ORDER BY {', '.join(order_by)}" if order_by else ""
        target = str(temporary).replace("'", "''")
        statement = (
            f"COPY ({select}{order}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
        )
        try:
            self._connection.execute(statement)
            written = self.count([temporary])
            if rows is not None and written != rows:
                raise UnavailableError(f"{path.name} has {written} rows where {rows} were written")
            _flush(temporary)
            temporary.rename(path)
            flush_folder(path.parent)
        except UnavailableError:  # an OSError too, which says it better
            raise
        except (duckdb.Error, OSError) as error:
            raise _unwritten(path, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return written

    def count(self, paths: Iterable[Path]) -> int:
        """How many rows Parquet files have. They are read to the last column: a damaged one raises UnavailableError."""
        listed = list(paths)
        if not listed:
            return 0
        try:
            question = f"SELECT count(COLUMNS(*)), count(*) FROM {files_sql(listed)}"  # noqa: S608 - our own files
            (row,) = self._connection.execute(question).fetchall()
        except duckdb.Error as error:
            raise UnavailableError(f"Parquet files cannot be read: {error}") from error
        return int(row[-1])


def files_sql(paths: Iterable[Path]) -> str:
    """SQL for the rows of Parquet files, with columns matched by name: older files lack the newest columns."""
    listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{listed}], union_by_name = true)"


def remove_temporary(folder: Path) -> int:
    """Remove unfinished files of processes that died, below a folder; returns how many there were."""
    found = list(folder.rglob(f"*{TEMPORARY}")) if folder.is_dir() else []
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _array(sql: str, values: Sequence[Value]) -> "np.ndarray[Any, Any]":
    """Values as DuckDB scans them: numbers as numbers; other types, and columns with a None, as objects."""
    dtype = _DTYPES.get(sql)
    if dtype is not None and None not in values:
        return np.array(values, dtype=dtype)
    array = np.empty(len(values), dtype=object)
    # Columns with a None are texts: DuckDB would guess the type of objects, and casts texts without loss.
    array[:] = values if dtype is None else [None if value is None else str(value) for value in values]
    return array


def _unwritten(path: Path, error: duckdb.Error | OSError) -> UnavailableError:
    """Why a file is not written: DuckDB's first line, without its general advice, and what the disk's words mean."""
    if isinstance(error, OSError):
        return UnavailableError(f"{path} cannot be written: {error}", hint=disk_hint(error))
    hint = told_hint(str(error)) or "nothing of it is written, and a file of that name is as it was before"
    return UnavailableError(f"{path} cannot be written: {_first_line(error)}", hint=hint)


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]


def _translated(error: duckdb.Error) -> GroszError:
    text = _first_line(error)
    if isinstance(error, duckdb.IOException | duckdb.InterruptException | duckdb.OutOfMemoryException):
        return UnavailableError(f"the journal cannot be read: {text}")
    return InputError(f"the question cannot be answered: {text}")
