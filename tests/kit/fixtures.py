"""The fixtures of tests/conftest.py: a real server, a clock that stands still, the shared corpus."""

import os
import shutil
import socket
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from core.clock import ManualClock
from core.redis.embedded import EmbeddedServer

REPOSITORY = Path(__file__).resolve().parents[2]


def chosen_server() -> Path | None:
    """The Redis or Valkey program that GROSZ_TEST_SERVER asks for; None: whichever Grosz itself would start."""
    path = os.environ.get("GROSZ_TEST_SERVER")
    return Path(path) if path else None


def in_ci() -> bool:
    """Whether missing test data and packages fail a test: in CI no person reads why tests were skipped."""
    return os.environ.get("CI", "") not in ("", "0", "false")


def skip_or_fail(reason: str) -> None:
    """Skip the running test on a user's machine, fail it in CI."""
    if in_ci():
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs_package("chromium")`: the test needs one of the named programs on PATH."""
    for marker in item.iter_markers("needs_package"):
        if not any(shutil.which(str(program)) for program in marker.args):
            skip_or_fail(f"needs a program that is not installed: {' or '.join(map(str, marker.args))}")


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[EmbeddedServer]:
    """A real server that lives as long as this test process; its directory's path is short, since it holds a socket."""
    directory = Path(tempfile.mkdtemp(prefix="grosz-test-"))
    server = EmbeddedServer(directory, program=chosen_server())
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture
def valkey(valkey_server: EmbeddedServer) -> str:
    """URL of a real, empty server."""
    if not valkey_server.alive():  # an adversity test killed it
        valkey_server.restart()
    with redis.Redis.from_url(valkey_server.url) as connection:
        connection.script_flush()
        connection.flushall()
    return valkey_server.url


@pytest.fixture
def clock() -> ManualClock:
    """A clock that moves only when told to."""
    return ManualClock()


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Folder of the recorded requests, from GROSZ_CORPUS or beside the repository."""
    folder = Path(os.environ.get("GROSZ_CORPUS") or REPOSITORY.parent / "shared" / "corpus")
    if not (folder / "requests.jsonl").is_file():
        skip_or_fail(f"no corpus in {folder}: set GROSZ_CORPUS to the folder that has requests.jsonl")
    return folder


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    return find_free_port()


def find_free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now, and that the kernel gives to no other process until the test takes it.

    It is not found by binding port 0: the kernel may give such a port again, to another test's server or connection,
    before the process that is meant to listen there has come up.
    """
    for _ in range(_PORTS_OF_A_PROCESS):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", next(_ports)))
            except OSError:  # the port is in use
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("no port is free")


# Ports that the kernel does not give out by itself: Linux begins at 32768 unless it is configured otherwise.
_FIRST_PORT, _PAST_PORTS = 20_000, 32_000
_PORTS_OF_A_PROCESS = 1_000


def _own_ports() -> Iterator[int]:
    """Ports for ever, in turn. Processes of one test run never have the same ones, those of two runs rarely."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    run = zlib.crc32(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())).encode())
    begin = run % (_PAST_PORTS - _FIRST_PORT) + number * _PORTS_OF_A_PROCESS
    while True:
        for place in range(begin, begin + _PORTS_OF_A_PROCESS):
            yield _FIRST_PORT + place % (_PAST_PORTS - _FIRST_PORT)


_ports = _own_ports()
