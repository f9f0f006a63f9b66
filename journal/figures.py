"""The dimensions and measures of reports, and how each is read of a row.

A measure is a sum over the rows of one kind, or a ratio of sums. What a notice, bill, click or order does not say
itself (country, device, size, deal, products) is looked up in the row of its bid: `e` is the row, `b` its bid.
"""

import datetime
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from journal.people import DAY_MS, PERIOD_DAYS
from journal.rows import ANSWER, BID, BILL, CLICK, CONVERSION, NOTICE, SHOP, JournalKind

# Zones change their offset at a quarter of an hour at the latest, and lie whole quarters from UTC: so a quarter lies in
# one hour, day, week and month of any zone, and looking it up costs no arithmetic with time zones for each row.
QUARTER_MS: Final = 900_000

_TIMES: Final[Mapping[str, Callable[[datetime.datetime], str]]] = {
    "hour": lambda at: at.isoformat(timespec="minutes")[:13] + at.isoformat(timespec="minutes")[16:],
    "day": lambda at: at.date().isoformat(),
    "week": lambda at: (at.date() - datetime.timedelta(days=at.weekday())).isoformat(),
    "month": lambda at: at.strftime("%Y-%m"),
}
TIMES: Final = tuple(_TIMES)

IDS: Final = ("advertiser", "campaign", "line_item", "creative", "exchange")
# Bounds of the tiers of an abandoned cart's value, in whole units of the advertiser's currency.
CART_BOUNDS: Final = (100, 300, 1_000)
_MICROS: Final = 1_000_000
# A cart counts as left when nothing followed for a day (docs/reports.md).
CART_GAP_MS: Final = 86_400_000
# What is put in a day later belongs to the same cart, and so on; nobody has the same pseudonym for longer.
LONGEST_CART_MS: Final = PERIOD_DAYS * DAY_MS


def _tier_sql() -> str:
    below = "".join(
        f" WHEN cart_micros < {upper * _MICROS} THEN '{lower}-{upper}'"
        for lower, upper in zip((0, *CART_BOUNDS), CART_BOUNDS, strict=False)
    )
    return (
        "CASE WHEN cart_micros IS NULL THEN '' WHEN cart_micros <= 0 AND coalesce(cart_stage, 0) = 0 THEN 'none'"
        f"{below} ELSE '{CART_BOUNDS[-1]}+' END"
    )


# What a bid's own row has. A bid with several products or segments has a row for each (`bid_source`).
_OF_BID: Final[Mapping[str, str]] = {
    "format": "format", "domain": "domain", "app": "app", "publisher": "publisher", "country": "country",
    "region": "region", "city": "city", "device": "device_type", "os": "os", "browser": "browser", "deal": "deal_id",
    "seat": "seat", "placement": "placement", "arm": "arm", "auction": "auction_type",
    "size": "width || 'x' || height", "cart_tier": _tier_sql(),
}  # fmt: skip
_SEVERAL: Final = ("product", "segment")
# What was seen and clicked before an order, without the moments: `8 view > 7 click`; empty where it was erased.
_PATH: Final = (
    "coalesce(array_to_string(list_transform(string_split(e.path, ', '), "
    "lambda x: trim(concat_ws(' ', split_part(x, ' ', 1), split_part(x, ' ', 2)))), ' > '), '')"
)
_OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "answer": {
        "exchange": "e.exchange_id", "country": "coalesce(e.country, '')", "reason": "e.reason",
        "device": "coalesce(e.device_type::VARCHAR, '')",
    },
    "notice": {"loss_code": "e.loss_code"},
    "click": {"invalid": "e.invalid", "product": "coalesce(e.product, '')"},
    "conversion": {
        "credit": "e.credit", "buyer": "coalesce(e.buyer, '')", "order": "coalesce(e.order_id, '')", "path": _PATH,
    },
    "assist": {
        "advertiser": "e.advertiser_id", "line_item": "e.line_item_id", "credit": "e.credit",
        "buyer": "coalesce(e.buyer, '')", "order": "coalesce(e.order_id, '')", "path": _PATH,
        "currency": "coalesce(e.currency, s.c1, '')",
    },
    "shop": {
        "advertiser": "e.advertiser_id", "currency": "coalesce(s.c1, '')",
        **{name: f"coalesce(e.{name}, '')" for name in (
            "source", "phrase", "category", "product", "country", "region",
        )},
    },
}  # fmt: skip
_ONE_KIND: Final = frozenset((
    "reason", "loss_code", "invalid", "credit", "buyer", "order", "path", "source", "phrase", "category",
))  # fmt: skip
DIMENSIONS: Final = (
    *TIMES, *IDS, *_OF_BID, *_SEVERAL, "reason", "loss_code", "invalid", "credit", "buyer", "order", "path", "source",
    "phrase", "category", "currency",
)  # fmt: skip


