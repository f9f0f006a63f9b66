"""Roles are killed while the demo's shoppers buy and reports are asked; in the end the journal is the ledger.

`test_money_chaos` kills the server too, with an exchange of its own that reports badly.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import shlex
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtest.exchange.exchange import ExchangeProcess
from loadtest.measure.series import Series
from loadtest.report.report import Report, make_report
from loadtest.traffic.scenario import Scenario, load_scenario
from tests.kit.fixtures import REPOSITORY
from tests.kit.processes import RunningGrosz, grosz

# A quarter of a minute of traffic, in which a role dies each second or so; `JOURNAL_KILLS_S` makes it longer.
SECONDS = float(os.environ.get("JOURNAL_KILLS_S", "15"))
ROLES = ("worker", "tracker", "bidder")
replace = msgspec.structs.replace


def scenario(urls: Mapping[str, str]) -> Scenario:
    made = load_scenario("smoke")
    return replace(
        made,
        url=f"{urls['bid']}/openrtb2/demo",
        track_url=urls["track"],
        rate=40.0,
        duration_s=SECONDS,
        connections=8,
        processes=1,
        patience_s=5.0,
        traffic=replace(made.traffic, templates=100, users=500),
        notices=replace(made.notices, bill_delay_ms=50, click_delay_ms=2_500, late_delay_ms=500, drain_s=8),
    )


async def kill_roles(grosz_up: RunningGrosz, chance: random.Random, killed: list[str]) -> None:
    """Kill one role after the other, and note which."""
    while True:
        await asyncio.sleep(chance.uniform(0.8, 1.6))
        role = ROLES[len(killed) % len(ROLES)]
        for pid, line in grosz_up.family().items():
            if line.endswith(f" {role}") or f"-{role} " in line:  # a child of ours, or one that names itself
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed.append(role)
                break


async def ask_reports(data: Path, answers: list[dict[str, Any]], over: asyncio.Event) -> None:
    """Ask all the while, once at least; a report never fails, and its sums never fall."""
    while not answers or not over.is_set():
        answers.append(await asyncio.to_thread(report, data))
        await asyncio.sleep(1.0)


def report(data: Path) -> dict[str, Any]:
    measures = [part for name in ("impressions", "spend") for part in ("--measure", name)]
    done = grosz("report", "--json", "--data", str(data), "--by", "advertiser", *measures)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def impressions(answer: dict[str, Any]) -> int:
    at = answer["columns"].index("impressions")
    return sum(row[at] for row in answer["rows"])


async def run(grosz_up: RunningGrosz, data: Path, answers: list[dict[str, Any]], killed: list[str]) -> Report:
    series, played = Series(), scenario(grosz_up.urls)
    process = ExchangeProcess(played, 0, series.add)
    await process.connect()
    killing = asyncio.create_task(kill_roles(grosz_up, random.Random(5), killed))
    over = asyncio.Event()
    asking = asyncio.create_task(ask_reports(data, answers, over))
    await process.run(time.monotonic(), asyncio.Event())
    over.set()
    killing.cancel()
    await asyncio.gather(killing, return_exceptions=True)
    await asking
    return make_report(played, series, 0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kills_lose_no_bill_and_count_none_twice(tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = []
    killed: list[str] = []
    environ = {"GROSZ_CONSENT_VENDOR_ID": "755"}
    with RunningGrosz(tmp_path, "--seed", "demo", environ=environ) as up:
        asyncio.run(run(up, tmp_path, answers, killed))
        audited = ""
        for _ in range(30):  # until the last rows have reached ledger and files
            time.sleep(1.0)
            last = report(tmp_path)
            done = grosz("audit", "--data", str(tmp_path))
            audited = done.stdout + done.stderr
            if done.returncode == 0 and impressions(last) == impressions(report(tmp_path)) > 0:
                break
        assert "0 differences" in audited, audited
        booked = grosz("audit", "--json", "--data", str(tmp_path))
    spent = {one["advertiser_id"]: one["spent"]["amount"] for one in json.loads(booked.stdout)}
    final = report(tmp_path)
    at = final["columns"].index("spend")
    told = {row[0]: row[at] for row in final["rows"]}
    assert told == {shop: amount for shop, amount in spent.items() if float(amount)}, "reports agree with the counters"
    counts = [impressions(answer) for answer in answers]
    assert counts == sorted(counts), "what was told once is told from then on"
    assert set(killed) == set(ROLES)


def test_the_commands_of_the_page_are_commands() -> None:
    page = (REPOSITORY / "docs" / "reports.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    grosz (report.*)$", page, re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        done = grosz(*shlex.split(command), "--data", "/nowhere/at/all")
        assert "there is no Grosz in" in done.stderr, f"{command}: {done.stderr}"
