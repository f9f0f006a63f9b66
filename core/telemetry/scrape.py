"""One answer to /metrics for all processes of a role on this machine.

Bidder processes share one port, so the kernel decides which of them a scrape reaches, while the scraper wants the
sum. Each process therefore notes its metrics in a file each second, and the one that is reached adds the others' notes
to its own present values: no process waits for another, and a stuck one still counts. The notes of a process that
ended go into a common remainder, so that counters of the role never go down; a killed process loses the counts of its
last second.

Counting is never worth more than what is counted: where a file cannot be written (a full disk, no handle left), the
note is skipped and tried again, and whoever is scraped answers for itself alone.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from core.telemetry.metrics import Family, merge_families, render

# A note of 300 lines costs 1 ms, so one a second is 0.1% of a core; scrapes come every 5 to 60 s.
NOTE_INTERVAL_S = 1.0

_log = logging.getLogger("grosz.metrics")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Family]).decode


class ScrapePoint:
    """This process's place among the processes of its role. Without a directory it is the only one."""

    def __init__(self, collect: Callable[[], Iterable[Family]], *, directory: Path | None, role: str) -> None:
        self._collect = collect
        self._directory = directory
        self._role = role
        # Process ids are reused; a name with its random part is not.
        self._name = f"{role}-{os.getpid()}-{secrets.token_hex(3)}"
        self._alive: int | None = None
        self._is_failing = False

    def open(self) -> None:
        """Become one of the role's processes: hold the lock that says that this one lives. `note` tries again."""
        with self._excused():
            self._open()

    def _open(self) -> None:
        if self._directory is None or self._alive is not None:
            return
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            alive = os.open(self._file(self._name, "alive"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(alive, fcntl.LOCK_EX)
            self._alive = alive

    async def run(self) -> None:
        """Write this process's metrics down each second, until cancelled."""
        while True:
            self.note()
            await asyncio.sleep(NOTE_INTERVAL_S)

    def note(self) -> None:
        """Write this process's metrics down as they are now, for the other processes of the role."""
        with self._excused():
            self._open()
            if self._alive is not None:
                self._write(self._file(self._name, "note"), list(self._collect()))

    def scrape(self) -> bytes:
        """The metrics of the whole role in Prometheus text; of this process where the others' cannot be read."""
        own = list(self._collect())
        if self._directory is None:
            return render(own)
        counted = [own]
        with self._excused(), self._locked():
            others = [self._neighbour(path.stem) for path in self._directory.glob(f"{self._role}-*.alive")]
            counted = [own, *others, self._read(self._file(self._role, "remainder"))]
        return render(merge_families(counted))

    def close(self) -> None:
        """Add this process's counts to the remainder that the other processes serve, and end."""
        if self._alive is None:
            return
        self.note()
        with self._excused(), self._locked():
            self._retire(self._name)
        os.close(self._alive)
        self._alive = None

    @contextlib.contextmanager
    def _excused(self) -> Iterator[None]:
        """An error of the operating system is logged when it begins and when it is over, and goes no further."""
        try:
            yield
        except OSError as error:
            if not self._is_failing:
                _log.warning("metrics are not noted for the other processes: %s", error)
            self._is_failing = True
        else:
            if self._is_failing:
                _log.warning("metrics are noted again")
            self._is_failing = False

    def _neighbour(self, name: str) -> list[Family]:
        """The metrics that another process has noted; none when it is dead, since the remainder has its counts then."""
        if name == self._name:
            return []
        with open(self._file(name, "alive"), "rb") as alive:
            try:
                fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._read(self._file(name, "note"))
        self._retire(name)
        return []

    def _retire(self, name: str) -> None:
        """Move the counts of a process that ended into the remainder."""
        note, remainder = self._file(name, "note"), self._file(self._role, "remainder")
        counted = [family for family in self._read(note) if family.kind != "gauge"]
        self._write(remainder, merge_families([self._read(remainder), counted]))
        note.unlink(missing_ok=True)
        self._file(name, "alive").unlink()

    def _read(self, path: Path) -> list[Family]:
        try:
            return _decode(path.read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):  # not there yet, or written by another version
            return []

    def _write(self, path: Path, families: list[Family]) -> None:
        """Whole or not at all, and apart from any other process's attempt."""
        attempt = path.with_suffix(f".{os.getpid()}.new")
        try:
            attempt.write_bytes(_encode(families))
            attempt.replace(path)
        except OSError:
            attempt.unlink(missing_ok=True)  # half a note would take up space on a full disk
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the role's lock, for a millisecond: a process must not be counted while its counts are moved."""
        with open(self._file(self._role, "lock"), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _file(self, name: str, suffix: str) -> Path:
        if self._directory is None:
            raise ValueError("a scrape point without a directory has no files")
        return self._directory / f"{name}.{suffix}"
