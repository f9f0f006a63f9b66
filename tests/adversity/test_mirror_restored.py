"""A whole `grosz up` loses its journal by kill -9 and a lost folder, and has it back from the mirror."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.bucket import Bucket
from journal.manifests import FILES, MANIFESTS, decode_manifest
from loadtest.exchange.exchange import ExchangeProcess
from loadtest.measure.series import Series
from loadtest.traffic.scenario import load_scenario
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.s3 import BUCKET, JOURNAL, place, s3_server

# Reports are asked by commands of a second and more, and the worker follows the events by some seconds.
PATIENCE_S = 240.0
# Rows are shipped each two seconds; in so many nothing is on its way any more.
QUIET_S = 10.0
replace = msgspec.structs.replace


async def buy(urls: Mapping[str, str]) -> None:
    """Some seconds of an exchange."""
    made = load_scenario("smoke")
    played = replace(
        made, url=f"{urls['bid']}/openrtb2/demo", track_url=urls["track"], rate=20.0, duration_s=6.0, connections=4,
        processes=1, patience_s=5.0, traffic=replace(made.traffic, templates=100, users=200),
        notices=replace(made.notices, bill_delay_ms=50, click_delay_ms=1_000, late_delay_ms=500, drain_s=4),
    )  # fmt: skip
    process = ExchangeProcess(played, 0, Series().add)
    await process.connect()
    await process.run(time.monotonic(), asyncio.Event())


def report(data: Path) -> list[Any]:
    measures = [part for name in ("bids", "impressions", "spend") for part in ("--measure", name)]
    done = grosz("report", "--json", "--data", str(data), "--by", "advertiser", *measures)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)["rows"]
    return found


def newest_number(store: Bucket) -> int:
    content = store.read(max(store.names(MANIFESTS), default="nothing"))
    return decode_manifest(content).number if content is not None else 0


def mirrored_report(store: Bucket, data: Path) -> list[Any]:
    """What reports tell, once it has been the same for some seconds and the mirror has all of it."""
    until = time.monotonic() + PATIENCE_S
    told, since, number = report(data), time.monotonic(), newest_number(store)
    while time.monotonic() < until:
        time.sleep(1.0)
        found = report(data)
        if found != told:
            told, since, number = found, time.monotonic(), newest_number(store)
        # The snapshot of the second manifest from there was taken after the report.
        elif any(row[2] for row in told) and time.monotonic() - since > QUIET_S and newest_number(store) >= number + 2:
            return told
    raise AssertionError("the mirror did not follow")


def kill_everything(up: RunningGrosz) -> None:
    """As a machine that loses its power."""
    for pid in [up.process.pid, *up.family()]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    up.process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_reports_and_audit_agree_after_the_folder_was_filled_from_the_mirror(tmp_path: Path) -> None:
    with s3_server() as endpoint:
        environ = {
            "GROSZ_CONSENT_VENDOR_ID": "755", "GROSZ_JOURNAL_MIRROR_BUCKET": BUCKET,
            "GROSZ_JOURNAL_MIRROR_ENDPOINT": endpoint, "GROSZ_JOURNAL_MIRROR_REGION": "us-east-1",
            "GROSZ_JOURNAL_MIRROR_ACCESS_KEY": "key", "GROSZ_JOURNAL_MIRROR_SECRET_KEY": "secret",
            "GROSZ_JOURNAL_MIRROR_PREFIX": "grosz/", "GROSZ_JOURNAL_MIRROR_EVERY_S": "1",
        }  # fmt: skip
        store = Bucket(place(endpoint), JOURNAL)
        with RunningGrosz(tmp_path, "--seed", "demo", environ=environ) as up:
            asyncio.run(buy(up.urls))
            told = mirrored_report(store, tmp_path)
            assert any(name.startswith(FILES) for name in store.names())
            kill_everything(up)
        shutil.rmtree(tmp_path / "journal")
        with RunningGrosz(tmp_path, environ=environ):
            until = time.monotonic() + PATIENCE_S
            while (found := report(tmp_path)) != told:
                assert time.monotonic() < until, (found, told)
                time.sleep(1.0)
            audited = grosz("audit", "--data", str(tmp_path))
            assert "0 differences" in audited.stdout, audited.stdout + audited.stderr
