"""Whether the journal's bills are the ledger's, to the micro."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from admin.store.ledger import SqlLedgerStore
from core.money import format_micros
from pacing.ledger.rows import stream_id_order

if TYPE_CHECKING:
    from journal.archive import Archive

# Zones are up to 14 hours ahead of UTC, in which the journal's hours are.
_ZONE_HOURS = 14
_Sums = Mapping[tuple[int, int], tuple[int, int]]
"""(line item, day) -> (micros, impressions)."""


class JournalAgreement(NamedTuple):
    """What came of holding the journal's bills against the ledger's rows."""

    faults: list[str]
    """Where spend or impressions of a line item and day differ, in words."""
    until_ms: int
    """When the newest bill was booked that both have; 0 where the journal has none."""
    newer: int
    """Rows of the ledger's store that the journal has yet to take: nothing is said of them."""


async def agreement(archive: "Archive", ledger: SqlLedgerStore, advertiser_id: int) -> JournalAgreement:
    """Compare spend and impressions by line item and day.

    The journal is some seconds behind: the ledger is counted up to the journal's position. May run while the worker
    does: a row is in the ledger before the journal takes it, and in a file before the position says so. Days of which
    either no longer keeps every row are left out.
    """
    position = archive.position(f"ledger:{advertiser_id}")
    newer = await ledger.count_after(advertiser_id, position)
    if not position:
        return JournalAgreement([], 0, newer)
    booked = await ledger.booked_until(advertiser_id, position)
    in_journal = await asyncio.to_thread(_journal, archive, advertiser_id, position)
    archived = await ledger.archived_days(advertiser_id)
    first_day = _first_whole_day(archive.forgotten_before("bill"))
    faults = []
    for line_item, day in sorted(booked.keys() | in_journal.keys()):
        ours, theirs = in_journal.get((line_item, day), (0, 0)), booked.get((line_item, day), (0, 0))
        if ours != theirs and day >= first_day and (line_item, day) not in archived:
            faults.append(
                f"line item {line_item}, day {day}: the journal has {format_micros(ours[0])} of {ours[1]} impressions, "
                f"the ledger {format_micros(theirs[0])} of {theirs[1]}"
            )
    return JournalAgreement(faults, stream_id_order(position)[0], newer)


def _first_whole_day(hour: int) -> int:
    """The first day that begins, in every time zone, at or after `hour`; both are counted from 1970. 0 for hour 0."""
    return -(-(hour + _ZONE_HOURS) // 24) if hour else 0


def _journal(archive: "Archive", advertiser_id: int, position: str) -> _Sums:
    from journal.columnar import Columnar, files_sql
    from journal.rows import BILL

    files = archive.files(BILL.name, archive.hours(BILL.name))
    if not files:
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
