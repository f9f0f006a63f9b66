"""What a rule may talk about: the names of facts, their types, and where in a profile they are.

A fact's `value` says what it is at a moment; `changes` lists the moments at which that value changes although nothing
happens (a cart dies of age, a buyer becomes lapsed). `reads` names the fields of `Facts` behind it: a rule is evaluated
again only when one of them changed. docs/segments.md shows this table and a test keeps both equal.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from segments.facts.derive import (
    engagement_at,
    engagement_changes,
    lifetime_changes,
    lifetime_margin_at,
    lifetime_value_at,
    score_at,
    score_changes,
)
from segments.facts.facts import (
    CART_LIFETIME_S,
    LIFECYCLE_EXIT_S,
    RECENCY_BOUNDS_S,
    CartStage,
    Entry,
    Facts,
    Lifecycle,
    has_cart_at,
    lifecycle_at,
    recency_class_at,
)
from segments.facts.layout import biddable_cart_micros, products_viewed
from segments.facts.traits import REDUCED, reduced_at, reduced_changes

Value = str | int | float | bool | tuple[str, ...] | None
"""A fact's value at a moment; None where there is none. Money in micros, moments in unix seconds, words by place."""


class Type(enum.StrEnum):
    """What a fact is compared with; the values are the words of documentation and errors."""

    NUMBER = "number"
    MONEY = "money"
    DURATION = "duration"
    MOMENT = "moment"  # compared by its distance from now: `last_visit > 30d ago`
    AGE = "age"  # the distance of a moment from now, as a duration: `cart.age > 1h`
    TEXT = "text"
    TEXTS = "texts"  # a condition holds when it holds for one of them
    WORD = "word"  # one of a fixed list
    ATTRIBUTE = "attribute"  # number, text or yes/no, as the shop sent it


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One name of the language. The value of a MOMENT and of an AGE is the moment's unix seconds."""

    name: str
    type: Type
    summary: str
    reads: frozenset[str]
    value: Callable[[Facts, int], Value]
    changes: Callable[[Facts], Sequence[int]] | None = None
    words: tuple[str, ...] = ()
    ordered: bool = False  # words that can be compared with < and >
    always: bool = False  # there is a value in every profile, be it 0
    trait: str = ""  # what must be known of products for it (segments.facts.traits)


LIFECYCLE_WORDS: Final = tuple(stage.name.lower() for stage in Lifecycle)
STAGE_WORDS: Final = tuple(stage.name.lower() for stage in CartStage)

ATTRIBUTE_PREFIX: Final = "attribute."
LIST_PREFIX: Final = "list."

_CART_READS: Final = frozenset({"cart", "cart_changed_s"})


_LIFETIME_READS: Final = ("purchases", "purchases_micros", "first_purchase_s", "last_purchase_s", "orders")


def _cart_end(facts: Facts) -> Sequence[int]:
    return (facts.cart_changed_s + CART_LIFETIME_S,)


def _number(name: str, field: str, summary: str) -> Fact:
    return _plain(name, Type.NUMBER, field, summary)


def _plain(name: str, kind: Type, field: str, summary: str) -> Fact:
    """A fact that is a field as it stands, 0 included."""

    def value(facts: Facts, _: int) -> Value:
        stored: Value = getattr(facts, field)
        return stored

    return Fact(name=name, type=kind, summary=summary, reads=frozenset({field}), value=value, always=True)


def _stored(name: str, kind: Type, field: str, summary: str) -> Fact:
    """A fact that is a field in which 0 or '' means that there is no value."""

    def value(facts: Facts, _: int) -> Value:
        return getattr(facts, field) or None

    return Fact(name=name, type=kind, summary=summary, reads=frozenset({field}), value=value)


