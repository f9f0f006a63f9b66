"""What is still to be given to a sink: batches as files, in the order in which they were stored.

A batch comes in by one rename and goes when the sink has it, so each is put once or, if a process was killed in
between, once more as the first after the start, which sinks know. A sink that is away costs disk and nothing else: its
batches gather here, up to a bound, beyond which new ones are left out and counted.
"""

import logging
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from core.disk import TEMPORARY, write_whole
from core.errors import InputError
from core.telemetry.metrics import Merge, Telemetry
from journal.rows import KINDS
from journal.segment import Codec, SegmentFrame, whole_bytes
from journal.sinks.sink import RowBatch, batch_of, batch_without

FOLDER: Final = "outgoing"
_NAME: Final = re.compile(r"(?P<number>\d{10})\.(?P<source>[\w.-]+)\.batch", re.ASCII)
_STREAMS: Final = "streams"
_STREAM: Final = "stream-"

_log = logging.getLogger("grosz.journal")


class SinkOutbox:
    """The batches that wait for the sink below one folder. The worker that holds the journal's folder owns it."""

    def __init__(self, folder: Path, telemetry: Telemetry, *, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._codec = Codec()
        self._last = 0
        self._dropped = telemetry.counter(
            "grosz_journal_sink_dropped_total", "Batches that no sink will get, since those that wait reach the bound."
        ).labels()
        gauge = telemetry.gauge(
            "grosz_journal_sink_waiting_bytes", "Bytes of batches that wait for the journal's sink.", merge=Merge.MAX
        )
        gauge.labels().follow(lambda: float(self._bytes()))

    def add_segment(self, path: Path) -> None:
        """Take over a segment that has been stored. Raises OSError."""
        target = self._next(path.stem)
        if target is None:
            path.unlink()
        else:
            path.rename(target)

    def add_streams(self, number: int, process: str, frames: Sequence[SegmentFrame], now_ms: int) -> None:
        """Take rows of streams as batch `number` of them; one that is here already is not taken again.

        `waiting` shows it once its number is saved; a batch that is cut short before is overwritten. Raises OSError.
        """
        if number <= self._streams_until():
            return
        named = [frame for frame in frames if frame.kind in KINDS]
        # This also removes half a file of a process that was killed.
        for old in self._folder.glob(f"*.{_STREAM}{number:08d}.batch*"):
            old.unlink()
        target = self._next(f"{_STREAM}{number:08d}") if named else None
        if target is not None:
            kinds = [(KINDS[frame.kind], frame) for frame in named]
            content = self._codec.head(process, now_ms) + b"".join(
                self._codec.frame(kind.number, [self._in_order(row, frame.columns, kind.names) for row in frame.rows])
                for kind, frame in kinds
            )
            write_whole(target, content)
        write_whole(self._folder / _STREAMS, f"{number}\n".encode("ascii"))

    def waiting(self) -> list[Path]:
        """The batches in their order."""
        until = self._streams_until()
        found = sorted(path for path in self._folder.glob("*.batch") if _NAME.fullmatch(path.name))
        return [path for path in found if _stream_of(path) <= until]

    def read(self, path: Path) -> RowBatch:
        """A batch. Raises InputError for a file that is damaged."""
        content = path.read_bytes()
        if content and not whole_bytes(content):
            raise InputError(f"the head of {path.name} is damaged")
        return batch_of(_source_of(path), list(self._codec.frames(content)))

    def erase(self, people: Collection[int], process: str, now_ms: int) -> int:
        """Erase persons from the batches that wait; how many were written anew. Raises OSError."""
        rewritten = 0
        for path in self.waiting():
            path.with_name(path.name + TEMPORARY).unlink(missing_ok=True)  # a process was killed here
            try:
                batch = self.read(path)
            except InputError:
                continue  # set aside by the code that gives it to the sink
            clean = batch_without(batch, people)
            if clean is not batch:
                frames = (self._codec.frame(kind.number, rows) for kind, rows in clean.rows.items())
                write_whole(path, self._codec.head(process, now_ms) + b"".join(frames))
                rewritten += 1
        return rewritten

    def forget(self, path: Path) -> None:
        """Remove a batch that the sink has."""
        path.unlink()

    def _next(self, source: str) -> Path | None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._bytes() >= self._max_bytes:
            if self._dropped.value % 1000 == 0:
                _log.error("batches that wait for the journal's sink reach the bound: the newest are left out")
            self._dropped.inc()
            return None
        there = [found for path in self._folder.iterdir() if (found := _NAME.fullmatch(path.name))]
        self._last = max([self._last, *(int(found["number"]) for found in there)]) + 1
        return self._folder / f"{self._last:010d}.{source}.batch"

    def _streams_until(self) -> int:
        try:
            return int((self._folder / _STREAMS).read_bytes())
        except (FileNotFoundError, ValueError):
            return 0

    def _bytes(self) -> int:
        try:
            with os.scandir(self._folder) as entries:
                return sum(map(_size_of, entries))
        except FileNotFoundError:  # no batch was ever put here
            return 0

    @staticmethod
    def _in_order(row: Sequence[object], columns: Sequence[str], names: Sequence[str]) -> list[object]:
        known = dict(zip(columns, row, strict=False))
        return [known.get(name) for name in names]


def _size_of(entry: os.DirEntry[str]) -> int:
    """The size of a file in bytes; 0 if it has gone since it was listed: the sink may take it meanwhile."""
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0


def _source_of(path: Path) -> str:
    found = _NAME.fullmatch(path.name)
    return found["source"] if found is not None else ""


def _stream_of(path: Path) -> int:
    source = _source_of(path)
    return int(source.removeprefix(_STREAM)) if source.startswith(_STREAM) else 0
