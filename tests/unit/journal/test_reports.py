"""Reports over small journals that are added up by hand."""

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from journal.archive import HOUR_MS
from journal.figures import DIMENSIONS, MEASURES, TIMES
from journal.questions import FIRST_DAY, LAST_DAY, ReportQuestion
from journal.reports import ReportReader, ReportShop, ReportTable
from journal.rows import ANSWER, BID, BILL, CLICK, CONVERSION, NOTICE, SHOP, SHOWN, JournalKind
from journal.segment import SegmentFrame
from tests.kit.journal_rows import JournalFolder, a_row

SHOPS = {1: ReportShop("PLN", 1.0, (31, 32)), 2: ReportShop("EUR", 4.0, (33,))}
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


def test_what_was_billed_was_won_at_an_exchange_without_win_notices(journal: JournalFolder) -> None:
    """Exchange 1 tells of wins and bills some of them, exchange 2 only bills, once twelve impressions."""
    own = {"advertiser_id": 1, "line_item_id": 7, "bid_ms": NOON}
    of_exchange = {1: range(4), 2: range(4, 12)}
    store(journal, BID, *(
        {**own, "exchange_id": exchange, "bid_id": bid} for exchange, bids in of_exchange.items() for bid in bids
    ))  # fmt: skip
    store(journal, NOTICE, *({**own, "exchange_id": 1, "bid_id": bid, "event": "win"} for bid in range(3)))
    bill = {**own, "entry": "bill", "bid_cpm": 1_000, "price_cpm": 900, "currency": "PLN"}
    store(
        journal, BILL, {**bill, "exchange_id": 1, "bid_id": 0, "impressions": 1},
        {**bill, "exchange_id": 2, "bid_id": 4, "impressions": 12},
        {**bill, "exchange_id": 2, "bid_id": 5, "impressions": 1},
        {**own, "exchange_id": 2, "entry": "correction", "impressions": 0, "currency": "PLN"},
    )  # fmt: skip
    found = ask(journal, measures=("wins", "win_rate"), dimensions=("exchange",), totals=True, **MONTH)
    assert found.rows == ((1, 3, 3 / 4), (2, 0, 2 / 8))
    assert found.totals == ((None, 3, 3 / 12),)  # three wins were told, three bids were billed: at least so many won


def test_what_a_bill_does_not_say_is_looked_up_in_its_bid(two_shops: JournalFolder) -> None:
    found = ask(two_shops, measures=("bids", "spend"), dimensions=("country",), filters={"advertiser": (1,)}, **MONTH)
    assert found.rows == (("DEU", "PLN", 1, 1_501), ("POL", "PLN", 2, 2_000))
    found = ask(two_shops, measures=("impressions",), dimensions=("size",), filters={"advertiser": ("1",)}, **MONTH)
    assert found.rows == (("300x250", 2),)


def test_hours_that_are_joined_one_by_one_add_up_to_the_same(two_shops: JournalFolder) -> None:
    later = {"advertiser_id": 1, "line_item_id": 7, "bid_ms": NOON + HOUR_MS}
    store(two_shops, BID, {**later, "bid_id": 5, "country": "POL"})
    store(two_shops, BILL, {**later, "bid_id": 5, "impressions": 2, "charge_micros": 11, "currency": "PLN"})
    asked = ReportQuestion(
        ("impressions", "spend", "wins", "clicks", "revenue"), ("country",), filters={"country": ("POL",)}, totals=True
    )

    def answer(joined_bytes: int) -> ReportTable:
        reader = ReportReader(two_shops.archive, two_shops.columnar, joined_bytes=joined_bytes)
        return reader.answer(asked, SHOPS, NOON, advertisers=[1])

    assert answer(1).rows == (("POL", "PLN", 3, 2_011, 1, 1, 7_002),)
    assert answer(1) == answer(1 << 30)
    assert two_shops.columnar.ask("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'kept%'") == []


def test_money_is_converted_when_a_currency_is_asked_for(two_shops: JournalFolder) -> None:
    found = ask(two_shops, measures=("spend",), currency="PLN", **MONTH)
    assert found.rows == ((3_501 + 4 * 333,),)


