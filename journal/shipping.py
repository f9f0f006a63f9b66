"""The other hosts' side of shipping: what processes here append goes to the worker, and is forgotten when it has it.

Segments go one after the other, by pieces. Before a segment's first piece the worker is asked how much of it is there:
what broke goes on where it stopped, and what was taken already is only forgotten. Nothing is removed here before the
worker has said that its disk has all of it.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from pathlib import Path
from typing import Final

import aiohttp

from core.errors import UnavailableError
from core.telemetry.metrics import Telemetry
from journal.folders import REFUSED_SUFFIX, forget_set_aside, take_lock, waiting_segments
from journal.receiving import MAX_PIECE_BYTES, MAX_SEGMENT_BYTES
from journal.repeating import repeat

# The longest pause after failures: as long as a restart of the worker takes.
_LONGEST_PAUSE_S: Final = 8.0
# The time for one piece, on a line that carries 50 KB a second.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0)
# The folder is searched for old files that were set aside this often.
_TIDY_S: Final = 3_600.0
# How many pieces of one segment may be sent again in one attempt.
_RESENT: Final = 4
# Seconds for shipping what is left at the end of the role; the next start ships the rest.
_LAST_PASS_S: Final = 3.0
_FOR_GOOD: Final = (400, 410, 413, 422)
_OFFSET: Final = "Upload-Offset"

_log = logging.getLogger("grosz.journal")


class SegmentShipper:
    """Ships the segments of one folder to the receiver at `url`. A lock makes sure that only one process does."""

    def __init__(self, segments: Path, url: str, key: str, telemetry: Telemetry) -> None:
        self._segments, self._url = segments, url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._lock: int | None = None
        self._tidy_at = 0.0
        self._session: aiohttp.ClientSession | None = None
        self._shipped = telemetry.counter(
            "grosz_journal_shipped_segments_total", "Segments that the worker of another host has taken."
        ).labels()
        self._bytes = telemetry.counter(
            "grosz_journal_shipped_bytes_total", "Bytes of segments that were sent to another host."
        ).labels()
        self._failures = telemetry.counter(
            "grosz_journal_shipping_failures_total", "Attempts to ship segments that failed; they are repeated."
        ).labels()
        self._refused = telemetry.counter(
            "grosz_journal_set_aside_total", "Segments that the worker refuses for good, kept as *.refused for 30 days."
        ).labels()

    async def run(self) -> None:
        """Ship until cancelled."""
        waiting = "segments of the journal wait to be shipped"
        await repeat(self.ship_waiting, self._failures, waiting, _LONGEST_PAUSE_S)

    async def close(self) -> None:
        """Ship what is there, if that is quick, and let another process ship from now on."""
        with contextlib.suppress(UnavailableError, TimeoutError):
            async with asyncio.timeout(_LAST_PASS_S):
                await self.ship_waiting()
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def ship_waiting(self) -> int:
        """Ship segments that are no longer written; returns how many. Raises UnavailableError, and leaves the rest."""
        if not self._is_mine():
            return 0
        shipped = 0
        for path in waiting_segments(self._segments):
            shipped += await self._ship(path)
        if time.monotonic() >= self._tidy_at:  # not at each call, since it runs on the loop that answers bid requests
            self._tidy_at = time.monotonic() + _TIDY_S
            for path in forget_set_aside(self._segments, time.time()):
                _log.warning("forgot a segment that was set aside", extra={"fields": {"segment": path.name}})
        return shipped

    async def _ship(self, path: Path) -> int:
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:  # removed since it was listed: the others are shipped all the same
            return 0
        except OSError as error:
            raise UnavailableError(f"{path} cannot be read: {error}") from error
        if not content:  # of a process that was killed while it began
            _forget(path)
            return 0
        digest = hashlib.sha256(content).hexdigest()
        target = f"{self._url}/segments/{path.stem}"
        told = {"Upload-Length": str(len(content)), "Upload-Digest": digest}
        here, done = await self._ask("HEAD", target, told, path)
        for _ in range(MAX_SEGMENT_BYTES // MAX_PIECE_BYTES + _RESENT):
            if done:
                break
            piece = content[here : here + MAX_PIECE_BYTES]
            before, (here, done) = here, await self._ask("PATCH", target, told | {_OFFSET: str(here)}, path, piece)
            self._bytes.inc(max(0, here - before))
        if not done:
            raise UnavailableError(f"{self._url} has not taken {path.name} after all its pieces were sent again")
        if here < 0:
            return 0
        _forget(path)
        self._shipped.inc()
        return 1

    async def _ask(
        self, method: str, target: str, told: dict[str, str], path: Path, piece: bytes | None = None
    ) -> tuple[int, bool]:
        """How many bytes the receiver has, and whether that is all; (-1, True) if it refuses the segment for good."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, headers=self._headers)
        try:
            async with self._session.request(method, target, headers=told, data=piece) as answer:
                status, offset = answer.status, answer.headers.get(_OFFSET, "")
                text = (await answer.text())[:300].strip()
        except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
            raise UnavailableError(f"{self._url}: {error!s:.200} ({type(error).__name__})") from error
        if status in (200, 201) and offset.isdecimal():
            return int(offset), status == 201
        if status == 409 and offset.isdecimal():  # the receiver has another number of bytes than was thought
            return int(offset), False
        if status in _FOR_GOOD:
            _log.error(
                "a segment of the journal is refused for good, and set aside",
                extra={"fields": {"file": path.name, "status": status, "answer": text}},
            )
            _set_aside(path)
            self._refused.inc()
            return -1, True
        hint = "are both ends given the same journal.ship_key_file?" if status in (401, 403) else ""
        raise UnavailableError(f"{self._url} answers {status}: {text}", hint=hint)

    def _is_mine(self) -> bool:
        if self._lock is not None:
            return True
        self._segments.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = take_lock(self._segments.parent / "shipper.lock")
        return self._lock is not None


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def _set_aside(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # removed while it was sent
        path.rename(path.with_suffix(REFUSED_SUFFIX))
