"""The events that a rule may ask for (`viewed category "shoes" in 7d`): which lists of a profile record them.

A profile keeps the latest few of each kind and, for pages, products and phrases, only the last time of each: counts
therefore count different pages, products or phrases, and never exceed `limit`.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from segments.facts import (
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
)

Matcher = Callable[[str], bool]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the occurrences of one kind of event are: `moments` gives the unix seconds of those that match."""

    summary: str
    reads: frozenset[str]
    limit: int
    moments: Callable[[Facts, Matcher], list[int]]
    patterned: bool = True  # may name what it is about
    required: bool = False  # must name it
    timed: bool = True  # the profile knows when
    amounts: Callable[[Facts], list[tuple[int, int]]] | None = None  # (unix seconds, micros): total() is possible
    ends: Callable[[Facts], int] | None = None  # unix seconds from which the list counts as empty


def _cart_end(facts: Facts) -> int:
    return facts.cart_changed_s + CART_LIFETIME_S


_PRODUCTS: Final = frozenset({"products"})
_CART: Final = frozenset({"cart", "cart_changed_s"})
_BOUGHT: Final = frozenset({"bought"})

SOURCES: Final[dict[tuple[str, str], Source]] = {
    ("visited", ""): Source(
        summary="a visit began", reads=frozenset({"entries"}), limit=MAX_ENTRIES, patterned=False,
        moments=lambda facts, _: [entry.at_s for entry in facts.entries],
    ),
    ("visited", "page"): Source(
        summary="a page was opened; the pattern is its path", reads=frozenset({"paths"}), limit=MAX_PATHS,
        moments=lambda facts, match: [page.at_s for page in facts.paths if match(page.path)],
    ),
    ("viewed", ""): Source(
        summary="any product was viewed", reads=_PRODUCTS, limit=MAX_PRODUCTS, patterned=False,
        moments=lambda facts, _: [product.seen_s for product in facts.products],
    ),
    ("viewed", "product"): Source(
        summary="a product was viewed, by its id", reads=_PRODUCTS, limit=MAX_PRODUCTS,
        moments=lambda facts, match: [product.seen_s for product in facts.products if match(product.id)],
    ),
    ("viewed", "category"): Source(
        summary="a product of a category was viewed", reads=_PRODUCTS, limit=MAX_PRODUCTS,
        moments=lambda facts, match: [product.seen_s for product in facts.products if match(product.category)],
    ),
    ("liked", ""): Source(
        summary="any product was put on a wish list", reads=_PRODUCTS, limit=MAX_PRODUCTS, patterned=False, timed=False,
        moments=lambda facts, _: [product.seen_s for product in facts.products if product.liked],
    ),
    ("liked", "product"): Source(
        summary="a product was put on a wish list", reads=_PRODUCTS, limit=MAX_PRODUCTS, timed=False,
        moments=lambda facts, match: [item.seen_s for item in facts.products if item.liked and match(item.id)],
    ),
    ("liked", "category"): Source(
        summary="a product of a category was put on a wish list", reads=_PRODUCTS, limit=MAX_PRODUCTS, timed=False,
        moments=lambda facts, match: [item.seen_s for item in facts.products if item.liked and match(item.category)],
    ),
    ("searched", ""): Source(
        summary="the shop's search was used; the pattern is the phrase", reads=frozenset({"searches"}),
        limit=MAX_SEARCHES,
        moments=lambda facts, match: [search.at_s for search in facts.searches if match(search.phrase)],
    ),
    ("bought", ""): Source(
        summary="a purchase, online or offline", reads=frozenset({"orders"}), limit=MAX_ORDERS, patterned=False,
        moments=lambda facts, _: [order.at_s for order in facts.orders],
        amounts=lambda facts: [(order.at_s, order.value_micros) for order in facts.orders],
    ),
    ("bought", "product"): Source(
        summary="a product was bought, by its id", reads=_BOUGHT, limit=MAX_BOUGHT,
        moments=lambda facts, match: [item.bought_s for item in facts.bought if match(item.id)],
    ),
    ("bought", "category"): Source(
        summary="a product of a category was bought", reads=_BOUGHT, limit=MAX_BOUGHT,
        moments=lambda facts, match: [item.bought_s for item in facts.bought if match(item.category)],
    ),
    ("added", ""): Source(
        summary="a product was put in the cart and is still there", reads=_CART, limit=MAX_CART_LINES, patterned=False,
        ends=_cart_end,
        moments=lambda facts, _: [line.since_s for line in facts.cart],
    ),
    ("added", "product"): Source(
        summary="a product, by its id, was put in the cart and is still there", reads=_CART, limit=MAX_CART_LINES,
        ends=_cart_end,
        moments=lambda facts, match: [line.since_s for line in facts.cart if match(line.id)],
    ),
    ("added", "category"): Source(
        summary="a product of a category was put in the cart and is still there", reads=_CART, limit=MAX_CART_LINES,
        ends=_cart_end,
        moments=lambda facts, match: [line.since_s for line in facts.cart if match(line.category)],
    ),
    ("did", ""): Source(
        summary="an event by its name, your own events included", reads=frozenset({"events"}), limit=MAX_EVENT_KINDS,
        required=True,
        moments=lambda facts, match: [at_s for kind, at_s in facts.events.items() if match(kind)],
    ),
}  # fmt: skip
"""By (verb, object). `purchased` is `bought`, and `visited "/x"` is `visited page "/x"`."""


def source_of(verb: str, kind: str, *, patterned: bool) -> Source | None:
    """The source of an event as it is written; None where the verb knows no such object."""
    verb = "bought" if verb == "purchased" else verb
    if verb == "visited" and patterned:
        kind = "page"
    return SOURCES.get((verb, kind))