def test_requests_are_told_by_reason_and_not_by_advertiser(two_shops: JournalFolder) -> None:
    found = ask(two_shops, measures=("requests",), dimensions=("reason",), sort="-requests", **MONTH)
    assert found.rows == (("no_lease", 6), ("", 4))
    with pytest.raises(InputError, match="requests cannot be told by advertiser") as refused:
        ask(two_shops, measures=("requests",), dimensions=("advertiser",), **MONTH)
    (fault,) = refused.value.faults
    assert (fault.code, fault.parts) == ("not_split", {"measure": "requests", "dimension": "advertiser"})


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


def test_a_bid_counts_for_each_product_and_each_segment_of_its_own_shop(journal: JournalFolder) -> None:
    of_1 = {"advertiser_id": 1, "bid_ms": NOON}
    store(
        journal, BID,
        {**of_1, "bid_id": 1, "products": "shoe\nhat", "segments": [31, 33]},
        {**of_1, "bid_id": 2, "products": "shoe", "segments": [31, 32]},
        {**of_1, "bid_id": 3, "products": None, "segments": None},
    )  # fmt: skip
    store(journal, BILL, {**of_1, "bid_id": 1, "charge_micros": 5, "impressions": 1, "currency": "PLN"})
    found = ask(journal, measures=("bids", "spend"), dimensions=("product",), **MONTH)
    assert found.rows == (("", "PLN", 1, 0), ("hat", "PLN", 1, 5), ("shoe", "PLN", 2, 5))
    assert ask(journal, measures=("bids",), dimensions=("segment",), **MONTH).rows == ((31, 2), (32, 1), (None, 1))
    of_shoe = {"product": ("shoe",)}
    found = ask(journal, measures=("bids",), dimensions=("segment",), filters=of_shoe, **MONTH)
    assert found.rows == ((31, 2), (32, 1))


def test_a_product_is_told_whether_it_was_in_the_bid_or_chosen_when_the_ad_was_loaded(journal: JournalFolder) -> None:
    of_1 = {"advertiser_id": 1, "bid_ms": NOON}
    bill = {**of_1, "impressions": 1, "charge_micros": 5, "currency": "PLN", "entry": "bill"}
    store(journal, BID, {**of_1, "bid_id": 1, "products": "shoe\nhat"}, {**of_1, "bid_id": 2, "products": None},
          {**of_1, "bid_id": 3, "products": None})  # fmt: skip
    store(journal, SHOWN, {**of_1, "bid_id": 2, "products": "hat\nbag"}, {**of_1, "bid_id": 2, "products": "hat"})
    store(journal, BILL, *({**bill, "bid_id": bid} for bid in (1, 2, 3)))
    store(journal, CLICK, {**of_1, "bid_id": 1, "product": "hat"}, {**of_1, "bid_id": 2, "product": "bag"},
          {**of_1, "bid_id": 2, "product": ""}, {**of_1, "bid_id": 9, "product": "gone"})  # fmt: skip
    store(journal, CONVERSION, {**of_1, "bid_id": 2, "at_ms": NOON + HOUR_MS, "credit": "click", "entry": "order",
                                "value_micros": 70, "currency": "PLN"})  # fmt: skip
    measures = ("bids", "impressions", "spend", "clicks", "conversions")
    found = ask(journal, measures=measures, dimensions=("product",), **MONTH)
    assert {row[0]: row[2:] for row in found.rows} == {
        "": (2, 1, 5, 1, 0), "shoe": (1, 1, 5, 0, 0), "hat": (1, 2, 10, 1, 1), "bag": (0, 1, 5, 1, 1),
        "gone": (0, 0, 0, 1, 0),
    }  # fmt: skip


def test_clicks_of_before_there_were_products_are_read(journal: JournalFolder) -> None:
    names = tuple(name for name in CLICK.names if name != "product")
    row = dict(zip(CLICK.names, a_row(CLICK, advertiser_id=1, bid_ms=NOON), strict=True))
    frame = SegmentFrame(CLICK.name, names, [[row[name] for name in names]])
    journal.converter.write("click-old", [frame])
    found = ask(journal, measures=("clicks",), dimensions=("product",), **MONTH)
    assert found.rows == (("", 1),)


