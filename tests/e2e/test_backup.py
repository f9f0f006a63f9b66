"""A running installation is backed up, lost, and brought back on another host; the money agrees to the micro."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.kit.fixtures import REPOSITORY
from tests.kit.openrtb import raw_request
from tests.kit.processes import RunningGrosz, clean_environment, grosz

pytestmark = pytest.mark.timeout(240)  # several installations are started, one after the other


def spend(running: RunningGrosz, bids: int) -> int:
    """Bid on some requests and bill every bid; how many were billed."""
    billed = 0
    for number in range(bids):
        request = raw_request(id=f"backup-{time.time_ns()}-{number}", regs={"gdpr": 0})
        body = json.dumps(request).encode()
        call = urllib.request.Request(
            f"{running.urls['bid']}/openrtb2/demo", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(call, timeout=5) as answer:
            if answer.status != 200:
                continue
            for seat in json.load(answer)["seatbid"]:
                for bid in seat["bid"]:
                    url = bid["burl"].replace("${AUCTION_PRICE}", str(bid["price"]))
                    with urllib.request.urlopen(url, timeout=5) as billing:
                        billed += billing.status == 204
    return billed


def spent_of(audit: str) -> dict[str, str]:
    """Advertiser -> what the audit says it spent."""
    lines = [line for line in audit.splitlines() if ": spent " in line]
    return {line.split(":")[0]: line.split(" spent ")[1].split(",")[0] for line in lines}


def test_a_backup_taken_while_running_is_restored_elsewhere_with_audit_0(tmp_path: Path) -> None:
    data, backups, keys = tmp_path / "data", tmp_path / "backups", tmp_path / "keys"
    with RunningGrosz(data, "--seed", "demo") as running:
        assert wait_for_bills(running, 20)
        time.sleep(1.5)  # rows on their way to the database
        (data / "media").mkdir(exist_ok=True)
        (data / "media" / f"{'0' * 64}.png").write_bytes(b"a picture")
        made = grosz("backup", str(backups), "--keys", str(keys), "--data", str(data))
        assert made.returncode == 0, made.stderr
        before = spent_of(grosz("audit", "--data", str(data)).stdout)
        assert spend(running, 5) >= 0  # life goes on
    elsewhere = tmp_path / "elsewhere"
    back = grosz("restore", str(backups), "--keys", str(keys), "--data", str(elsewhere))
    assert back.returncode == 0, back.stdout + back.stderr
    assert "0 differences" in back.stdout
    assert (elsewhere / "media" / f"{'0' * 64}.png").read_bytes() == b"a picture"
    audit = grosz("audit", "--data", str(elsewhere))
    assert audit.returncode == 0, audit.stdout
    assert spent_of(audit.stdout) == before
    assert (elsewhere / "token.key").read_bytes() == (data / "token.key").read_bytes()
    with RunningGrosz(elsewhere) as running:
        assert wait_for_bills(running, 1)
    assert grosz("audit", "--data", str(elsewhere)).returncode == 0


def wait_for_bills(running: RunningGrosz, wanted: int) -> bool:
    billed, until = 0, time.monotonic() + 60
    while billed < wanted and time.monotonic() < until:
        billed += spend(running, 5)
    return billed >= wanted


def test_a_backup_that_is_killed_leaves_the_one_before(tmp_path: Path) -> None:
    data, backups = tmp_path / "data", tmp_path / "backups"
    with RunningGrosz(data, "--seed", "demo"):
        assert grosz("backup", str(backups), "--data", str(data)).returncode == 0
        (first,) = backups.iterdir()
        for delay in (0.3, 0.6, 0.9, 1.2, 1.5):
            command = [sys.executable, "-m", "admin.cli", "backup", str(backups), "--data", str(data)]
            process = subprocess.Popen(command, cwd=REPOSITORY, env=clean_environment(), stderr=subprocess.DEVNULL)
            time.sleep(delay)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert first.is_dir()
        time.sleep(1.1)
        assert grosz("backup", str(backups), "--data", str(data)).returncode == 0
    assert not list(backups.glob(".incomplete-*"))
    for backup in backups.iterdir():  # whichever was complete is whole
        target = tmp_path / f"from-{backup.name}"
        back = grosz("restore", str(backup), "--data", str(target))
        assert back.returncode == 0, back.stderr


def test_damage_and_occupied_directories_are_refused(tmp_path: Path) -> None:
    data, backups = tmp_path / "data", tmp_path / "backups"
    nothing = grosz("backup", str(backups), "--data", str(data))
    assert nothing.returncode == 2
    assert "there is no Grosz" in nothing.stderr
    assert grosz("restore", str(backups), "--data", str(data)).returncode == 2
    with RunningGrosz(data, "--seed", "demo"):
        assert grosz("backup", str(backups), "--data", str(data)).returncode == 0
    assert grosz("restore", str(backups), "--data", str(data)).returncode == 2
    (made,) = backups.iterdir()
    with (made / "redis.rdb").open("r+b") as file:
        file.seek(100)
        file.write(b"\0\0\0\0\0\0\0\0")
    damaged = grosz("restore", str(backups), "--data", str(tmp_path / "new"))
    assert damaged.returncode == 2
    assert "damaged" in damaged.stderr
    assert not (tmp_path / "new" / "grosz.sqlite").exists()