def _of_cart(name: str, kind: Type, summary: str, read: Callable[[Facts], Value], *fields: str) -> Fact:
    """A fact of the cart, which has no value once the cart has ended, also by age."""

    def value(facts: Facts, at_s: int) -> Value:
        return read(facts) if has_cart_at(facts, at_s) else None

    words = STAGE_WORDS if kind is Type.WORD else ()
    reads = _CART_READS | frozenset(fields)
    return Fact(name=name, type=kind, summary=summary, reads=reads, value=value, changes=_cart_end, words=words,
                ordered=bool(words))  # fmt: skip


def _last_entry(name: str, read: Callable[[Entry], str], summary: str) -> Fact:
    def value(facts: Facts, _: int) -> Value:
        return (read(facts.entries[-1]) or None) if facts.entries else None

    return Fact(name=name, type=Type.TEXT, summary=summary, reads=frozenset({"entries"}), value=value)


def _every_entry(name: str, read: Callable[[Entry], str], summary: str) -> Fact:
    def value(facts: Facts, _: int) -> Value:
        return tuple(read(entry) for entry in facts.entries if read(entry)) or None

    return Fact(name=name, type=Type.TEXTS, summary=summary, reads=frozenset({"entries"}), value=value)


def _fading(
    name: str,
    kind: Type,
    summary: str,
    value: Callable[[Facts, int], Value],
    changes: Callable[[Facts], Sequence[int]],
    *reads: str,
) -> Fact:
    """A fact that falls in steps, at `changes`, while nothing is heard of the visitor."""
    return Fact(
        name=name, type=kind, summary=summary, reads=frozenset(reads), value=value, changes=changes, always=True
    )


def _lifecycle() -> Fact:
    def changes(facts: Facts) -> Sequence[int]:
        return (max(facts.last_visit_s, facts.last_purchase_s) + LIFECYCLE_EXIT_S,)

    def value(facts: Facts, at_s: int) -> Value:
        return int(lifecycle_at(facts, at_s)) or None

    return Fact(
        name="lifecycle", type=Type.WORD, value=value, changes=changes, words=LIFECYCLE_WORDS,
        reads=frozenset({"lifecycle", "last_visit_s", "last_purchase_s"}),
        summary="stage of the customer's life; exit after 60 days without a sign of life",
    )  # fmt: skip


def _recency_class() -> Fact:
    def changes(facts: Facts) -> Sequence[int]:
        return [facts.last_purchase_s + bound for bound in RECENCY_BOUNDS_S]

    return Fact(
        name="recency_class", type=Type.NUMBER, value=recency_class_at, changes=changes,
        reads=frozenset({"last_purchase_s"}), always=True,
        summary="5: bought within a day, 4: a week, 3: a month, 2: a quarter, 1: earlier, 0: never",
    )  # fmt: skip


def _cart_value() -> Fact:
    def changes(facts: Facts) -> Sequence[int]:
        return [facts.cart_changed_s + CART_LIFETIME_S, *(cooldown.until_s for cooldown in facts.cooldowns)]

    def value(facts: Facts, at_s: int) -> Value:
        return biddable_cart_micros(facts, at_s) if has_cart_at(facts, at_s) else None

    return Fact(
        name="cart.value", type=Type.MONEY, value=value, changes=changes,
        reads=_CART_READS | {"cart_micros", "cooldowns"},
        summary="value of the cart, without categories that cool down after a purchase",
    )  # fmt: skip


def _purchase_fact(name: str, kind: Type, summary: str, read: Callable[[Facts], Value]) -> Fact:
    """A fact of the purchases as a whole; absent (None) where `read` gives 0."""

    def value(facts: Facts, _: int) -> Value:
        return read(facts) or None

    reads = frozenset({"purchases", "purchases_micros", "first_purchase_s", "last_purchase_s"})
    return Fact(name=name, type=kind, summary=summary, reads=reads, value=value)


def _products_count() -> Fact:
    return Fact(
        name="products.count", type=Type.NUMBER, summary="different products viewed, ever",
        reads=frozenset({"products", "products_count"}), always=True, value=lambda facts, _: products_viewed(facts),
    )  # fmt: skip


