"""From segment files to Parquet, each row once.

A segment is read, its rows are filed by kind and hour, a Parquet file is written for each, and only then the segment is
removed. The files are named by the segment: a conversion that was cut short is done again and overwrites what it had
written. Parts are merged only while no segment is half converted, so a row is never in a part and in a merged file that
does not cover it.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from core.errors import InputError, UnavailableError
from journal.archive import HAND_ON_MS, HOUR_MS, Archive, HourPart, current
from journal.columnar import Columnar, files_sql, remove_temporary
from journal.folders import DAMAGED_SUFFIX, take_lock, waiting_segments
from journal.rows import KINDS, JournalKind
from journal.segment import Codec, LaterVersionError, SegmentFrame, whole_bytes

# The order of rows in a Parquet file: questions are about an advertiser's line items.
_ORDER: Final = ("advertiser_id", "line_item_id", "exchange_id")
# From this many parts on, a merged file is worth its cost.
MERGE_FROM: Final = 2
# A part that a merge left over stays this long: a question that was asked before may still read it.
LEFTOVER_S: Final = 120.0

_log = logging.getLogger("grosz.journal")


class Converted(NamedTuple):
    """What came of one segment."""

    rows: int
    torn_bytes: int  # of the end that was lost with the process that wrote it


class SegmentConverter:
    """Turns one folder's segments into Parquet. A lock makes sure that a folder has only one."""

    def __init__(
        self,
        segments: Path,
        archive: Archive,
        columnar: Columnar,
        on_stored: Callable[[Path], None] = Path.unlink,
    ) -> None:
        """`on_stored` takes over a segment whose rows are in Parquet files."""
        self._segments, self.archive, self._columnar = segments, archive, columnar
        self._on_stored = on_stored
        self._codec = Codec()
        self._lock: int | None = None
        # When segments of a later release were begun, by name: they are read once, since there may be a thousand MiB.
        self._later: dict[str, int] = {}

    def start(self) -> bool:
        """Take the folder; False while another process has it. Removes what a process that died was writing."""
        if self._lock is not None:
            return True
        self.archive.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = take_lock(self.archive.folder / "worker.lock")
        if self._lock is None:
            return False
        removed = remove_temporary(self.archive.folder)
        if removed:
            _log.info("removed what a conversion that was cut short had begun", extra={"fields": {"files": removed}})
        return True

    def stop(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def waiting(self) -> list[Path]:
        """Segments that nobody writes any more, oldest first: handed on, or left by a process that is gone."""
        return waiting_segments(self._segments)

    def later_since_ms(self) -> int | None:
        """The moment (unix ms) from which on segments of a later release, which wait, may have rows; None without any.

        Rows are gathered for a moment before their file is begun.
        """
        begun = [self._later[path.name] - HAND_ON_MS for path in self.waiting() if path.name in self._later]
        return min(begun, default=None)

    def convert(self, path: Path) -> Converted:
        """Turn one segment into Parquet and remove it. Raises UnavailableError, and leaves it, where a disk refuses.

        A segment that is none of ours is set aside under another name; one of a later release waits until this worker
        is upgraded; one that was removed meanwhile has no rows.
        """
        if path.name in self._later:
            return Converted(0, 0)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return Converted(0, 0)
        except OSError as error:
            raise UnavailableError(f"{path} cannot be read: {error}") from error
        torn = len(data) - whole_bytes(data)
        try:
            if data and torn == len(data):
                raise InputError("its head is damaged")
            frames = list(self._codec.frames(data))
        except LaterVersionError as error:
            self._later[path.name] = error.opened_ms
            _log.error("a segment of the journal waits: %s", error, extra={"fields": {"file": path.name}})
            return Converted(0, 0)
        except InputError as error:
            _log.error("a segment of the journal is set aside: %s", error, extra={"fields": {"file": path.name}})
            path.rename(path.with_suffix(DAMAGED_SUFFIX))
            return Converted(0, len(data))
        if torn:
            _log.warning(
                "a segment of the journal ends within a write; the rows of its tail are missing",
                extra={"fields": {"file": path.name, "bytes": torn}},
            )
        rows = self.write(path.stem, frames)
        try:
            self._on_stored(path)
        except OSError as error:
            raise UnavailableError(f"{path.name} cannot be taken from its folder: {error}") from error
        return Converted(rows, torn)

    def write(self, source: str, frames: Iterable[SegmentFrame]) -> int:
        """Write rows as parts named by `source`; returns how many there were. Repeating it changes nothing."""
        filed: dict[tuple[JournalKind, int], list[dict[str, object]]] = defaultdict(list)
        for frame in frames:
            kind = KINDS.get(frame.kind)
            if kind is None:
                continue
            at = frame.columns.index(kind.hour_of)
            for row in frame.rows:
                moment = row[at]
                hour = moment // HOUR_MS if isinstance(moment, int) else 0
                filed[kind, hour].append(dict(zip(frame.columns, row, strict=False)))
        for (kind, hour), rows in filed.items():
            path = self.archive.path_for(kind.name, hour, source)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._columnar.write(path, columns_of(kind, rows))
        return sum(map(len, filed.values()))

    def merge(self, kind: JournalKind, hour: int, now_s: float) -> bool:
        """Make one file of an hour's parts, and remove what an earlier merge left over; False where none was made."""
        everything = self.archive.all_parts(kind.name, hour)
        parts = current(everything)
        for part in everything:
            if part not in parts and _is_forgotten(part, everything, now_s):
                part.path.unlink(missing_ok=True)
        if len(parts) < MERGE_FROM:
            return False
        paths = [part.path for part in parts]
        order = [name for name in _ORDER if name in kind.names]
        select = f"SELECT * FROM {files_sql(paths)}"  # noqa: S608 - our own files
        target = self.archive.merged_path(kind.name, hour, parts)
        self._columnar.copy(select, target, order_by=order, rows=self._columnar.count(paths))
        return True


def _is_forgotten(part: HourPart, everything: Sequence[HourPart], now_s: float) -> bool:
    """Whether no question can still read a part: a file that covers it, left over itself or not, is old enough.

    A busy hour is merged each half minute: if only the newest file counted, nothing would ever be old enough to go.
    """
    return any(
        other.covers(part) and other.path.exists() and now_s - other.path.stat().st_mtime >= LEFTOVER_S
        for other in everything
    )


def columns_of(kind: JournalKind, rows: Sequence[dict[str, object]]) -> dict[str, tuple[str, list[object]]]:
    """Rows as columns, for `Columnar.write`; a value that a row lacks is None."""
    return {
        column.name: (column.sql, [_value(column.sql, row.get(column.name)) for row in rows]) for column in kind.columns
    }


def _value(sql: str, value: object) -> object:
    """A value in the form in which `Columnar.write` takes it."""
    if sql.endswith("[]") and value is not None:
        numbers = memoryview(value).cast("I") if isinstance(value, bytes) else value
        return str(list(numbers))  # type: ignore[call-overload]
    return value
