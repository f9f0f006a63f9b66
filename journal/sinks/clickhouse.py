"""ClickHouse as a sink, by its HTTP interface: a table a kind, RowBinary, and a token that makes repeats vanish.

One INSERT is one block, and ClickHouse remembers the tokens of the last DEDUPLICATED blocks of a table: a batch that is
put again is left out there. Tables are made where they are missing, and columns that a release adds are added.
"""

import math
import struct
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from core.errors import ConfigError, UnavailableError
from journal.rows import KINDS, REQUEST, JournalColumn, JournalKind
from journal.sinks.sink import RowBatch

# Tokens that a table remembers. Repeats come as the first batch after a start; a worker makes a batch or two a second.
DEDUPLICATED: Final = 10_000
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60.0, sock_connect=5.0)
# The most rows of one block of an INSERT: a block comes whole or not at all. Its token names the batch and the block
# and not its content: if a person is erased from a batch between its first and second put, it still has the same bills,
# and a token of the content would count them twice. Only recorded requests are removed when a person is erased, other
# rows stay where they are: a batch with more requests than a block holds could lose as many as were removed.
_BLOCK_ROWS: Final = 1_000_000
_TYPES: Final = {
    "UBIGINT": ("UInt64", "<Q"), "BIGINT": ("Int64", "<q"), "UINTEGER": ("UInt32", "<I"), "INTEGER": ("Int32", "<i"),
    "FLOAT": ("Float32", "<f"), "DOUBLE": ("Float64", "<d"), "BOOLEAN": ("Bool", "<?"), "VARCHAR": ("String", ""),
    "BLOB": ("String", ""), "UINTEGER[]": ("Array(UInt32)", ""),
}  # fmt: skip

_Value = Any
"""A value in a column of a row."""

_Write = Callable[[bytearray, _Value], None]


