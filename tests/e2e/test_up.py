import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from admin.roles.local_state import read_metrics
from core.processes import is_alive
from tests.kit.fixtures import REPOSITORY
from tests.kit.processes import RunningGrosz, clean_environment, grosz
from tests.kit.waiting import wait_until


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningGrosz]:
    with RunningGrosz(tmp_path / "data", "--workers", "2") as up:
        yield up


def get(url: str) -> str:
    with urllib.request.urlopen(url) as response:
        return str(response.read().decode())


def is_ready(url: str) -> bool:
    try:
        return get(f"{url}/readyz") == "ready\n"
    except (urllib.error.URLError, ConnectionError):
        return False


def test_every_role_answers_its_health_pages(running: RunningGrosz) -> None:
    assert set(running.urls) == {"bid", "track", "admin"}
    for url in running.urls.values():
        assert get(f"{url}/healthz") == "alive\n"
        assert is_ready(url)


def test_metrics_are_at_listeners_of_their_own_and_nowhere_else(running: RunningGrosz) -> None:
    for role in ("bidder", "tracker", "admin", "worker"):
        assert "process_resident_memory_bytes" in running.metrics(role)
    for url in running.urls.values():
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{url}/metrics")
        with refused.value as answer:
            assert answer.status == 404
            assert b"telemetry.own_listener" in answer.read() or url == running.urls["bid"]


def test_metrics_can_be_served_at_the_roles_ports_as_before(tmp_path: Path) -> None:
    environ = {"GROSZ_TELEMETRY_OWN_LISTENER": "false"}
    with RunningGrosz(tmp_path / "data", environ=environ) as running:
        for url in running.urls.values():
            assert "process_resident_memory_bytes" in get(f"{url}/metrics")
        assert "grosz_bid_requests_total" in running.metrics("bidder")


def test_a_port_of_metrics_that_somebody_has_keeps_nothing_from_starting(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = {"GROSZ_TELEMETRY_HOST": "127.0.0.1", "GROSZ_TELEMETRY_BIDDER_PORT": str(other.getsockname()[1])}
        arguments = [sys.executable, "-m", "admin.cli", "up", "--data", str(tmp_path / "data"), "--track-port", "0"]
        environ = {"GROSZ_BID_PORT": "0", "GROSZ_ADMIN_PORT": "0", "GROSZ_WORKER_PORT": "0"}
        ports = {"GROSZ_TELEMETRY_ADMIN_PORT": "0"}
        process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
            env=clean_environment() | environ | taken | ports,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready bid=")
        assert "process_resident_memory_bytes" in get(f"{read_metrics(tmp_path / 'data')['bidder']}/metrics")
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate()
    assert "metrics of the bidder are served at another port" in log


def test_metrics_of_the_bid_port_add_up_its_processes(running: RunningGrosz) -> None:
    def open_files() -> float:
        match = re.search(r"^process_open_fds (\S+)$", running.metrics("bidder"), re.MULTILINE)
        assert match is not None
        return float(match[1])

    bidders = [pid for pid, line in running.family().items() if line.endswith(" bidder")]
    assert len(bidders) == 2
    alone = max(len(os.listdir(f"/proc/{pid}/fd")) for pid in bidders)
    wait_until(lambda: open_files() >= 1.5 * alone)


def test_end_leaves_no_process_behind(running: RunningGrosz) -> None:
    family = running.family()
    assert len(family) == 6  # Redis, admin, worker, tracker, two bidders
    assert running.end(signal.SIGTERM) == 0
    assert [pid for pid in family if is_alive(pid)] == []


def test_interrupt_drains_too(running: RunningGrosz) -> None:
    family = running.family()
    assert running.end(signal.SIGINT) == 0
    assert [pid for pid in family if is_alive(pid)] == []
    assert "Traceback" not in running.log()


def test_killed_supervisor_takes_everything_with_it(running: RunningGrosz) -> None:
    family = running.family()
    running.process.kill()
    running.process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in family))


def test_killed_role_is_started_again(running: RunningGrosz) -> None:
    before = running.family()
    victim = next(pid for pid, line in before.items() if line.endswith(" tracker"))
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in running.family() and len(running.family()) == len(before))
    wait_until(lambda: is_ready(running.urls["track"]))


def test_a_killed_bidder_leaves_no_warnings_of_what_it_leaves_behind(running: RunningGrosz) -> None:
    victim = next(pid for pid, line in running.family().items() if line.endswith(" bidder"))
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: '"child":"bidder' in running.log() and victim not in running.family())
    wait_until(lambda: len([line for line in running.family().values() if line.endswith(" bidder")]) == 2)
    time.sleep(1)  # the tracker of a dead process's semaphores ends a moment later
    assert "leaked" not in running.log()


def test_killed_redis_is_started_again(running: RunningGrosz) -> None:
    victim = next(pid for pid, line in running.family().items() if "-server" in line)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: any("-server" in line and pid != victim for pid, line in running.family().items()))


def test_second_start_in_the_same_directory_is_refused(running: RunningGrosz, tmp_path: Path) -> None:
    arguments = ("up", "--data", str(tmp_path / "data"), "--bid-port", "0", "--track-port", "0", "--admin-port", "0")
    second = grosz(*arguments)
    assert second.returncode == 2
    assert "in use by process" in second.stderr
    assert "Traceback" not in second.stderr
    assert running.process.poll() is None


def test_second_start_on_the_same_port_is_refused(running: RunningGrosz, tmp_path: Path) -> None:
    port = running.urls["bid"].rpartition(":")[2]
    second = grosz("up", "--data", str(tmp_path / "other"), "--bid-port", port)
    assert second.returncode == 2
    assert "Address already in use" in second.stderr
    assert not (tmp_path / "other").exists()


def test_restart_in_the_same_directory_keeps_its_token_key(tmp_path: Path) -> None:
    keys = set()
    for _ in range(2):
        with RunningGrosz(tmp_path):
            keys.add((tmp_path / "token.key").read_text())
    assert len(keys) == 1
    assert (tmp_path / "token.key").stat().st_mode & 0o777 == 0o600


def test_at_a_terminal_it_speaks_to_a_person(tmp_path: Path) -> None:
    reading, writing = os.openpty()
    ports = ("--bid-port", "0", "--track-port", "0", "--admin-port", "0")
    command = [sys.executable, "-m", "admin.cli", "up", "--data", str(tmp_path / "data"), *ports]
    process = subprocess.Popen(command, stdout=writing, stderr=writing, cwd=REPOSITORY, env=clean_environment())
    os.close(writing)
    written = b""  # bytes: a character may come in two parts
    while b"Ctrl-C" not in written:
        written += os.read(reading, 65_536)
    shown = written.decode()
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the terminal's other side is closed by the last who ends
        while os.read(reading, 65_536):
            pass
    assert process.wait() == 0
    os.close(reading)
    lines = re.sub(r"\x1b\[\d*m", "", shown).replace("\r", "").splitlines()
    assert not any(line.startswith("{") for line in lines)
    ready = re.compile(r"\d\d:\d\d:\d\d supervisor role is ready  child bidder-0, after_seconds .*")
    assert any(ready.fullmatch(line) for line in lines), shown
    assert any(line.startswith("ready bid=http://") for line in lines)
    assert any(line.startswith("setup http://") for line in lines), "on a line of its own"
    assert any("grosz doctor" in line for line in lines)
