"""Appending to the journal: rows are gathered, written a batch at a time, and the file is handed on every few seconds.

Nothing here waits for a disk to be flushed: a process that is killed has lost what it had not written yet, the last
tenth of a second of bids; a machine that loses power may lose what the kernel still held. What must not be lost is not
kept here alone: money is in the ledger, clicks and conversions in the advertiser's stream.

The folder is bounded. Beyond the bound rows that may be missing (bids, answers, requests) are left out and counted, and
bidding goes on; notices are written as long as the disk takes them, and wait in memory while it does not.
"""

import asyncio
import fcntl
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from core.clock import Clock
from core.telemetry.metrics import CounterChild, Merge, Telemetry
from journal.bid_batches import BidBatch
from journal.folders import CLOSED_SUFFIX, NEW_SUFFIX, OPEN_SUFFIX
from journal.rows import BID, KINDS, JournalKind
from journal.segment import Codec, Row

# Seconds of rows that are lost at most when a process is killed.
FLUSH_S: Final = 0.1
# So many rows are written before that: encoding them takes 2 ms, which the event loop can spare.
FLUSH_ROWS: Final = 512
# A file is handed on after so many seconds or bytes: reports lag by that at most.
HAND_ON_S: Final = 2.0
HAND_ON_BYTES: Final = 16 * 1024 * 1024
# The size of the folder is measured this often; in between only this process's own bytes are added.
MEASURE_S: Final = 1.0
# Bytes of notices that wait for a full disk, some ten minutes of a busy tracker; beyond them the oldest are left out.
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024

_log = logging.getLogger("grosz.journal")