def test_what_came_of_bids_whose_rows_are_missing_is_told_by_nothing(journal: JournalFolder) -> None:
    store(journal, CLICK, {"advertiser_id": 1, "bid_ms": NOON, "bid_id": 1})
    for dimension in ("country", "format", "size", "product", "segment", "cart_tier"):
        found = ask(journal, measures=("clicks",), dimensions=(dimension,), **MONTH)
        assert found.rows == ((None if dimension == "segment" else "", 1),)


def test_carts_are_told_by_tiers_of_their_value(journal: JournalFolder) -> None:
    carts = [(0, 0), (0, 1), (99_000_000, 1), (100_000_000, 2), (999_000_000, 2), (1_000_000_000, 2)]
    bids = [
        {"bid_id": at, "bid_ms": NOON, "advertiser_id": 1, "cart_micros": micros, "cart_stage": stage}
        for at, (micros, stage) in enumerate(carts)
    ]
    store(journal, BID, *bids)
    found = ask(journal, measures=("bids",), dimensions=("cart_tier",), **MONTH)
    assert dict(found.rows) == {"none": 1, "0-100": 2, "100-300": 1, "300-1000": 1, "1000+": 1}


def test_a_shop_is_told_by_what_its_visitors_do(journal: JournalFolder) -> None:
    """Ann leaves a cart of two products; Bob buys his after midnight; of nobody each cart is a new one."""
    ann, bob, hour = {"person": 5, "source": "ads"}, {"person": 6, "source": "search"}, HOUR_MS
    late = moment("2026-11-08T23:50+00:00")
    store(
        journal, SHOP,
        *({"advertiser_id": 1, **row} for row in (
            {**ann, "event": "visit", "at_ms": NOON - 90 * hour},
            {**ann, "event": "view", "at_ms": NOON - 90 * hour + 1},
            {**ann, "event": "cart", "at_ms": NOON - 89 * hour, "value_micros": 100},
            {**ann, "event": "cart", "at_ms": NOON - 88 * hour, "value_micros": 20},
            {**ann, "event": "search", "at_ms": NOON - 88 * hour, "phrase": "=red shoe"},
            {**bob, "event": "visit", "at_ms": late},
            {**bob, "event": "cart", "at_ms": late, "value_micros": 300},
            {**bob, "event": "purchase", "at_ms": late + hour, "value_micros": 310},
            {"person": 0, "event": "cart", "at_ms": NOON - 80 * hour, "value_micros": 1},
            {**ann, "event": "cart", "at_ms": NOON - hour, "value_micros": 7},
        )),
    )  # fmt: skip
    measures = ("visits", "product_views", "carts", "abandoned_carts", "abandoned_value", "purchases", "sales")
    found = ask(journal, measures=measures, dimensions=("source",), **MONTH)
    assert found.rows == (
        ("", "PLN", 0, 0, 1, 0, 0, 0, 0),
        ("ads", "PLN", 1, 1, 2, 1, 120, 0, 0),
        ("search", "PLN", 1, 0, 1, 0, 0, 1, 310),
    )
    eighth = {"since": datetime.date(2026, 11, 8), "until": datetime.date(2026, 11, 8)}
    evening = ask(journal, measures=("carts", "abandoned_carts"), filters={"source": ("search",)}, **eighth)
    assert evening.rows == ((1, 0),)
    assert ask(journal, measures=("searches",), dimensions=("phrase",), **MONTH).rows == (("=red shoe", 1),)
    with pytest.raises(InputError, match="visits cannot be told by device"):
        ask(journal, measures=("visits",), dimensions=("device",), **MONTH)


def test_a_cart_of_several_days_is_worth_the_same_whichever_days_are_asked_for(journal: JournalFolder) -> None:
    """Something is put in every twenty hours, four times; the whole is left on the fourth."""
    begins = moment("2026-11-01T12:00+00:00")
    put = {"advertiser_id": 1, "person": 5, "event": "cart", "value_micros": 100}
    store(journal, SHOP, *({**put, "at_ms": begins + n * 20 * HOUR_MS} for n in range(4)))
    question = {"measures": ("abandoned_carts", "abandoned_value"), "dimensions": ("day",)}
    fourth = datetime.date(2026, 11, 4)
    for since in (datetime.date(2026, 11, 1), fourth):
        assert ask(journal, **question, since=since, until=fourth).rows == (("2026-11-04", "PLN", 1, 400),)


