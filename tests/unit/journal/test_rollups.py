"""Roll-ups: whatever has been summed up, an answer is what the rows themselves add up to."""

import datetime
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from journal.archive import HOUR_MS
from journal.questions import ReportQuestion
from journal.reports import ReportReader, ReportShop
from journal.rollups import CUBES, ROLLED, RollupWriter, cube_for
from journal.rows import ANSWER, BID, BILL, CLICK, CONVERSION, NOTICE, SHOWN, JournalKind
from journal.segment import SegmentFrame
from tests.kit.journal_rows import JournalFolder, a_row

FIRST = round(datetime.datetime(2026, 11, 9, 22, tzinfo=datetime.UTC).timestamp() * 1000)
NOW = FIRST + 30 * HOUR_MS
SHOPS = {1: ReportShop("PLN", 1.0), 2: ReportShop("EUR", 4.3)}
MONTH: dict[str, Any] = {"since": datetime.date(2026, 11, 1), "until": datetime.date(2026, 11, 30)}
ALL = (
    "bids", "average_bid", "wins", "losses", "win_rate", "viewability", "minimum_to_win", "impressions", "spend",
    "saved", "clearing_price", "clicks", "invalid_clicks", "conversions", "new_buyers", "revenue", "order_value",
    "roas",
)  # fmt: skip
QUESTIONS = (
    ReportQuestion(ALL, ("day", "line_item"), **MONTH),
    ReportQuestion(ALL, ("hour", "advertiser"), timezone="Asia/Kathmandu", **MONTH),
    ReportQuestion(ALL, ("country", "device"), filters={"size": ("300x250",)}, **MONTH),
    ReportQuestion(ALL, ("product",), currency="PLN", **MONTH),
    ReportQuestion(ALL, ("exchange", "deal"), timezone="America/St_Johns", currency="EUR", totals=True, **MONTH),
    ReportQuestion(("requests",), ("reason", "day"), **MONTH),
    ReportQuestion(("spend",), ("domain",), **MONTH),
    ReportQuestion(("losses",), ("loss_code",), **MONTH),
    ReportQuestion(("bids", "clicks"), (), since=datetime.date(2026, 11, 10), until=datetime.date(2026, 11, 10)),
)


