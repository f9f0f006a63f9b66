"""The worker's side of shipping: segments of other hosts arrive by pieces, and count as here when the disk has them.

A segment gathers in `incoming/NAME.part`. When its last piece is there and its digest holds, the file is flushed, the
name is written down in `received.log`, and it is moved to what the worker turns into Parquet: only then the sender
hears that it may forget it. A sender that asks again, since the answer was lost, hears the same; the name tells.
Names begin with the moment at which the file was opened: what is older than MAX_AGE_DAYS is refused, so names need not
be remembered for longer, and who was erased meanwhile cannot come back.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from core.clock import Clock
from core.disk import flush_folder, write_whole
from core.errors import GroszError
from core.telemetry.metrics import Telemetry
from journal.folders import CLOSED_SUFFIX, changing, take_lock

# A piece is one request: a slow line carries it in a second or two, and it is sent again when the line breaks.
MAX_PIECE_BYTES: Final = 1024 * 1024
# Files are handed on from 16 MiB on, after a frame that may have 64 MiB (journal.segment).
MAX_SEGMENT_BYTES: Final = 96 * 1024 * 1024
# Older segments are refused: no host is cut off for so long by accident; erasures are repeated for longer
# (admin.roles.journal_keeping).
MAX_AGE_DAYS: Final = 7
_DAY_MS: Final = 86_400_000
# Clocks of two hosts differ; a name with a moment further ahead is not one of ours.
_AHEAD_MS: Final = 3_600_000
_NAME: Final = re.compile(r"(?P<opened>\d{13})-[\w-]{1,150}-\d{1,12}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PART: Final = ".part"
_LOG: Final = "received.log"


class ShipmentRefused(GroszError):
    """A piece is refused: `status` is the HTTP status, `offset` how many bytes of the segment are here."""

    def __init__(self, status: int, message: str, *, hint: str = "", offset: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.offset = offset


class Shipment(NamedTuple):
    """What a sender says of a segment."""

    name: str
    size: int
    digest: str  # SHA-256 of all of it


class SegmentInbox:
    """Takes segments into the folder `segments`, in one process at a time. Not to be used by two threads at once."""

    def __init__(self, segments: Path, clock: Clock, telemetry: Telemetry, *, max_bytes: int) -> None:
        self._segments, self._incoming = segments, segments.parent / "incoming"
        self._clock, self._max_bytes = clock, max_bytes
        self._lock: int | None = None
        self._received: dict[str, str] = {}
        self._counted = telemetry.counter(
            "grosz_journal_received_segments_total", "Segments of other hosts that were taken whole."
        ).labels()
        self._bytes = telemetry.counter(
            "grosz_journal_received_bytes_total", "Bytes of segments that other hosts sent."
        ).labels()
        self._refused = telemetry.counter(
            "grosz_journal_refused_pieces_total", "Pieces of segments that were not taken, by HTTP status.", ("status",)
        )

    def close(self) -> None:
        """Let another process receive."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def offset(self, shipment: Shipment) -> tuple[int, bool]:
        """How many bytes of a segment are here, and whether all of it is here for good. Raises ShipmentRefused."""
        with self._changing():
            return self._offset(shipment)

    def _offset(self, shipment: Shipment) -> tuple[int, bool]:
        self._check(shipment)
        if self._is_received(shipment):
            return shipment.size, True
        return _size_of(self._part(shipment.name)), False

    def take(self, shipment: Shipment, offset: int, piece: bytes) -> tuple[int, bool]:
        """Add a piece that begins at `offset`; answers as `offset`. Raises ShipmentRefused."""
        try:
            with self._changing():
                return self._take(shipment, offset, piece)
        except ShipmentRefused as error:
            self._refused.labels(str(error.status)).inc()
            raise

    def _take(self, shipment: Shipment, offset: int, piece: bytes) -> tuple[int, bool]:
        here, done = self._offset(shipment)
        if done:
            return here, True
        if offset != here:
            raise ShipmentRefused(409, f"the next byte that is wanted is {here}, not {offset}", offset=here)
        if offset + len(piece) > shipment.size:
            raise ShipmentRefused(400, f"{offset + len(piece)} bytes are more than the {shipment.size} announced")
        if self._waiting_bytes() + len(piece) > self._max_bytes:
            raise ShipmentRefused(507, "journal.max_mib is reached by segments that wait for the worker", offset=here)
        path = self._part(shipment.name)
        with path.open("ab", buffering=0) as file:
            try:
                file.write(piece)
                if here + len(piece) == shipment.size:
                    os.fsync(file.fileno())
            except OSError:
                file.truncate(here)
                raise
        self._bytes.inc(len(piece))
        here += len(piece)
        if here < shipment.size:
            return here, False
        self._finish(path, shipment)
        return here, True

    def _finish(self, path: Path, shipment: Shipment) -> None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != shipment.digest:
            path.unlink()
            raise ShipmentRefused(409, "what arrived is not what was announced: send it again from byte 0")
        self._write_down(f"{shipment.name} {digest}\n".encode("ascii"))
        self._received[shipment.name] = digest
        self._move(path, shipment.name)
        self._counted.inc()

    def _write_down(self, line: bytes) -> None:
        with (self._incoming / _LOG).open("ab", buffering=0) as log:
            before = log.tell()
            try:
                log.write(line)
                os.fsync(log.fileno())
            except OSError:
                log.truncate(before)
                raise

    def _is_received(self, shipment: Shipment) -> bool:
        digest = self._received.get(shipment.name)
        if digest is None:
            return False
        if digest != shipment.digest:
            raise ShipmentRefused(422, "another segment of this name is here already: process names must be unique")
        part = self._part(shipment.name)
        if part.exists():
            self._move(part, shipment.name)
        return True

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Around a look at the files, or a change of them. Raises ShipmentRefused where the disk refuses, too."""
        try:
            with changing(self._segments.parent) as may_change:
                if not may_change:
                    raise ShipmentRefused(503, "the journal is being copied for a backup")
                yield
        except OSError as error:
            raise ShipmentRefused(507, f"the disk refuses the segment: {error}", hint="is it full?") from error

    def _check(self, shipment: Shipment) -> None:
        found = _NAME.fullmatch(shipment.name)
        if found is None or _DIGEST.fullmatch(shipment.digest) is None:
            raise ShipmentRefused(400, "that is no name of a segment, or no SHA-256 of it")
        if not 0 < shipment.size <= MAX_SEGMENT_BYTES:
            raise ShipmentRefused(413, f"a segment has 1 to {MAX_SEGMENT_BYTES} bytes")
        age_ms = self._clock.now_ms() - int(found["opened"])
        if not -_AHEAD_MS <= age_ms <= MAX_AGE_DAYS * _DAY_MS:
            hint = "look at the hosts' clocks; docs/journal.md, Other hosts, says what to do with old segments"
            raise ShipmentRefused(410, f"segments are taken for {MAX_AGE_DAYS} days after they were begun", hint=hint)
        if not self._is_mine():
            raise ShipmentRefused(503, "another worker receives segments for now")

    def _is_mine(self) -> bool:
        """Take the folder's lock if it is free, and load what earlier processes have received."""
        if self._lock is not None:
            return True
        for folder in (self._incoming, self._segments):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = take_lock(self._incoming / "receiver.lock")
        if self._lock is None:
            return False
        self._received = self._remembered()
        for path in self._incoming.glob(f"*{_PART}"):
            if path.stem in self._received:  # killed between writing the name down and moving the file
                self._move(path, path.stem)
            elif self._is_old(path.stem):
                path.unlink()
        return True

    def _remembered(self) -> dict[str, str]:
        """Names and digests of received segments; those that are too old to come again are dropped from the file."""
        path = self._incoming / _LOG
        try:
            lines = path.read_bytes().split(b"\n")[:-1]  # a line without an end was cut by a kill, unconfirmed
        except FileNotFoundError:
            return {}
        pairs = (line.decode("ascii", "replace").split(" ") for line in lines)
        kept = {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and not self._is_old(pair[0])}
        write_whole(path, "".join(f"{name} {digest}\n" for name, digest in kept.items()).encode("ascii"))
        return kept

    def _is_old(self, name: str) -> bool:
        found = _NAME.fullmatch(name)
        return found is None or self._clock.now_ms() - int(found["opened"]) > (MAX_AGE_DAYS + 1) * _DAY_MS

    def _move(self, path: Path, name: str) -> None:
        path.rename(self._segments / f"{name}{CLOSED_SUFFIX}")
        flush_folder(self._segments)
        flush_folder(self._incoming)

    def _part(self, name: str) -> Path:
        return self._incoming / f"{name}{_PART}"

    def _waiting_bytes(self) -> int:
        return sum(_size_of(path) for folder in (self._segments, self._incoming) for path in folder.iterdir())


def _size_of(path: Path) -> int:
    with contextlib.suppress(OSError):  # the worker has just taken it
        return path.stat().st_size
    return 0