ASSIST: Final = CONVERSION._replace(name="assist")
"""Orders again, once for each line item that the buyer saw or clicked before and that is not the credited one."""


class ReportMeasure(NamedTuple):
    """A sum over one kind of rows. `money`: micros of the advertiser's currency. `of_bid`: it needs the bid's row."""

    kind: JournalKind
    sql: str
    money: bool = False
    of_bid: bool = False


def _order(where: str) -> ReportMeasure:
    return ReportMeasure(CONVERSION, f"count(*) FILTER (e.entry = 'order'{where})")


# Prices in notices are in the auction's currency: the bid tells the rate to the advertiser's.
_LEAST: Final = "e.minimum_to_win_cpm * (b.reserved_micros * 1000.0 / nullif(b.bid_cpm, 0))"
_PRICE: Final = "e.price_cpm * (e.reserved_micros * 1000.0 / nullif(e.bid_cpm, 0))"

SUMS: Final[Mapping[str, ReportMeasure]] = {
    "requests": ReportMeasure(ANSWER, "sum(e.requests)"),
    "bids": ReportMeasure(BID, "count(*)"),
    "bid_cost": ReportMeasure(BID, "sum(e.reserved_micros)", money=True),
    "wins": ReportMeasure(NOTICE, "count(*) FILTER (e.event = 'win')"),
    "losses": ReportMeasure(NOTICE, "count(*) FILTER (e.event = 'loss')"),
    "viewable": ReportMeasure(NOTICE, "count(*) FILTER (e.event = 'view' AND e.outcome = 'viewable')"),
    "not_viewable": ReportMeasure(NOTICE, "count(*) FILTER (e.event = 'view' AND e.outcome = 'not_viewable')"),
    "starts": ReportMeasure(NOTICE, "count(*) FILTER (e.event = 'start')"),
    "completions": ReportMeasure(NOTICE, "count(*) FILTER (e.event = 'complete')"),
    "told_minimums": ReportMeasure(NOTICE, f"count({_LEAST})", of_bid=True),
    "told_minimum_cpm": ReportMeasure(NOTICE, f"sum(round({_LEAST})::BIGINT)", money=True, of_bid=True),
    "impressions": ReportMeasure(BILL, "sum(e.impressions)"),
    "spend": ReportMeasure(BILL, "sum(e.charge_micros)", money=True),
    "reserved": ReportMeasure(BILL, "sum(e.reserved_micros) FILTER (e.entry = 'bill')", money=True),
    "told_prices": ReportMeasure(BILL, f"count({_PRICE}) FILTER (e.entry = 'bill')"),
    "told_price_cpm": ReportMeasure(BILL, f"sum(round({_PRICE})::BIGINT) FILTER (e.entry = 'bill')", money=True),
    "clicks": ReportMeasure(CLICK, "count(*) FILTER (e.invalid = '')"),
    "invalid_clicks": ReportMeasure(CLICK, "count(*) FILTER (e.invalid <> '')"),
    "orders": _order(""),
    "click_conversions": _order(" AND e.credit = 'click'"),
    "view_conversions": _order(" AND e.credit = 'view'"),
    "new_buyers": _order(" AND e.credit <> 'nobody' AND e.buyer = 'new'"),
    "returning_buyers": _order(" AND e.credit <> 'nobody' AND e.buyer = 'returning'"),
    "revenue": ReportMeasure(CONVERSION, "sum(e.value_micros) FILTER (e.credit <> 'nobody')", money=True),
    "order_value": ReportMeasure(CONVERSION, "sum(e.value_micros)", money=True),
    "assisted_conversions": ReportMeasure(ASSIST, "count(*)"),
    "assisted_revenue": ReportMeasure(ASSIST, "sum(e.value_micros)", money=True),
    "visits": ReportMeasure(SHOP, "count(*) FILTER (e.event = 'visit')"),
    "product_views": ReportMeasure(SHOP, "count(*) FILTER (e.event = 'view')"),
    "searches": ReportMeasure(SHOP, "count(*) FILTER (e.event = 'search')"),
    "carts": ReportMeasure(SHOP, "count(*) FILTER (e.begins)"),
    "abandoned_carts": ReportMeasure(SHOP, "count(*) FILTER (e.abandoned)"),
    "abandoned_value": ReportMeasure(SHOP, "sum(e.cart_value) FILTER (e.abandoned)", money=True),
    "purchases": ReportMeasure(SHOP, "count(*) FILTER (e.event = 'purchase')"),
    "sales": ReportMeasure(SHOP, "sum(e.value_micros) FILTER (e.event = 'purchase')", money=True),
}
# Sums that only ratios use.
_HIDDEN: Final = frozenset(("told_minimums", "told_minimum_cpm", "told_prices", "told_price_cpm"))