class RolledJournal:
    """Rows at random over a day and a half, in parts that come now and later."""

    def __init__(self, folder: JournalFolder) -> None:
        self.folder, self.chance, self.parts = folder, random.Random(5), 0
        self.writer = RollupWriter(folder.archive, folder.columnar)

    def more(self, count: int, hours: range = range(0, 30, 4)) -> None:
        """Bids and what came of them, a part an hour and kind."""
        rows: dict[JournalKind, list[list[object]]] = {kind: [] for kind in (*ROLLED, SHOWN)}
        for _ in range(count):
            self._bid(rows, FIRST + self.chance.choice(hours) * HOUR_MS + self.chance.randrange(HOUR_MS))
        self.parts += 1
        frames = [SegmentFrame(kind.name, kind.names, made) for kind, made in rows.items()]
        self.folder.converter.write(f"part-{self.parts}", frames)

    def _bid(self, rows: dict[JournalKind, list[list[object]]], at_ms: int) -> None:
        pick = self.chance.choice
        of_bid = {
            "bid_id": self.chance.getrandbits(40), "bid_ms": at_ms, "advertiser_id": pick((1, 2)),
            "campaign_id": 3, "line_item_id": pick((7, 8, 9)), "creative_id": pick((4, 5)),
            "exchange_id": pick((1, 2)),
        }  # fmt: skip
        cost = self.chance.randrange(1, 9_000)
        place = {"country": pick(("POL", "DEU", None)), "device_type": pick((1, 2)), "domain": pick("abc"),
                 "width": pick((300, 728)), "height": 250, "deal_id": pick(("", "d1")),
                 "products": pick((None, "shoe", "shoe\nhat"))}  # fmt: skip
        rows[BID].append(list(a_row(BID, **of_bid, **place, bid_cpm=2_000_000, reserved_micros=cost)))
        event = pick(("win", "loss", "view"))
        rows[NOTICE].append(list(a_row(NOTICE, **of_bid, bid_cpm=2_000_000, event=event, outcome="viewable",
                                       loss_code=pick(("102", "1")),
                                       minimum_to_win_cpm=pick((None, 1_500_000)))))  # fmt: skip
        rows[BILL].append(list(a_row(BILL, **of_bid, bid_cpm=2_000_000, impressions=1, entry="bill",
                                     charge_micros=cost // 2, price_cpm=7,
                                     reserved_micros=cost, currency="PLN")))  # fmt: skip
        rows[CLICK].append(list(a_row(CLICK, **of_bid, invalid=pick(("", "", "bot")), product=pick(("", "hat")))))
        if place["products"] is None and pick((True, False)):
            rows[SHOWN].append(list(a_row(SHOWN, **of_bid, products=pick(("hat", "bag\nshoe")))))
        rows[CONVERSION].append(list(a_row(
            CONVERSION, **of_bid, at_ms=at_ms + 60_000, touch_ms=at_ms + 1_000, entry="order",
            credit=pick(("click", "view", "nobody")), buyer=pick(("new", "returning")), value_micros=cost * 9,
            currency="PLN",
        )))  # fmt: skip
        rows[ANSWER].append(list(a_row(ANSWER, at_ms=at_ms, requests=3, exchange_id=1, reason=pick(("", "no_lease")))))

    def roll_up(self, hours: range) -> None:
        first = FIRST // HOUR_MS
        for kind in ROLLED:
            self.writer.roll_up(kind, [first + hour for hour in hours])

    def check(self, questions: Sequence[ReportQuestion] = QUESTIONS[:1]) -> None:
        """Each answer by roll-ups is that of the rows."""
        raw = ReportReader(self.folder.archive, self.folder.columnar, rolled=False)
        rolled = ReportReader(self.folder.archive, self.folder.columnar)
        for question in questions:
            assert rolled.answer(question, SHOPS, NOW) == raw.answer(question, SHOPS, NOW)

    def used(self, kind: JournalKind) -> tuple[int, int]:
        """Files of sums and of rows that a question by day and line item reads."""
        reader = ReportReader(self.folder.archive, self.folder.columnar)
        found = reader.rollups.covered(kind, CUBES[0], FIRST // HOUR_MS, FIRST // HOUR_MS + 40)
        return len(found.whole) + len(found.partial), len(found.rest)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[RolledJournal]:
    folder = JournalFolder(tmp_path)
    yield RolledJournal(folder)
    folder.close()


def test_an_answer_is_the_same_whatever_has_been_summed_up(journal: RolledJournal) -> None:
    journal.more(40)
    journal.roll_up(range(10))
    journal.check(QUESTIONS)
    journal.roll_up(range(5, 30))
    assert journal.used(BILL) == (3, 0)
    journal.check(QUESTIONS)


def test_what_comes_late_is_read_beside_the_sums(journal: RolledJournal) -> None:
    """Bids that come late make sums by bids invalid; clicks that come late are a tail."""
    hours = range(3)
    journal.more(12, hours)
    journal.roll_up(range(4))
    files = journal.used(CLICK)
    assert files == (2, 0)
    journal.more(12, range(1, 2))
    assert journal.used(BID) == (2, 1)
    assert journal.used(BILL)[1] >= 2  # the hour's sums were by bids that are more now
    journal.check()
    journal.roll_up(range(1, 2))
    assert journal.used(BILL) == (2, 0)
    journal.check()


def test_sums_of_parts_that_were_merged_with_later_ones_do_not_count(journal: RolledJournal) -> None:
    journal.more(10, range(1))
    journal.roll_up(range(2))
    journal.more(10, range(1))
    assert journal.folder.converter.merge(CLICK, FIRST // HOUR_MS, 0.0)
    journal.check()
    assert journal.used(CLICK)[1] >= 1


def test_sums_that_are_forgotten_are_made_again(journal: RolledJournal) -> None:
    journal.more(10, range(2))
    journal.roll_up(range(3))
    journal.writer.forget([FIRST // HOUR_MS])
    journal.check()
    assert not journal.writer.is_done(BILL, FIRST // HOUR_MS)
    journal.roll_up(range(1))
    assert journal.writer.is_done(BILL, FIRST // HOUR_MS)
    journal.check()


def test_sums_outlive_their_rows_and_go_after_their_own_time(journal: RolledJournal) -> None:
    journal.more(20, range(2))
    journal.roll_up(range(3))
    question, reader = QUESTIONS[0], ReportReader(journal.folder.archive, journal.folder.columnar)
    before = reader.answer(question, SHOPS, NOW)
    for kind in ROLLED:
        for hour in journal.folder.archive.hours(kind.name):
            journal.folder.archive.remove(kind.name, hour)
    assert reader.answer(question, SHOPS, NOW) == before
    journal.writer.drop_before(FIRST // HOUR_MS // 24 + 5)
    assert reader.answer(question, SHOPS, NOW).rows == ()
    assert journal.writer.tidy(NOW / 1000 + 10**9) > 0
    assert not list(reader.rollups.folder.glob("*/*.parquet"))


def test_a_crash_between_files_and_manifest_leaves_the_sums_as_they_were(
    journal: RolledJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.more(10, range(2))
    journal.roll_up(range(1))
    with monkeypatch.context() as patched:
        patched.setattr(RollupWriter, "_save", lambda _self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            journal.roll_up(range(1, 2))
    journal.writer = RollupWriter(journal.folder.archive, journal.folder.columnar)
    journal.check()
    journal.roll_up(range(2))
    journal.check()


def test_the_smallest_cube_is_chosen() -> None:
    assert cube_for(BID, ("day", "line_item", "currency")) == CUBES[0]
    assert cube_for(BID, ("country",)) == CUBES[1]
    assert cube_for(BILL, ("product", "line_item")) == CUBES[2]
    assert cube_for(BID, ("product", "country")) is None
    assert cube_for(NOTICE, ("loss_code",)) is None
    assert cube_for(ANSWER, ("reason",)) == CUBES[1]
