"""From the texts of one row to a product, with every fault named.

A row without id, title, link or price is left out. What an ad could show wrongly is dropped (a sale price that cannot
be read, a period without end); the rest is repaired and noted.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from creatives.feeds.columns import FeedDialect
from creatives.feeds.faults import FaultLog
from creatives.feeds.prices import RENAMED, NotAPrice, currency_of, parse_price
from creatives.feeds.text import MAX_URL_CHARS, clean_text, clean_url
from creatives.product import AVAILABILITIES, MAX_ID_CHARS, Availability, FeedProduct

Row = Mapping[str, str]
"""Field (product.FIELDS and what dialects add) -> text as it stands in the feed."""

# Google's bound on titles is 150 characters; real feeds reach 250. No ad shows more.
MAX_TITLE_CHARS: Final = 200
MAX_CATEGORY_CHARS: Final = 200
MAX_LABEL_CHARS: Final = 60

# Shops write 2999-12-31 for "without end"; a row keeps 32 bits.
_FAR_S: Final = 2**32 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_WORD: Final = re.compile(r"[^\w]+")
_AMOUNT: Final = re.compile(r"([0-9][0-9.,]*) ?[A-Z]{3}\b")


class Normaliser:
    """Makes products of the rows of one feed."""

    def __init__(self, faults: FaultLog, dialect: FeedDialect, default_currency: str = "") -> None:
        self._faults = faults
        self._codes = dialect.availability
        self._currency = default_currency or dialect.currency
        # A feed of a dialect with a currency of its own need not name it, so using it is no fault to note.
        self._currency_is_noted = bool(default_currency)
        self.categories: dict[str, str] = {}  # id -> whole name, of dialects that declare them

    def product(self, row: Row, line: int) -> FeedProduct | None:
        """The product of a row that begins at `line`; None when the row is refused."""
        get = row.get
        product_id = get("id", "").strip()
        if not product_id or len(product_id) > MAX_ID_CHARS or not product_id.isprintable():
            code = "too_long" if len(product_id) > MAX_ID_CHARS else "missing"
            self._faults.add(code, "id", line, product_id)
            return None
        note = _Noting(self._faults, line, product_id)
        title = self._title(row, note)
        link = self._link(get("link", ""), note)
        price = self._price(row, note)
        if not title or not link or price is None:
            return None
        micros, currency = price
        sale, sale_from, sale_to = self._sale(row, micros, currency, note)
        return FeedProduct(
            product_id, title, link, self._image(get("image", ""), note), micros, currency, self._stock(row, note),
            sale, sale_from, sale_to,
            self._category(row, note),
            note.text("brand", get("brand", ""), MAX_LABEL_CHARS),
            get("group", "").strip()[:MAX_ID_CHARS],
            note.text("size", get("size", ""), MAX_LABEL_CHARS),
            note.text("color", get("color", ""), MAX_LABEL_CHARS),
            note.text("gender", get("gender", ""), MAX_LABEL_CHARS).lower(),
            note.text("age_group", get("age_group", ""), MAX_LABEL_CHARS).lower(),
            note.text("margin", get("margin", ""), MAX_LABEL_CHARS).lower(),
            self._shipping(row, note),
            note.text("loyalty", get("loyalty", ""), MAX_LABEL_CHARS),
            self._loyalty(get("loyalty_price", ""), currency, note),
            _labels(row, note),
        )  # fmt: skip

    def _title(self, row: Row, note: "_Noting") -> str:
        title = row.get("title", "")
        if not title and (row.get("model") or row.get("type_prefix")):  # YML without <name>: type, vendor, model
            title = " ".join(filter(None, (row.get("type_prefix"), row.get("brand"), row.get("model"))))
        title = note.text("title", title, MAX_TITLE_CHARS)
        if not title:
            note("missing", "title", row.get("title", ""))
        return title

    def _link(self, text: str, note: "_Noting") -> str:
        link = clean_url(text)
        if not link:
            note("not_a_link" if text.strip() else "missing", "link", text)
        elif len(link) > MAX_URL_CHARS:
            note("too_long", "link", text)
            return ""
        return link

    def _image(self, text: str, note: "_Noting") -> str:
        image = clean_url(text)
        if len(image) > MAX_URL_CHARS:
            image = ""
        if not image:
            note("bad_image" if text.strip() else "no_image", "image", text)
        return image

    def _price(self, row: Row, note: "_Noting") -> tuple[int, str] | None:
        text = row.get("old_price") or row.get("price", "")
        if not text.strip():
            note("missing", "price", text)
            return None
        try:
            own = currency_of(row.get("currency", ""), self._currency)
            micros, currency, assumed = parse_price(text, RENAMED.get(own, own) or self._currency)
        except NotAPrice as fault:
            note(fault.code, "price", text)
            return None
        if assumed and not own and self._currency_is_noted:
            note("default_currency", "price", text)
        return micros, currency

    def _sale(self, row: Row, price: int, currency: str, note: "_Noting") -> tuple[int, int, int]:
        """Micros of the reduced price, its begin and end (unix seconds); zeros where no believable one is given."""
        text = row.get("price", "") if row.get("old_price") else row.get("sale_price", "")
        if not text or not text.strip():
            return 0, 0, 0
        try:
            micros, sale_currency, _ = parse_price(text, currency)
        except NotAPrice:
            note("bad_sale_price", "sale_price", text)
            return 0, 0, 0
        if sale_currency != currency:
            note("sale_currency", "sale_price", text)
            return 0, 0, 0
        if micros >= price:
            if micros > price:
                note("sale_not_lower", "sale_price", text)
            return 0, 0, 0
        dates = row.get("sale_dates", "")
        if not dates.strip():
            return micros, 0, 0
        period = parse_period(dates)
        if period is None:
            note("bad_dates", "sale_dates", dates)
            return 0, 0, 0
        return micros, *period

    def _stock(self, row: Row, note: "_Noting") -> Availability:
        text = row.get("availability", "")
        if not text.strip():
            if "delivery_days" in row:
                return _by_delivery(row["delivery_days"])
            note("no_availability", "availability", text)
            return Availability.IN_STOCK
        state = _stock_of(self._codes.get(text, text))
        if state is None:
            note("unknown_availability", "availability", text)
            return Availability.OUT_OF_STOCK
        return state

    def _category(self, row: Row, note: "_Noting") -> str:
        text = row.get("category", "")
        if not text and (number := row.get("category_id", "").strip()):
            text = self.categories.get(number, number)
        return note.text("category", text, MAX_CATEGORY_CHARS)

    def _shipping(self, row: Row, note: "_Noting") -> str:
        label = note.text("shipping", row.get("shipping", ""), MAX_LABEL_CHARS)
        return label or ("free" if _is_zero(row.get("shipping_price", "")) else "")

    def _loyalty(self, text: str, currency: str, note: "_Noting") -> int:
        if not text.strip():
            return 0
        try:
            micros, other, _ = parse_price(text, currency)
        except NotAPrice:
            note("bad_loyalty_price", "loyalty_price", text)
            return 0
        return micros if other == currency else 0


class _Noting:
    """Notes faults of one row."""

    __slots__ = ("_faults", "_line", "_product_id")

    def __init__(self, faults: FaultLog, line: int, product_id: str) -> None:
        self._faults = faults
        self._line = line
        self._product_id = product_id

    def __call__(self, code: str, field: str, value: str) -> None:
        self._faults.add(code, field, self._line, value, self._product_id)

    def text(self, field: str, text: str, limit: int) -> str:
        """A cleaned text of at most `limit` characters."""
        if not text:
            return ""
        marks: list[str] = []
        clean = clean_text(text, marks)
        if len(clean) > limit:
            marks.append("shortened")
            clean = clean[:limit].rstrip()
        for code in dict.fromkeys(marks):
            self(code, field, text)
        return clean


def _labels(row: Row, note: _Noting) -> tuple[str, ...]:
    labels = [row.get(f"label_{number}", "") for number in range(5)]
    while labels and not labels[-1]:
        labels.pop()
    return tuple(note.text(f"label_{number}", text, MAX_LABEL_CHARS) for number, text in enumerate(labels))


@lru_cache(maxsize=1_024)
def _stock_of(text: str) -> Availability | None:
    word = text.strip().lower().rpartition("schema.org/")[2]
    return AVAILABILITIES.get(_NOT_WORD.sub("_", word).strip("_"))


@lru_cache(maxsize=1_024)
def _is_zero(text: str) -> bool:
    """Whether a shipping price is zero: `0`, `0.00 PLN`; of a table's `PL::24 h:0 PLN,DE:::4.99 EUR` each of them."""
    amounts = " ".join(_AMOUNT.findall(text)) if ":" in text else ""
    digits = re.sub(r"[^0-9]", "", amounts or text)
    return bool(digits) and int(digits) == 0


