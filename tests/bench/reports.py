"""Seconds that reports take over a month of made-up rows, of roll-ups and of the rows, and what time zones cost.

`scripts/bench reports [--rows 10000000] [--full]` makes 1,440 Parquet files and their roll-ups in a temporary folder
and prints the best of three of each question. `--full` is 100 million rows, and the limits are of it: by day and line
item 0.3 s of roll-ups and 6 s of rows, any time zone at most 1.3 times what UTC takes (ratios are of interleaved runs).
"""

import argparse
import datetime
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from journal.archive import HOUR_MS, Archive
from journal.columnar import Columnar, files_sql
from journal.questions import ReportQuestion
from journal.reports import ReportReader, ReportShop
from journal.rollups import RollupWriter
from journal.rows import BID, BILL, JournalKind

DAYS = 30
FIRST = datetime.date(2026, 11, 1)
SHOPS = 20
LINE_ITEMS = 400
ZONES = ("UTC", "Europe/Warsaw", "Asia/Kolkata", "America/St_Johns")
BY_LINE = ReportQuestion(("impressions", "spend"), ("day", "line_item"), limit=100_000)
QUESTIONS = {
    "day, line item; impressions, spend": BY_LINE,
    "day; bids": ReportQuestion(("bids",), ("day",)),
    "country, size; bids": ReportQuestion(("bids",), ("country", "size")),
    "country; spend (bills looked up in their bids)": ReportQuestion(("spend",), ("country",)),
    "domain; bids (rows alone)": ReportQuestion(("bids",), ("domain",), sort="-bids", limit=100),
}

# Of the columns that matter here; others are empty, as in files of a release before.
_BID = f"""
SELECT hash({{start}} + i)::UBIGINT AS bid_id, {{start}} + (i * 7919) % {HOUR_MS} AS bid_ms,
       (1 + line % {SHOPS})::UINTEGER AS advertiser_id, line::UINTEGER AS line_item_id, 1::UINTEGER AS exchange_id,
       (line // 4)::UINTEGER AS campaign_id, line::UINTEGER AS creative_id, 0 AS share, 'shoe' || (i % 50) AS products,
       NULL::BIGINT AS cart_micros, NULL::INTEGER AS cart_stage, 0 AS arm, 1 AS auction_type,
       2000000::BIGINT AS bid_cpm,
       ['POL', 'DEU', 'CZE'][1 + i % 3] AS country, 300 AS width, 250 AS height, 'banner' AS format,
       (1000 + i % 700)::BIGINT AS reserved_micros, 'PLN' AS currency, 'news' || (i % 5000) AS domain,
       NULL::VARCHAR AS app, NULL::VARCHAR AS publisher, NULL::VARCHAR AS region, NULL::VARCHAR AS city,
       (1 + i % 4)::INTEGER AS device_type, 'android' AS os, 'chrome' AS browser, '' AS deal_id, 'grosz' AS seat,
       NULL::INTEGER AS placement
FROM (SELECT i, (hash(i) % {LINE_ITEMS})::INTEGER AS line FROM range({{count}}) t(i))
ORDER BY advertiser_id, line_item_id
"""
_BILL = """
SELECT bid_id, bid_ms, advertiser_id, line_item_id, exchange_id, campaign_id, creative_id, format, bid_cpm,
       1500000::BIGINT AS price_cpm, (reserved_micros * 8) // 10 AS charge_micros,
       reserved_micros, 1::BIGINT AS impressions, 'PLN' AS currency, 'bill' AS entry
FROM read_parquet('{bids}') WHERE bid_id % 5 = 0
"""


