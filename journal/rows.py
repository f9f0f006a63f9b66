"""What the journal's rows hold: one table of kinds and their columns (docs/journal.md has them row by row).

A row travels as its values in the order of the columns. The names travel once, in the head of each file: a reader takes
what it knows by name, so a column may be added at the end of a kind and is empty in what was written before. A column
whose meaning changes is a new column. Money is integer micros, prices are CPM micros.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

FORMAT_VERSION: Final = 2
"""Of the segment files; docs/journal.md says what each version looked like."""


class JournalColumn(NamedTuple):
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
    number: int  # in segment files; a number is never used again for another kind
    columns: tuple[JournalColumn, ...]
    hour_of: str
    droppable: bool
    personal: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names in order."""
        return tuple(column.name for column in self.columns)


_ID, _MICROS, _MOMENT, _TEXT, _SMALL = "UINTEGER", "BIGINT", "BIGINT", "VARCHAR", "INTEGER"

# The columns that every row about a bid begins with.
_OF_BID: Final = (
    JournalColumn("bid_id", "UBIGINT", "the nonce of the bid's token: joins a bid with its notices, bills and clicks"),
    JournalColumn("bid_ms", _MOMENT, "when the bid was made, unix milliseconds (whole seconds where a token says it)"),
    JournalColumn("advertiser_id", _ID, "advertiser"),
    JournalColumn("campaign_id", _ID, "campaign"),
    JournalColumn("line_item_id", _ID, "line item"),
    JournalColumn("share", _SMALL, "budget share of the line item, counted from 1; 0 for its general budget"),
    JournalColumn("creative_id", _ID, "creative"),
    JournalColumn("exchange_id", _ID, "exchange"),
    JournalColumn("format", _TEXT, "banner, native, video, audio; empty where a token of a release before did not say"),
)

BID: Final = JournalKind(
    "bid",
    1,
    (
        *_OF_BID,
        JournalColumn("request_id", _TEXT, "the exchange's id of the bid request, its first 64 characters"),
        JournalColumn("impression_id", _TEXT, "the exchange's id of the impression, its first 64 characters"),
        JournalColumn("seat", _TEXT, "seat that bid"),
        JournalColumn("domain", _TEXT, "domain of the site, without www"),
        JournalColumn("app", _TEXT, "bundle or store id of the app"),
        JournalColumn("publisher", _TEXT, "the exchange's id of the publisher"),
        JournalColumn("country", _TEXT, "ISO 3166-1 alpha-3"),
        JournalColumn("region", _TEXT, "region as the exchange sends it"),
        JournalColumn("city", _TEXT, "city as the exchange sends it"),
        JournalColumn("device_type", _SMALL, "AdCOM device type"),
        JournalColumn("os", _TEXT, "family of the operating system"),
        JournalColumn("browser", _TEXT, "family of the browser"),
        JournalColumn("utc_offset_minutes", _SMALL, "of the user, where the request says it"),
        JournalColumn("placement", _SMALL, "AdCOM placement position"),
        JournalColumn("width", _SMALL, "of the creative, pixels; 0 where it has no size"),
        JournalColumn("height", _SMALL, "of the creative, pixels; 0 where it has no size"),
        JournalColumn("deal_id", _TEXT, "deal that the bid is on"),
        JournalColumn("products", _TEXT, "the shop's ids of the products that the ad shows, one a line"),
        JournalColumn("currency", _TEXT, "of the auction and its prices"),
        JournalColumn("floor_cpm", _MICROS, "floor that the bid had to meet"),
        JournalColumn("value_cpm", _MICROS, "what the impression was worth bidding, before shading"),
        JournalColumn("shading", _SMALL, "the bid as a part of its value, in ten-thousandths"),
        JournalColumn("bid_cpm", _MICROS, "the bid"),
        JournalColumn("auction_type", _SMALL, "1 first price, 2 second price, 3 fixed price"),
        JournalColumn("reserved_micros", _MICROS, "what the impression costs at most, in the advertiser's currency"),
        JournalColumn("p_click", "FLOAT", "estimated probability of a click"),
        JournalColumn("p_conversion", "FLOAT", "estimated factor of a conversion after a click"),
        JournalColumn("expected_micros", "FLOAT", "expected value before pacing; empty if the same for everybody"),
        JournalColumn("cart_value_micros", "FLOAT", "what an abandoned cart adds to a conversion"),
        JournalColumn("multiplier", "FLOAT", "of pacing"),
        JournalColumn("model_version", _SMALL, "of the weights that priced the bid; 0: not numbered"),
        JournalColumn("arm", _SMALL, "of an experiment; 0: in none, as all bids so far"),
        JournalColumn("person", "UBIGINT", "pseudonym of the user, 0 for nobody (docs/journal.md, People)"),
        JournalColumn("segments", "UINTEGER[]", "ids of the segments that the user is a member of"),
        JournalColumn("known", "BOOLEAN", "whether the shop knows the user"),
        JournalColumn("frequency", _SMALL, "impressions of the line item that the user had in a day"),
        JournalColumn("visits", _SMALL, "feature: visits at the shop"),
        JournalColumn("products_viewed", _SMALL, "feature: products viewed at the shop"),
        JournalColumn("last_visit_s", "FLOAT", "feature: seconds since the last visit"),
        JournalColumn("last_purchase_s", "FLOAT", "feature: seconds since the last purchase"),
        JournalColumn("cart_micros", _MICROS, "feature: value of the abandoned cart"),
        JournalColumn("cart_idle_s", "FLOAT", "feature: seconds for which the cart is idle"),
        JournalColumn("cart_stage", _SMALL, "feature: how far the cart came; 0 without one"),
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
        JournalColumn("at_ms", _MOMENT, "end of the second or so that is counted, unix milliseconds"),
        JournalColumn("exchange_id", _ID, "exchange; 0 where it is not known"),
        JournalColumn("reason", _TEXT, "why there was no bid; empty where there was one"),
        JournalColumn("country", _TEXT, "ISO 3166-1 alpha-3"),
        JournalColumn("device_type", _SMALL, "AdCOM device type"),
        JournalColumn("requests", "BIGINT", "bid requests that were answered so"),
    ),
    "at_ms",
    droppable=True,
)

