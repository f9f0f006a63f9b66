"""A Redis-compatible server of our own, so that one command runs Grosz on a machine with nothing but Python.

It listens on a Unix socket only (mode 0700: whoever is not this user cannot reach it), keeps an append-only file in the
data directory and never evicts: profiles and budgets are data, not a cache. It dies with the process that started it.
Which program may serve the data is the matter of core.redis.program.

One data directory has one owner: the owner holds a lock file for its lifetime, and a second start is refused. A server
whose owner was killed is waited for (Linux ends it by itself) or adopted (elsewhere), by its pid file.
"""

import contextlib
import enum
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from core.errors import ConfigError, ConflictError, UnavailableError
from core.processes import die_with_parent, is_alive
from core.redis.program import ServerProgram, choose_program, find_programs, note_program
from core.redis.syncing import FileSyncer

# A Unix socket's path must fit sockaddr_un: 108 bytes on Linux, 104 on macOS, with the closing zero.
MAX_SOCKET_PATH_BYTES = 100

# An empty server is up in 0.1 s. A large append-only file loads at about 100 MB/s; a server that says so is waited for
# as long as it takes, a silent one no longer than this.
START_TIMEOUT_S = 60.0

# Linux ends an orphaned server by itself; writing out its append-only file takes this long at most.
ORPHAN_GRACE_S = 5.0

STOP_TIMEOUT_S = 10.0
_POLL_S = 0.01


class ServerState(enum.Enum):
    """A server's answer to the question whether it serves."""

    READY = "ready"
    LOADING = "loading"  # it reads its data: 100 MB/s
    NOTHING = "nothing"


def locate_server(environ: Mapping[str, str] | None = None) -> Path | None:
    """The server program for a directory without data: `valkey-server`, `redis-server` on PATH, the packaged one."""
    found = find_programs(environ)
    return found[0].path if found else None


