"""Reports over small journals that are added up by hand."""

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from journal.archive import HOUR_MS
from journal.reports import MEASURES, ReportQuestion, ReportReader, ReportShop, ReportTable
from journal.rows import ANSWER, BID, BILL, CLICK, CONVERSION, NOTICE, JournalKind
from journal.segment import SegmentFrame
from tests.kit.journal_rows import JournalFolder, a_row

SHOPS = {1: ReportShop("PLN", 1.0), 2: ReportShop("EUR", 4.0)}
DAY_MS = 24 * HOUR_MS


def moment(text: str) -> int:
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1000)


NOON = moment("2026-11-10T12:00+00:00")
MONTH = {"since": datetime.date(2026, 11, 1), "until": datetime.date(2026, 11, 30)}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalFolder]:
    folder = JournalFolder(tmp_path)
    yield folder
    folder.close()


def store(journal: JournalFolder, kind: JournalKind, *rows: Mapping[str, Any]) -> None:
    made = [list(a_row(kind, **row)) for row in rows]
    journal.converter.write(f"{kind.name}-{len(list(journal.archive.folder.rglob('*.parquet')))}",
                            [SegmentFrame(kind.name, kind.names, made)])  # fmt: skip


def ask(journal: JournalFolder, *, advertisers: Any = None, **question: Any) -> ReportTable:  # noqa: ANN401 - as a test asks
    reader = ReportReader(journal.archive, journal.columnar)
    return reader.answer(ReportQuestion(**question), SHOPS, NOON, advertisers=advertisers)


@pytest.fixture
def two_shops(journal: JournalFolder) -> JournalFolder:
    """Shop 1: three bids, two bills, a click, an order; shop 2: one bid and its bill in EUR."""
    of_1 = {"advertiser_id": 1, "line_item_id": 7, "bid_ms": NOON}
    store(
        journal, BID,
        {**of_1, "bid_id": 1, "country": "POL", "width": 300, "height": 250, "reserved_micros": 3_000},
        {**of_1, "bid_id": 2, "country": "DEU", "width": 300, "height": 250, "reserved_micros": 3_000},
        {**of_1, "bid_id": 3, "country": "POL", "width": 728, "height": 90, "reserved_micros": 6_000},
        {"bid_id": 4, "bid_ms": NOON, "advertiser_id": 2, "line_item_id": 9, "country": "POL", "reserved_micros": 500},
    )  # fmt: skip
    store(journal, NOTICE, *({**of_1, "bid_id": bid, "event": "win"} for bid in (1, 2)),
          {**of_1, "bid_id": 3, "event": "loss", "loss_code": "102"})  # fmt: skip
    bill = {"impressions": 1, "currency": "PLN", "entry": "bill"}
    store(
        journal, BILL,
        {**of_1, **bill, "bid_id": 1, "charge_micros": 2_000, "reserved_micros": 3_000},
        {**of_1, **bill, "bid_id": 2, "charge_micros": 1_501, "reserved_micros": 3_000},
        {**bill, "bid_id": 4, "bid_ms": NOON, "advertiser_id": 2, "line_item_id": 9, "charge_micros": 333,
         "reserved_micros": 500, "currency": "EUR"},
    )  # fmt: skip
    store(journal, CLICK, {**of_1, "bid_id": 1, "at_ms": NOON + 5_000, "invalid": ""},
          {**of_1, "bid_id": 2, "at_ms": NOON + 5_000, "invalid": "bot"})  # fmt: skip
    store(
        journal, CONVERSION,
        {**of_1, "bid_id": 1, "at_ms": NOON + HOUR_MS, "credit": "click", "entry": "order", "value_micros": 7_002,
         "currency": "PLN"},
        {"advertiser_id": 1, "at_ms": NOON + HOUR_MS, "credit": "nobody", "entry": "order", "value_micros": 50,
         "currency": "PLN"},
    )  # fmt: skip
    store(journal, ANSWER, {"at_ms": NOON, "requests": 4}, {"at_ms": NOON, "requests": 6, "reason": "no_lease"})
    return journal


def test_a_shop_is_added_up(two_shops: JournalFolder) -> None:
    measures = (
        "bids", "wins", "win_rate", "impressions", "clicks", "invalid_clicks", "ctr", "conversions", "orders", "spend",
        "revenue", "ecpm", "cpc", "cpa", "cost_of_order", "roas", "saved", "average_bid",
    )  # fmt: skip
    found = ask(two_shops, measures=measures, dimensions=("advertiser",), **MONTH)
    assert found.columns == ("advertiser", "currency", *measures)
    assert found.rows[0] == (
        1, "PLN", 3, 2, 2 / 3, 2, 1, 1, 0.5, 1, 2, 3_501, 7_002, 1_750_500, 3_501, 3_501, 1_750, 2.0, 2_499, 4_000_000,
    )  # fmt: skip
    assert found.rows[1][:4] == (2, "EUR", 1, 0)


