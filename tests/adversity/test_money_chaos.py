"""kill -9 of everything at random while real processes spend small budgets, an exchange reports on it badly, and
somebody asks for reports all the while.

Bidders, trackers, worker, admin and the Redis-compatible server are those of `grosz up`. After the last kill the
exchange goes on until each of its notices is acknowledged; then the books must agree: ours with the counters to the
micro, the exchange's with ours row by row, reports with both, and no budget may be exceeded by more than its late
bills. Of the reports meanwhile none may say more than was true, or less than what it calls fresh.

Three minutes where CI runs it, and some seconds elsewhere; GROSZ_TEST_LONG=1800 spends half an hour. The moments of the
kills follow from GROSZ_TEST_SEED. The figures of a run that passes are shown with `-o log_cli=true -o
log_cli_level=INFO`.
"""

import asyncio
import contextlib
import json
import logging
import math
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from admin.roles.pauses import Pauses
from core.money import MICROS_PER_UNIT
from pacing.notices.charges import notice_key
from pacing.notices.tokens import TokenSigner
from tests.kit.chaos import BadExchange, Told, audited, kills, small_budgets
from tests.kit.processes import RunningGrosz, grosz
from tests.kit.report_watch import ReportWatch, TrueBill, WatchedAnswer, report_by_command, untrue

log = logging.getLogger(__name__)

SECONDS = float(os.environ.get("GROSZ_TEST_LONG") or ("180" if os.environ.get("CI") else "12"))
# So that they are used up whatever the length; a minute of bidding without kills spends one.
BUDGETS = max(1.0, SECONDS / 60)
SEED = int(os.environ.get("GROSZ_TEST_SEED", "20261122"))
KILL_EVERY_S = 1.6

# From the moment when a killed server is started again until a tracker answers: its file read, and the longest pause
# of a connection that tries again: 3 s, and twice that on a busy machine. After a tracker's death a new one listens
# before it knows the catalogue. Not less than twice what the whole takes to start.
AWAY_S = 10.0


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


async def chaos(up: RunningGrosz, watch: ReportWatch) -> tuple[BadExchange, list[tuple[float, str]]]:
    """The exchange after its last notice was acknowledged, and when which role was killed."""
    exchange = BadExchange(up.urls["bid"], SEED)
    running = asyncio.gather(exchange.run(), watch.run())
    killed: list[tuple[float, str]] = []
    async for victim, role in kills(up.family, random.Random(SEED), SECONDS, KILL_EVERY_S):
        with contextlib.suppress(ProcessLookupError):  # it has ended since it was seen
            os.kill(victim, signal.SIGKILL)
        killed.append((time.monotonic(), role))
    exchange.stop()
    watch.stop()
    await running
    return exchange, killed


async def final_report(data: Path, last_ms: int) -> WatchedAnswer:
    """A report that has everything up to a moment in it; as it is after two minutes if it never has."""
    ends = time.monotonic() + 120
    while True:
        answer = await report_by_command(data)
        if answer.fresh_until_ms > last_ms or time.monotonic() > ends:
            return answer
        await asyncio.sleep(0.5)


def true_bills(billed: Mapping[str, Told], rows: Iterable[Row]) -> list[TrueBill]:
    """What the ledger and the exchange know of each bill."""
    return [
        TrueBill(row.line_item, row.charge, told.told_ms, told.acknowledged_ms, told.clicked_ms)
        for row in rows
        for told in [billed[row.notice]]
    ]


async def rows_of(data: Path, acknowledged: set[str]) -> list[Row]:
    """The ledger once it has all that was acknowledged; as it is after a while if it never has."""
    for _ in range(300):
        rows = ledger_rows(data)
        if acknowledged <= {row.notice for row in rows}:
            return rows
        await asyncio.sleep(0.2)
    return ledger_rows(data)


