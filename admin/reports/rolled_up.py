"""Whether reports that are made of roll-ups say what the rows say, to the micro: part of the audit."""

import asyncio
from typing import TYPE_CHECKING, Final

from core.moments import utc_day
from core.money import format_micros

if TYPE_CHECKING:
    from journal.archive import Archive
    from journal.columnar import Columnar

_DAY_MS: Final = 86_400_000
_HOUR_MS: Final = 3_600_000
# Long enough to hold what is still changing, and short enough to be read at once.
DAYS: Final = 60
_TRIES: Final = 3

_Told = dict[int, tuple[int, int, int]]
"""Line item -> impressions, micros, clicks."""


async def rollup_faults(archive: "Archive", advertiser_id: int, now_ms: int) -> list[str]:
    """Line items of which roll-ups and rows tell different impressions, spend or clicks over DAYS days, in words."""
    return await asyncio.to_thread(_faults, archive, advertiser_id, now_ms)


def _faults(archive: "Archive", advertiser_id: int, now_ms: int) -> list[str]:
    from journal.columnar import Columnar

    columnar = Columnar()
    try:
        for _ in range(_TRIES):
            before = _told(archive, columnar, advertiser_id, now_ms, rolled=False)
            sums = _told(archive, columnar, advertiser_id, now_ms, rolled=True)
            if before == _told(archive, columnar, advertiser_id, now_ms, rolled=False):
                return [] if sums == before else _differences(sums, before)
        return []  # rows came in during every try: their sums cannot be compared
    finally:
        columnar.close()


def _differences(sums: _Told, rows: _Told) -> list[str]:
    nothing = (0, 0, 0)
    return [
        f"line item {line_item}: roll-ups tell {_words(sums.get(line_item, nothing))}, "
        f"the journal's rows {_words(rows.get(line_item, nothing))}"
        for line_item in sorted(sums.keys() | rows.keys())
        if sums.get(line_item, nothing) != rows.get(line_item, nothing)
    ]


def _words(told: tuple[int, int, int]) -> str:
    return f"{format_micros(told[1])} of {told[0]} impressions and {told[2]} clicks"


def _told(archive: "Archive", columnar: "Columnar", advertiser_id: int, now_ms: int, *, rolled: bool) -> _Told:
    from journal.questions import ReportQuestion
    from journal.reports import ReportReader, ReportShop

    forgotten_ms = (archive.forgotten_before("bill") + 24) * _HOUR_MS
    first_ms = max(now_ms - DAYS * _DAY_MS, min(forgotten_ms, now_ms))
    since = utc_day(first_ms)
    question = ReportQuestion(
        ("impressions", "spend", "clicks"), ("line_item",), since=since, filters={"advertiser": (advertiser_id,)},
        limit=100_000,
    )  # fmt: skip
    reader = ReportReader(archive, columnar, rolled=rolled)
    found = reader.answer(question, {advertiser_id: ReportShop("", 1.0)}, now_ms)
    told: _Told = {}
    for line_item, _currency, impressions, micros, clicks in found.rows:
        before = told.get(line_item, (0, 0, 0))
        told[line_item] = (before[0] + impressions, before[1] + micros, before[2] + clicks)
    return told