def test_what_a_bill_does_not_say_is_looked_up_in_its_bid(two_shops: JournalFolder) -> None:
    found = ask(two_shops, measures=("bids", "spend"), dimensions=("country",), filters={"advertiser": (1,)}, **MONTH)
    assert found.rows == (("DEU", "PLN", 1, 1_501), ("POL", "PLN", 2, 2_000))
    found = ask(two_shops, measures=("impressions",), dimensions=("size",), filters={"advertiser": ("1",)}, **MONTH)
    assert found.rows == (("300x250", 2),)


def test_money_is_converted_when_a_currency_is_asked_for(two_shops: JournalFolder) -> None:
    found = ask(two_shops, measures=("spend",), currency="PLN", **MONTH)
    assert found.rows == ((3_501 + 4 * 333,),)


def test_requests_are_told_by_reason_and_not_by_advertiser(two_shops: JournalFolder) -> None:
    found = ask(two_shops, measures=("requests",), dimensions=("reason",), sort="-requests", **MONTH)
    assert found.rows == (("no_lease", 6), ("", 4))
    with pytest.raises(InputError, match="requests cannot be told by advertiser"):
        ask(two_shops, measures=("requests",), dimensions=("advertiser",), **MONTH)


def test_a_restricted_caller_sees_its_own_and_no_requests(two_shops: JournalFolder) -> None:
    own = ask(two_shops, measures=("bids", "spend", "orders"), dimensions=("advertiser",), advertisers=[2], **MONTH)
    assert [row[0] for row in own.rows] == [2]
    of_another = {"advertiser": (1,)}
    foreign = ask(
        two_shops, measures=("bids",), dimensions=("advertiser",), advertisers=[2], filters=of_another, **MONTH
    )  # fmt: skip
    assert foreign.rows == ()
    assert ask(two_shops, measures=("bids",), dimensions=("advertiser",), advertisers=[], **MONTH).rows == ()
    with pytest.raises(InputError, match="not an advertiser's"):
        ask(two_shops, measures=("requests",), advertisers=[2], **MONTH)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_can_be_asked_for_alone_and_of_nothing(journal: JournalFolder, measure: str) -> None:
    found = ask(journal, measures=(measure,), **MONTH)
    assert found.rows == ()


@pytest.mark.parametrize(
    ("zone", "since", "hours"),
    [
        ("Europe/Warsaw", datetime.date(2026, 10, 25), 25),
        ("Europe/Warsaw", datetime.date(2026, 3, 29), 23),
        ("Asia/Kolkata", datetime.date(2026, 10, 25), 24),
        ("UTC", datetime.date(2026, 10, 25), 24),
    ],
)
def test_days_are_those_of_the_time_zone(journal: JournalFolder, zone: str, since: datetime.date, hours: int) -> None:
    """One bid each quarter of an hour over four days: the day has as many as it has hours, each hour has four."""
    start = moment(f"{since}T00:00+00:00") - 2 * DAY_MS
    bids = [{"bid_id": n, "bid_ms": start + n * 900_000, "advertiser_id": 1} for n in range(5 * 96)]
    store(journal, BID, *bids)
    question = {"measures": ("bids",), "timezone": zone, "since": since, "until": since}
    assert ask(journal, dimensions=("day",), **question).rows == ((since.isoformat(), 4 * hours),)
    by_hour = ask(journal, dimensions=("hour",), **question).rows
    assert len(by_hour) == hours
    assert {row[1] for row in by_hour} == {4}


def test_weeks_begin_on_monday(journal: JournalFolder) -> None:
    sunday, monday = moment("2026-11-08T23:30+00:00"), moment("2026-11-09T00:30+00:00")
    store(journal, BID, {"bid_id": 1, "bid_ms": sunday, "advertiser_id": 1}, {"bid_id": 2, "bid_ms": monday})
    found = ask(journal, measures=("bids",), dimensions=("week", "month"), **MONTH)
    assert found.rows == (("2026-11-02", "2026-11", 1), ("2026-11-09", "2026-11", 1))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ({"measures": ("spent",)}, "there is no measure 'spent'"),
        ({"measures": ("bids",), "dimensions": ("colour",)}, "there is no dimension 'colour'"),
        ({"measures": ("bids",), "filters": {"day": ("2026-11-01",)}}, "there is no filter 'day'"),
        ({"measures": ("bids",), "timezone": "Mars/Olympus"}, "is no time zone"),
        ({"measures": ("bids",), "timezone": "../../etc/passwd"}, "is no time zone"),
        ({"measures": ("bids",), "sort": "spend"}, "is no column"),
        ({"measures": ("bids",), "limit": 0}, "is not between"),
        ({"measures": ()}, "at least one measure"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    journal: JournalFolder, question: dict[str, object], text: str
) -> None:
    with pytest.raises(InputError) as error:
        ask(journal, **question)
    assert text in str(error.value)


def test_values_of_filters_are_no_sql(two_shops: JournalFolder) -> None:
    evil = ("POL') OR 1=1 --", "'; DROP TABLE shops; --")
    assert ask(two_shops, measures=("bids",), filters={"country": evil}, **MONTH).rows == ((0,),)