class Ratio(NamedTuple):
    """A measure made of sums: those of `above`, added up, times `factor`, divided by those of `below`.

    Where the sum `at_least` is more than those of `above`, it is divided instead of them.
    """

    above: tuple[str, ...]
    below: tuple[str, ...]
    factor: int = 1
    money: bool = False
    at_least: str = ""


RATIOS: Final[Mapping[str, Ratio]] = {
    # What was billed was won, also at an exchange that sends no win notices. Every bill tells a price, so these count
    # bills; one bill out of home may be of many impressions.
    "win_rate": Ratio(("wins",), ("bids",), at_least="told_prices"),
    "viewability": Ratio(("viewable",), ("viewable", "not_viewable")),
    "completion_rate": Ratio(("completions",), ("starts",)),
    "ctr": Ratio(("clicks",), ("impressions",)),
    "conversion_rate": Ratio(("click_conversions", "view_conversions"), ("clicks",)),
    "ecpm": Ratio(("spend",), ("impressions",), 1_000, money=True),
    "average_bid": Ratio(("bid_cost",), ("bids",), 1_000, money=True),
    "clearing_price": Ratio(("told_price_cpm",), ("told_prices",), money=True),
    "minimum_to_win": Ratio(("told_minimum_cpm",), ("told_minimums",), money=True),
    "cpc": Ratio(("spend",), ("clicks",), money=True),
    "cpa": Ratio(("spend",), ("click_conversions", "view_conversions"), money=True),
    "cost_of_order": Ratio(("spend",), ("orders",), money=True),
    "average_order": Ratio(("revenue",), ("click_conversions", "view_conversions"), money=True),
    "roas": Ratio(("revenue",), ("spend",)),
    "purchase_rate": Ratio(("purchases",), ("visits",)),
    "abandonment_rate": Ratio(("abandoned_carts",), ("carts",)),
}
# Measures that add up and subtract sums: (the added ones, the subtracted ones).
TOTALS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "conversions": (("click_conversions", "view_conversions"), ()),
    "saved": (("reserved",), ("spend",)),
}
MEASURES: Final = (*(name for name in SUMS if name not in _HIDDEN), *TOTALS, *RATIOS)


class ColumnForm(enum.StrEnum):
    """How a column of a report is to be read."""

    TEXT = "text"
    ID = "id"  # of an object of the catalogue
    COUNT = "count"
    MONEY = "money"  # micros of the row's currency
    RATIO = "ratio"


