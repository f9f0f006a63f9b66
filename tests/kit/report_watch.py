"""Asks one report again and again while processes are killed, and holds the answers against what was true meanwhile."""

import asyncio
import contextlib
import datetime
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp

from core.money import MICROS_PER_UNIT
from tests.kit.processes import grosz

MEASURES: Final = ("impressions", "spend", "clicks", "invalid_clicks")
_REQUEST: Final = {"dimensions": ["line_item"], "measures": MEASURES}
_PAUSE_S: Final = 0.4
# The pause is longer: each question by command starts a process, which takes seconds of a busy core.
_COMMAND_PAUSE_S: Final = 5.0
_AWAY_S: Final = 60.0


class ReportFigures(NamedTuple):
    """The figures of one line item in a report."""

    impressions: int
    spend_micros: int
    clicks: int  # counted and invalid ones


NOTHING: Final = ReportFigures(0, 0, 0)


class WatchedAnswer(NamedTuple):
    """One answer; moments in unix ms. `fresh_until_ms` is 0 where nothing was stored yet."""

    answered_ms: int
    fresh_until_ms: int
    figures: Mapping[int, ReportFigures]


class TrueBill(NamedTuple):
    """A bill in the ledger, and when the exchange told of it: first, and until it was acknowledged (unix ms)."""

    line_item: int
    charge_micros: int
    told_ms: int
    acknowledged_ms: int
    clicked_ms: int  # 0: never


class ReportWatch:
    """Asks for reports by API and by command; `faults` are answers that a report must never give."""

    def __init__(self, admin_url: str, key: str, data: Path) -> None:
        self._admin_url, self._key, self._data = admin_url, key, data
        self._over = asyncio.Event()
        self.by_api: list[WatchedAnswer] = []
        self.by_command: list[WatchedAnswer] = []
        self.faults: list[str] = []
        self.away = 0  # answers that failed because the admin process was just dead

    async def run(self) -> None:
        """Ask until stopped."""
        await asyncio.gather(self._ask_by_api(), self._ask_by_command())

    def stop(self) -> None:
        self._over.set()

    async def _ask_by_api(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_AWAY_S)
        headers = {"Authorization": f"Bearer {self._key}"}
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while not self._over.is_set():
                await self._once(session)
                await asyncio.sleep(_PAUSE_S)

    async def _once(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.post(f"{self._admin_url}/v1/reports/query", json=_REQUEST) as response:
                body = await response.text()
                status = response.status
        except aiohttp.ClientError:
            self.away += 1
            return
        if status == 200:
            self.by_api.append(answer_of(json.loads(body)))
        else:
            self.faults.append(f"{status}: {body}")

    async def _ask_by_command(self) -> None:
        while not self._over.is_set():
            self.by_command.append(await report_by_command(self._data))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _COMMAND_PAUSE_S)


async def report_by_command(data: Path) -> WatchedAnswer:
    """The answer of `grosz report`."""
    chosen = [part for name in MEASURES for part in ("--measure", name)]
    done = await asyncio.to_thread(grosz, "report", "--json", "--data", str(data), "--by", "line_item", *chosen)
    assert done.returncode == 0, done.stderr
    return answer_of(json.loads(done.stdout))


def answer_of(told: Mapping[str, Any]) -> WatchedAnswer:
    """The answer of the API, as figures."""
    at = {name: number for number, name in enumerate(told["columns"])}
    figures = {
        row[at["line_item"]]: ReportFigures(
            row[at["impressions"]], round(float(row[at["spend"]]) * MICROS_PER_UNIT),
            row[at["clicks"]] + row[at["invalid_clicks"]],
        )
        for row in told["rows"]
    }  # fmt: skip
    fresh = told["fresh_until"]
    fresh_ms = round(datetime.datetime.fromisoformat(fresh).timestamp() * 1000) if fresh else 0
    return WatchedAnswer(time.time_ns() // 1_000_000, fresh_ms, figures)


def untrue(answers: Iterable[WatchedAnswer], bills: Iterable[TrueBill]) -> list[str]:
    """What successive answers said wrongly, in words.

    No figure may be higher than all that the exchange had told by then, none lower than what had been acknowledged
    before `fresh_until`, which never runs back.
    """
    true, found, fresh_ms = list(bills), [], 0
    for answer in answers:
        if answer.fresh_until_ms < fresh_ms:
            found.append(f"fresh until {answer.fresh_until_ms} after {fresh_ms}")
        fresh_ms = answer.fresh_until_ms
        least = _added_up(bill for bill in true if bill.acknowledged_ms < fresh_ms)
        most = _added_up(bill for bill in true if bill.told_ms <= answer.answered_ms)
        clicks = Counter(bill.line_item for bill in true if 0 < bill.clicked_ms <= answer.answered_ms)
        for line_item in least.keys() | answer.figures.keys():
            said, low, high = (each.get(line_item, NOTHING) for each in (answer.figures, least, most))
            if not (low[0] <= said[0] <= high[0] and low[1] <= said[1] <= high[1]):
                found.append(f"line item {line_item} at {answer.answered_ms}: {said}, not from {low} to {high}")
            if said.clicks > clicks[line_item]:
                found.append(f"line item {line_item} has {said.clicks} of {clicks[line_item]} clicks")
    return found


def _added_up(bills: Iterable[TrueBill]) -> dict[int, ReportFigures]:
    counts: Counter[int] = Counter()
    spent: Counter[int] = Counter()
    for bill in bills:
        counts[bill.line_item] += 1
        spent[bill.line_item] += bill.charge_micros
    return {line_item: ReportFigures(count, spent[line_item], 0) for line_item, count in counts.items()}
