"""What an older release left behind, as tests/e2e/upgrade/make_data.py packed it."""

import json
import struct
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.kit.fixtures import REPOSITORY, find_free_port
from tests.kit.processes import clean_environment

ARCHIVE: Final = REPOSITORY / "tests" / "e2e" / "upgrade" / "b6473a0.tar.xz"

_HOT_HEADER: Final = struct.Struct("<BBHIqIIIIIf")  # version 1, as docs/profile-layout.md described it then


class OldRelease:
    """The unpacked archive: `data` is a data directory, `expected` is what the old release answered."""

    def __init__(self, directory: Path) -> None:
        with tarfile.open(ARCHIVE) as tar:
            tar.extractall(directory, filter="data")
        self.data = directory / "data"
        self.program = directory / "program"
        self.expected: dict[str, Any] = json.loads((directory / "expected.json").read_text())
        self.made_s: float = self.expected["made_s"]
        aged_ms = round((time.time() - self.made_s) * 1000)
        for log in (self.data / "redis" / "appendonlydir").glob("*.incr.aof"):
            log.write_bytes(expiring_later(log.read_bytes(), aged_ms))
        self.key = bytes.fromhex((self.data / "token.key").read_text())
        self.users: list[str] = self.expected["users"]
        self.offers: list[dict[str, Any]] = self.expected["offers"]

    def token_of(self, offer: dict[str, Any]) -> str:
        """The token of a bid that was made by the old release."""
        return str(offer["bid"]["lurl"]).split("/n/loss/", 1)[1].split("?", 1)[0]


def expiring_later(log: bytes, by_ms: int) -> bytes:
    """The commands of an append-only file with each moment of expiry `by_ms` later.

    The archive grows older with every day, and the server would forget what expired since it was made.
    """
    moved = bytearray()
    at = 0
    while at < len(log):
        words, at = _command_at(log, at)
        if words[0].upper() == b"PEXPIREAT":
            words[2] = b"%d" % (int(words[2]) + by_ms)
        elif words[0].upper() == b"SET" and words[-2].upper() == b"PXAT":
            words[-1] = b"%d" % (int(words[-1]) + by_ms)
        moved += b"*%d\r\n" % len(words)
        for word in words:
            moved += b"$%d\r\n%b\r\n" % (len(word), word)
    return bytes(moved)


def _command_at(log: bytes, at: int) -> tuple[list[bytes], int]:
    """The words of the command that begins at `at`, and where the next one begins."""

    def number_after(sign: bytes) -> int:
        nonlocal at
        end = log.index(b"\r\n", at)
        assert log[at : at + 1] == sign, log[at:end]
        found = int(log[at + 1 : end])
        at = end + 2
        return found

    words = []
    for _ in range(number_after(b"*")):
        length = number_after(b"$")
        words.append(log[at : at + length])
        at += length + 2
    return words, at


def old_memberships(hot: bytes, now_s: int) -> set[int]:
    """Segments that a hot field of version 1 says its user is in: a second reader of the old bytes."""
    version, _, count, *_rest = _HOT_HEADER.unpack_from(hot)
    assert version == 1
    assert len(hot) == _HOT_HEADER.size + 12 * count
    rows = struct.iter_unpack("<III", hot[_HOT_HEADER.size :])
    return {segment for segment, enter, leave in rows if enter <= now_s < leave}


class OldBidder:
    """The bidder role of the old release, as a process beside those of today."""

    def __init__(self, program: Path, environ: Mapping[str, str], log: Path) -> None:
        self.port = find_free_port()
        self._log = log
        # Settings that the old release does not know, and would refuse.
        today = {name: value for name, value in clean_environment().items() if not name.startswith("GROSZ_")}
        self._environment = {
            **today, **environ, "GROSZ_BID_PORT": str(self.port), "GROSZ_BID_HOST": "127.0.0.1",
            "PYTHONPATH": str(program), "PYTHONSAFEPATH": "1",
        }  # fmt: skip
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "OldBidder":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from admin.cli.roles import bidder; bidder()"],
                cwd=self._program, env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def is_ready(self) -> bool:
        """Whether it answers that it is ready."""
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"{self.url}/readyz") as response:
                return bool(response.status == 200)
        except OSError:
            return False