def _products_reduced() -> Fact:
    return Fact(
        name="products.reduced", type=Type.NUMBER, always=True, value=reduced_at, changes=reduced_changes,
        reads=frozenset({"products", "bought"}), trait=REDUCED,
        summary="different products viewed, not bought since, that are reduced now",
    )  # fmt: skip


_MOMENTS: Final = (
    _stored("first_visit", Type.MOMENT, "first_visit_s", "when the visitor came for the first time"),
    _stored("last_visit", Type.MOMENT, "last_visit_s", "last sign of life in the shop's pages"),
    _stored("visit.start", Type.MOMENT, "visit_start_s", "when the current or last visit began"),
    _stored("previous_visit", Type.MOMENT, "previous_visit_s", "when the visit before it began"),
    _stored("first_purchase", Type.MOMENT, "first_purchase_s", "first purchase, online or offline"),
    _stored("last_purchase", Type.MOMENT, "last_purchase_s", "last purchase, online or offline"),
    _purchase_fact("next_purchase", Type.MOMENT, "when the next purchase is due by the visitor's own rhythm",
                   lambda facts: facts.last_purchase_s + facts.cycle_s if facts.cycle_s else 0),
    _of_cart("cart", Type.MOMENT, "when the cart got its first product", lambda facts: facts.cart_since_s or None,
             "cart_since_s"),
    _of_cart("cart.changed", Type.MOMENT, "last change of the cart's products or stage",
             lambda facts: facts.cart_changed_s or None),
    _stored("cart.ended", Type.MOMENT, "cart_ended_s", "when the last cart ended by purchase or emptying"),
)  # fmt: skip

_OTHERS: Final = (
    _of_cart("cart.age", Type.AGE, "time since the visitor left the cart alone",
             lambda facts: facts.cart_idle_s or None, "cart_idle_s"),
    _cart_value(),
    _of_cart("cart.total", Type.MONEY, "value of all products in the cart", lambda facts: facts.cart_micros,
             "cart_micros"),
    _of_cart("cart.stage", Type.WORD, "how far the checkout has got", lambda facts: facts.cart_stage, "cart_stage"),
    _of_cart("cart.lines", Type.NUMBER, "different products in the cart", lambda facts: len(facts.cart)),
    _of_cart("cart.pieces", Type.NUMBER, "pieces in the cart", lambda facts: sum(line.quantity for line in facts.cart)),
    _number("visits.count", "visits", "visits, ever; a visit ends with 30 minutes of silence"),
    _number("pages.count", "pages", "pages viewed, ever"),
    _number("visit.pages", "visit_pages", "pages viewed in the current or last visit"),
    _plain("time_on_site", Type.DURATION, "seconds_on_site", "time spent in the shop, over all visits"),
    _products_count(),
    _products_reduced(),
    _number("likes.count", "likes", "products put on a wish list"),
    _number("purchases.count", "purchases", "purchases, online and offline"),
    _number("refunds.count", "refunds", "refunds"),
    _plain("purchases.value", Type.MONEY, "purchases_micros", "value of all purchases"),
    _stored("last_purchase.value", Type.MONEY, "last_purchase_micros", "value of the last purchase"),
    _purchase_fact("purchases.average", Type.MONEY, "mean value of a purchase",
                   lambda facts: facts.average_basket_micros),
    _purchase_fact("purchases.cycle", Type.DURATION, "mean time between two purchases", lambda facts: facts.cycle_s),
    _fading("lifetime_value", Type.MONEY, "worth of a year at the customer's rhythm; fades when purchases stay away",
            lifetime_value_at, lifetime_changes, *_LIFETIME_READS),
    _fading("lifetime_margin", Type.MONEY, "lifetime value less what serving costs (attribute service_cost, a month)",
            lifetime_margin_at, lifetime_changes, *_LIFETIME_READS, "attributes"),
    _fading("score", Type.NUMBER, "interest in points; halves with every 7 days of silence", score_at, score_changes,
            "score", "last_visit_s", "last_purchase_s"),
    _fading("engagement", Type.NUMBER, "engagement index, 0 to 100; halves with every 30 days of silence",
            engagement_at, engagement_changes, "engagement", "last_visit_s", "last_purchase_s"),
    _lifecycle(),
    _recency_class(),
    _number("frequency_class", "frequency_class", "purchases: 5 is ten or more, 4 five, 3 three, 2 two, 1 one, 0 none"),
    _number("monetary_class", "monetary_class", "5 (most money spent) to 1, 0: nothing"),
    _last_entry("source", lambda entry: entry.source, "source of the last visit: google, facebook, direct, a host"),
    _last_entry("medium", lambda entry: entry.medium, "medium of the last visit: organic, cpc, social, email, none"),
    _last_entry("campaign", lambda entry: entry.campaign, "campaign of the last visit (utm_campaign)"),
    _last_entry("phrase", lambda entry: entry.phrase, "search phrase that led to the last visit"),
    _last_entry("landing", lambda entry: entry.path, "path of the page on which the last visit began"),
    _every_entry("entries.source", lambda entry: entry.source, "sources of the latest visits"),
    _every_entry("entries.medium", lambda entry: entry.medium, "media of the latest visits"),
    _every_entry("entries.campaign", lambda entry: entry.campaign, "campaigns of the latest visits"),
    _every_entry("entries.phrase", lambda entry: entry.phrase, "search phrases of the latest visits"),
    _every_entry("entries.landing", lambda entry: entry.path, "landing pages of the latest visits"),
    _stored("country", Type.TEXT, "country", "country, three letters: POL"),
    _stored("region", Type.TEXT, "region", "region"),
    _stored("city", Type.TEXT, "city", "city"),
)  # fmt: skip


