"""What is wrong with a feed: one table of faults, and a bounded record of those that were met.

A fault either refuses its row, drops one value of it, or is a warning about a value that was taken. Faults of the whole
feed (truncated, empty, shrunk, ...) are FeedError: the products that were loaded before stay.
"""

import enum
from typing import Final

import msgspec

from core.errors import InputError

# One example says where to look, more show a pattern; a feed of a million rows may have a million faults.
MAX_EXAMPLES: Final = 10
# Field and code together: 25 fields with a few codes each. Beyond that, only the total goes on counting.
MAX_KINDS: Final = 200
MAX_VALUE_CHARS: Final = 120


class Effect(enum.StrEnum):
    """What a fault does to its row."""

    ROW = "row"  # the row is left out
    VALUE = "value"  # the value is left out, the product stays
    WARNING = "warning"  # the value was taken, perhaps repaired


class FaultKind(msgspec.Struct, frozen=True):
    """One kind of fault: what it does, and how it is explained."""

    effect: Effect
    text: str
    hint: str


_ROW, _VALUE, _WARNING = Effect.ROW, Effect.VALUE, Effect.WARNING

KINDS: Final[dict[str, FaultKind]] = {
    "missing": FaultKind(_ROW, "is missing or empty", "every product needs id, title, link and price"),
    "too_long": FaultKind(_ROW, "is too long", "ids have at most 100 characters, links 2,000"),
    "not_a_price": FaultKind(_ROW, "is not a price", "write it as 15.00 PLN"),
    "no_currency": FaultKind(
        _ROW, "has no currency", "write 15.00 PLN, or set the feed's default currency if it has only one"
    ),
    "ambiguous_price": FaultKind(
        _ROW, "has one point and three digits behind it, which is a thousand in some countries", "write 1299.00 PLN"
    ),
    "price_not_positive": FaultKind(_ROW, "is not above zero", "leave out products that cannot be sold"),
    "not_a_link": FaultKind(_ROW, "is not an http(s) address", "write the whole address, with https://"),
    "too_few_fields": FaultKind(_ROW, "has fewer fields than the header", "quote values with line breaks"),
    "too_many_fields": FaultKind(_ROW, "has more fields than the header", "quote values that contain the separator"),
    "unclosed_quote": FaultKind(_ROW, "opens a quote that is not closed", "double the quotes inside a quoted value"),
    "line_too_long": FaultKind(_ROW, "is longer than a product can be", "end each row with a line break"),
    "bad_sale_price": FaultKind(_VALUE, "is not a price", "write it as 12.00 PLN; the full price is shown instead"),
    "sale_not_lower": FaultKind(_VALUE, "is not below the price", "the full price is shown"),
    "sale_currency": FaultKind(_VALUE, "has another currency than the price", "the full price is shown"),
    "bad_dates": FaultKind(
        _VALUE, "is not a period", "write 2026-11-27T00:00+01:00/2026-11-30T23:59+01:00; the full price is shown"
    ),
    "bad_image": FaultKind(_VALUE, "is not an http(s) address", "the product has no image now"),
    "bad_loyalty_price": FaultKind(_VALUE, "is not a price", "write it as 12.00 PLN"),
    "unknown_availability": FaultKind(
        _WARNING, "is not an availability", "write in_stock, out_of_stock, preorder or backorder; now out of stock"
    ),
    "no_availability": FaultKind(_WARNING, "is missing", "the product counts as in stock"),
    "default_currency": FaultKind(_WARNING, "has no currency", "the feed's default currency was taken"),
    "no_image": FaultKind(_WARNING, "is missing", "ads with products need one"),
    "control_characters": FaultKind(_WARNING, "has control characters", "they were taken out"),
    "mojibake": FaultKind(_WARNING, "looks decoded in a wrong way", "write the feed in UTF-8 once, not twice"),
    "wrong_bytes": FaultKind(_WARNING, "has bytes that are not of its encoding", "they were replaced"),
    "markup": FaultKind(_WARNING, "has HTML in it", "the tags were taken out"),
    "escaped_twice": FaultKind(_WARNING, "is escaped twice", "it was unescaped"),
    "bare_ampersand": FaultKind(_WARNING, "has an & that is not escaped", "it was read as &amp;"),
    "shortened": FaultKind(_WARNING, "is longer than is kept", "it was cut"),
    "repeated_id": FaultKind(_WARNING, "occurs more than once", "the last one was taken"),
}  # fmt: skip


class Example(msgspec.Struct, frozen=True):
    """Where a fault was met: line of the (unpacked) file, product id when known, and the value, cut."""

    line: int
    product_id: str
    value: str


class FaultCount(msgspec.Struct):
    """How often one field had one kind of fault."""

    field: str
    code: str
    count: int = 0
    examples: list[Example] = []


class FaultLog:
    """Counts faults and keeps the first examples of each kind; its size does not grow with the feed."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], FaultCount] = {}
        self.total = 0

    def add(self, code: str, field: str, line: int, value: str = "", product_id: str = "") -> None:
        """Note one fault; `code` is a key of KINDS."""
        self.total += 1
        known = self._counts.get((field, code))
        if known is None:
            if len(self._counts) >= MAX_KINDS:
                return
            known = self._counts[field, code] = FaultCount(field, code)
        known.count += 1
        if len(known.examples) < MAX_EXAMPLES:
            known.examples.append(Example(line, product_id[:MAX_VALUE_CHARS], value[:MAX_VALUE_CHARS]))

    def count(self, code: str, field: str, more: int) -> None:
        """Note that a fault, of which there are examples, occurred `more` times beside them."""
        known = self._counts.get((field, code))
        if known is not None and more > 0:
            known.count += more
            self.total += more

    def table(self) -> list[FaultCount]:
        """Refused rows first, then dropped values and warnings; the most frequent first."""
        order = list(Effect)
        return sorted(
            self._counts.values(), key=lambda count: (order.index(KINDS[count.code].effect), -count.count, count.field)
        )


class FeedError(InputError):
    """A feed that is refused as a whole. `code` is stable; `line` is 0 where no line is at fault."""

    def __init__(self, code: str, message: str, *, hint: str = "", line: int = 0) -> None:
        super().__init__(message, hint=hint or "the products that were loaded before stay")
        self.code = code
        self.line = line
