"""Seconds that reports take over a month of made-up rows: by day and line item, by size, in a time zone.

`python -m tests.bench.reports [--rows 10000000] [--full]` makes 1,440 Parquet files in a temporary folder and prints
the best of three of each question. `--full` is 100 million rows.
"""

import argparse
import datetime
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from journal.archive import HOUR_MS, Archive
from journal.columnar import Columnar
from journal.reports import ReportQuestion, ReportReader, ReportShop
from journal.rows import BID, BILL, JournalKind

DAYS = 30
FIRST = datetime.date(2026, 11, 1)
SHOPS = 20
LINE_ITEMS = 400
QUESTIONS = {
    "day, line item; impressions, spend": ReportQuestion(("impressions", "spend"), ("day", "line_item"), limit=100_000),
    "the same in Europe/Warsaw": ReportQuestion(
        ("impressions", "spend"), ("day", "line_item"), timezone="Europe/Warsaw", limit=100_000
    ),
    "day; bids": ReportQuestion(("bids",), ("day",)),
    "country, size; bids": ReportQuestion(("bids",), ("country", "size")),
    "country; spend (bills looked up in their bids)": ReportQuestion(("spend",), ("country",)),
}

# Of the columns that matter here; others are empty, as in files of a release before.
_BID = f"""
SELECT (hash(i) % 1000000000000)::UBIGINT AS bid_id, {{start}} + (i * 7919) % {HOUR_MS} AS bid_ms,
       (1 + line % {SHOPS})::UINTEGER AS advertiser_id, line::UINTEGER AS line_item_id, 1::UINTEGER AS exchange_id,
       ['POL', 'DEU', 'CZE'][1 + i % 3] AS country, 300 AS width, 250 AS height, 'banner' AS format,
       (1000 + i % 700)::BIGINT AS reserved_micros, 'PLN' AS currency, 'news' || (i % 5000) AS domain,
       NULL::VARCHAR AS app, NULL::VARCHAR AS publisher, NULL::VARCHAR AS region, NULL::VARCHAR AS city,
       (1 + i % 4)::INTEGER AS device_type, 'android' AS os, 'chrome' AS browser, '' AS deal_id, 'grosz' AS seat,
       NULL::INTEGER AS placement
FROM (SELECT i, (hash(i) % {LINE_ITEMS})::INTEGER AS line FROM range({{count}}) t(i))
ORDER BY advertiser_id, line_item_id
"""
_BILL = """
SELECT bid_id, bid_ms, advertiser_id, line_item_id, exchange_id, (reserved_micros * 8) // 10 AS charge_micros,
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


def measure(reader: ReportReader, question: ReportQuestion, runs: int = 3) -> tuple[float, int]:
    """Seconds of the best run, and rows of the answer."""
    shops = {number: ReportShop("PLN", 1.0) for number in range(1, SHOPS + 1)}
    best, rows = float("inf"), 0
    for _ in range(runs):
        started = time.perf_counter()
        rows = len(reader.answer(question, shops, 0).rows)
        best = min(best, time.perf_counter() - started)
    return best, rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the rows, ask, print."""
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
        reader = ReportReader(archive, columnar)
        until = FIRST + datetime.timedelta(days=DAYS - 1)
        for name, question in QUESTIONS.items():
            asked = ReportQuestion(
                question.measures, question.dimensions, FIRST, until, question.timezone, limit=question.limit
            )
            seconds, count = measure(reader, asked)
            print(f"{name:<50} {seconds:6.2f} s, {count} rows")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