class EmbeddedServer:
    """A server in `data_directory`, from `start()` to `stop()`. Not safe to share between threads.

    `start` must run in a thread that lives as long as the process (see core.processes.die_with_parent).
    """

    def __init__(self, data_directory: Path, *, program: Path | None = None) -> None:
        """`program` is the server to start; without it the one that wrote the data, or the first that is found."""
        self._directory = data_directory.absolute() / "redis"
        self._given = program
        self._program: ServerProgram | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._adopted_pid: int | None = None
        self._lock_file: int | None = None
        self._socket_path = _socket_path(self._directory)
        self._syncer = FileSyncer(self._directory)

    @property
    def url(self) -> str:
        """`unix:///path/to/socket`, valid from `start()` on and the same after a restart."""
        return f"unix://{self._socket_path}"

    @property
    def directory(self) -> Path:
        """Where the server keeps its data."""
        return self._directory

    @property
    def log(self) -> Path:
        """The file that the server writes its log to."""
        return self._directory / "server.log"

    @property
    def pid(self) -> int | None:
        """Process id of the running server, or None."""
        if self._process is not None:
            return self._process.pid
        return self._adopted_pid

    def start(self) -> None:
        """Start (or adopt) the server and return when it answers: `begin`, and then wait.

        Raises ConfigError where no program is found that may serve the data or another user owns the directory,
        ConflictError where another process has it, UnavailableError where the server does not come up.
        """
        try:
            self.begin()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def begin(self) -> None:
        """Start (or adopt) the server, or start it again after it died, without waiting for it: see `ask`.

        Raises ConfigError where no program is found that may serve the data or another user owns the directory,
        ConflictError where another process has it.
        """
        self._end_process()
        self._take_lock()
        try:
            self._adopted_pid = self._orphan()
            if self._adopted_pid is None:
                self._spawn()
            self._syncer.start()
        except BaseException:
            self._let_go()
            raise

    def ask(self) -> ServerState:
        """Whether the server serves; waits for its answer for a second at most. May be called in another thread."""
        answer = _ask(self._socket_path, b"PING\r\n")
        if answer.startswith(b"+PONG"):
            return ServerState.READY
        return ServerState.LOADING if answer.startswith(b"-LOADING") else ServerState.NOTHING

    def note_program(self) -> None:
        """Note beside the data which program serves it. To be called when the server answers for the first time.

        Where the note cannot be written, the header of the data says the same.
        """
        if self._program is not None:
            with contextlib.suppress(OSError):
                note_program(self._directory, self._program)

    def alive(self) -> bool:
        """Whether the server's process runs."""
        if self._process is not None:
            return self._process.poll() is None
        return self._adopted_pid is not None and is_alive(self._adopted_pid)

    def stop(self) -> None:
        """End the server, keep its data, let go of the directory. Harmless when it is not running."""
        self._end_process()
        self._syncer.stop()
        self._let_go()

    def _end_process(self) -> None:
        if self._process is not None:
            _terminate(self._process)
            self._process = None
        elif self._adopted_pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._adopted_pid, signal.SIGTERM)
            _wait_for_end(self._adopted_pid, STOP_TIMEOUT_S)
            self._adopted_pid = None

    def _let_go(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def restart(self) -> None:
        """Start the server again after it died; its data is read back from the append-only file."""
        self.stop()
        self.start()

    def _take_lock(self) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except PermissionError:
            raise  # the command line explains it with the user's name
        except OSError as error:
            hint = "give a directory that exists or can be made with --data"
            raise ConfigError(f"{self._directory} cannot be made: {error.strerror}", hint=hint) from None
        self._socket_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._socket_path.parent.stat().st_uid != os.getuid():
            raise ConfigError(
                f"{self._socket_path.parent} belongs to another user",
                hint="choose a data directory with a shorter path, so that the socket can live inside it",
            )
        if self._lock_file is not None:
            return
        lock_file = os.open(self._directory / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock_file, 20).decode("ascii", "replace").strip() or "another process"
            os.close(lock_file)
            raise ConflictError(
                f"data directory {self._directory.parent} is in use by process {owner}",
                hint="stop that one, or give this one a directory of its own with --data",
            ) from None
        os.truncate(lock_file, 0)
        os.write(lock_file, str(os.getpid()).encode("ascii"))
        self._lock_file = lock_file

    def _orphan(self) -> int | None:
        """Process id of a server that still serves this directory although its owner died; None when there is none."""
        try:
            pid = int((self._directory / "server.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        if sys.platform == "linux":
            _wait_for_end(pid, ORPHAN_GRACE_S if self._serves(pid) else 0.0)
        return pid if self._serves(pid) else None

    def _serves(self, pid: int) -> bool:
        """Whether process `pid` answers on the socket: ids are reused, so the pid file alone does not show it."""
        if not is_alive(pid):
            return False
        answer = _ask(self._socket_path, b"INFO server\r\n")
        return f"process_id:{pid}\r".encode("ascii") in answer

    def _spawn(self) -> None:
        self._program = program = choose_program(self._directory, given=self._given)
        self._socket_path.unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the program is the one that choose_program allows
                [program.path, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - two system calls, prepared in the parent
                start_new_session=True,  # Ctrl-C reaches the roles first; the server goes last, in stop()
            )

    def _arguments(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket_path),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "pidfile": str(self._directory / "server.pid"),
            "appendonly": "yes",
            "appendfsync": "no",  # it writes before it answers, but leaves syncing to core.redis.syncing
            "aof-load-truncated": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
            "logfile": "",
        }
        return [part for name, value in settings.items() for part in (f"--{name}", value)]

    def _wait_until_ready(self) -> None:
        silent_since = time.monotonic()
        while self.alive() and time.monotonic() - silent_since < START_TIMEOUT_S:
            answer = self.ask()
            if answer is ServerState.READY:
                self.note_program()
                return
            if answer is ServerState.LOADING:
                silent_since = time.monotonic()
            time.sleep(_POLL_S)
        raise UnavailableError(
            f"the embedded Redis server does not come up in {self._directory}", hint=f"see {self.log}"
        )


def _socket_path(directory: Path) -> Path:
    path = directory / "server.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    name = hashlib.blake2b(os.fsencode(directory), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"grosz-{os.getuid()}-{name}" / "server.sock"


def _ask(socket_path: Path, command: bytes) -> bytes:
    """The first part of the answer to an inline command; empty when no server answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(socket_path))
            connection.sendall(command)
            return connection.recv(16_384)
        except OSError:
            return b""


def _wait_for_end(pid: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _terminate(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
