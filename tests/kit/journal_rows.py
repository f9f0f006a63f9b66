"""Rows of the journal and folders to keep them in, for tests."""

from collections.abc import Mapping
from pathlib import Path

from core.clock import Clock, ManualClock
from core.telemetry.metrics import Telemetry
from journal.archive import Archive
from journal.columnar import Columnar, files_sql
from journal.converting import SegmentConverter
from journal.rows import JournalKind
from journal.writing import JournalWriter

NOW_MS = 1_790_000_000_000
_OF_TYPE: Mapping[str, object] = {"VARCHAR": "", "FLOAT": 0.0, "BOOLEAN": False, "UINTEGER[]": None, "BLOB": b""}


def a_row(kind: JournalKind, **values: object) -> tuple[object, ...]:
    """A row of zeros and empty texts, but for `values`; its moments are NOW_MS."""
    row = {
        column.name: NOW_MS if column.name.endswith("_ms") else _OF_TYPE.get(column.sql, 0) for column in kind.columns
    }
    unknown = values.keys() - row.keys()
    assert not unknown, f"the kind {kind.name} has no {unknown}"
    return tuple((row | values).values())


class JournalFolder:
    """A journal with one writer and one converter. `count` looks into the Parquet files."""

    def __init__(self, folder: Path, clock: Clock | None = None, *, max_bytes: int = 2**30) -> None:
        self.clock = clock or ManualClock(NOW_MS)
        self.segments, self.archive = folder / "segments", Archive(folder / "parquet")
        self.telemetry = Telemetry()
        self.max_bytes = max_bytes
        self.writer = self.another_writer("p1")
        self.columnar = Columnar()
        self.converter = SegmentConverter(self.segments, self.archive, self.columnar)
        assert self.converter.start()

    def another_writer(self, process: str) -> JournalWriter:
        """A writer of another process on the same folder."""
        return JournalWriter(self.segments, process, self.clock, Telemetry(), max_bytes=self.max_bytes)

    def convert(self) -> int:
        """Convert all segments that wait to Parquet; returns how many rows."""
        return sum(self.converter.convert(path).rows for path in self.converter.waiting())

    def rows(self, kind: JournalKind, columns: str = "*", where: str = "true") -> list[tuple[object, ...]]:
        """The rows of a kind in the files."""
        files = self.archive.files(kind.name, self.archive.hours(kind.name))
        if not files:
            return []
        return self.columnar.ask(f"SELECT {columns} FROM {files_sql(files)} WHERE {where} ORDER BY ALL")

    def count(self, kind: JournalKind) -> int:
        """How many rows of a kind the files hold."""
        files = self.archive.files(kind.name, self.archive.hours(kind.name))
        return self.columnar.count(files)

    def close(self) -> None:
        self.converter.stop()
        self.columnar.close()


def counted(telemetry: Telemetry, name: str, label: str = "") -> float:
    """A counter's value by its only label."""
    return sum(
        sample.value
        for family in telemetry.families()
        for sample in family.samples
        if family.name == name and (not label or label in sample.labels.values())
    )
