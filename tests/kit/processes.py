"""Starts the real `grosz` and waits until it says that it can serve."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType

from admin.roles.local_state import read_metrics
from core.processes import is_alive
from tests.kit.fixtures import REPOSITORY, chosen_server


def grosz(
    *arguments: str, environ: dict[str, str] | None = None, cwd: Path = REPOSITORY
) -> subprocess.CompletedProcess[str]:
    """Run `grosz` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "admin.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=clean_environment() | {"PYTHONPATH": str(REPOSITORY)} | (environ or {}),
    )


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of Grosz, and with bytecode, which halves the time of a start."""
    unwanted = ("GROSZ_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    program = chosen_server()
    return kept if program is None else kept | {"GROSZ_REDIS_PROGRAM": str(program)}


class RunningGrosz:
    """`grosz up` on free ports, as a context manager; ends it and everything it started."""

    def __init__(self, data: Path, *arguments: str, environ: dict[str, str] | None = None) -> None:
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed in __exit__
        ports = ("--bid-port", "0", "--track-port", "0", "--admin-port", "0")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "admin.cli", "up", "--data", str(data), *ports, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=REPOSITORY,
            env=clean_environment() | (environ or {}),
        )
        self.urls: dict[str, str] = {}
        self._data = data

    def __enter__(self) -> "RunningGrosz":
        assert self.process.stdout is not None
        word, *places = self.process.stdout.readline().split() or [""]
        if word != "ready":
            self.end()
            log = self.log()
            self._log.close()
            raise AssertionError(f"grosz up did not come up:\n{log}")
        self.urls = dict(place.split("=", 1) for place in places)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._log.close()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def metrics(self, role: str) -> str:
        """The metrics page of a role, from the role's own listener for metrics."""
        with urllib.request.urlopen(f"{read_metrics(self._data)[role]}/metrics") as answer:
            return str(answer.read().decode())

    def log(self) -> str:
        """What it has written to standard error so far."""
        self._log.seek(0)
        return self._log.read()

    def family(self) -> dict[int, str]:
        """Living children of the supervisor, process id -> command line (Linux)."""
        return {pid: line for pid, line in descendants(self.process.pid).items() if is_alive(pid)}


def descendants(parent: int) -> dict[int, str]:
    """Children of a process, process id -> command line (Linux)."""
    found: dict[int, str] = {}
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            found[int(child)] = line
    return found
