"""What the shop's feed said of a product when a visitor met it: the part of facts that rules about products ask for.

Feeds belong to another room (`creatives`), so whoever applies events brings `Detail`s with them. A profile keeps only
the traits that its advertiser's rules name: a shop without such rules pays nothing for them.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from segments.facts.facts import FOREVER_S, Facts, Traits

MARGIN: Final = "margin"
BRAND: Final = "brand"
LABEL: Final = "label"
ON_SALE: Final = "on_sale"
PRICE: Final = "price"
REDUCED: Final = "reduced"

# A brand or label of a feed is cut: longer ones are sentences in the wrong column.
MAX_TRAIT_CHARS: Final = 60
MAX_LABELS: Final = 5


class Detail(msgspec.Struct, frozen=True):
    """A product as the feed has it now; `price_micros` is what a buyer pays, 0 where the feed does not know it."""

    price_micros: int = 0
    traits: Traits = Traits()


Details = Mapping[str, Detail]
"""Product id -> what the feed says of it."""

NO_DETAILS: Final[Details] = {}
UNKNOWN: Final = Detail()


def asked_for(detail: Detail, asked: frozenset[str]) -> Detail:
    """The detail without what no rule asks for."""
    told = detail.traits
    return Detail(
        detail.price_micros if PRICE in asked else 0,
        Traits(
            told.margin[:MAX_TRAIT_CHARS] if MARGIN in asked else "",
            told.brand[:MAX_TRAIT_CHARS] if BRAND in asked else "",
            tuple(label[:MAX_TRAIT_CHARS] for label in told.labels[:MAX_LABELS]) if LABEL in asked else (),
            told.on_sale and ON_SALE in asked,
            told.reduced_from_s if REDUCED in asked else 0,
            told.reduced_to_s if REDUCED in asked else 0,
        ),
    )


def products_of(facts: Facts) -> set[str]:
    """Ids of all products in the facts."""
    return {row.id for rows in (facts.products, facts.bought, facts.cart) for row in rows if row.id}


def refresh_traits(facts: Facts, details: Details) -> frozenset[str]:
    """Bring the traits up to the feed without an event; the names of the fields of Facts that changed.

    Products that were met before a rule asked get today's values of the feed. Of traits that are there already only
    the reduction changes, which is about the present; the others stay what they were at the event.
    """
    changed: set[str] = set()
    for name in ("products", "bought", "cart"):
        for row in getattr(facts, name):
            detail = details.get(row.id)
            if detail is None:
                continue
            traits = detail.traits if row.traits is None else _reduced_like(row.traits, detail.traits)
            price = row.price_micros
            if name != "cart":  # a cart is worth what the shop's page said
                price = price or detail.price_micros
            if (traits, price) != (row.traits, row.price_micros):
                row.traits, row.price_micros = traits, price
                changed.add(name)
    return frozenset(changed)


def _reduced_like(own: Traits, now: Traits) -> Traits:
    if (own.reduced_from_s, own.reduced_to_s) == (now.reduced_from_s, now.reduced_to_s):
        return own
    return msgspec.structs.replace(own, reduced_from_s=now.reduced_from_s, reduced_to_s=now.reduced_to_s)


def reduced_at(facts: Facts, now_s: int) -> int:
    """How many of the products that were seen, and not bought since, are reduced at a moment (unix seconds)."""
    return sum(1 for start, end in _reductions(facts) if start <= now_s < end)


def reduced_changes(facts: Facts) -> list[int]:
    """The moments (unix seconds) at which `reduced_at` changes by itself."""
    return [moment for span in _reductions(facts) for moment in span if 0 < moment < FOREVER_S]


def _reductions(facts: Facts) -> list[tuple[int, int]]:
    bought = {row.id: row.bought_s for row in facts.bought}
    return [
        (product.traits.reduced_from_s, product.traits.reduced_to_s)
        for product in facts.products
        if product.traits is not None and product.traits.reduced_to_s and bought.get(product.id, -1) < product.seen_s
    ]