def _by_delivery(text: str) -> Availability:
    """Heureka's DELIVERY_DATE: days until delivery, or the day of it; empty is unknown."""
    days = text.strip()
    if days.isdigit():
        return Availability.IN_STOCK if int(days) <= 14 else Availability.BACKORDER
    return Availability.PREORDER if days else Availability.OUT_OF_STOCK


@lru_cache(maxsize=4_096)
def parse_period(text: str) -> tuple[int, int] | None:
    """Unix seconds of `start/end` in ISO 8601, both needed; None for what is no period. Without offset it is UTC."""
    start, slash, end = text.strip().partition("/")
    if not slash:
        return None
    moments = [_moment(start, last=False), _moment(end, last=True)]
    if moments[0] is None or moments[1] is None or moments[0] >= moments[1]:
        return None
    return moments[0], moments[1]


def _moment(text: str, *, last: bool) -> int | None:
    text = text.strip().replace(" ", "T", 1)
    midnight = "T24:00" in text  # the end of the day in ISO 8601
    text = text.replace("T24:00", "T00:00", 1)
    if re.fullmatch(r".*[+-]\d{4}", text) and "T" in text:  # +0100 as Google writes it
        text = f"{text[:-2]}:{text[-2:]}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # datetime.timestamp is out of range near the year 1, the start that some feeds give to a period without one.
    seconds = int((moment - _EPOCH).total_seconds()) + (86_400 if midnight or (last and len(text) == 10) else 0)
    return min(max(seconds, 1), _FAR_S)
