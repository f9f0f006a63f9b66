import resource
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from core.disk import TEMPORARY
from core.errors import InputError, UnavailableError
from journal.columnar import Columnar, files_sql

COLUMNS: Mapping[str, tuple[str, list[object]]] = {
    "id": ("UBIGINT", [2**64 - 1, 2, 3]),
    "name": ("VARCHAR", ["a", None, "zażółć \x00 '"]),
    "price": ("BIGINT", [None, -5, 2**62]),
    "parts": ("UINTEGER[]", ["[1, 2]", None, "[]"]),
    "raw": ("BLOB", [b"\x00\xff", None, b""]),
    "rate": ("FLOAT", [0.5, None, 1.0]),
    "told": ("BOOLEAN", [True, False, None]),
}


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    store, path = Columnar(), tmp_path / "it's.parquet"
    assert store.write(path, COLUMNS) == 3
    assert store.ask(f"SELECT * FROM {files_sql([path])}") == [
        (2**64 - 1, "a", None, [1, 2], b"\x00\xff", 0.5, True),
        (2, None, -5, None, None, None, False),
        (3, "zażółć \x00 '", 2**62, [], b"", 1.0, None),
    ]
    assert store.count([path, path]) == 6
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    store, path = Columnar(), tmp_path / "x.parquet"
    store.write(path, {"id": ("BIGINT", list(range(10_000)))})
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnavailableError):
        store.count([path])


def test_a_value_that_does_not_fit_its_column_leaves_nothing(tmp_path: Path) -> None:
    store = Columnar()
    with pytest.raises(UnavailableError, match="Could not convert string 'no number'") as caught:
        store.write(tmp_path / "x.parquet", {"id": ("UINTEGER", [None, "no number"])})
    assert "full" not in caught.value.hint
    assert "\n" not in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_and_the_file_before(tmp_path: Path) -> None:
    store, path = Columnar(), tmp_path / "x.parquet"
    store.write(path, {"id": ("BIGINT", [1])})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(UnavailableError):
            store.write(path, {"id": ("BIGINT", [number * 7919 % 100_003 for number in range(100_000)])})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert store.ask(f"SELECT id FROM {files_sql([path])}") == [(1,)]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_full_disk_is_told_where_duckdb_says_so(tmp_path: Path) -> None:
    """DuckDB's errors have no number: only the text names the cause."""
    path = tmp_path / "x.parquet"
    path.with_name(path.name + TEMPORARY).symlink_to("/dev/full")
    with pytest.raises(UnavailableError) as caught:
        Columnar().copy("SELECT 1 AS id", path)
    assert caught.value.hint == "the disk, or this user's share of it, is full: make room"


def test_questions_that_cannot_be_answered_say_so(tmp_path: Path) -> None:
    store = Columnar()
    with pytest.raises(InputError, match="cannot be answered"):
        store.ask("SELECT nothing FROM nowhere")
    with pytest.raises(UnavailableError, match="cannot be read"):
        store.ask(f"SELECT * FROM {files_sql([tmp_path / 'gone.parquet'])}")


def test_a_table_of_a_questions_own_is_made_added_to_and_forgotten() -> None:
    columnar = Columnar()
    try:
        for first in (False, True):
            columnar.keep("mine", "SELECT ?::BIGINT AS one", [1], add=False)
            columnar.keep("mine", "SELECT ?::BIGINT AS one", [2 + first], add=True)
        assert sorted(columnar.ask("SELECT one FROM mine")) == [(1,), (3,)]
        columnar.forget(["mine", "never_made"])
        with pytest.raises(InputError):
            columnar.ask("SELECT one FROM mine")
    finally:
        columnar.close()