class JournalWriter:
    """One process's part of the journal. `folder` is where it appends; None: nothing is kept, only counted."""

    def __init__(
        self, folder: Path | None, process: str, clock: Clock, telemetry: Telemetry, *, max_bytes: int
    ) -> None:
        self._folder, self._process, self._clock, self._max_bytes = folder, process, clock, max_bytes
        self._codec = Codec()
        self._rows: dict[JournalKind, list[Row]] = {kind: [] for kind in KINDS.values()}
        self._gathered = 0
        self._bids: list[BidBatch] = []
        self._bids_gathered = 0
        self._waiting: list[tuple[JournalKind, bytes, int]] = []  # (kind, frame, rows) that a disk has refused
        self._handle: int | None = None
        self._path = Path()
        self._opened = 0.0
        self._size = 0
        self._number = 0
        self._folder_bytes = 0
        self._measured = -MEASURE_S
        self._flush_is_due = False
        self._on_flush: list[Callable[[], None]] = []
        rows = telemetry.counter("grosz_journal_rows_total", "Rows written to the journal's segment files.", ("kind",))
        dropped = telemetry.counter(
            "grosz_journal_dropped_total", "Rows that were left out since the folder or the disk was full.", ("kind",)
        )
        self._counted: dict[JournalKind, CounterChild] = {kind: rows.labels(kind.name) for kind in self._rows}
        self._dropped: dict[JournalKind, CounterChild] = {kind: dropped.labels(kind.name) for kind in self._rows}
        self._bytes = telemetry.counter("grosz_journal_bytes_total", "Bytes written to segment files.").labels()
        self._faults = telemetry.counter(
            "grosz_journal_write_failures_total", "Writes to segment files that the disk refused."
        ).labels()
        size = telemetry.gauge(
            "grosz_journal_folder_bytes", "Bytes of segment files that wait for the worker.", merge=Merge.MAX
        )
        size.labels().follow(lambda: float(self._folder_bytes))

    @property
    def is_on(self) -> bool:
        """Whether rows are kept at all."""
        return self._folder is not None

    def before_flush(self, gather: Callable[[], None]) -> None:
        """Call `gather` before each batch is written, to append what was counted meanwhile."""
        self._on_flush.append(gather)

    def append(self, kind: JournalKind, row: Row) -> None:
        """Keep a row: values in the order of the kind's columns."""
        if self._folder is None:
            return
        self._rows[kind].append(row)
        self._gathered += 1

    def extend(self, kind: JournalKind, rows: Sequence[Row]) -> None:
        """Keep several rows."""
        if self._folder is None:
            return
        self._rows[kind] += rows
        self._gathered += len(rows)
        if self._gathered >= FLUSH_ROWS:
            self.flush()

    def extend_bids(self, batch: BidBatch, count: int) -> None:
        """Keep the bids of a batch, `count` of them."""
        if self._folder is None:
            return
        self._bids.append(batch)
        self._bids_gathered += count
        if self._bids_gathered >= FLUSH_ROWS:
            self.flush()

    def append_soon(self, kind: JournalKind, row: Row) -> None:
        """Keep a row and write it at the end of this turn of the event loop, with all others of the turn."""
        if self._folder is None:
            return
        self.append(kind, row)
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    async def run(self) -> None:
        """Write what is gathered, and hand files on, until cancelled."""
        while self._folder is not None:
            await asyncio.sleep(FLUSH_S)
            self.flush()
            if self._handle is not None and self._clock.monotonic() - self._opened >= HAND_ON_S:
                self._hand_on()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Write and hand on everything, at the end of the process."""
        self.flush()
        self._hand_on()

    def flush(self) -> None:
        """Write what is gathered. What the disk refuses waits, or is left out and counted."""
        self._flush_is_due = False
        for gather in self._on_flush:
            gather()
        if not (self._gathered or self._bids or self._waiting):
            return
        now = self._clock.monotonic()
        if now - self._measured >= MEASURE_S:
            self._measured, self._folder_bytes = now, _size_of(self._folder)
        is_full = self._folder_bytes >= self._max_bytes
        frames, self._waiting = self._waiting, []
        for kind, rows in self._rows.items():
            if not rows:
                continue
            if is_full and kind.droppable:
                self._dropped[kind].inc(len(rows))
            else:
                frames.append((kind, self._codec.frame(kind.number, rows), len(rows)))
            rows.clear()
        self._gathered = 0
        if self._bids:
            if is_full:
                self._dropped[BID].inc(self._bids_gathered)
            else:
                frames.append((BID, self._codec.bids_frame(self._bids, self._bids_gathered), self._bids_gathered))
            self._bids, self._bids_gathered = [], 0
        self._write(frames)

    def _write(self, frames: list[tuple[JournalKind, bytes, int]]) -> None:
        for number, (kind, frame, rows) in enumerate(frames):
            try:
                self._append(frame)
            except OSError as error:
                self._faults.inc()
                if self._faults.value % 100 == 1:  # the first fault, and every hundredth after it
                    _log.error("the journal cannot be written: %s", error)
                self._keep_waiting(frames[number:])
                return
            self._counted[kind].inc(rows)
            self._bytes.inc(len(frame))

    def _append(self, frame: bytes) -> None:
        """Write one frame whole, or leave the file as it was. Raises OSError."""
        if self._handle is None:
            self._open()
        if self._handle is None:
            return
        try:
            written = os.write(self._handle, frame)
            if written != len(frame):
                raise OSError(f"{written} of {len(frame)} bytes were written")
        except OSError:
            os.ftruncate(self._handle, self._size)
            os.lseek(self._handle, self._size, os.SEEK_SET)
            raise
        self._size += len(frame)
        self._folder_bytes += len(frame)
        if self._size >= HAND_ON_BYTES:
            self._hand_on()

    def _open(self) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        now_ms = self._clock.now_ms()
        self._number += 1
        self._path = self._folder / f"{now_ms:013d}-{self._process}-{self._number}{OPEN_SUFFIX}"
        # A name with the usual end but no lock yet would look like the file of a process that is gone.
        begun = self._path.with_suffix(NEW_SUFFIX)
        handle = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it when this process ends
            head = self._codec.head(self._process, now_ms)
            if os.write(handle, head) != len(head):
                raise OSError("the disk took a part of the file's head")
            begun.rename(self._path)
        except OSError:
            os.close(handle)
            begun.unlink(missing_ok=True)
            raise
        self._handle, self._size, self._opened = handle, len(head), self._clock.monotonic()

    def _hand_on(self) -> None:
        """Close the file under the name that tells the worker to take it."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        try:
            self._path.rename(self._path.with_suffix(CLOSED_SUFFIX))
        except OSError as error:  # the worker finds the file all the same, once its lock is free
            _log.warning("a segment of the journal keeps its name for now: %s", error)
        os.close(handle)

    def _keep_waiting(self, frames: list[tuple[JournalKind, bytes, int]]) -> None:
        """Keep notices until the disk takes them; count other rows as dropped."""
        for kind, _frame, rows in frames:
            if kind.droppable:
                self._dropped[kind].inc(rows)
        self._waiting = [entry for entry in frames if not entry[0].droppable]
        size = sum(len(frame) for _kind, frame, _rows in self._waiting)
        while size > MAX_WAITING_BYTES:
            kind, frame, rows = self._waiting.pop(0)
            size -= len(frame)
            self._dropped[kind].inc(rows)
            _log.error("memory for notices that wait for the disk is used up: %d rows are left out", rows)


def _size_of(folder: Path | None) -> int:
    """Bytes of all files in a folder."""
    if folder is None:
        return 0
    try:
        with os.scandir(folder) as entries:
            return sum(_bytes_of(entry) for entry in entries)
    except OSError:
        return 0


def _bytes_of(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat().st_size
    except OSError:  # the worker has just taken it
        return 0
