"""Every measure by every dimension, held against one loop over the same rows in plain Python."""

import datetime
import random
from collections.abc import Iterator
from typing import Any, Final

import pytest

from core.errors import InputError
from journal.figures import DIMENSIONS, MEASURES
from journal.questions import ReportQuestion
from journal.reports import JOINED_BYTES, ReportReader, ReportShop
from journal.rows import ANSWER, BID, BILL, CLICK, CONVERSION, KINDS, NOTICE, SHOP, JournalKind
from journal.segment import SegmentFrame
from tests.kit import naive_reports
from tests.kit.journal_rows import JournalFolder, a_row
from tests.kit.naive_reports import NaiveReport, Row

ZONE: Final = "Asia/Kolkata"
FIRST: Final = datetime.date(2026, 11, 1)
BEGINS_MS: Final = round(datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC).timestamp() * 1000) - 19_800_000
DAY_MS: Final = 86_400_000
NOW_MS: Final = BEGINS_MS + 30 * DAY_MS
SEGMENTS: Final = {1: (31, 32), 2: (33,)}
# The first and the last of the month among them; each is a file of every kind.
HOURS: Final = (0, 1, 5, 18, 23, 24, 100, 101, 500, 501, 719)
BIDS: Final = 240


class Generated:
    """Rows of a month, of two shops."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.rows: dict[str, list[Row]] = {
            kind.name: [] for kind in (ANSWER, BID, NOTICE, BILL, CLICK, CONVERSION, SHOP)
        }
        for number in range(1, BIDS + 1):
            self._bid(number)
        for _ in range(120):
            self._shop_event()

    def _add(self, kind: JournalKind, **values: Any) -> Row:  # noqa: ANN401 - columns
        row = dict(zip(kind.names, a_row(kind, **values), strict=True))
        self.rows[kind.name].append(row)
        return row

    def _bid(self, number: int) -> None:
        pick, at_ms = self.chance.choice, self._moment()
        shop = pick((1, 1, 2))
        of_bid = {
            "bid_id": number, "bid_ms": at_ms, "advertiser_id": shop, "campaign_id": 2 + shop,
            "line_item_id": pick((7, 8)), "creative_id": pick((4, 5)),
            "exchange_id": pick((1, 2)), "format": pick(("banner", "video")),
        }  # fmt: skip
        bid_cpm = self.chance.randrange(1, 9_000) * 1_000
        priced = {"bid_cpm": bid_cpm, "reserved_micros": bid_cpm // 1_000 * pick((1, 4))}
        place: dict[str, Any] = {name: pick((None, "a", "b")) for name in (
            "domain", "app", "publisher", "region", "city", "os", "browser", "deal_id", "seat",
        )}  # fmt: skip
        place |= {name: pick((None, 1, 2)) for name in ("device_type", "placement", "auction_type", "arm")}
        if number % 9:  # of some bids only what followed is known
            self._add(
                BID, **of_bid, **priced, **place, country=pick(("POL", "DEU", None)), width=pick((300, 728)), height=90,
                products=pick((None, "", "shoe", "shoe\nhat")), segments=pick((None, [31, 33], [31, 32, 99])),
                cart_micros=pick((None, 0, 50_000_000, 100_000_000, 2_000_000_000)), cart_stage=pick((None, 0, 1)),
            )  # fmt: skip
        for event in self.chance.sample(("win", "loss", "view", "start", "complete"), 3):
            self._add(
                NOTICE, **of_bid, bid_cpm=bid_cpm, event=event, outcome=pick(("viewable", "not_viewable", "counted")),
                loss_code=pick(("102", "1")), minimum_to_win_cpm=pick((None, 1_500_000)),
            )  # fmt: skip
        self._add(
            BILL, **{**of_bid, "format": ""}, **priced, impressions=pick((0, 1, 3)), currency="PLN",
            charge_micros=self.chance.randrange(9_000), price_cpm=self.chance.randrange(9) * 1_000,
            entry=pick(("bill", "bill", "correction")),
        )  # fmt: skip
        self._add(CLICK, **of_bid, invalid=pick(("", "", "bot")), product=pick((None, "", "shoe", "hat")))
        self._add(
            CONVERSION, **of_bid, at_ms=self._moment(), touch_ms=at_ms, entry=pick(("order", "order", "correction")),
            credit=pick(("click", "view", "nobody")), buyer=pick(("new", "returning", "")), currency="PLN",
            value_micros=self.chance.randrange(9_000_000), order_id=f"{number:x}",
            path=pick(("", "7 click 5", "8 view 1, 7 click 2, 8 click 4", "9 view 3")),
        )  # fmt: skip
        self._add(
            ANSWER, at_ms=self._moment(), requests=self.chance.randrange(9), exchange_id=pick((1, 2)),
            reason=pick(("", "no_lease")), country=pick(("POL", "DEU")), device_type=pick((1, 2)),
        )  # fmt: skip

    def _shop_event(self) -> None:
        pick = self.chance.choice
        self._add(
            SHOP, at_ms=self._moment(), advertiser_id=pick((1, 2)), value_micros=self.chance.randrange(9_000_000),
            event=pick(("visit", "view", "search", "cart", "cart", "purchase")), person=pick((0, 1, 2, 3)),
            currency="PLN", **{name: pick((None, "a", "b")) for name in naive_reports.OF_SHOP},
        )  # fmt: skip

    def _moment(self) -> int:
        """Within the month, whole quarters of an hour among them, so that bounds are hit."""
        quarters = self.chance.choice(HOURS) * 4 + self.chance.randrange(4)
        return BEGINS_MS + quarters * 900_000 + self.chance.choice((0, 0, 899_999, self.chance.randrange(900_000)))


@pytest.fixture(scope="module")
def generated() -> Generated:
    return Generated(7)


@pytest.fixture(scope="module", params=[JOINED_BYTES, 1], ids=["joined at once", "joined hour by hour"])
def reader(
    request: pytest.FixtureRequest, generated: Generated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReportReader]:
    folder = JournalFolder(tmp_path_factory.mktemp("journal"))
    for name, rows in generated.rows.items():
        kind = KINDS[name]
        folder.converter.write(name, [SegmentFrame(kind.name, kind.names, [list(row.values()) for row in rows])])
    yield ReportReader(folder.archive, folder.columnar, joined_bytes=request.param)
    folder.close()


def test_the_naive_report_knows_every_measure() -> None:
    assert set(naive_reports.MEASURES) == set(MEASURES)


@pytest.mark.parametrize("dimension", [name for name in DIMENSIONS if name != "currency"])
def test_every_measure_is_what_its_words_say(generated: Generated, reader: ReportReader, dimension: str) -> None:
    naive = NaiveReport(generated.rows, SEGMENTS, NOW_MS, ZONE)
    shops = {number: ReportShop("PLN", 1.0, segments) for number, segments in SEGMENTS.items()}
    expected = {measure: naive.answer(measure, dimension) for measure in MEASURES}
    told = tuple(measure for measure in MEASURES if expected[measure] is not None)
    assert told, "nothing is told by it"

    def question(*measures: str) -> ReportQuestion:
        last = FIRST + datetime.timedelta(days=29)
        return ReportQuestion(
            measures, (dimension,), since=FIRST, until=last, timezone=ZONE, currency="PLN", limit=10_000
        )  # fmt: skip

    found = reader.answer(question(*told), shops, NOW_MS)
    for at, measure in enumerate(told, 1):
        # A row of several measures is there where any of them has something.
        figures = {row[0]: row[at] for row in found.rows if row[at]}
        assert figures == {value: figure for value, figure in (expected[measure] or {}).items() if figure}, measure
    for measure in set(MEASURES) - set(told):
        with pytest.raises(InputError, match="cannot be told by"):
            reader.answer(question(measure), shops, NOW_MS)
