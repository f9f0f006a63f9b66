"""A real bidder whose machine's clock is wrong says so and does not bid: its bills would all be refused."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.redis.embedded import EmbeddedServer
from tests.e2e.test_money_commands import Spent, post
from tests.kit.fixtures import REPOSITORY
from tests.kit.processes import RunningGrosz, clean_environment

REQUESTS = 20
PORT = "GROSZ_BID_PORT"


def library() -> str:
    """What `faketime` puts in front of the clock's functions of a process."""
    return next(str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


@contextmanager
def bidder(running: RunningGrosz, data: Path, port: int, off_s: int) -> Iterator[str]:
    """A bidder of the same installation on a machine whose clock is `off_s` seconds ahead."""
    environ = clean_environment() | {
        "GROSZ_REDIS_URL": EmbeddedServer(data).url, PORT: str(port), "GROSZ_TELEMETRY_OWN_LISTENER": "false",
        "GROSZ_MONEY_TOKEN_KEYS": '{"1": "' + (data / "token.key").read_text().strip() + '"}',
        "GROSZ_TRACK_PUBLIC_URL": running.urls["track"],
        "LD_PRELOAD": library(), "FAKETIME": f"{off_s:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(
            [sys.executable, "-m", "admin.cli", "bidder"], cwd=REPOSITORY, env=environ, stderr=nowhere
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait() == 0


def page(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def readiness(url: str, *, wanted: str) -> str:
    """What /readyz says once it has the wanted words."""
    while True:  # the test's timeout is the bound
        _, text = page(f"{url}/readyz")
        if wanted in text:
            return text
        time.sleep(0.1)


@pytest.mark.needs_package("faketime")
@pytest.mark.timeout(120)
def test_a_bidder_whose_clock_is_off_stops_and_says_that_it_is_the_clock(tmp_path: Path, free_port: int) -> None:
    data = tmp_path / "data"
    with RunningGrosz(data, "--seed", "demo") as running:
        request = {"id": "x", "at": 1, "cur": ["PLN"], "tmax": 1_000, "site": {"page": "https://news.example/"},
                   "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}]}  # fmt: skip
        with bidder(running, data, free_port, 400) as url:
            text = readiness(url, wanted="clock")
            assert re.search(r"clock: this machine's clock is \d+ s ahead of Redis's \(at most 60 s\): set it", text)
            answers = [post(f"{url}/openrtb2/demo", request | {"id": f"a{number}"})[0] for number in range(REQUESTS)]
            assert answers == [204] * REQUESTS
            _, metrics = page(f"{url}/metrics")
            told = dict(re.findall(r'grosz_no_bids_total\{[^}]*reason="([^"]+)"[^}]*\} (\S+)', metrics))
            assert told == {"clock_off": f"{REQUESTS}.0"}
        with bidder(running, data, free_port, 30) as url:  # half of what is tolerated
            readiness(url, wanted="ready")
            answers = [post(f"{url}/openrtb2/demo", request | {"id": f"b{number}"})[0] for number in range(REQUESTS)]
            assert 200 in answers
        assert Spent(data, running).audit()[0] == 0