def test_prices_of_notices_are_told_in_the_advertisers_currency(journal: JournalFolder) -> None:
    """An auction in EUR, an advertiser in PLN, 4 PLN for 1 EUR: a bid of 2 EUR CPM reserves 0.008 PLN."""
    of_1 = {"advertiser_id": 1, "bid_ms": NOON, "bid_id": 1, "bid_cpm": 2_000_000}
    store(journal, BID, {**of_1, "reserved_micros": 8_000})
    store(journal, NOTICE, {**of_1, "event": "loss", "minimum_to_win_cpm": 2_500_000},
          {**of_1, "event": "loss", "minimum_to_win_cpm": None})  # fmt: skip
    store(journal, BILL, {**of_1, "reserved_micros": 8_000, "price_cpm": 1_500_000, "entry": "bill", "impressions": 1,
                          "currency": "PLN", "charge_micros": 6_000})  # fmt: skip
    found = ask(journal, measures=("minimum_to_win", "clearing_price", "ecpm", "average_bid"), **MONTH)
    assert found.rows == (("PLN", 10_000_000, 6_000_000, 6_000_000, 8_000_000),)


def test_views_and_plays_are_counted(journal: JournalFolder) -> None:
    of_1 = {"advertiser_id": 1, "bid_ms": NOON}
    told = [("view", "viewable"), ("view", "viewable"), ("view", "not_viewable"), ("view", "view_unknown"),
            ("start", ""), ("start", ""), ("complete", "")]  # fmt: skip
    store(journal, NOTICE, *({**of_1, "bid_id": at, "event": event, "outcome": outcome}
                             for at, (event, outcome) in enumerate(told)))  # fmt: skip
    measures = ("viewable", "not_viewable", "viewability", "starts", "completions", "completion_rate")
    assert ask(journal, measures=measures, **MONTH).rows == ((2, 1, 2 / 3, 2, 1, 0.5),)


def test_buyers_are_new_or_returning(journal: JournalFolder) -> None:
    order = {"advertiser_id": 1, "at_ms": NOON, "entry": "order", "credit": "click"}
    store(journal, CONVERSION, {**order, "buyer": "new"}, {**order, "buyer": "returning"},
          {**order, "buyer": "returning"}, {**order, "buyer": "new", "credit": "nobody"})  # fmt: skip
    assert ask(journal, measures=("new_buyers", "returning_buyers"), **MONTH).rows == ((1, 2),)
    assert ask(journal, measures=("orders",), dimensions=("buyer",), **MONTH).rows == (("new", 2), ("returning", 2))


def test_line_items_before_the_credited_one_have_assisted(journal: JournalFolder) -> None:
    order = {"advertiser_id": 1, "at_ms": NOON, "entry": "order", "currency": "PLN", "value_micros": 100}
    store(
        journal, CONVERSION,
        {**order, "credit": "click", "line_item_id": 7, "path": "8 view 1, 8 click 2, 9 view 3, 7 click 4"},
        {**order, "credit": "view", "line_item_id": 8, "path": "8 view 1"},
        {**order, "credit": "nobody", "line_item_id": 0, "path": ""},
        {**order, "credit": "click", "line_item_id": 7, "path": "8 view 1, 7 click 4", "entry": "correction"},
    )  # fmt: skip
    measures = ("conversions", "assisted_conversions", "assisted_revenue")
    found = ask(journal, measures=measures, dimensions=("line_item",), **MONTH)
    assert found.rows == ((7, "PLN", 1, 0, 0), (8, "PLN", 1, 1, 100), (9, "PLN", 0, 1, 100))
    with pytest.raises(InputError, match="assisted_conversions cannot be told by creative"):
        ask(journal, measures=measures, dimensions=("creative",), **MONTH)


