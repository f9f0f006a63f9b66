"""Whether the journal's bills are the ledger's, to the micro."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from admin.store.ledger import SqlLedgerStore
from core.money import format_micros
from pacing.ledger.rows import stream_id_order

if TYPE_CHECKING:
    from journal.archive import Archive

_PAGE = 5_000
# The worker stores a batch of bills each second; this is several.
_BATCH_S = 4
_Sums = Mapping[tuple[int, int], tuple[int, int]]
"""(line item, day) -> (micros, impressions)."""


async def disagreements(archive: "Archive", ledger: SqlLedgerStore, advertiser_id: int) -> list[str]:
    """Where spend or impressions of a line item and day differ, in words.

    The journal is some seconds behind: what the ledger has beyond its position is counted with it. May run while the
    worker does; the journal's bills that come meanwhile are older than the position that is read after them.
    """
    faults = await _differences(archive, ledger, advertiser_id)
    if faults:  # a batch may have been between its position and its file: what is wrong is wrong still
        await asyncio.sleep(_BATCH_S)
        faults = await _differences(archive, ledger, advertiser_id)
    return faults


async def _differences(archive: "Archive", ledger: SqlLedgerStore, advertiser_id: int) -> list[str]:
    booked, in_journal = await _sums(ledger, advertiser_id, archive)
    faults = []
    for key in sorted(booked.keys() | in_journal.keys()):
        ours, theirs = in_journal.get(key, (0, 0)), booked.get(key, (0, 0))
        if ours != theirs:
            line_item, day = key
            faults.append(
                f"line item {line_item}, day {day}: the journal has {format_micros(ours[0])} of {ours[1]} impressions, "
                f"the ledger {format_micros(theirs[0])} of {theirs[1]}"
            )
    return faults


async def _sums(ledger: SqlLedgerStore, advertiser_id: int, archive: "Archive") -> tuple[_Sums, _Sums]:
    """Sums of the ledger up to the journal's position, and of the journal's bills up to there."""
    position = archive.position(f"ledger:{advertiser_id}")
    micros: Counter[tuple[int, int]] = Counter()
    impressions: Counter[tuple[int, int]] = Counter()
    last, done = "", not position
    while not done:
        rows = await ledger.rows_after(advertiser_id, last, _PAGE)
        for row in rows:
            if stream_id_order(row.stream_id) > stream_id_order(position):
                done = True
                break
            key = (row.head.line_item_id, row.head.day)
            micros[key] += row.charge_micros
            impressions[key] += row.impressions
        done = done or not rows
        last = rows[-1].stream_id if rows else last
    booked = {key: (micros[key], impressions[key]) for key in micros}
    return booked, await asyncio.to_thread(_journal, archive, advertiser_id, position)


def _journal(archive: "Archive", advertiser_id: int, position: str) -> _Sums:
    from journal.columnar import Columnar, files_sql
    from journal.rows import BILL

    files = archive.files(BILL.name, archive.hours(BILL.name))
    if not files or not position:
        return {}
    milliseconds, sequence = stream_id_order(position)
    columnar = Columnar()
    try:
        rows = columnar.ask(
            "SELECT line_item_id, day, sum(charge_micros), sum(impressions) "  # noqa: S608 - names of ours
            f"FROM {files_sql(files)} WHERE advertiser_id = ? "
            "AND (split_part(row_id, '-', 1)::BIGINT, split_part(row_id, '-', 2)::BIGINT) <= (?, ?) GROUP BY ALL",
            [advertiser_id, milliseconds, sequence],
        )
    finally:
        columnar.close()
    return {(int(line), int(day)): (int(charge), int(shown)) for line, day, charge, shown in rows}
