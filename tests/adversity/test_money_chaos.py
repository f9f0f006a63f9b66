"""kill -9 of everything at random while real processes spend small budgets, and an exchange that reports on it badly.

Bidders, trackers, worker, admin and the Redis-compatible server are those of `grosz up`. After the last kill the
exchange goes on until each of its notices is acknowledged; then the books must agree: ours with the counters to the
micro, the exchange's with ours row by row, and no budget may be exceeded by more than its late bills.

GROSZ_TEST_LONG=600 spends ten minutes; the moments of the kills follow from GROSZ_TEST_SEED.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from core.money import MICROS_PER_UNIT
from pacing.notices.charges import notice_key
from pacing.notices.tokens import TokenSigner
from tests.kit.chaos import BadExchange, audited, kills, small_budgets
from tests.kit.processes import RunningGrosz, grosz

log = logging.getLogger(__name__)

SECONDS = float(os.environ.get("GROSZ_TEST_LONG", "12"))
SEED = int(os.environ.get("GROSZ_TEST_SEED", "20261122"))
KILL_EVERY_S = 1.6

# From the moment when a server is killed until a tracker answers again: found dead, started, its file read, and the
# longest pause of a connection that tries again; twice that on a busy machine. Not less than the whole takes to start.
OUTAGE_S = 6.0

# After a tracker's death; a new one listens before it knows the catalogue. Not less than twice what the whole takes.
START_S = 10.0


class Row(NamedTuple):
    """What the ledger has of a bill."""

    notice: str
    advertiser: int
    campaign: int
    line_item: int
    day: int
    charge: int
    over: int
    late: int


def ledger_rows(data: Path) -> list[Row]:
    connection = sqlite3.connect(f"file:{data / 'grosz.sqlite'}?mode=ro", uri=True)
    statement = (
        "select notice, advertiser_id, campaign_id, line_item_id, day, charge_micros, over_micros, late from ledger"
    )
    try:
        return [Row._make(values) for values in connection.execute(statement)]
    finally:
        connection.close()


async def chaos(up: RunningGrosz) -> tuple[BadExchange, list[tuple[float, str]]]:
    """The exchange after its last notice was acknowledged, and when which role was killed."""
    exchange = BadExchange(up.urls["bid"], SEED)
    running = asyncio.create_task(exchange.run())
    killed: list[tuple[float, str]] = []
    async for victim, role in kills(up.family, random.Random(SEED), SECONDS, KILL_EVERY_S):
        with contextlib.suppress(ProcessLookupError):  # it has ended since it was seen
            os.kill(victim, signal.SIGKILL)
        killed.append((time.monotonic(), role))
    exchange.stop()
    await running
    return exchange, killed


async def rows_of(data: Path, acknowledged: set[str]) -> list[Row]:
    """The ledger once it has all that was acknowledged; as it is after a while if it never has."""
    for _ in range(300):
        rows = ledger_rows(data)
        if acknowledged <= {row.notice for row in rows}:
            return rows
        await asyncio.sleep(0.2)
    return ledger_rows(data)


def exceeded(rows: list[Row]) -> dict[str, int]:
    """By how many micros each limited level spent more than its budget and its late bills together."""
    limits: dict[str, int] = {}
    spent: Counter[str] = Counter()
    document = json.loads(json.dumps(small_budgets()))
    for kind, member in (("a", "advertisers"), ("c", "campaigns"), ("l", "line_items")):
        for item in document[member]:
            for name, budget in (("balance", {"spend": item.get("balance")}), ("", item.get("total_budget", {}))):
                if budget.get("spend"):
                    limits[f"{kind}{item['id']}{name}"] = micros(budget["spend"])
            if item.get("daily_budget", {}).get("spend"):
                limits[f"d{item['id']}"] = micros(item["daily_budget"]["spend"])
    for row in rows:
        counted = row.charge - row.over
        for level in (f"a{row.advertiser}balance", f"c{row.campaign}", f"l{row.line_item}"):
            spent[level] += counted
        spent[f"d{row.line_item}@{row.day}"] += counted
    over = {level: used - limits.get(level.partition("@")[0], used) for level, used in spent.items()}
    return {level: amount for level, amount in over.items() if amount > 0}


def micros(money: dict[str, str]) -> int:
    return round(float(money["amount"]) * MICROS_PER_UNIT)


@pytest.mark.timeout(240 + 3 * SECONDS)
async def test_no_crash_loses_a_bill_repeats_one_or_exceeds_a_budget(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "catalogue.json").write_text(json.dumps(small_budgets()))
    imported = grosz("catalogue", "import", str(tmp_path / "catalogue.json"), "--data", str(data))
    assert imported.returncode == 0, imported.stderr
    began = time.monotonic()
    with RunningGrosz(data, "--workers", "2", environ={"GROSZ_TRACK_WORKERS": "2"}) as up:
        started_s = time.monotonic() - began
        exchange, killed = await chaos(up)
        log.info("%s; killed %s", dict(exchange.counts), [f"{at:.1f} {role}" for at, role in killed])
        signer = TokenSigner({1: bytes.fromhex((data / "token.key").read_text())})
        billed = [notice_key(signer.verify(told.token, int(time.time()))).hex() for told in exchange.told]
        rows = await rows_of(data, set(billed))
        result = await audited(data)
    log.info("%s%d rows, %d late", result.stdout, len(rows), sum(row.late for row in rows))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert exchange.faults == []
    assert all(told.acknowledged for told in exchange.told)
    notices = Counter(row.notice for row in rows)
    assert {
        notice: (notices[notice], told.billable) for notice, told in zip(billed, exchange.told, strict=True)
        if notices[notice] != 1
    } == {}  # fmt: skip
    assert notices.keys() <= set(billed)
    assert exceeded(rows) == {}
    assert len(billed) > 100
    away = {"server": max(OUTAGE_S, started_s), "tracker": max(START_S, 2 * started_s)}
    outages = [(at, at + away[role]) for at, role in killed if role in away]
    assert [at for at in exchange.unavailable if not any(begin <= at <= end for begin, end in outages)] == []