def _age_of(moment: Fact) -> Fact:
    summary = f"time since {moment.name}"
    return msgspec.structs.replace(moment, name=f"{moment.name}.age", type=Type.AGE, summary=summary)


FACTS: Final = {fact.name: fact for fact in (*_MOMENTS, *_OTHERS)}
"""Every documented name. Each moment has also an age, see `fact_named`."""

_AGES: Final = {fact.name: fact for fact in map(_age_of, _MOMENTS) if fact.name not in FACTS}


def fact_named(name: str) -> Fact | None:
    """The fact of a name in lower case, `attribute.*` and `list.*` included; None if there is none."""
    if name.startswith(ATTRIBUTE_PREFIX):
        return _attribute(name)
    if name.startswith(LIST_PREFIX) and name != LIST_PREFIX:
        return _customer_list(name)
    return FACTS.get(name) or _AGES.get(name)


def names() -> list[str]:
    """All names that `fact_named` knows, except attributes."""
    return [*FACTS, *_AGES]


def _attribute(name: str) -> Fact:
    key = name.removeprefix(ATTRIBUTE_PREFIX)

    def value(facts: Facts, _: int) -> Value:
        return facts.attributes.get(key)

    return Fact(
        name=name, type=Type.ATTRIBUTE, summary="what the shop sent", reads=frozenset({"attributes"}), value=value
    )  # fmt: skip


def _customer_list(name: str) -> Fact:
    """The fact since when a customer list of the shop names the visitor."""
    key = name.removeprefix(LIST_PREFIX)

    def value(facts: Facts, at_s: int) -> Value:
        listed = facts.lists.get(key)
        return listed.since_s if listed is not None and listed.until_s > at_s else None

    def changes(facts: Facts) -> Sequence[int]:
        listed = facts.lists.get(key)
        return (listed.until_s,) if listed is not None else ()

    return Fact(
        name=name, type=Type.MOMENT, summary="since when a customer list names the visitor",
        reads=frozenset({"lists"}), value=value, changes=changes,
    )  # fmt: skip
