"""SIGHUP: settings are read again and taken over without a bid request that gets no answer."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from admin.roles.local_state import read_in_force
from tests.kit.openrtb import raw_request
from tests.kit.processes import RunningGrosz, grosz

pytestmark = pytest.mark.timeout(240)  # every role is started twice


def bid_and_bill(running: RunningGrosz) -> set[int]:
    """Statuses of a bid request, and of the bills of its bids."""
    body = json.dumps(raw_request(id=f"reload-{time.time_ns()}", regs={"gdpr": 0})).encode()
    place, kind = f"{running.urls['bid']}/openrtb2/demo", {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(place, body, kind), timeout=10) as answer:
        statuses, seats = {int(answer.status)}, json.load(answer)["seatbid"] if answer.status == 200 else []
    for bid in (bid for seat in seats for bid in seat["bid"]):
        statuses.add(billed(bid["burl"].replace("${AUCTION_PRICE}", str(bid["price"]))))
    return statuses


def billed(url: str) -> int:
    """Bill as an exchange does: what meets a process at its end is answered 503, and sent again a little later."""
    for _ in range(20):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                return error.code
        time.sleep(0.25)
    return 503


def environment_of(running: RunningGrosz, role: str) -> dict[str, str]:
    (pid,) = (pid for pid, line in running.family().items() if line.split()[-1] == role)
    pairs = (part.split("=", 1) for part in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in part)
    return dict(pairs)


def until(seconds: float) -> float:
    return time.monotonic() + seconds


def test_settings_are_taken_over_while_bid_requests_are_answered(tmp_path: Path) -> None:
    config = tmp_path / "grosz.toml"
    config.write_text("[catalogue]\nmax_age_s = 600\n")
    with RunningGrosz(tmp_path / "data", "--seed", "demo", "--config", str(config), "--workers", "2") as running:
        keys = environment_of(running, "tracker")["GROSZ_MONEY_TOKEN_KEYS"]
        config.write_text("[catalogue]\nmax_age_s = 77\n[track]\nworkers = 5\n")
        os.kill(running.process.pid, signal.SIGHUP)
        deadline, answers = until(120), set[int]()
        while "settings are in force" not in running.log() and time.monotonic() < deadline:
            answers |= bid_and_bill(running)
        assert answers <= {200, 204}
        assert "settings are in force: catalogue.max_age_s" in running.log()
        assert "take a restart: track.workers" in running.log()
        environment = environment_of(running, "tracker")
        assert environment["GROSZ_CATALOGUE_MAX_AGE_S"] == "77"
        assert environment["GROSZ_MONEY_TOKEN_KEYS"] == keys
        noted = read_in_force(tmp_path / "data")
        assert noted is not None
        assert noted.catalogue.max_age_s == 77
        config.write_text("[catalogue]\nmax_age = 77\n")
        os.kill(running.process.pid, signal.SIGHUP)
        deadline = until(30)
        while "settings stay as they are" not in running.log() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "settings stay as they are" in running.log()
        assert bid_and_bill(running) <= {200, 204}
        assert " 0 differences" in grosz("audit", "--data", str(tmp_path / "data")).stdout
