"""The events that a rule may ask for (`viewed category "shoes" in 7d`): which lists of a profile record them.

A profile keeps the latest few of each kind and, for pages, products and phrases, only the last time of each: counts
therefore count different pages, products or phrases, and never exceed `limit`.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from segments.facts.facts import (
    CART_LIFETIME_S,
    MAX_BOUGHT,
    MAX_CART_LINES,
    MAX_ENTRIES,
    MAX_EVENT_KINDS,
    MAX_ORDERS,
    MAX_PATHS,
    MAX_PRODUCTS,
    MAX_SEARCHES,
    Facts,
    Traits,
)
from segments.facts.traits import BRAND, LABEL, MARGIN, ON_SALE, PRICE
from segments.rules.patterns import SEPARATOR

TEXT_TRAITS: Final = frozenset({MARGIN, BRAND, LABEL})
"""Traits that a rule names by a text."""

Row = tuple[str, int]
"""What an event was about ('' where it is about nothing) and when, in unix seconds."""


class HappeningSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where in the facts the events of one kind are."""

    summary: str
    reads: frozenset[str]
    limit: int
    rows: Callable[[Facts], list[Row]]
    patterned: bool = True  # may name what it is about
    required: bool = False  # must name it
    timed: bool = True  # the profile knows when
    amounts: Callable[[Facts], list[tuple[int, int]]] | None = None  # (unix seconds, micros): total() is possible
    ends: Callable[[Facts], int] | None = None  # unix seconds from which the list counts as empty
    trait: str = ""  # the trait that a rule with it asks for (segments.facts.traits)

    @property
    def priced(self) -> bool:
        """Whether what the event was about is a price in micros, which is compared with an amount."""
        return self.trait == PRICE


def _cart_end(facts: Facts) -> int:
    return facts.cart_changed_s + CART_LIFETIME_S


Met = list[tuple[Traits | None, int, int]]
"""Products that something happened to: traits, price in micros (0: unknown), and when."""


def _viewed(facts: Facts) -> Met:
    return [(product.traits, product.price_micros, product.seen_s) for product in facts.products]


def _bought(facts: Facts) -> Met:
    return [(item.traits, item.price_micros, item.bought_s) for item in facts.bought]


def _added(facts: Facts) -> Met:
    return [(line.traits, line.price_micros, line.since_s) for line in facts.cart]


def _margins(met: Met) -> list[Row]:
    return [(traits.margin, at_s) for traits, _, at_s in met if traits is not None and traits.margin]


def _brands(met: Met) -> list[Row]:
    return [(traits.brand, at_s) for traits, _, at_s in met if traits is not None and traits.brand]


def _labels(met: Met) -> list[Row]:
    """One row a product: its labels, joined. A pattern must cover one of them (patterns.AnyPartPatterns)."""
    return [(SEPARATOR.join(traits.labels), at_s) for traits, _, at_s in met if traits is not None and traits.labels]


def _prices(met: Met) -> list[Row]:
    return [(str(price), at_s) for _, price, at_s in met if price]


def _reductions(met: Met) -> list[Row]:
    return [("", at_s) for traits, _, at_s in met if traits is not None and traits.on_sale]


_PRODUCTS: Final = frozenset({"products"})
_CART: Final = frozenset({"cart", "cart_changed_s"})
_BOUGHT: Final = frozenset({"bought"})

_WHICH: Final[dict[str, tuple[str, Callable[[Met], list[Row]]]]] = {
    MARGIN: ("a product with a margin label", _margins),
    BRAND: ("a product of a brand", _brands),
    LABEL: ("a product with a label of the feed", _labels),
    PRICE: ("a product at a price", _prices),
    ON_SALE: ("a product at its reduced price", _reductions),
}


def _with_trait(
    verb: str, trait: str, what: str, reads: frozenset[str], limit: int, met: Callable[[Facts], Met]
) -> HappeningSource:
    which, rows = _WHICH[trait]
    return HappeningSource(
        summary=f"{which} {what}", reads=reads, limit=limit, rows=lambda facts: rows(met(facts)), trait=trait,
        ends=_cart_end if verb == "added" else None, patterned=trait in TEXT_TRAITS, required=trait in TEXT_TRAITS,
    )  # fmt: skip


_TRAIT_SOURCES: Final = {
    (verb, trait): _with_trait(verb, trait, what, reads, limit, met)
    for verb, what, reads, limit, met in (
        ("viewed", "was viewed", _PRODUCTS, MAX_PRODUCTS, _viewed),
        ("bought", "was bought", _BOUGHT, MAX_BOUGHT, _bought),
        ("added", "was put in the cart and is still there", _CART, MAX_CART_LINES, _added),
    )
    for trait in _WHICH
}