def test_the_ways_to_orders_are_told_without_their_moments(journal: JournalFolder) -> None:
    order = {
        "advertiser_id": 1, "line_item_id": 7, "at_ms": NOON, "entry": "order", "credit": "click", "value_micros": 100,
    }  # fmt: skip
    way = "8 view 1, 7 click 2"
    store(
        journal, CONVERSION,
        {**order, "order_id": "a", "path": way}, {**order, "order_id": "b", "path": way.replace("1", "9")},
        {**order, "order_id": "c", "path": "7 click 5"}, {**order, "order_id": "d", "path": "", "credit": "nobody"},
        {**order, "order_id": "e", "path": None}, {**order, "order_id": "a2", "path": way, "entry": "correction"},
    )  # fmt: skip
    by_path = ask(journal, measures=("orders", "order_value"), dimensions=("path",), currency="PLN", **MONTH).rows
    assert by_path == (("", 2, 200), ("7 click", 1, 100), ("8 view > 7 click", 2, 300))
    (one,) = ask(journal, measures=("orders",), dimensions=("order", "path"), filters={"order": ("a",)}, **MONTH).rows
    assert one == ("a", "8 view > 7 click", 1)
    assert ask(journal, measures=("assisted_conversions",), dimensions=("line_item", "path"), **MONTH).rows == (
        (8, "8 view > 7 click", 2),
    )


def test_a_restricted_caller_sees_of_every_dimension_its_own_alone(two_shops: JournalFolder) -> None:
    """What a restricted caller is answered is what the advertiser's filter answers to all, whatever it is told by."""
    for dimension in DIMENSIONS:
        for measure in ("bids", "spend", "orders", "clicks"):
            try:
                own = ask(two_shops, measures=(measure,), dimensions=(dimension,), advertisers=[2], **MONTH)
            except InputError:
                continue
            only = {"advertiser": (2,)}
            assert own.rows == ask(two_shops, measures=(measure,), dimensions=(dimension,), filters=only, **MONTH).rows


def test_a_pivot_turns_values_into_columns(two_shops: JournalFolder) -> None:
    question = {"measures": ("bids", "spend"), "dimensions": ("line_item",), "pivot": "country", **MONTH}
    found = ask(two_shops, totals=True, sort="-bids:POL", **question)
    assert found.columns == ("line_item", "currency", "bids:DEU", "spend:DEU", "bids:POL", "spend:POL")
    assert found.rows == ((7, "PLN", 1, 1_501, 2, 2_000), (9, "EUR", None, None, 1, 333))
    assert found.totals == ((None, "EUR", None, None, 1, 333), (None, "PLN", 1, 1_501, 2, 2_000))
    assert [str(form) for form in found.forms] == ["id", "text", "count", "money", "count", "money"]
    assert ask(two_shops, limit=1, **question).row_count == 2


def test_a_pivot_of_too_many_values_is_refused(journal: JournalFolder) -> None:
    store(journal, BID, *({"bid_id": at, "bid_ms": NOON, "advertiser_id": 1, "domain": f"{at}.example"}
                          for at in range(60)))  # fmt: skip
    with pytest.raises(InputError, match="60 values"):
        ask(journal, measures=("bids",), pivot="domain", **MONTH)


def test_totals_are_of_the_whole_and_not_of_the_rows_that_are_shown(two_shops: JournalFolder) -> None:
    found = ask(two_shops, measures=("bids", "ctr"), dimensions=("country",), limit=1, totals=True, **MONTH)
    assert (len(found.rows), found.row_count) == (1, 2)
    assert found.totals == ((None, 4, 1 / 3),)


def test_every_dimension_can_be_asked_for(two_shops: JournalFolder) -> None:
    """The sums of the whole are those of the rows of each dimension by which a measure is told."""
    refused = set()
    for measure in ("bids", "spend", "orders", "losses", "requests"):
        (whole,) = ask(two_shops, measures=(measure,), currency="PLN", **MONTH).rows
        for dimension in DIMENSIONS:
            try:
                found = ask(two_shops, measures=(measure,), dimensions=(dimension,), currency="PLN", **MONTH)
            except InputError:
                refused.add((measure, dimension))
                continue
            assert sum(row[-1] for row in found.rows) == whole[-1], (measure, dimension)
    assert not any(dimension in TIMES for _measure, dimension in refused)
    assert {dimension for measure, dimension in refused if measure == "bids"} == {
        "reason", "loss_code", "invalid", "credit", "buyer", "order", "path", "source", "phrase", "category",
    }  # fmt: skip


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