NOTICE: Final = JournalKind(
    "notice",
    3,
    (
        *_OF_BID,
        JournalColumn("at_ms", _MOMENT, "when it came, unix milliseconds"),
        JournalColumn(
            "event",
            _TEXT,
            "win, loss, impression (the pixel), view, start, first_quartile, midpoint, third_quartile, complete, error",
        ),
        JournalColumn(
            "outcome",
            _TEXT,
            "what became of it, as grosz_notices_total counts it; of a view: viewable, not_viewable, view_unknown",
        ),
        JournalColumn("currency", _TEXT, "of the auction and its prices"),
        JournalColumn("bid_cpm", _MICROS, "the bid"),
        JournalColumn("price_cpm", _MICROS, "the price that the notice named"),
        JournalColumn("loss_code", _TEXT, "OpenRTB loss reason, or other"),
        JournalColumn("minimum_to_win_cpm", _MICROS, "what would have won, where the exchange says it"),
        JournalColumn("person", "UBIGINT", "pseudonym of the user, 0 for nobody"),
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
        JournalColumn("row_id", _TEXT, "the ledger row's id in its stream; unique within the advertiser"),
        JournalColumn("at_ms", _MOMENT, "when it was settled, unix milliseconds"),
        JournalColumn("day", _SMALL, "that it is booked on, since 1970, in the advertiser's time zone"),
        JournalColumn("entry", _TEXT, "bill or correction"),
        JournalColumn("currency", _TEXT, "the advertiser's, of the charge"),
        JournalColumn("auction_currency", _TEXT, "of the prices"),
        JournalColumn("bid_cpm", _MICROS, "the bid"),
        JournalColumn("price_cpm", _MICROS, "clearing price"),
        JournalColumn("charge_micros", _MICROS, "what was charged"),
        JournalColumn("reserved_micros", _MICROS, "what the bid had reserved"),
        JournalColumn("impressions", "BIGINT", "impressions that were billed"),
        JournalColumn("late", "BOOLEAN", "whether its lease was closed"),
        JournalColumn("over_micros", _MICROS, "the part that no budget covered"),
        JournalColumn("price_source", _TEXT, "where the price came from"),
    ),
    "bid_ms",
    droppable=False,
)

