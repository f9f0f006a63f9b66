"""The products of one bid: of what its visitor touched, by what this process knows, without waiting.

A hot profile refers to eight products at most (docs/profile-layout.md): lines of the cart, the dearest first, then what
was seen, the newest first, without what was bought or cools down. The strategies that propose those are followed
here; the others need the shop's tables, and the ad is filled up with theirs when it is shown.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from core.model import ProductStrategy
from creatives.product import FeedProduct
from creatives.products.choosing import Listed, Plan

FOLLOWED: Final = frozenset({
    ProductStrategy.CART, ProductStrategy.LAST_VISIT, ProductStrategy.EVER_SEEN, ProductStrategy.REDUCED,
})  # fmt: skip
"""Strategies that need only the references of the visitor's hot profile."""


class BidProducts(msgspec.Struct, frozen=True):
    """Products in the order in which the ad shows them, and the strategy that proposed each.

    `unknown` is how many of the visitor's products this process knows nothing of yet, `is_full` whether the ad has as
    many as it shows. An ad that is not full, or of which some are unknown, can be completed when it is shown.
    """

    products: tuple[FeedProduct, ...]
    strategies: tuple[ProductStrategy, ...]
    unknown: int
    is_full: bool


def choose(plan: Plan, rows: Sequence[FeedProduct | None], of_cart: int, unknown: int, now_s: int) -> BidProducts:
    """The products of a bid out of `rows`, one for each reference of the profile, the first `of_cart` from the cart.

    None stands for a reference without a product, or one of the `unknown`. The same arguments give the same answer;
    no two references are equal, so `plan.seed` has nothing to decide.
    """
    listed = Listed(plan.choice)
    strategies: list[ProductStrategy] = []
    for strategy in plan.choice.strategies:
        if strategy in FOLLOWED:
            before = len(listed.products)
            for product in _proposed(strategy, rows, of_cart, now_s):
                if product is not None and not listed.why_not(product):
                    listed.add(product)
            strategies += [strategy] * (len(listed.products) - before)
    return BidProducts(tuple(listed.products), tuple(strategies), unknown, listed.is_full)


def _proposed(
    strategy: ProductStrategy, rows: Sequence[FeedProduct | None], of_cart: int, now_s: int
) -> Iterable[FeedProduct | None]:
    if strategy is ProductStrategy.CART:
        return rows[:of_cart]
    if strategy is ProductStrategy.REDUCED:
        return [product for product in rows if product is not None and product.on_sale(now_s)]
    return rows[of_cart:]
