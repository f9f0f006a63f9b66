import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import redis

from core.errors import ConfigError, ConflictError, UnavailableError
from core.processes import is_alive
from core.redis.embedded import EmbeddedServer, locate_server
from tests.kit.fixtures import REPOSITORY


def wait_for_end(server: EmbeddedServer) -> None:
    """Until its parent can know of the end: a process whose other threads still run looks dead before."""
    deadline = time.monotonic() + 10
    while server.alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def fake_programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def write_program(path: Path, prints: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)


def test_server_on_path_is_preferred_to_the_packaged_one(fake_programs: Path) -> None:
    write_program(fake_programs / "redis-server", "Redis server v=7.2.4 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
    assert locate_server({"PATH": str(fake_programs)}) == fake_programs / "redis-server"


def test_valkey_is_preferred_to_redis(fake_programs: Path) -> None:
    write_program(fake_programs / "redis-server", "Redis server v=7.2.4")
    write_program(fake_programs / "valkey-server", "Valkey server v=8.0.1")
    assert locate_server({"PATH": str(fake_programs)}) == fake_programs / "valkey-server"


@pytest.mark.parametrize("prints", ["Redis server v=6.2.7 sha=0", "no version here"])
def test_old_or_silent_server_on_path_is_passed_over(fake_programs: Path, prints: str) -> None:
    write_program(fake_programs / "redis-server", prints)
    found = locate_server({"PATH": str(fake_programs)})
    assert found is not None
    assert found.parent != fake_programs


def test_server_starts_private_durable_and_without_eviction(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    try:
        with redis.Redis.from_url(server.url) as connection:
            settings = connection.config_get("appendonly", "maxmemory-policy", "port")
        mode = stat.S_IMODE(os.stat(server.url.removeprefix("unix://")).st_mode)
    finally:
        server.stop()
    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction", "port": "0"}
    assert mode == 0o700


def test_data_outlives_a_killed_server(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    try:
        with redis.Redis.from_url(server.url) as connection:
            connection.set("kept", "yes")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        wait_for_end(server)
        server.restart()
        with redis.Redis.from_url(server.url) as connection:
            assert connection.get("kept") == b"yes"
    finally:
        server.stop()


def test_directory_in_use_is_refused_with_a_hint(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    try:
        with pytest.raises(ConflictError, match=f"in use by process {os.getpid()}") as caught:
            EmbeddedServer(tmp_path).start()
        assert "--data" in caught.value.hint
        assert server.alive()
    finally:
        server.stop()


def test_stop_lets_go_of_the_directory_and_leaves_no_process(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    pid = server.pid
    assert pid is not None
    server.stop()
    server.stop()
    assert not is_alive(pid)
    again = EmbeddedServer(tmp_path)
    again.start()
    again.stop()


def test_deep_data_directory_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / ("d" * 60) / ("e" * 60))
    server.start()
    try:
        with redis.Redis.from_url(server.url) as connection:
            assert connection.ping()
    finally:
        server.stop()
        Path(server.url.removeprefix("unix://")).parent.rmdir()


def test_program_that_ends_at_once_is_reported_with_its_log(tmp_path: Path, fake_programs: Path) -> None:
    broken = fake_programs / "broken-server"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Valkey server v=9.0.0" || echo "no memory"\n')
    broken.chmod(0o755)
    server = EmbeddedServer(tmp_path, program=broken)
    with pytest.raises(UnavailableError, match="does not come up") as caught:
        server.start()
    assert "server.log" in caught.value.hint
    assert (tmp_path / "redis" / "server.log").read_text() == "no memory\n"


def test_stale_pid_file_of_another_process_is_not_adopted(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "server.pid").write_text(str(os.getpid()))
    server = EmbeddedServer(tmp_path)
    server.start()
    try:
        assert server.pid != os.getpid()
    finally:
        server.stop()


OWNER = """
    import sys, time
    from pathlib import Path
    from core.redis.embedded import EmbeddedServer
    server = EmbeddedServer(Path(sys.argv[1]))
    server.start()
    print(server.pid, flush=True)
    time.sleep(60)
"""


def start_owner(directory: Path) -> tuple[subprocess.Popen[str], int]:
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), directory], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


def test_start_after_a_killed_owner_has_its_data_and_leaves_one_server_at_most(tmp_path: Path) -> None:
    owner, server_pid = start_owner(tmp_path)
    with owner:
        with redis.Redis.from_url(EmbeddedServer(tmp_path).url) as connection:
            connection.set("kept", "yes")
        owner.kill()
    next_server = EmbeddedServer(tmp_path)
    next_server.start()
    try:
        assert next_server.pid == server_pid or not is_alive(server_pid)
        with redis.Redis.from_url(next_server.url) as connection:
            assert connection.get("kept") == b"yes"
    finally:
        next_server.stop()
    assert not is_alive(server_pid)


def test_server_that_outlived_its_owner_is_adopted_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = EmbeddedServer(tmp_path)
    first.start()
    assert first.pid is not None
    assert first._lock_file is not None
    os.close(first._lock_file)  # what the kernel does when the owner dies
    monkeypatch.setattr("core.redis.embedded.ORPHAN_GRACE_S", 0.0)
    heir = EmbeddedServer(tmp_path)
    heir.start()
    assert heir.pid == first.pid
    assert heir.alive()
    # The real owner is gone and reaps nothing; here it must, or the ended server stays a zombie.
    heir.stop()
    assert first._process is not None
    assert first._process.wait() == 0
    assert not first.alive()


def test_a_directory_that_cannot_be_one_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="cannot be made") as caught:
        EmbeddedServer(file / "data").start()
    assert "--data" in caught.value.hint
