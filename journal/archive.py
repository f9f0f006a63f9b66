"""The Parquet files of the journal: a folder a kind, a folder an hour in it, and which of the files in it count.

    bid/2026-11-29T21/00000003.1790000000000-4f2a-1.parquet     a part: what one segment had for the hour
    bid/2026-11-29T21/00000001-00000003.parquet                 parts 1 to 3 in one file

A file whose numbers lie within those of another is left over: the other holds its rows. So parts become one file by a
single rename, and whoever reads meanwhile sees each row once. Hours are UTC.
"""

import datetime
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

HOUR_MS: Final = 3_600_000
# The most rows of one report: a larger one is a file of its own (docs/reports.md).
MAX_REPORT_ROWS: Final = 100_000
STORED_FILE: Final = "stored_until"
STATE_FILE: Final = "streams.json"
"""The file with the positions up to which streams are in the Parquet files."""
FORGOTTEN_FILE: Final = "forgotten.json"
"""The file with the hour of each kind before which rows were removed because of their age."""
# A process hands its segment on after 2 s, up to a tick later.
HAND_ON_MS: Final = 2_500
_NAME = re.compile(r"(?P<first>\d{8})(?:-(?P<last>\d{8})|\.(?P<source>[\w.-]+))\.parquet")
_HOUR_FORMAT: Final = "%Y-%m-%dT%H"


def is_readable() -> bool:
    """Whether DuckDB, which reads and writes the files, is installed: it is the extra `reports`."""
    return importlib.util.find_spec("duckdb") is not None


class HourPart(NamedTuple):
    """A Parquet file of one hour. `source` names what a part was made of, "" for a merged file."""

    path: Path
    first: int
    last: int
    source: str

    def covers(self, other: "HourPart") -> bool:
        """Whether this is a merged file that holds the rows of `other`."""
        return self.path != other.path and not self.source and self.first <= other.first and other.last <= self.last


class _Taken(msgspec.Struct):
    """What is read of the positions that journal.streams keeps."""

    done: dict[str, str] = {}


class Archive:
    """The Parquet files below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hour_folder(self, kind: str, hour: int) -> Path:
        """The folder of an hour's rows; `hour` counts from 1970, UTC."""
        return self.folder / kind / hour_text(hour)

    def hours(self, kind: str, since: int | None = None, until: int | None = None) -> list[int]:
        """The hours that have any file, ascending; from `since`, before `until`."""
        return sorted(
            hour
            for hour in self._all_hours(kind)
            if (since is None or hour >= since) and (until is None or hour < until)
        )

    def _all_hours(self, kind: str) -> Iterator[int]:
        folder = self.folder / kind
        if not folder.is_dir():
            return
        for entry in folder.iterdir():
            hour = hour_of_text(entry.name)
            if hour is not None:
                yield hour

    def all_parts(self, kind: str, hour: int) -> list[HourPart]:
        """All files of an hour, with those that are left over."""
        folder = self.hour_folder(kind, hour)
        if not folder.is_dir():
            return []
        found = (_part(path) for path in sorted(folder.iterdir()))
        return [part for part in found if part is not None]

    def parts(self, kind: str, hour: int) -> list[HourPart]:
        """The files of an hour that together hold each of its rows once."""
        return current(self.all_parts(kind, hour))

    def files(self, kind: str, hours: Iterable[int]) -> list[Path]:
        """The paths of `parts` of several hours."""
        return [part.path for hour in hours for part in self.parts(kind, hour)]

    def path_for(self, kind: str, hour: int, source: str) -> Path:
        """The path of an hour's part that is made from `source`; the same path each time."""
        parts = self.all_parts(kind, hour)
        number = next((part.first for part in parts if part.source == source), None)
        if number is None:
            number = max((part.last for part in parts), default=0) + 1
        return self.hour_folder(kind, hour) / f"{number:08d}.{source}.parquet"

    def remove(self, kind: str, hour: int) -> None:
        """Remove all files of a kind's hour."""
        folder = self.hour_folder(kind, hour)
        for path in folder.iterdir() if folder.is_dir() else ():
            path.unlink(missing_ok=True)
        folder.rmdir()

    def forget(self, kind: str, before: int) -> list[int]:
        """Remove the hours before `before`, and return them. `forgotten_before` is noted first."""
        old = self.hours(kind, until=before)
        if old:
            path = self.folder / FORGOTTEN_FILE
            temporary = path.with_name(f"{FORGOTTEN_FILE}.new")
            temporary.write_bytes(msgspec.json.encode(self._forgotten() | {kind: old[-1] + 1}))
            temporary.rename(path)
        for hour in old:
            self.remove(kind, hour)
        return old

    def forgotten_before(self, kind: str) -> int:
        """The hour before which rows may be gone; 0 where none is."""
        return self._forgotten().get(kind, 0)

    def _forgotten(self) -> dict[str, int]:
        try:
            return msgspec.json.decode((self.folder / FORGOTTEN_FILE).read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}

    def merged_path(self, kind: str, hour: int, parts: Sequence[HourPart]) -> Path:
        """Where the file goes that holds the rows of all these parts."""
        first, last = min(part.first for part in parts), max(part.last for part in parts)
        return self.hour_folder(kind, hour) / f"{first:08d}-{last:08d}.parquet"

    def position(self, stream: str) -> str:
        """The id of the last entry of a stream that is in the files; "" where none is (journal.streams)."""
        try:
            return positions_in((self.folder / STATE_FILE).read_bytes()).get(stream, "")
        except (FileNotFoundError, msgspec.DecodeError):
            return ""

    def note_stored_until(self, moment_ms: int, waits_since_ms: int | None = None) -> int:
        """Note up to when everything that happened is in the files, and return that moment (unix ms).

        At `moment_ms` all rows that had come were stored, except those that wait elsewhere, of which the oldest came at
        `waits_since_ms`, and those in segments that processes have not handed on.
        """
        until_ms = moment_ms - HAND_ON_MS
        if waits_since_ms is not None:
            until_ms = min(until_ms, waits_since_ms - 1)
        path = self.folder / STORED_FILE
        temporary = path.with_name(f"{STORED_FILE}.new")
        temporary.write_text(f"{until_ms}\n", encoding="ascii")
        temporary.rename(path)
        return until_ms

    def stored_until(self) -> int:
        """The moment that was noted last, unix milliseconds; 0 where no worker has stored anything."""
        try:
            return int((self.folder / STORED_FILE).read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return 0


def positions_in(state: bytes | str) -> Mapping[str, str]:
    """Stream -> id of its last entry in the files, from the content of STATE_FILE. Raises msgspec.DecodeError."""
    return msgspec.json.decode(state, type=_Taken).done


def current(parts: Sequence[HourPart]) -> list[HourPart]:
    """The parts that no merged file among them covers."""
    merged = [part for part in parts if not part.source]
    return [part for part in parts if not any(other.covers(part) for other in merged)]


def size_of(path: Path) -> int:
    """The size of a file in bytes; 0 where a merge has removed it meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def hour_text(hour: int) -> str:
    """`2026-11-29T21` of an hour that counts from 1970, UTC."""
    return datetime.datetime.fromtimestamp(hour * 3600, datetime.UTC).strftime(_HOUR_FORMAT)


def hour_of_text(text: str) -> int | None:
    """The hour of such a text; None for any other text."""
    try:
        moment = datetime.datetime.strptime(text, _HOUR_FORMAT).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) // 3600


def _part(path: Path) -> HourPart | None:
    found = _NAME.fullmatch(path.name)
    if found is None:
        return None
    first = int(found["first"])
    return HourPart(path, first, int(found["last"] or first), found["source"] or "")