def sums_of(measure: str) -> tuple[str, ...]:
    """The sums that a measure is worked out from."""
    if measure in RATIOS:
        ratio = RATIOS[measure]
        return tuple(dict.fromkeys((*ratio.above, *ratio.below, *((ratio.at_least,) if ratio.at_least else ()))))
    if measure in TOTALS:
        return (*TOTALS[measure][0], *TOTALS[measure][1])
    return (measure,)


def form_of(column: str) -> ColumnForm:
    """How a dimension or measure is to be read."""
    if column in IDS:
        return ColumnForm.ID
    if column not in MEASURES:
        return ColumnForm.TEXT
    if column in RATIOS:
        return ColumnForm.MONEY if RATIOS[column].money else ColumnForm.RATIO
    return ColumnForm.MONEY if SUMS[sums_of(column)[0]].money else ColumnForm.COUNT


def measure_sql(measure: str) -> str:
    """SQL for the measure, from columns with its sums."""

    def added(names: Sequence[str]) -> str:
        return " + ".join(f'"{name}"' for name in names)

    if measure in TOTALS:
        plus, minus = TOTALS[measure]
        return f"{added(plus)} - ({added(minus)})" if minus else added(plus)
    ratio = RATIOS.get(measure)
    if ratio is None:
        return f'"{measure}"'
    above = f'greatest({added(ratio.above)}, "{ratio.at_least}")' if ratio.at_least else f"({added(ratio.above)})"
    value = f"{above}::DOUBLE * {ratio.factor} / nullif({added(ratio.below)}, 0)"
    return f"round_even({value}, 0)::BIGINT" if ratio.money else value


def expression(name: str, kind: JournalKind) -> str | None:
    """SQL for a dimension, other than a time, of a row of one kind; None where the kind has no such dimension.

    It may read `s`, the table of advertisers, whose column c1 is the currency.
    """
    own = _OWN.get(kind.name, {}).get(name)
    if own is not None:
        return own
    if kind in (ANSWER, ASSIST, SHOP) or name in _ONE_KIND:
        return None
    if name == "currency":
        return "coalesce(e.currency, s.c1, '')" if kind in (BILL, CONVERSION) else "coalesce(s.c1, '')"
    if name in IDS:
        return f"e.{name}_id"
    if name == "format" and kind not in (BID, BILL):
        return "coalesce(nullif(e.format, ''), b.format, '')"
    row = "e" if kind is BID else "b"
    return f"{row}.{name}" if name == "segment" else f"coalesce({row}.{name}::VARCHAR, '')"


def click_source(rows: str) -> str:
    """SQL for clicks; those of a release before have no product."""
    return f"(SELECT * FROM {rows} UNION ALL BY NAME SELECT NULL::VARCHAR AS product WHERE false)"  # noqa: S608 - ours


def bid_source(rows: str, names: Sequence[str], *, whole: bool, shown: str = "") -> str:
    """SQL for bids with these dimensions as columns of their names; `whole`: with all other columns as well.

    `rows` is an SQL table of bids, "" where there are none; `shown` is one of what ads showed that were filled when
    they were loaded (the kind `shown`). A bid with several products or segments is there once for each. Segments are
    the advertiser's own, by the table `owners` (advertiser, ids): people are in segments of other shops too.
    """
    computed = [f'{sql} AS "{name}"' for name, sql in _OF_BID.items() if name in names and not (whole and sql == name)]
    several = [name for name in _SEVERAL if name in names]
    if not rows:
        numbers = ("bid_id", "bid_cpm", "reserved_micros", *(name for name in several if name == "segment"))
        texts = [name for name in names if name in _OF_BID or name == "product"]
        nothing = [
            *(f'NULL::BIGINT AS "{name}"' for name in numbers),
            *(f'NULL::VARCHAR AS "{name}"' for name in texts),
        ]
        return f"(SELECT {', '.join(nothing)} WHERE false)"
    if not computed and not several and whole:
        return rows
    if "product" in several:
        if shown:
            loaded = f"(SELECT bid_id, string_agg(products, chr(10)) AS products FROM {shown} GROUP BY bid_id)"  # noqa: S608 - as below
            rows = (
                "(SELECT r.* REPLACE (coalesce(w.products, r.products) AS products) "  # noqa: S608 - as below
                f"FROM {rows} r LEFT JOIN {loaded} w ON w.bid_id = r.bid_id)"
            )
        split = "list_distinct(string_split(coalesce(products, ''), chr(10)))"
        rows = f"(SELECT *, unnest({split}) AS product FROM {rows})"  # noqa: S608 - names of ours
    if "segment" in several:
        rows = (
            "(SELECT *, unnest(CASE WHEN len(own) > 0 THEN own ELSE [NULL::UINTEGER] END) AS segment FROM "  # noqa: S608 - as above
            f"(SELECT y.*, list_intersect(y.segments, o.c1) AS own FROM {rows} y "
            "LEFT JOIN owners o ON o.c0 = y.advertiser_id))"
        )
    chosen = ["*"] if whole else ["bid_id", "bid_cpm", "reserved_micros", *several]
    return f"(SELECT {', '.join((*chosen, *computed))} FROM {rows})"  # noqa: S608 - as above


