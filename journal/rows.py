"""What the journal's rows hold: one table of kinds and their columns (docs/journal.md has them row by row).

A row travels as its values in the order of the columns. The names travel once, in the head of each file: a reader takes
what it knows by name, so a column may be added at the end of a kind and is empty in what was written before. A column
whose meaning changes is a new column. Money is integer micros, prices are CPM micros.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

FORMAT_VERSION: Final = 1
"""Of the segment files; docs/journal.md says what each version looked like."""


class Column(NamedTuple):
    """One value of a row. `sql` is its type in Parquet, in DuckDB's words."""

    name: str
    sql: str
    about: str


class JournalKind(NamedTuple):
    """One kind of row.

    `hour_of` is the column (milliseconds since 1970) whose UTC hour the row is filed under. `droppable`: rows that are
    left out, and counted, rather than fill the disk. `personal`: columns that are emptied when a person is erased.
    """

    name: str
    number: int  # in segment files; never given to something else
    columns: tuple[Column, ...]
    hour_of: str
    droppable: bool
    personal: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names in order."""
        return tuple(column.name for column in self.columns)


_ID, _MICROS, _MOMENT, _TEXT, _SMALL = "UINTEGER", "BIGINT", "BIGINT", "VARCHAR", "INTEGER"

# What every row about a bid begins with.
_OF_BID: Final = (
    Column("bid_id", "UBIGINT", "the nonce of the bid's token: joins a bid with its notices, bills and clicks"),
    Column("bid_ms", _MOMENT, "when the bid was made, unix milliseconds (whole seconds where a token says it)"),
    Column("advertiser_id", _ID, "advertiser"),
    Column("campaign_id", _ID, "campaign"),
    Column("line_item_id", _ID, "line item"),
    Column("share", _SMALL, "budget share of the line item, counted from 1; 0 for its general budget"),
    Column("creative_id", _ID, "creative"),
    Column("exchange_id", _ID, "exchange"),
    Column("format", _TEXT, "banner, native, video, audio; empty where a token of a release before did not say"),
)

BID: Final = JournalKind(
    "bid",
    1,
    (
        *_OF_BID,
        Column("request_id", _TEXT, "the exchange's id of the bid request, its first 64 characters"),
        Column("impression_id", _TEXT, "the exchange's id of the impression, its first 64 characters"),
        Column("seat", _TEXT, "seat that bid"),
        Column("domain", _TEXT, "domain of the site, without www"),
        Column("app", _TEXT, "bundle or store id of the app"),
        Column("publisher", _TEXT, "the exchange's id of the publisher"),
        Column("country", _TEXT, "ISO 3166-1 alpha-3"),
        Column("region", _TEXT, "region as the exchange sends it"),
        Column("city", _TEXT, "city as the exchange sends it"),
        Column("device_type", _SMALL, "AdCOM device type"),
        Column("os", _TEXT, "family of the operating system"),
        Column("browser", _TEXT, "family of the browser"),
        Column("utc_offset_minutes", _SMALL, "of the user, where the request says it"),
        Column("placement", _SMALL, "AdCOM placement position"),
        Column("width", _SMALL, "of the creative, pixels; 0 where it has no size"),
        Column("height", _SMALL, "of the creative, pixels; 0 where it has no size"),
        Column("deal_id", _TEXT, "deal that the bid is on"),
        Column("products", _TEXT, "the shop's ids of the products that the ad shows, one a line"),
        Column("currency", _TEXT, "of the auction and its prices"),
        Column("floor_cpm", _MICROS, "floor that the bid had to meet"),
        Column("value_cpm", _MICROS, "what the impression was worth bidding, before shading"),
        Column("shading", _SMALL, "the bid as a part of its value, in ten-thousandths"),
        Column("bid_cpm", _MICROS, "the bid"),
        Column("auction_type", _SMALL, "1 first price, 2 second price, 3 fixed price"),
        Column("reserved_micros", _MICROS, "what the impression costs at most, in the advertiser's currency"),
        Column("p_click", "FLOAT", "estimated probability of a click"),
        Column("p_conversion", "FLOAT", "estimated factor of a conversion after a click"),
        Column("expected_micros", "FLOAT", "expected value before pacing; empty where it is the same for everybody"),
        Column("cart_value_micros", "FLOAT", "what an abandoned cart adds to a conversion"),
        Column("multiplier", "FLOAT", "of pacing"),
        Column("model_version", _SMALL, "of the weights that priced the bid"),
        Column("arm", _SMALL, "of an experiment; 0: in none"),
        Column("person", "UBIGINT", "pseudonym of the user, 0 for nobody (docs/journal.md, People)"),
        Column("segments", "UINTEGER[]", "ids of the segments that the user is a member of"),
        Column("known", "BOOLEAN", "whether the shop knows the user"),
        Column("frequency", _SMALL, "impressions of the line item that the user had in a day"),
        Column("visits", _SMALL, "feature: visits at the shop"),
        Column("products_viewed", _SMALL, "feature: products viewed at the shop"),
        Column("last_visit_s", "FLOAT", "feature: seconds since the last visit"),
        Column("last_purchase_s", "FLOAT", "feature: seconds since the last purchase"),
        Column("cart_micros", _MICROS, "feature: value of the abandoned cart"),
        Column("cart_idle_s", "FLOAT", "feature: seconds for which the cart is idle"),
        Column("cart_stage", _SMALL, "feature: how far the cart came; 0 without one"),
    ),
    "bid_ms",
    droppable=True,
    personal=(
        "person", "segments", "known", "frequency", "visits", "products_viewed", "last_visit_s", "last_purchase_s",
        "cart_micros", "cart_idle_s", "cart_stage", "city", "products", "request_id",
    ),
)  # fmt: skip

ANSWER: Final = JournalKind(
    "answer",
    2,
    (
        Column("at_ms", _MOMENT, "end of the second or so that is counted, unix milliseconds"),
        Column("exchange_id", _ID, "exchange; 0 where it is not known"),
        Column("reason", _TEXT, "why there was no bid; empty where there was one"),
        Column("country", _TEXT, "ISO 3166-1 alpha-3"),
        Column("device_type", _SMALL, "AdCOM device type"),
        Column("requests", "BIGINT", "bid requests that were answered so"),
    ),
    "at_ms",
    droppable=True,
)

NOTICE: Final = JournalKind(
    "notice",
    3,
    (
        *_OF_BID,
        Column("at_ms", _MOMENT, "when it came, unix milliseconds"),
        Column("event", _TEXT, "win, loss, impression (the pixel), view"),
        Column("outcome", _TEXT, "what became of it, as grosz_notices_total counts it"),
        Column("currency", _TEXT, "of the auction and its prices"),
        Column("bid_cpm", _MICROS, "the bid"),
        Column("price_cpm", _MICROS, "the price that the notice named"),
        Column("loss_code", _TEXT, "OpenRTB loss reason, or other"),
        Column("minimum_to_win_cpm", _MICROS, "what would have won, where the exchange says it"),
        Column("person", "UBIGINT", "pseudonym of the user, 0 for nobody"),
    ),
    "bid_ms",
    droppable=False,
    personal=("person",),
)

BILL: Final = JournalKind(
    "bill",
    4,
    (
        *_OF_BID,
        Column("row_id", _TEXT, "the ledger row's id in its stream; unique within the advertiser"),
        Column("at_ms", _MOMENT, "when it was settled, unix milliseconds"),
        Column("day", _SMALL, "that it is booked on, since 1970, in the advertiser's time zone"),
        Column("entry", _TEXT, "bill or correction"),
        Column("currency", _TEXT, "the advertiser's, of the charge"),
        Column("auction_currency", _TEXT, "of the prices"),
        Column("bid_cpm", _MICROS, "the bid"),
        Column("price_cpm", _MICROS, "clearing price"),
        Column("charge_micros", _MICROS, "what was charged"),
        Column("reserved_micros", _MICROS, "what the bid had reserved"),
        Column("impressions", "BIGINT", "impressions that were billed"),
        Column("late", "BOOLEAN", "whether its lease was closed"),
        Column("over_micros", _MICROS, "the part that no budget covered"),
        Column("price_source", _TEXT, "where the price came from"),
    ),
    "bid_ms",
    droppable=False,
)

CLICK: Final = JournalKind(
    "click",
    5,
    (
        *_OF_BID,
        Column("row_id", _TEXT, "id in the stream that it came by; unique within the advertiser"),
        Column("at_ms", _MOMENT, "when it was clicked, unix milliseconds"),
        Column("day", _SMALL, "of the bid, since 1970, in the advertiser's time zone"),
        Column("invalid", _TEXT, "why the click does not count (bot, too soon, too many); empty where it does"),
        Column("person", "UBIGINT", "pseudonym of the user, 0 for nobody"),
    ),
    "bid_ms",
    droppable=False,
    personal=("person",),
)

CONVERSION: Final = JournalKind(
    "conversion",
    6,
    (
        *_OF_BID,
        Column("row_id", _TEXT, "id in the stream that it came by; unique within the advertiser"),
        Column("at_ms", _MOMENT, "when the order was made, unix milliseconds"),
        Column("day", _SMALL, "of the touch's bid, since 1970, in the advertiser's time zone"),
        Column("order_id", _TEXT, "digest of the order's number"),
        Column("entry", _TEXT, "order or correction"),
        Column("credit", _TEXT, "click, view, or nobody"),
        Column("touch_ms", _MOMENT, "when the credited touch was"),
        Column("value_micros", _MICROS, "worth of the order, of a correction what it changes"),
        Column("currency", _TEXT, "the advertiser's"),
        Column("buyer", _TEXT, "new or returning; empty where nobody knows"),
        Column("path", _TEXT, "touches before the order, oldest first: line item, kind and moment each"),
        Column("person", "UBIGINT", "pseudonym of the user, 0 for nobody"),
    ),
    "at_ms",
    droppable=False,
    personal=("person", "order_id", "path"),
)

SHOP: Final = JournalKind(
    "shop",
    7,
    (
        Column("at_ms", _MOMENT, "when it happened, unix milliseconds"),
        Column("advertiser_id", _ID, "the shop"),
        Column("event", _TEXT, "visit, view, search, cart, purchase, ..."),
        Column("source", _TEXT, "where the visit came from: a domain or the tagged source"),
        Column("path", _TEXT, "path of the page, without its query"),
        Column("phrase", _TEXT, "words that were searched for"),
        Column("category", _TEXT, "category of the product or page"),
        Column("product", _TEXT, "the shop's id of the product"),
        Column("country", _TEXT, "ISO 3166-1 alpha-3"),
        Column("region", _TEXT, "region"),
        Column("value_micros", _MICROS, "worth of the cart or order"),
        Column("currency", _TEXT, "the advertiser's"),
        Column("person", "UBIGINT", "pseudonym of the user, 0 for nobody"),
    ),
    "at_ms",
    droppable=True,
    personal=("person", "phrase", "path", "product"),
)

REQUEST: Final = JournalKind(
    "request",
    8,
    (
        Column("at_ms", _MOMENT, "when it was decided, unix milliseconds"),
        Column("exchange_id", _ID, "exchange"),
        Column("sampled", "FLOAT", "the rate at which requests like it were recorded; 1 for a watched one"),
        Column("catalogue", "UBIGINT", "version of the catalogue that decided"),
        Column("request", "BLOB", "the bid request without what names a person, JSON"),
        Column("profile", "BLOB", "what was known of the user, packed"),
        Column("bids", "BLOB", "what was bid, packed: impression, line item, share, creative, price"),
        Column("reason", _TEXT, "why there was no bid; empty where there was one"),
        Column("person", "UBIGINT", "pseudonym of the user, 0 for nobody"),
    ),
    "at_ms",
    droppable=True,
    personal=("person", "request", "profile", "bids"),
)

KINDS: Final[Mapping[str, JournalKind]] = {
    kind.name: kind for kind in (BID, ANSWER, NOTICE, BILL, CLICK, CONVERSION, SHOP, REQUEST)
}
