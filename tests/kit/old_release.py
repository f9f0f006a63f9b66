"""What an older release left behind, as tests/e2e/upgrade/make_data.py packed it."""

import json
import struct
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.kit.fixtures import REPOSITORY, find_free_port
from tests.kit.processes import clean_environment

ARCHIVE: Final = REPOSITORY / "tests" / "e2e" / "upgrade" / "b6473a0.tar.xz"

_HOT_HEADER: Final = struct.Struct("<BBHIqIIIIIf")  # version 1, as docs/profile-layout.md had it then


class OldRelease:
    """The unpacked archive: `data` is a data directory, `expected` what the old release said."""

    def __init__(self, directory: Path) -> None:
        with tarfile.open(ARCHIVE) as tar:
            tar.extractall(directory, filter="data")
        self.data = directory / "data"
        self.program = directory / "program"
        self.expected: dict[str, Any] = json.loads((directory / "expected.json").read_text())
        self.made_s: float = self.expected["made_s"]
        self.key = bytes.fromhex((self.data / "token.key").read_text())
        self.users: list[str] = self.expected["users"]
        self.offers: list[dict[str, Any]] = self.expected["offers"]

    def token_of(self, offer: dict[str, Any]) -> str:
        """The token of a bid that was made then."""
        return str(offer["bid"]["lurl"]).split("/n/loss/", 1)[1].split("?", 1)[0]


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
        # Settings that this release does not know yet: it refuses what it does not know.
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
        """Whether it answers and says so."""
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"{self.url}/readyz") as response:
                return bool(response.status == 200)
        except OSError:
            return False
