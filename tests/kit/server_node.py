"""One real Redis-compatible server on a TCP port, for tests that need several."""

import signal
import subprocess
import time
from pathlib import Path

import redis

from core.processes import die_with_parent
from core.redis.embedded import locate_server
from tests.kit.fixtures import chosen_server, find_free_port, skip_or_fail

START_TIMEOUT_S = 60.0
POLL_S = 0.02


def server_program() -> Path:
    """The server to start; the test is skipped (in CI it fails) where there is none."""
    program = chosen_server() or locate_server()
    if program is None:
        skip_or_fail("no Redis server to start")
        raise AssertionError("skip_or_fail returned")
    return program


class ServerNode:
    """One server process; it can be killed and started again with the same identity."""

    def __init__(self, program: Path, directory: Path, **settings: str | int) -> None:
        """`settings` are the server's, with _ in place of -."""
        self._program = program
        self._directory = directory
        self.port = find_free_port()
        self._settings = {
            "port": self.port, "bind": "127.0.0.1", "dir": directory, "save": "", "loglevel": "warning",
            "logfile": "node.log", **{name.replace("_", "-"): value for name, value in settings.items()},
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self._directory.mkdir(exist_ok=True)
        arguments = [str(part) for name, value in self._settings.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen([self._program, *arguments], preexec_fn=die_with_parent())
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.ask("PING")
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)
            else:
                return

    def kill(self) -> None:
        """End the process at once (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop the process (SIGSTOP): it keeps its connections and answers nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def ask(self, *command: str | int) -> object:
        """One command on a connection of its own."""
        with redis.Redis(port=self.port, protocol=2) as connection:
            answer: object = connection.execute_command(*command)
            return answer
