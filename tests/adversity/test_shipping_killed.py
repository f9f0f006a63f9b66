"""Roles with folders of their own: what one host appends reaches the worker of another, whichever is killed when."""

import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.telemetry.metrics import Telemetry
from journal.archive import Archive
from journal.columnar import Columnar, files_sql
from journal.folders import SEGMENTS
from journal.rows import NOTICE
from journal.writing import HAND_ON_BYTES, JournalWriter
from tests.kit.fixtures import REPOSITORY, find_free_port
from tests.kit.journal_rows import a_row
from tests.kit.processes import clean_environment

KEY = "0123456789abcdef" * 4
KILLS = 4
ROWS_A_FILE = 400


class RoleProcess:
    """One role of Grosz, that may be killed and started again."""

    def __init__(self, role: str, environ: dict[str, str], log: Path) -> None:
        self.role, self._log = role, log
        self._environ = clean_environment() | {"PYTHONPATH": str(REPOSITORY)} | environ
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "admin.cli", self.role],
                env=self._environ,
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()


@pytest.fixture
def hosts(tmp_path: Path, valkey: str) -> dict[str, dict[str, str]]:
    """Environments of the roles: folders of their own, one Redis, one key."""
    key_file = tmp_path / "ship.key"
    key_file.write_text(KEY + "\n")
    port = find_free_port()
    common = {
        "GROSZ_REDIS_URL": valkey,
        "GROSZ_JOURNAL_SHIP_KEY_FILE": str(key_file),
        "GROSZ_MONEY_TOKEN_KEYS": f'{{"1": "{"ab" * 32}"}}',
        "GROSZ_TELEMETRY_LOG_FORMAT": "text",
        "GROSZ_ADMIN_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'grosz.sqlite'}",
        "GROSZ_TRACK_PORT": str(find_free_port()),
        "GROSZ_WORKER_PORT": str(find_free_port()),
    }
    here = {"GROSZ_JOURNAL_DIRECTORY": str(tmp_path / "web"), "GROSZ_JOURNAL_SHIP_TO": f"http://127.0.0.1:{port}"}
    there = {"GROSZ_JOURNAL_DIRECTORY": str(tmp_path / "keeper"), "GROSZ_JOURNAL_RECEIVE_PORT": str(port)}
    return {"tracker": common | here, "worker": common | there}


def write_segments(folder: Path, first: int, files: int) -> int:
    """Segments of a process beside the tracker; the next row's number."""
    clock = SystemClock()
    writer = JournalWriter(folder, f"web-{first}", clock, Telemetry(), max_bytes=2**30)
    for _ in range(files):
        # Long texts that do not shrink make a file of several pieces.
        rows = [
            a_row(NOTICE, bid_id=number, bid_ms=clock.now_ms(), loss_code=os.urandom(6_000).hex())
            for number in range(first, first + ROWS_A_FILE)
        ]
        writer.extend(NOTICE, rows)
        first += ROWS_A_FILE
        writer.flush()
        writer._hand_on()
    assert HAND_ON_BYTES > max(path.stat().st_size for path in folder.iterdir()) > 2 * 1024 * 1024
    return first


def kept(archive: Archive, columnar: Columnar) -> tuple[int, int]:
    """Rows in the worker's Parquet files, and how many different ones."""
    files = archive.files(NOTICE.name, archive.hours(NOTICE.name))
    if not files:
        return 0, 0
    ((rows, different),) = columnar.ask(f"SELECT count(*), count(DISTINCT bid_id) FROM {files_sql(files)}")
    return rows, different


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_rows_of_another_host_arrive_once_however_both_ends_are_killed(
    tmp_path: Path, hosts: dict[str, dict[str, str]]
) -> None:
    chance = random.Random(17)
    archive, columnar = Archive(tmp_path / "keeper" / "parquet"), Columnar()
    segments = tmp_path / "web" / SEGMENTS
    wanted = write_segments(segments, 0, 3)
    roles = {role: RoleProcess(role, environ, tmp_path / f"{role}.log") for role, environ in hosts.items()}
    try:
        for kill in range(KILLS):
            deadline = time.monotonic() + 20
            before = kept(archive, columnar)[0]
            while kept(archive, columnar)[0] == before and time.monotonic() < deadline:
                time.sleep(chance.uniform(0.0, 0.2))
            victim = roles[("tracker", "worker")[kill % 2]]
            victim.end(signal.SIGKILL)
            wanted = write_segments(segments, wanted, 1)
            victim.start()
        deadline = time.monotonic() + 240
        while (kept(archive, columnar) != (wanted, wanted) or any(segments.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.3)
        logs = "".join((tmp_path / f"{role}.log").read_text() for role in roles)
        assert kept(archive, columnar) == (wanted, wanted), logs[-3_000:]
        assert list(segments.iterdir()) == [], "what has arrived is forgotten"
        assert not any((tmp_path / "web").rglob("*.parquet")), "the host keeps no files of its own"
        url = hosts["tracker"]["GROSZ_JOURNAL_SHIP_TO"]
        for key in ("", KEY[:-1], KEY + "0"):
            request = urllib.request.Request(
                f"{url}/segments/x", method="PATCH", data=b"x", headers={"Authorization": f"Bearer {key}"}
            )
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(request)
            assert error.value.code == 401
            error.value.close()
    finally:
        for role in roles.values():
            role.end(signal.SIGKILL)
        columnar.close()
