"""One answer to /metrics for all processes of a role on this machine.

Bidder processes share one port, so the kernel decides which of them a scrape reaches, while whoever scrapes wants the
sum. Each process therefore answers its neighbours on a Unix socket in the run directory, and the one that was reached
asks all of them. What a process had counted is also noted in a file at each scrape, and added to a common remainder
once its socket is dead: counters of the role never go down because one process was restarted.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from core.telemetry import Family, merge_families, render

# A neighbour that is alive answers in a millisecond; a stuck one must not hold up the scrape (Prometheus waits 10 s).
ANSWER_TIMEOUT_S = 0.5

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Family]).decode


class ScrapePoint:
    """This process's place among the processes of its role."""

    def __init__(self, collect: Callable[[], Iterable[Family]], *, directory: Path | None, role: str) -> None:
        self._collect = collect
        self._directory = directory
        self._role = role
        # Process ids are used again; a name never is.
        self._name = f"{role}-{os.getpid()}-{secrets.token_hex(3)}"
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Answer neighbours from now on. Without a directory there are none."""
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._server = await asyncio.start_unix_server(self._answer, self._file(self._name, "sock"))

    async def close(self) -> None:
        """Leave what was counted to the neighbours."""
        if self._server is None:
            return
        self._write(self._file(self._name, "note"), list(self._collect()))
        self._retire(self._name)
        self._server.close()
        await self._server.wait_closed()

    async def scrape(self) -> bytes:
        """The metrics of the whole role in Prometheus text."""
        own = list(self._collect())
        if self._directory is None:
            return render(own)
        names = sorted(path.stem for path in self._directory.glob(f"{self._role}-*.sock") if path.stem != self._name)
        answers = dict(zip(names, await asyncio.gather(*map(self._ask, names)), strict=True))
        for name, families in answers.items():
            if families is None:
                self._retire(name)
        return render(merge_families(self._settled(own, answers)))

    def _settled(self, own: list[Family], answers: dict[str, list[Family] | None]) -> list[list[Family]]:
        """What counts, with the remainder, such that nobody is counted twice who was retired while we asked."""
        with self._locked():
            self._write(self._file(self._name, "note"), own)
            counted = [own, self._read(self._file(self._role, "remainder"))]
            for name, families in answers.items():
                if families is not None and self._file(name, "sock").exists():
                    self._write(self._file(name, "note"), families)
                    counted.append(families)
            return counted

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_encode(list(self._collect())))
        with contextlib.suppress(ConnectionError):  # the asker lost patience
            await writer.drain()
        writer.close()

    async def _ask(self, name: str) -> list[Family] | None:
        """A neighbour's families, its last note where it does not answer in time; None when it is dead."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(self._file(name, "sock"))
                try:
                    return _decode(await reader.read())
                finally:
                    writer.close()
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except (OSError, TimeoutError, msgspec.DecodeError):
            return self._read(self._file(name, "note"))

    def _retire(self, name: str) -> None:
        """Move a dead process's counts into the remainder, once, whoever notices first."""
        with self._locked():
            note, remainder = self._file(name, "note"), self._file(self._role, "remainder")
            if note.exists():
                counted = [family for family in self._read(note) if family.kind != "gauge"]
                self._write(remainder, merge_families([self._read(remainder), counted]))
                note.unlink()
            self._file(name, "sock").unlink(missing_ok=True)

    def _read(self, path: Path) -> list[Family]:
        try:
            return _decode(path.read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):  # not there yet, or written by another version
            return []

    def _write(self, path: Path, families: list[Family]) -> None:
        """Whole or not at all, and unlike any other process's attempt."""
        attempt = path.with_suffix(f".{os.getpid()}.tmp")
        attempt.write_bytes(_encode(families))
        attempt.replace(path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self._file(self._role, "lock"), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _file(self, name: str, suffix: str) -> Path:
        if self._directory is None:
            raise ValueError("a scrape point without a directory has no files")
        return self._directory / f"{name}.{suffix}"
