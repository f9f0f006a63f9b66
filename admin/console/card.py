"""The contact card: what one shop knows of a visitor, in the words of segment rules and with the tables behind them."""

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from admin.console.fields import N_
from admin.console.words import Words
from segments.facts.facts import FOREVER_S
from segments.rules.vocabulary import FACTS, Type

_MICROS: Final = 1_000_000
# From this many seconds on a time is told in this unit: an exact second of a visit of hours tells nothing.
_ROUNDED: Final = ((2 * 86_400, 86_400), (2 * 3_600, 3_600), (120, 60))

# What each word of a rule means to those who read no rules.
_WORDS: Final = {
    "none": N_("none"), "cart": N_("cart"), "form": N_("form"), "shipping": N_("shipping"), "payment": N_("payment"),
    "unknown": N_("unknown"), "acquisition": N_("came, looked at no product"), "nurture": N_("looks at products"),
    "sales": N_("has or had a cart"), "retention": N_("has bought"), "exit": N_("stays away"),
}  # fmt: skip

_Column = tuple[str, str, str]
"""Member, its head, and how its values are written."""

_TABLES: Final[Sequence[tuple[str, str, Sequence[_Column]]]] = (
    ("cart", N_("Products in the cart"), (
        ("id", N_("Product"), "text"), ("category", N_("Category"), "text"), ("quantity", N_("Pieces"), "number"),
        ("price_micros", N_("Price"), "money"), ("since_s", N_("Since ({zone})"), "moment"),
    )),
    ("products", N_("Products viewed"), (
        ("id", N_("Product"), "text"), ("category", N_("Category"), "text"), ("views", N_("Times"), "number"),
        ("price_micros", N_("Price"), "money"), ("seen_s", N_("Last ({zone})"), "moment"),
    )),
    ("bought", N_("Products bought"), (
        ("id", N_("Product"), "text"), ("category", N_("Category"), "text"), ("quantity", N_("Pieces"), "number"),
        ("price_micros", N_("Price"), "money"), ("bought_s", N_("Last ({zone})"), "moment"),
    )),
    ("orders", N_("Purchases"), (("at_s", N_("When ({zone})"), "moment"), ("value_micros", N_("Value"), "money"))),
    ("entries", N_("How the visits began"), (
        ("at_s", N_("When ({zone})"), "moment"), ("source", N_("Source"), "text"), ("medium", N_("Medium"), "text"),
        ("campaign", N_("Campaign"), "text"), ("phrase", N_("Search phrase"), "text"), ("path", N_("Page"), "text"),
    )),
    ("paths", N_("Pages"), (
        ("path", N_("Page"), "text"), ("count", N_("Times"), "number"), ("at_s", N_("Last ({zone})"), "moment"),
    )),
    ("searches", N_("Searches in the shop"), (
        ("phrase", N_("Search phrase"), "text"), ("at_s", N_("Last ({zone})"), "moment"),
    )),
    ("cooldowns", N_("Categories that rest after a purchase"), (
        ("category", N_("Category"), "text"), ("until_s", N_("Until ({zone})"), "moment"),
    )),
    ("events", N_("Events"), (("", N_("Event"), "text"), ("value", N_("Last ({zone})"), "moment"))),
    ("lists", N_("Customer lists"), (
        ("", N_("List"), "text"), ("since_s", N_("Since ({zone})"), "moment"),
        ("until_s", N_("Until ({zone})"), "moment"),
    )),
    ("attributes", N_("What the shop sent"), (("", N_("Name"), "text"), ("value", N_("Value"), "plain"))),
)  # fmt: skip


class CardTable(NamedTuple):
    """Rows of the card, newest first; `heads` are to be translated."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


class Card(NamedTuple):
    """What a shop knows of a visitor. `facts` are pairs of what is told, to be translated, and its value."""

    facts: Sequence[tuple[str, str]]
    tables: Sequence[CardTable]
    devices: Sequence[str]


def card_of(shop: Mapping[str, Any], currency: str, segments: Mapping[int, str], now_s: int, words: Words) -> Card:
    """The card of one advertiser's part of a visitor's export; `segments` are names by id."""
    write = _Values(currency, now_s, words)
    known, stored = shop["known"], shop["facts"]
    facts = [(fact.summary, write.fact(fact.type, known[name])) for name, fact in FACTS.items() if name in known]
    tables = [
        CardTable(title, [head for _, head, _ in columns], [write.row(columns, row) for row in rows])
        for member, title, columns in _TABLES
        if (rows := list(_rows(stored.get(member))))
    ]
    memberships = [
        [segments.get(segment, str(segment)), write.moment(since_s), write.moment(until_s)]
        for segment, since_s, until_s in shop["windows"]
        if until_s > now_s
    ]
    if memberships:
        heads = (N_("Segment"), N_("Since ({zone})"), N_("Until ({zone})"))
        tables.insert(0, CardTable(N_("Segments"), heads, memberships))
    return Card(facts, tables, sorted({*stored.get("devices", ()), *stored.get("merged", ())}))


def _rows(stored: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The rows of a list, which has the newest last, or of values by name."""
    if isinstance(stored, Mapping):
        for name, value in stored.items():
            yield {"": name, **(value if isinstance(value, Mapping) else {"value": value})}
    else:
        yield from reversed(stored or ())


class _Values:
    """Writes values of one shop for one visitor."""

    def __init__(self, currency: str, now_s: int, words: Words) -> None:
        self._currency, self._now_s, self._words = currency, now_s, words

    def row(self, columns: Sequence[_Column], row: Mapping[str, Any]) -> list[str]:
        """The values of one row."""
        writers: dict[str, Callable[[Any], str]] = {
            "text": str, "number": self._words.number, "money": self.money, "moment": self.moment, "plain": self._plain,
        }  # fmt: skip
        return [writers[kind](row[member]) for member, _, kind in columns]

    def fact(self, kind: Type, value: Any) -> str:  # noqa: ANN401 - by type
        """The value of a fact."""
        match kind:
            case Type.MONEY:
                return self.money(value)
            case Type.MOMENT:
                text = self.moment(value)
                return f"{text} ({self._words.zone})" if text else ""
            case Type.AGE:
                return self.duration(self._now_s - value)
            case Type.DURATION:
                return self.duration(value)
            case Type.TEXTS:
                return ", ".join(value)
            case Type.WORD:
                return self._words.text(_WORDS[value])
            case _:
                return self._plain(value)

    def money(self, micros: int) -> str:
        """An amount; "" for none."""
        amount = {"amount": str(Decimal(micros) / _MICROS), "currency": self._currency}
        return self._words.money(amount) if micros else ""

    def moment(self, at_s: int) -> str:
        """A moment; "" for one that is not known or never comes."""
        if not 0 < at_s < FOREVER_S:
            return ""
        return self._words.moment(datetime.datetime.fromtimestamp(at_s, datetime.UTC).isoformat())

    def duration(self, seconds: int) -> str:
        """A time, rounded down."""
        unit = next((unit for least, unit in _ROUNDED if seconds >= least), 1)
        return self._words.duration(seconds // unit * unit)

    def _plain(self, value: Any) -> str:  # noqa: ANN401 - as the shop sent it
        if isinstance(value, bool):
            return self._words.text(N_("yes") if value else N_("no"))
        return self._words.number(round(value, 2)) if isinstance(value, int | float) else str(value)
