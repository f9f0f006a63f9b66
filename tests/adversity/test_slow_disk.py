"""A server that is killed while its disk is slow: what it acknowledged is there, unless it syncs its file by itself.

`appendfsync everysec` keeps what comes during a sync in memory, two seconds at most; the embedded server is given
`no`, and its owner syncs (core.redis.syncing). The slow disk is strace, which lets each sync wait.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from core.redis.embedded import EmbeddedServer
from tests.kit.fixtures import chosen_server

pytestmark = pytest.mark.needs_package("strace")

SYNC_US = 5_000_000
WRITES = 200
TRIES = 5
WAIT_S = 30.0


@contextlib.contextmanager
def slow_disk(server: EmbeddedServer) -> Iterator[None]:
    """Each sync that the server asks for takes five seconds."""
    command = ["strace", "-f", "-p", str(server.pid), "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e",
               f"inject=fdatasync,fsync:delay_enter={SYNC_US}"]  # fmt: skip
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"this machine lets nobody trace: {said.strip()}")
        yield
    finally:
        tracer.kill()
        tracer.wait()
        if tracer.stderr is not None:
            tracer.stderr.close()


def kept_back(connection: redis.Redis) -> int:
    """Bytes that the server has acknowledged and not yet written to its file."""
    return int(connection.info("persistence")["aof_buffer_length"])


def killed_and_read_again(server: EmbeddedServer) -> int:
    """What the counter is in the file that a killed server leaves."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + WAIT_S
    while server.alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    server.restart()
    with redis.Redis.from_url(server.url) as connection:
        return int(connection.get("bills") or b"0")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    running = EmbeddedServer(tmp_path, program=chosen_server())
    running.start()
    yield running
    running.stop()


def test_the_embedded_server_has_written_what_it_acknowledged(server: EmbeddedServer) -> None:
    with slow_disk(server), redis.Redis.from_url(server.url) as connection:
        for number in range(1, WRITES + 1):
            assert connection.incr("bills") == number
            assert kept_back(connection) == 0
            time.sleep(0.01)  # two seconds in all, so that a server which syncs each second is in the middle of it
        found = killed_and_read_again(server)
    assert found == WRITES


def acknowledged_in_memory(connection: redis.Redis) -> int:
    """Write until something is kept back; the counter as it was acknowledged."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        acknowledged = int(connection.incr("bills"))
        if kept_back(connection):
            return acknowledged
    pytest.fail("the server has kept nothing back while it syncs")


def test_one_that_syncs_by_itself_loses_what_came_meanwhile(server: EmbeddedServer) -> None:
    """The bound that docs/money.md states for a Redis of one's own with `everysec`."""
    for _ in range(TRIES):
        with redis.Redis.from_url(server.url) as connection:
            connection.config_set("appendfsync", "everysec")
            with slow_disk(server):
                acknowledged = acknowledged_in_memory(connection)
                found = killed_and_read_again(server)
        if found < acknowledged:
            return
    pytest.fail("nothing was lost: docs/money.md and core.redis.syncing say that it may be")
