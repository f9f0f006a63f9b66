"""Fitting one advertiser's model: interactions of its visitors and products of its feeds, of nobody else."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from creatives.product import FeedProduct
from creatives.products.content import fit_content
from creatives.products.learning import fit_blend
from creatives.products.model import ATTRIBUTES, NO_STEP, ProductModel
from creatives.products.sessions import (
    DAY_S,
    Interaction,
    NumberedSessions,
    ProductTouch,
    baskets_of,
    number_products,
    views_of,
)

# Fitting a model of so many products takes 100 MB. If there are more, those that visitors touched come first.
MAX_PRODUCTS: Final = 100_000
# A trend compares the views of so long with all views before.
TREND_S: Final = 2 * DAY_S
TREND_PRIOR: Final = 5.0
_NUMBER: Final = re.compile(r"[0-9]{1,4}(?:[.,][0-9])?")


def fit_model(interactions: Iterable[Interaction], products: Iterable[FeedProduct], now_ms: int) -> ProductModel:
    """The model of what was touched and of what the feeds have."""
    numbered = number_products(interactions)
    known = {product.id: product for product in products}
    ids = numbered.ids + [product_id for product_id in known if product_id not in set(numbered.ids)]
    ids = ids[: max(MAX_PRODUCTS, len(numbered.ids))]
    feed = [known.get(product_id) for product_id in ids]
    views, baskets = views_of(numbered), baskets_of(numbered)
    blend = fit_blend(views, baskets, len(ids), fit_content(feed))
    category_names, categories = _named(_categories(feed, numbered))
    brand_names, brands = _named([product.brand if product else "" for product in feed])
    return ProductModel(
        now_ms, len(numbered.items), ids, category_names, brand_names, categories, brands,
        np.asarray([product.price_micros if product else 0 for product in feed], dtype=np.int64),
        np.asarray([step_of(product.size) if product else NO_STEP for product in feed], dtype=np.float32),
        _trends(numbered, len(ids), now_ms // 1000),
        np.asarray([product is not None for product in feed], dtype=np.bool_),
        _attributes(feed),
        blend,
    )  # fmt: skip


def step_of(text: str) -> float:
    """A size or another label as a number: `86`, `EU 42,5`; NO_STEP for what has none."""
    found = _NUMBER.search(text)
    return float(found[0].replace(",", ".")) if found else NO_STEP


def _attributes(feed: Sequence[FeedProduct | None]) -> npt.NDArray[np.int32]:
    columns = [
        _named([getattr(product, name).casefold() if product else "" for product in feed])[1] for name in ATTRIBUTES
    ]
    return np.stack(columns, axis=1)


def _categories(feed: Sequence[FeedProduct | None], numbered: NumberedSessions) -> list[str]:
    """The feed's category, otherwise the one that events told."""
    told = numbered.categories + [""] * (len(feed) - len(numbered.categories))
    return [product.category if product and product.category else own for product, own in zip(feed, told, strict=True)]


def _named(texts: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int32]]:
    """The different texts, and for each product the number of its text; -1 for a product without one."""
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(text, len(numbers)) if text else -1 for text in texts]
    return list(numbers), np.asarray(found, dtype=np.int32)


def _trends(numbered: NumberedSessions, products: int, now_s: int) -> npt.NDArray[np.float32]:
    """How much more often a product is viewed now than before, both as shares of all views, and damped by a prior."""
    viewed = numbered.touches == ProductTouch.VIEW
    recent = numbered.at_s >= now_s - TREND_S
    now = np.bincount(numbered.items[viewed & recent], minlength=products).astype(np.float64)
    before = np.bincount(numbered.items[viewed & ~recent], minlength=products).astype(np.float64)
    expected = before / max(1.0, before.sum()) * now.sum()
    trend = np.where(now > 0, (now + TREND_PRIOR) / (expected + TREND_PRIOR), 0.0)
    return trend.astype(np.float32)