def exceeded(rows: list[Row], times: float = 1.0) -> dict[str, int]:
    """By how many micros each limited level spent more than its budget and its late bills together."""
    limits: dict[str, int] = {}
    spent: Counter[str] = Counter()
    document = json.loads(json.dumps(small_budgets(times)))
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


@pytest.mark.timeout(400 + 3 * SECONDS)
async def test_no_crash_loses_a_bill_repeats_one_exceeds_a_budget_or_makes_a_report_wrong(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "catalogue.json").write_text(json.dumps(small_budgets(BUDGETS)))
    imported = grosz("catalogue", "import", str(tmp_path / "catalogue.json"), "--data", str(data))
    assert imported.returncode == 0, imported.stderr
    began = time.monotonic()
    with RunningGrosz(data, "--workers", "2", environ={"GROSZ_TRACK_WORKERS": "2"}) as up:
        started_s = time.monotonic() - began
        watch = ReportWatch(up.urls["admin"], reading_key(data), data)
        exchange, killed = await chaos(up, watch)
        log.info("%s; killed %s", dict(exchange.counts), [f"{at:.1f} {role}" for at, role in killed])
        signer = TokenSigner({1: bytes.fromhex((data / "token.key").read_text())})
        billed = {notice_key(signer.verify(told.token, int(time.time()))).hex(): told for told in exchange.told}
        rows = await rows_of(data, set(billed))
        last = await final_report(data, max((told.acknowledged_ms for told in exchange.told), default=0))
        result = await audited(data)
    log.info("%s%d rows, %d late", result.stdout, len(rows), sum(row.late for row in rows))
    log.info("%d reports by the API (%d away), %d by command", len(watch.by_api), watch.away, len(watch.by_command))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert exchange.faults == []
    assert all(told.acknowledged for told in exchange.told)
    notices = Counter(row.notice for row in rows)
    assert len(billed) == len(exchange.told)
    assert {
        notice: (notices[notice], told.billable) for notice, told in billed.items() if notices[notice] != 1
    } == {}  # fmt: skip
    assert notices.keys() <= billed.keys()
    assert exceeded(rows, BUDGETS) == {}
    assert len(billed) > 100
    away_s = max(AWAY_S, 2 * started_s)
    outages = [outage for role in ("server", "tracker") for outage in outages_of(role, killed, away_s)]
    assert [at for at in exchange.unavailable if not any(begin <= at <= end for begin, end in outages)] == []
    assert watch.faults == []
    require_true_reports(watch, last, true_bills(billed, rows))


def outages_of(role: str, killed: Iterable[tuple[float, str]], away_s: float) -> Iterator[tuple[float, float]]:
    """When a role may be away: after each kill for the pause before it is started again, and for `away_s`.

    What dies again and again is started after pauses that grow to ten seconds. Two trackers count as one, whose pauses
    are the longer ones.
    """
    pauses, started = Pauses(), -math.inf
    for at in (at for at, name in killed if name == role):
        back = at + pauses.after(at - started)
        yield at, back + away_s
        started = back


def require_true_reports(watch: ReportWatch, last: WatchedAnswer, bills: list[TrueBill]) -> None:
    """None said more than was true, or less than what it calls fresh; the last one says all."""
    assert untrue(watch.by_api, bills) == []
    assert untrue([*watch.by_command, last], bills) == []
    assert sum(one.impressions for one in last.figures.values()) == len(bills)
    assert sum(one.spend_micros for one in last.figures.values()) == sum(bill.charge_micros for bill in bills)
    assert sum(one.clicks for one in last.figures.values()) > 0
    assert watch.by_api
    assert len(watch.by_api) + len(watch.by_command) > SECONDS / 10, "somebody asked all the while"


def reading_key(data: Path) -> str:
    made = grosz(
        "key", "create", "--set", "name=reader", "--set", 'scopes=["read"]', "--json", "--data", str(data)
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return str(json.loads(made.stdout)["secret"])
