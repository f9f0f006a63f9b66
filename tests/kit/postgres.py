"""A real PostgreSQL for tests: a cluster of its own in a temporary directory, on a Unix socket, one database a test."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.fixtures import skip_or_fail

# PostgreSQL refuses to run as root; Debian's package makes this user.
SYSTEM_USER = "postgres"


class PostgresServer:
    """A running server; `directory` holds its socket."""

    def __init__(self, programs: Path, directory: Path, memory: str = "16MB") -> None:
        self._programs = programs
        self._directory = directory
        self._memory = memory
        self._number = 0

    def start(self) -> None:
        if os.geteuid() == 0:
            os.chown(self._directory, pwd.getpwnam(SYSTEM_USER).pw_uid, -1)
        data = self._directory / "data"
        if not data.exists():
            login = ("-A", "trust", "-U", SYSTEM_USER)
            self._run("initdb", "-D", str(data), *login, "--no-sync", "--locale=C.UTF-8", "-E", "UTF8")
        options = (
            f"-k {self._directory} -c listen_addresses='' -c fsync=off -c shared_buffers={self._memory} "
            "-c max_connections=30"
        )
        self._run("pg_ctl", "-D", str(data), "-l", str(self._directory / "log"), "-w", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._directory / "data"), "-m", "immediate", "-w", "stop")

    def new_database(self) -> str:
        """URL of a fresh, empty database."""
        self._number += 1
        name = f"test_{self._number}"
        self._run("createdb", "-h", str(self._directory), "-U", SYSTEM_USER, name)
        return self.url(name)

    def url(self, name: str) -> str:
        """URL of a database that exists."""
        return f"postgresql+asyncpg://{SYSTEM_USER}@/{name}?host={self._directory}"

    def _run(self, program: str, *arguments: str) -> None:
        path = self._programs / program
        as_user = {"user": SYSTEM_USER} if os.geteuid() == 0 else {}
        # The server keeps the handles that it inherits, so a pipe would never end; a folder that it may not enter is an
        # error.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [path, *arguments],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                **as_user,
            )  # type: ignore[call-overload]  # `user` is given only to root
            output.seek(0)
            assert done.returncode == 0, output.read().decode(errors="replace")


def find_programs() -> Path | None:
    """The newest installed server's folder of programs."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3].split(".")[0])
    )
    if debian:
        return debian[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server that lives as long as this test process."""
    programs = find_programs()
    if programs is None:
        skip_or_fail("needs PostgreSQL: install the package `postgresql`")
    assert programs is not None
    directory = Path(tempfile.mkdtemp(prefix="grosz-pg-"))
    server = PostgresServer(programs, directory)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; the test runs once for each engine."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.new_database()