def make(archive: Archive, columnar: Columnar, rows: int) -> int:
    """A month of bids, a fifth of them billed; bytes of the files."""
    hours = DAYS * 24
    first = round(datetime.datetime.combine(FIRST, datetime.time(), datetime.UTC).timestamp()) // 3_600
    size = 0
    for hour in range(first, first + hours):
        bids = _place(archive, BID, hour)
        columnar.copy(_BID.format(start=hour * HOUR_MS, count=rows // hours), bids)
        bills = _place(archive, BILL, hour)
        columnar.copy(_BILL.format(bids=bids), bills)
        size += bids.stat().st_size + bills.stat().st_size
    return size


def _place(archive: Archive, kind: JournalKind, hour: int) -> Path:
    path = archive.path_for(kind.name, hour, "bench")
    path.parent.mkdir(parents=True)
    return path


def measure(reader: ReportReader, questions: Sequence[ReportQuestion], runs: int = 3) -> list[tuple[float, int]]:
    """Seconds of the best run of each question, which take turns, and rows of the answer."""
    shops = {number: ReportShop("PLN", 1.0) for number in range(1, SHOPS + 1)}
    best = [(float("inf"), 0)] * len(questions)
    for _ in range(runs):
        for at, question in enumerate(questions):
            started = time.perf_counter()
            rows = len(reader.answer(question, shops, 0).rows)
            best[at] = min(best[at], (time.perf_counter() - started, rows))
    return best


def roll_up(archive: Archive, columnar: Columnar) -> float:
    """Sum up everything; seconds."""
    started, writer = time.perf_counter(), RollupWriter(archive, columnar)
    for kind in (BID, BILL):
        writer.roll_up(kind, archive.hours(kind.name))
    return time.perf_counter() - started


def check(archive: Archive, columnar: Columnar, month: Mapping[str, Any]) -> None:
    """Sums and rows must say the same, and together what the bills say. Raises AssertionError."""
    files = files_sql(archive.files(BILL.name, archive.hours(BILL.name)))
    (booked,) = columnar.ask(f"SELECT sum(charge_micros)::BIGINT FROM {files}")
    shops = {number: ReportShop("PLN", 1.0) for number in range(1, SHOPS + 1)}
    asked = ReportQuestion(("spend",), ("country",), totals=True, **month)
    rolled, rows = (ReportReader(archive, columnar, rolled=rolled).answer(asked, shops, 0) for rolled in (True, False))
    assert rolled == rows, f"{rolled} of roll-ups, {rows} of rows"
    assert rows.totals[0][-1] == sum(row[-1] for row in rows.rows) == booked[0], f"{rows} and {booked[0]} booked"


def ask_all(archive: Archive, columnar: Columnar) -> None:
    """Ask everything of roll-ups and of rows, and the same month in several time zones."""
    until = FIRST + datetime.timedelta(days=DAYS - 1)
    month: dict[str, Any] = {"since": FIRST, "until": until}
    check(archive, columnar, month)
    for rolled in (True, False):
        reader, of = ReportReader(archive, columnar, rolled=rolled), "roll-ups" if rolled else "rows"
        for name, question in QUESTIONS.items():
            ((seconds, count),) = measure(reader, [msgspec.structs.replace(question, **month)])
            print(f"{of:<9} {name:<50} {seconds:6.2f} s, {count} rows")
        zoned = [msgspec.structs.replace(BY_LINE, timezone=zone, **month) for zone in ZONES]
        utc, *others = measure(reader, zoned, runs=5)
        ratios = ", ".join(f"{zone} {one[0] / utc[0]:.2f}" for zone, one in zip(ZONES[1:], others, strict=True))
        print(f"{of:<9} day, line item in other zones, by UTC: {ratios}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the rows, sum them up, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--full", action="store_true", help="100 million rows")
    given = parser.parse_args(arguments)
    rows = 100_000_000 if given.full else given.rows
    folder = Path(tempfile.mkdtemp(prefix="grosz-reports-"))
    try:
        archive, columnar = Archive(folder), Columnar(spill=folder / "spill")
        size = make(archive, columnar, rows)
        print(f"{rows:,} bids and a fifth as many bills: {size / 2**20:,.0f} MiB")
        print(f"summed up in {roll_up(archive, columnar):.0f} s")
        ask_all(archive, columnar)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