class ClickHouseSink:
    """Inserts into the database that `url` names (http://user:password@host:8123/database)."""

    def __init__(self, url: str, *, kept_days: int) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            hint = "http://user:password@host:8123/database"
            raise ConfigError("journal.sink_url is no address of ClickHouse's HTTP interface", hint=hint)
        place = parts.netloc.rpartition("@")[2]
        self._url = urlunsplit((parts.scheme, place, "/", "", ""))
        self._database = parts.path.strip("/") or "default"
        if not self._database.isidentifier():
            raise ConfigError(f"journal.sink_url names no database: {self._database}")
        self._headers = {"X-ClickHouse-Database": self._database} if self._database == "default" else {}
        if parts.username:
            self._headers |= {"X-ClickHouse-User": parts.username, "X-ClickHouse-Key": parts.password or ""}
        self._kept_days = kept_days
        self._session: aiohttp.ClientSession | None = None
        self._is_made = False

    async def put(self, batch: RowBatch) -> None:
        """See `EventSink`."""
        await self._make_tables()
        for kind, rows in batch.rows.items():
            names = ", ".join(f"`{name}`" for name in kind.names)
            for first in range(0, len(rows), _BLOCK_ROWS):
                await self._ask(
                    f"INSERT INTO {self._table(kind)} ({names}) FORMAT RowBinary",
                    packed(kind, rows[first : first + _BLOCK_ROWS]),
                    insert_deduplication_token=f"{batch.source}.{kind.name}.{first}",
                    insert_deduplicate="1",
                    max_insert_block_size=str(_BLOCK_ROWS),
                    input_format_parallel_parsing="0",
                    async_insert="0",
                )

    async def erase(self, people: Collection[int]) -> None:
        """See `EventSink`. What money was paid for stays; recorded requests go."""
        if not people:
            return
        await self._make_tables()
        listed = ", ".join(str(int(person)) for person in people)
        for kind in KINDS.values():
            if "person" not in kind.names:
                continue
            told = f"ALTER TABLE {self._table(kind)}"
            if kind is REQUEST:
                await self._ask(f"{told} DELETE WHERE person IN ({listed})", mutations_sync="1")
                continue
            changes = ", ".join(
                f"`{column.name}` = {_nothing(column)}" for column in kind.columns if column.name in kind.personal
            )
            await self._ask(f"{told} UPDATE {changes} WHERE person IN ({listed})", mutations_sync="1")

    async def close(self) -> None:
        """See `EventSink`."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _make_tables(self) -> None:
        if self._is_made:
            return
        await self._ask(f"CREATE DATABASE IF NOT EXISTS {self._database}")
        for kind in KINDS.values():
            await self._ask(self.table_sql(kind))
            columns = (f"`{column.name}` {_type(kind, column)}" for column in kind.columns)
            added = ", ".join(f"ADD COLUMN IF NOT EXISTS {column}" for column in columns)
            await self._ask(f"ALTER TABLE {self._table(kind)} {added}")
        self._is_made = True

    def table_sql(self, kind: JournalKind) -> str:
        """How the table of a kind is made."""
        columns = ", ".join(f"`{column.name}` {_type(kind, column)}" for column in kind.columns)
        moment = f"toDateTime(intDiv({kind.hour_of}, 1000), 'UTC')"
        order = [name for name in ("advertiser_id", "line_item_id", "exchange_id") if name in kind.names]
        return (
            f"CREATE TABLE IF NOT EXISTS {self._table(kind)} ({columns}) ENGINE = MergeTree "
            f"PARTITION BY toYYYYMM({moment}) ORDER BY ({', '.join((*order, kind.hour_of))}) "
            f"TTL {moment} + INTERVAL {self._kept_days} DAY DELETE "
            f"SETTINGS non_replicated_deduplication_window = {DEDUPLICATED}"
        )

    def _table(self, kind: JournalKind) -> str:
        return f"{self._database}.{kind.name}"

    async def _ask(self, statement: str, body: bytes = b"", **settings: str) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, headers=self._headers)
        try:
            async with self._session.post(self._url, params={"query": statement, **settings}, data=body) as answer:
                status, text = answer.status, (await answer.read())[:300].decode("utf-8", "replace").strip()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"ClickHouse: {error!s:.200} ({type(error).__name__})") from error
        if status != 200:
            raise UnavailableError(f"ClickHouse answers {status}: {text}")


def packed(kind: JournalKind, rows: Sequence[Sequence[object]]) -> bytes:
    """Rows as RowBinary."""
    writers = [_writer(kind, column) for column in kind.columns]
    out = bytearray()
    for row in rows:
        for write, value in zip(writers, row, strict=True):
            write(out, value)
    return bytes(out)


def _key(kind: JournalKind, column: JournalColumn) -> bool:
    return column.name in ("advertiser_id", "line_item_id", "exchange_id", kind.hour_of)


def _type(kind: JournalKind, column: JournalColumn) -> str:
    name = _TYPES[column.sql][0]
    return name if _key(kind, column) or column.sql == "UINTEGER[]" else f"Nullable({name})"


def _nothing(column: JournalColumn) -> str:
    if column.sql == "UINTEGER[]":
        return "[]"
    return "0" if column.name == "person" else "NULL"


def _writer(kind: JournalKind, column: JournalColumn) -> _Write:
    """A function that writes a column's value."""
    if column.sql == "UINTEGER[]":
        return _write_numbers
    pattern = _TYPES[column.sql][1]
    pack = struct.Struct(pattern).pack if pattern else None

    def plain(out: bytearray, value: _Value) -> None:
        if pack is not None:
            out += pack(value)
            return
        content = value.encode() if isinstance(value, str) else bytes(value)
        _write_length(out, len(content))
        out += content

    if _key(kind, column):
        return lambda out, value: plain(out, 0 if value is None else value)

    def nullable(out: bytearray, value: _Value) -> None:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            out.append(1)
        else:
            out.append(0)
            plain(out, value)

    return nullable


def _write_numbers(out: bytearray, value: _Value) -> None:
    """Writes 32-bit numbers, given as little-endian bytes (as in segments) or as a list."""
    numbers = b"" if value is None else value if isinstance(value, bytes) else struct.pack(f"<{len(value)}I", *value)
    _write_length(out, len(numbers) // 4)
    out += numbers


def _write_length(out: bytearray, number: int) -> None:
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
