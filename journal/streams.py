"""Rows that come by a stream, into Parquet exactly once: what may be taken is written down before it is taken.

The ledger's rows and the streams of clicks and orders have ids that ascend. Before a batch is read the ids that it goes
up to are saved in a small file; the batch then always has the same rows and the same name, however often it is tried,
and its Parquet files overwrite themselves. Only when they are there are the new positions saved, and only then may a
stream be trimmed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from core.disk import disk_hint, write_whole
from core.errors import UnavailableError
from journal.archive import STATE_FILE
from journal.converting import SegmentConverter
from journal.segment import SegmentFrame

# Rows of one stream in one batch: a worker that was away for a day catches up in bounded steps.
BATCH_ROWS: Final = 10_000


OnStored = Callable[[int, Sequence[SegmentFrame]], None]


class StreamRows(msgspec.Struct, frozen=True):
    """A piece of a stream: rows of one kind by name of column, and the id of its last entry."""

    kind: str
    rows: Sequence[Mapping[str, object]]
    last: str


class _Positions(msgspec.Struct):
    """The positions of what is in Parquet, and of what is being written there."""

    batch: int = 0
    done: dict[str, str] = {}
    pending: dict[str, str] = {}


def nobody_waits(_number: int, _frames: Sequence[SegmentFrame]) -> None:
    """The `on_stored` of an installation without a sink."""


class StreamTaker:
    """Takes streams into the files of one converter, whose folder keeps the positions."""

    def __init__(self, converter: SegmentConverter, on_stored: OnStored = nobody_waits) -> None:
        """`on_stored` gets the frames of each batch with its number; perhaps again those of the newest."""
        self._converter, self._on_stored = converter, on_stored
        self._path = converter.archive.folder / STATE_FILE
        self._positions = self._load()

    @property
    def positions(self) -> Mapping[str, str]:
        """By stream, the id of its last entry that is in Parquet."""
        return self._positions.done

    @property
    def pending(self) -> Mapping[str, str]:
        """By stream, the end of a batch that was cut short; it must be taken again before anything else."""
        return self._positions.pending

    def begin(self, up_to: Mapping[str, str]) -> None:
        """Note what will be taken. Raises UnavailableError where the disk refuses."""
        self._positions.batch += 1
        self._positions.pending = dict(up_to)
        self._save()

    def take(self, pieces: Sequence[StreamRows]) -> int:
        """Write the pending rows, move the positions, and return how many rows there were. Raises UnavailableError."""
        frames = [
            SegmentFrame(piece.kind, tuple(piece.rows[0]), [list(row.values()) for row in piece.rows])
            for piece in pieces
            if piece.rows
        ]
        rows = self._converter.write(f"stream-{self._positions.batch:08d}", frames)
        try:
            self._on_stored(self._positions.batch, frames)
        except OSError as error:
            raise UnavailableError(f"rows cannot be kept for the sink: {error}", hint=disk_hint(error)) from error
        self._positions.done |= self._positions.pending
        self._positions.pending = {}
        self._save()
        return rows

    def _load(self) -> _Positions:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Positions)
        except FileNotFoundError:
            return _Positions()
        except msgspec.DecodeError as error:
            raise UnavailableError(
                f"{self._path} cannot be read: {error}", hint="restore it from a backup: it says what is in Parquet"
            ) from error

    def _save(self) -> None:
        try:
            write_whole(self._path, msgspec.json.encode(self._positions))
        except OSError as error:
            raise UnavailableError(f"{self._path} cannot be written: {error}", hint=disk_hint(error)) from error