@pytest.mark.parametrize(
    ("zone", "day", "twice"),
    [
        ("Europe/Warsaw", "2026-10-25", ["T02+02:00", "T02+01:00"]),
        ("America/New_York", "2026-11-01", ["T01-04:00", "T01-05:00"]),
        ("Atlantic/Azores", "2026-10-25", ["T00+00:00", "T00-01:00"]),
    ],
)
def test_an_hour_that_comes_twice_is_told_in_its_order(
    journal: JournalFolder, zone: str, day: str, twice: list[str]
) -> None:
    start, since = moment(f"{day}T00:00+00:00"), datetime.date.fromisoformat(day)
    store(journal, BID, *({"bid_id": n, "bid_ms": start + (n - 4) * HOUR_MS, "advertiser_id": 1} for n in range(16)))
    question = {"measures": ("bids",), "timezone": zone, "since": since, "until": since}
    for more in ({}, {"sort": "hour"}, {"pivot": "format"}, {"pivot": "format", "sort": "hour"}):
        rows = ask(journal, dimensions=("hour",), **question, **more).rows
        assert [row[0][10:] for row in rows if row[0][10:] in twice] == twice
    columns = ask(journal, pivot="hour", **question).columns
    assert [column[15:] for column in columns if column[15:] in twice] == twice


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
        ({"measures": ("bids",), "dimensions": ("day",), "pivot": "day"}, "is a dimension already"),
        ({"measures": ("bids",), "pivot": "colour"}, "there is no dimension 'colour'"),
        ({"measures": ("bids",), "pivot": "country", "sort": "spend:POL"}, "is no column"),
        ({"measures": ("told_prices",)}, "there is no measure 'told_prices'"),
        ({"measures": ("bids", "bids")}, "/measures/1: 'bids' is there already"),
        ({"measures": ("bids",), "dimensions": ("day", "hour", "day")}, "/dimensions/2: 'day' is there already"),
        ({"measures": ("bids",), "until": datetime.date.max}, "/until: is not between"),
        ({"measures": ("bids",), "until": datetime.date(1, 1, 3)}, "/until: is not between"),
        ({"measures": ("bids",), "since": datetime.date.min, "until": datetime.date.min}, "/since: is not between"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    journal: JournalFolder, question: dict[str, object], text: str
) -> None:
    with pytest.raises(InputError) as error:
        ask(journal, **question)
    assert text in str(error.value)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
@pytest.mark.parametrize("day", [FIRST_DAY, LAST_DAY])
def test_the_first_and_the_last_day_can_be_asked_for(journal: JournalFolder, day: datetime.date, zone: str) -> None:
    store(journal, BID, {"bid_id": 1, "bid_ms": NOON, "advertiser_id": 1})
    asked = {"measures": ("bids",), "dimensions": ("hour", "day", "week", "month"), "timezone": zone}
    assert ask(journal, since=day, until=day, **asked).rows == ()
    alone = ask(journal, until=day, **asked)
    assert alone.rows == ()
    assert alone.until_ms - alone.since_ms == 7 * DAY_MS


def test_values_of_filters_are_no_sql(two_shops: JournalFolder) -> None:
    evil = ("POL') OR 1=1 --", "'; DROP TABLE shops; --")
    assert ask(two_shops, measures=("bids",), filters={"country": evil}, **MONTH).rows == ((0,),)


def test_a_kind_of_rows_that_has_no_files_counts_nothing(journal: JournalFolder) -> None:
    """Before the first click there are no files of clicks, and no columns of theirs."""
    bill = {"bid_id": 1, "bid_ms": NOON, "advertiser_id": 1, "impressions": 1, "entry": "bill"}
    store(journal, BILL, bill)
    table = ask(journal, dimensions=("advertiser",), measures=("impressions", "clicks", "roas"))
    assert [row[-3:] for row in table.rows] == [(1, 0, None)]