CLICK: Final = JournalKind(
    "click",
    5,
    (
        *_OF_BID,
        JournalColumn("row_id", _TEXT, "id in the stream that it came by; unique within the advertiser"),
        JournalColumn("at_ms", _MOMENT, "when it was clicked, unix milliseconds"),
        JournalColumn("day", _SMALL, "of the bid, since 1970, in the advertiser's time zone"),
        JournalColumn("invalid", _TEXT, "why the click does not count (bot, too soon, too many); empty where it does"),
        JournalColumn("person", "UBIGINT", "pseudonym of the user, 0 for nobody"),
        JournalColumn("product", _TEXT, "the shop's id of the product that was clicked; empty for the ad as a whole"),
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
        JournalColumn("row_id", _TEXT, "id in the stream that it came by; unique within the advertiser"),
        JournalColumn("at_ms", _MOMENT, "when the order was made, unix milliseconds"),
        JournalColumn("day", _SMALL, "of the touch's bid, since 1970, in the advertiser's time zone"),
        JournalColumn("order_id", _TEXT, "digest of the order's number"),
        JournalColumn("entry", _TEXT, "order or correction"),
        JournalColumn("credit", _TEXT, "click, view, or nobody"),
        JournalColumn("touch_ms", _MOMENT, "when the credited touch was"),
        JournalColumn("value_micros", _MICROS, "worth of the order, of a correction what it changes"),
        JournalColumn("currency", _TEXT, "the advertiser's"),
        JournalColumn("buyer", _TEXT, "new or returning; empty where nobody knows"),
        JournalColumn("path", _TEXT, "touches before the order, oldest first: line item, kind and moment each"),
        JournalColumn("person", "UBIGINT", "pseudonym of the user, 0 for nobody"),
    ),
    "at_ms",
    droppable=False,
    personal=("person", "order_id", "path"),
)

SHOP: Final = JournalKind(
    "shop",
    7,
    (
        JournalColumn("at_ms", _MOMENT, "when it happened, unix milliseconds"),
        JournalColumn("advertiser_id", _ID, "the shop"),
        JournalColumn("event", _TEXT, "visit, view, search, cart, purchase"),
        JournalColumn("source", _TEXT, "where the visit came from: a domain or the tagged source"),
        JournalColumn("path", _TEXT, "path of the page, without its query"),
        JournalColumn("phrase", _TEXT, "words that were searched for"),
        JournalColumn("category", _TEXT, "category of the product or page"),
        JournalColumn("product", _TEXT, "the shop's id of the product"),
        JournalColumn("country", _TEXT, "ISO 3166-1 alpha-3"),
        JournalColumn("region", _TEXT, "region"),
        JournalColumn("value_micros", _MICROS, "worth of the cart or order"),
        JournalColumn("currency", _TEXT, "the advertiser's"),
        JournalColumn("person", "UBIGINT", "pseudonym of the user, 0 for nobody"),
    ),
    "at_ms",
    droppable=True,
    personal=("person", "phrase", "path", "product"),
)

REQUEST: Final = JournalKind(
    "request",
    8,
    (
        JournalColumn("at_ms", _MOMENT, "when it was decided, unix milliseconds"),
        JournalColumn("exchange_id", _ID, "exchange"),
        JournalColumn("sampled", "FLOAT", "the rate at which requests like it were recorded; 1 for a watched one"),
        JournalColumn("catalogue", "UBIGINT", "version of the catalogue that decided"),
        JournalColumn("request", "BLOB", "the bid request without what names a person, JSON"),
        JournalColumn("profile", "BLOB", "what was known of the user, packed"),
        JournalColumn("bids", "BLOB", "what was bid, packed: impression, line item, share, creative, price"),
        JournalColumn("reason", _TEXT, "why there was no bid; empty where there was one"),
        JournalColumn("person", "UBIGINT", "pseudonym of the user, 0 for nobody"),
        JournalColumn("record_id", "UBIGINT", "names the row; random"),
        JournalColumn("conditions", "BLOB", "multipliers, missing leases, steps of shading, packed"),
        JournalColumn("line_items", "UINTEGER[]", "line items that bid"),
    ),
    "at_ms",
    droppable=True,
    personal=("person", "request", "profile", "bids", "conditions"),
)

SHOWN: Final = JournalKind(
    "shown",
    9,
    (
        *_OF_BID,
        JournalColumn("at_ms", _MOMENT, "when the ad was loaded, unix milliseconds"),
        JournalColumn("outcome", _TEXT, "personal or bestsellers, as grosz_ads_shown_total counts it"),
        JournalColumn("products", _TEXT, "the shop's ids of the products that the ad shows, one a line"),
        JournalColumn("person", "UBIGINT", "pseudonym of the user whom the bid was for, 0 for nobody"),
    ),
    "bid_ms",
    droppable=True,
    personal=("person", "products"),
)
"""What ads show that are filled when they are loaded; what is in a bid is told by the bid's own row."""

KINDS: Final[Mapping[str, JournalKind]] = {
    kind.name: kind for kind in (BID, ANSWER, NOTICE, BILL, CLICK, CONVERSION, SHOP, REQUEST, SHOWN)
}