def assist_source(rows: str) -> str:
    """SQL for orders, once for each line item in the path before them except the credited one."""
    touched = (
        "list_distinct(list_transform(string_split(path, ', '), lambda x: try_cast(split_part(x, ' ', 1) AS UINTEGER)))"
    )
    return (
        "(SELECT * REPLACE (unnest(list_filter("  # noqa: S608 - names of ours
        f"{touched}, lambda x: x <> line_item_id)) AS line_item_id) FROM {rows} WHERE entry = 'order' AND path <> '')"
    )


def shop_source(rows: str, since_ms: int, known_ms: int) -> str:
    """SQL for shop events from `since_ms`; where a cart begins, also whether it was left, and its value up to there.

    A cart is what one person puts in within a day of each other and before buying, from whenever `rows` begin. It was
    left if nothing followed for a day, as far as is known at `known_ms` (unix ms). Each event without a known person
    begins a cart.
    """
    gap, mine = CART_GAP_MS, "PARTITION BY advertiser_id, person, event IN ('cart', 'purchase') ORDER BY at_ms, event"
    seen = (
        f"SELECT *, lag(event) OVER w AS before, lag(at_ms) OVER w AS before_ms, lead(at_ms) OVER w AS after_ms "  # noqa: S608 - names of ours
        f"FROM {rows} WHERE at_ms >= {since_ms} OR event IN ('cart', 'purchase') WINDOW w AS ({mine})"
    )
    begun = (
        "SELECT *, event = 'cart' AND "  # noqa: S608 - as above
        f"(person = 0 OR before IS NULL OR before = 'purchase' OR at_ms - before_ms > {gap}) "
        f"AS begins, event = 'cart' AND person <> 0 AND coalesce(after_ms, {known_ms}) - at_ms > {gap} AS abandoned "
        f"FROM ({seen})"
    )
    numbered = f"SELECT *, sum(begins::INTEGER) OVER ({mine}) AS cart FROM ({begun})"  # noqa: S608 - as above
    worth = (
        "sum(value_micros) FILTER (event = 'cart') OVER "
        "(PARTITION BY advertiser_id, person, event IN ('cart', 'purchase'), cart ORDER BY at_ms, event)"
    )
    return f"(SELECT *, {worth} AS cart_value FROM ({numbered}))"  # noqa: S608 - as above


def in_order(name: str, column: str) -> str:
    """SQL that sorts by `column`, which has the values of `name`: hours by when they were, not by their offset."""
    return f'("{column}"[:13] || \':00\' || "{column}"[14:])::TIMESTAMPTZ' if name == "hour" else f'"{column}"'


def place_in_order(name: str, value: Any) -> Any:  # noqa: ANN401 - of any column
    """What sorts values of a column `name` as `in_order` does."""
    return datetime.datetime.fromisoformat(f"{value[:13]}:00{value[13:]}") if name == "hour" else value


def label_of(time: str, quarter: int, zone: datetime.tzinfo) -> str:
    """The hour, day, week or month that a quarter of an hour since 1970 lies in."""
    return _TIMES[time](datetime.datetime.fromtimestamp(quarter * QUARTER_MS / 1000, zone))
