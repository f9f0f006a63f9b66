"""`grosz up` while what it stands on gives way: server and roles killed in a row, another Redis installed beside it,
the disk full, no file handle left. No role ends by itself, no port closes, and afterwards all is as before.

One installation goes through all of it, since starting takes longer than any of the troubles.
GROSZ_TEST_STANDING_ROUNDS=50 kills more often.
"""

import contextlib
import errno
import io
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.processes import is_alive
from core.redis.program import find_programs
from pacing.notices.claims import Claims, landing_digest
from pacing.notices.tokens import TokenSigner
from tests.kit.asking import bid_status, status_of
from tests.kit.processes import RunningGrosz, descendants

ROUNDS = int(os.environ.get("GROSZ_TEST_STANDING_ROUNDS", "3"))
DISK_MIB = 96
WAIT_S = 60.0
FULL_S = 5.0


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system that can be filled: a small tmpfs where this is root, otherwise a plain folder."""
    folder = Path(tempfile.mkdtemp(prefix="grosz-"))
    mounted = (
        os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", folder], check=False, capture_output=True
        ).returncode
        == 0
    )
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


class Installation:
    """One `grosz up` with one process of each role, and what is asked of it."""

    def __init__(self, up: RunningGrosz, data: Path, programs: Path) -> None:
        self.up, self.data, self.programs = up, data, programs
        self.bid_port, self.track_port = (int(up.urls[name].rpartition(":")[2]) for name in ("bid", "track"))
        self._bills = 0

    def pid_of(self, role: str) -> int:
        """Process id of a role; 0 without one."""
        family = descendants(self.up.process.pid)
        return next((pid for pid, line in family.items() if line.endswith(f" {role}") and is_alive(pid)), 0)

    def server(self) -> int:
        """Process id of the embedded server; 0 without one."""
        family = descendants(self.up.process.pid)
        return next((pid for pid, line in family.items() if "-server " in line and is_alive(pid)), 0)

    def kill_server(self) -> bool:
        """Kill the embedded server; whether there was one."""
        pid = self.server()
        if pid:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself since it was seen
                os.kill(pid, signal.SIGKILL)
        return bool(pid)

    def bid(self) -> int:
        """Status of a bid request on a connection of its own; 0 where there is no answer."""
        return bid_status(self.bid_port)

    def bill(self) -> int:
        """Status of a bill that nobody has sent before."""
        self._bills += 1
        key = bytes.fromhex((self.data / "token.key").read_text().strip())
        claims = Claims(
            share=0, line_item_id=1, advertiser_id=1, campaign_id=1, creative_id=1, exchange_id=1, lease_id=1,
            reserved_micros=1_000, bid_cpm=1_000_000, second_cpm=0, floor_cpm=0, currency="PLN",
            nonce=self._bills, issued_s=int(time.time()),
            user_id="", landing=landing_digest("https://shop.example/"),
        )  # fmt: skip
        token = TokenSigner({1: key}).sign(claims).decode()
        return status_of(self.track_port, "POST", f"/n/bill/{token}?p=0.5&c=PLN")

    def ready(self) -> bool:
        """Whether bidder and tracker say so."""
        return all(status_of(port, "GET", "/readyz") == 200 for port in (self.bid_port, self.track_port))

    def roles(self) -> dict[str, int]:
        return {role: self.pid_of(role) for role in ("admin", "worker", "tracker", "bidder")}

    def settle(self) -> None:
        """Wait until everything serves."""
        until(lambda: all(self.roles().values()) and self.ready() and self.bill() == 204)


def until(condition: Callable[[], bool]) -> float:
    """Seconds until the condition holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < WAIT_S
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def standing() -> Iterator[Installation]:
    with small_disk() as disk:
        programs = disk / "bin"
        programs.mkdir()
        environ = {"PATH": f"{programs}:{os.environ['PATH']}"}
        with RunningGrosz(disk / "data", "--seed", "demo", environ=environ) as up:
            yield Installation(up, disk / "data", programs)
            assert up.process.poll() is None


def test_the_server_may_be_killed_again_before_it_has_come_up(standing: Installation) -> None:
    standing.settle()
    before = standing.roles()
    for _ in range(ROUNDS):
        for pause_s in (0.0, 0.05, 0.3):
            until(standing.kill_server)
            time.sleep(pause_s)
    standing.settle()
    assert standing.roles() == before, "no role ends with the server"


def test_another_redis_on_path_does_not_get_the_data(standing: Installation) -> None:
    standing.settle()
    serving = standing.server()
    program = os.readlink(f"/proc/{serving}/exe")
    other = [found for found in find_programs() if str(found.path) != program]
    fake = standing.programs / "valkey-server"
    if other:
        fake.symlink_to(other[0].path)
    else:  # one that would eat the data: it says another name and must never be started with arguments
        fake.write_text(
            f"#!/bin/sh\n[ $1 = --version ] && echo 'KeyDB server v=9.9.9' || touch {standing.programs}/ran\n"
        )
        fake.chmod(0o755)
    os.kill(serving, signal.SIGKILL)
    standing.settle()
    assert os.readlink(f"/proc/{standing.server()}/exe") == program
    assert not (standing.programs / "ran").exists()
    fake.unlink()


def test_the_bid_port_answers_while_its_only_process_is_started_again(standing: Installation) -> None:
    standing.settle()
    for _ in range(ROUNDS):
        victim, answers = standing.pid_of("bidder"), Counter[int]()
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        first_s = until(lambda: standing.bid() != 0)
        while standing.pid_of("bidder") in (0, victim) or not standing.ready():
            answers[standing.bid()] += 1
        whole_s = time.monotonic() - began
        assert first_s < whole_s / 2, "somebody answers at once, and not the one that is started"
        assert set(answers) <= {200, 204, 0}
        assert answers[0] <= 1, answers  # a connection that was being accepted when the stand-in left
        assert sum(answers.values()) > 5
    standing.settle()


def test_a_full_disk_closes_no_port_and_is_recovered_from(standing: Installation) -> None:
    if not os.path.ismount(standing.data.parent):
        pytest.skip("only root can mount a small disk")
    standing.settle()
    before, statuses = standing.roles(), Counter[int]()
    ballast = standing.data.parent / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        assert fill(file, 65_536)
        began = time.monotonic()
        while time.monotonic() - began < FULL_S:
            fill(file, 4_096)  # what others free is taken again
            statuses[standing.bill()] += 1
            assert standing.bid() in (200, 204)
            assert standing.ready()
    assert set(statuses) <= {204, 503}, statuses
    assert statuses[503], "it was not full"
    assert standing.roles() == before, "no role ends for want of disk"
    ballast.unlink()
    standing.settle()
    assert standing.roles() == before


def fill(file: io.FileIO, chunk: int) -> bool:
    """Write until the disk is full."""
    try:
        while True:
            file.write(b"\0" * chunk)
    except OSError as error:
        return error.errno == errno.ENOSPC


def test_no_handle_left_ends_no_role(standing: Installation) -> None:
    standing.settle()
    before = standing.roles()
    limits = {}
    for pid in before.values():
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        limits[pid] = (soft, hard)
        used = max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, hard))
    time.sleep(FULL_S)
    assert standing.roles() == before
    for pid, limit in limits.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    standing.settle()
    assert standing.roles() == before