SOURCES: Final[dict[tuple[str, str], HappeningSource]] = {
    ("visited", ""): HappeningSource(
        summary="a visit began", reads=frozenset({"entries"}), limit=MAX_ENTRIES, patterned=False,
        rows=lambda facts: [("", entry.at_s) for entry in facts.entries],
    ),
    ("visited", "page"): HappeningSource(
        summary="a page was opened; the pattern is its path", reads=frozenset({"paths"}), limit=MAX_PATHS,
        rows=lambda facts: [(page.path, page.at_s) for page in facts.paths],
    ),
    ("viewed", ""): HappeningSource(
        summary="any product was viewed", reads=_PRODUCTS, limit=MAX_PRODUCTS, patterned=False,
        rows=lambda facts: [("", product.seen_s) for product in facts.products],
    ),
    ("viewed", "product"): HappeningSource(
        summary="a product was viewed, by its id", reads=_PRODUCTS, limit=MAX_PRODUCTS,
        rows=lambda facts: [(product.id, product.seen_s) for product in facts.products],
    ),
    ("viewed", "category"): HappeningSource(
        summary="a product of a category was viewed", reads=_PRODUCTS, limit=MAX_PRODUCTS,
        rows=lambda facts: [(product.category, product.seen_s) for product in facts.products],
    ),
    ("liked", ""): HappeningSource(
        summary="any product was put on a wish list", reads=_PRODUCTS, limit=MAX_PRODUCTS, patterned=False, timed=False,
        rows=lambda facts: [("", product.seen_s) for product in facts.products if product.liked],
    ),
    ("liked", "product"): HappeningSource(
        summary="a product was put on a wish list", reads=_PRODUCTS, limit=MAX_PRODUCTS, timed=False,
        rows=lambda facts: [(item.id, item.seen_s) for item in facts.products if item.liked],
    ),
    ("liked", "category"): HappeningSource(
        summary="a product of a category was put on a wish list", reads=_PRODUCTS, limit=MAX_PRODUCTS, timed=False,
        rows=lambda facts: [(item.category, item.seen_s) for item in facts.products if item.liked],
    ),
    ("searched", ""): HappeningSource(
        summary="the shop's search was used; the pattern is the phrase", reads=frozenset({"searches"}),
        limit=MAX_SEARCHES,
        rows=lambda facts: [(search.phrase, search.at_s) for search in facts.searches],
    ),
    ("bought", ""): HappeningSource(
        summary="a purchase, online or offline", reads=frozenset({"orders"}), limit=MAX_ORDERS, patterned=False,
        rows=lambda facts: [("", order.at_s) for order in facts.orders],
        amounts=lambda facts: [(order.at_s, order.value_micros) for order in facts.orders],
    ),
    ("bought", "product"): HappeningSource(
        summary="a product was bought, by its id", reads=_BOUGHT, limit=MAX_BOUGHT,
        rows=lambda facts: [(item.id, item.bought_s) for item in facts.bought],
    ),
    ("bought", "category"): HappeningSource(
        summary="a product of a category was bought", reads=_BOUGHT, limit=MAX_BOUGHT,
        rows=lambda facts: [(item.category, item.bought_s) for item in facts.bought],
    ),
    ("added", ""): HappeningSource(
        summary="a product was put in the cart and is still there", reads=_CART, limit=MAX_CART_LINES, patterned=False,
        ends=_cart_end,
        rows=lambda facts: [("", line.since_s) for line in facts.cart],
    ),
    ("added", "product"): HappeningSource(
        summary="a product, by its id, was put in the cart and is still there", reads=_CART, limit=MAX_CART_LINES,
        ends=_cart_end,
        rows=lambda facts: [(line.id, line.since_s) for line in facts.cart],
    ),
    ("added", "category"): HappeningSource(
        summary="a product of a category was put in the cart and is still there", reads=_CART, limit=MAX_CART_LINES,
        ends=_cart_end,
        rows=lambda facts: [(line.category, line.since_s) for line in facts.cart],
    ),
    ("did", ""): HappeningSource(
        summary="an event by its name, your own events included", reads=frozenset({"events"}), limit=MAX_EVENT_KINDS,
        required=True,
        rows=lambda facts: list(facts.events.items()),
    ),
    **_TRAIT_SOURCES,
}  # fmt: skip
"""By (verb, object). `purchased` is `bought`, and `visited "/x"` is `visited page "/x"`."""


def source_of(verb: str, kind: str, *, patterned: bool) -> HappeningSource | None:
    """The source of an event as it is written; None where the verb knows no such object."""
    verb = "bought" if verb == "purchased" else verb
    if verb == "visited" and patterned:
        kind = "page"
    return SOURCES.get((verb, kind))
