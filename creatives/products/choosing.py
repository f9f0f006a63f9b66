"""Which products an ad shows: strategies in an order, exclusions, and for each product why it was taken or left out.

The same shopper, feed version and seed give the same list. What was seen stays a candidate. Nothing here reads another
advertiser's data: everything is asked with one advertiser's id.
"""

import enum
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from creatives.feeds.product import FeedProduct
from creatives.products.sessions import DAY_S
from creatives.products.store import Found

# Candidates looked up for one list: four times the products of the largest ad, for those that are left out.
MAX_CANDIDATES: Final = 80
MARGINS: Final = ("low", "medium", "high")
_MARGIN_NAMES: Final = {
    "low": 0, "niska": 0, "l": 0, "1": 0, "medium": 1, "middle": 1, "mid": 1, "srednia": 1, "średnia": 1, "m": 1,
    "2": 1, "high": 2, "wysoka": 2, "h": 2, "3": 2,
}  # fmt: skip


class Strategy(enum.StrEnum):
    """Where candidates come from."""

    CART = "cart"  # what is in the cart, by value
    LAST_VISIT = "last_visit"  # seen in the last visit, the newest first
    EVER_SEEN = "ever_seen"
    NEXT = "next"  # the likeliest next product of the visit, seen ones among them
    BOUGHT = "bought"  # to be bought again, when the visitor's or the shop's cycle says so
    SIMILAR = "similar"  # like the last ones seen, within 20 % of their price
    COMPLEMENTARY = "complementary"  # bought together with what is in the cart or was bought
    UPSELL = "upsell"  # dearer ones of the category
    REDUCED = "reduced"  # seen, and cheaper now
    SUCCESSOR = "successor"  # the next size of what was bought long ago
    BESTSELLERS = "bestsellers"
    TRENDING = "trending"


DEFAULT_ORDER: Final = (
    Strategy.CART, Strategy.LAST_VISIT, Strategy.NEXT, Strategy.SIMILAR, Strategy.COMPLEMENTARY, Strategy.EVER_SEEN,
    Strategy.BESTSELLERS,
)  # fmt: skip


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a creative chooses. Durations are seconds."""

    strategies: tuple[Strategy, ...] = DEFAULT_ORDER
    count: int = 8
    seed: str = ""
    exclude_bought_s: int = 30 * DAY_S  # 0: bought products may be shown at once
    cool_down: bool = True  # leave out categories that were just bought
    in_stock: bool = True
    with_image: bool = True
    least_margin: str = ""  # low, medium, high: products whose label is lower, or none, are left out
    one_of_group: bool = True  # of the variants of a product only the first
    price_within_percent: int = 20  # of `similar`
    reorder_after_s: int = 30 * DAY_S  # where the visitor has no rhythm yet
    successor_after_s: int = 365 * DAY_S
    successor_step: float = 1.0  # added to the size; the next larger one of the category is taken if there is no such


class Seen(msgspec.Struct, frozen=True):
    """A product that was looked at; price 0 where nobody told."""

    id: str
    at_s: int
    price_micros: int = 0
    category: str = ""


class Shopper(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a visitor at one shop, the oldest first. Moments are unix seconds."""

    seen: tuple[Seen, ...] = ()
    visit_start_s: int = 0
    cart: tuple[str, ...] = ()  # by value, the highest first
    bought: tuple[Seen, ...] = ()
    cycle_s: int = 0  # mean time between purchases; 0: unknown
    cooling: frozenset[str] = frozenset()  # categories that were just bought, as events name them


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate: `left_out` is empty for a chosen one. `score` has a meaning within its strategy only."""

    id: str
    strategy: Strategy
    reason: str
    score: float = 0.0
    left_out: str = ""


class Selection(msgspec.Struct, frozen=True):
    """The products of an ad, in order, and every candidate with its reason."""

    products: tuple[FeedProduct, ...]
    choices: tuple[Choice, ...]


def anchors_of(shopper: Shopper) -> list[str]:
    """The products that others are compared with: cart, last seen, bought; they are looked up first."""
    seen = [one.id for one in reversed(shopper.seen)]
    return list(dict.fromkeys([*shopper.cart, *seen, *(one.id for one in reversed(shopper.bought))]))[:MAX_CANDIDATES]


def select(
    plan: Plan, shopper: Shopper, candidates: Iterable[Choice], found: Mapping[str, Found], now_s: int
) -> Selection:
    """The first `plan.count` candidates that nothing speaks against."""
    chosen: list[FeedProduct] = []
    choices: list[Choice] = []
    taken: set[str] = set()
    bought = {one.id: one.at_s for one in shopper.bought}
    for candidate in candidates:
        product = found[candidate.id].product if candidate.id in found else None
        why = _why_not(plan, shopper, candidate, product, taken, bought, now_s)
        if not why and len(chosen) >= plan.count:
            why = "the list is full"
        choices.append(msgspec.structs.replace(candidate, left_out=why) if why else candidate)
        if not why and product is not None:
            chosen.append(product)
            taken.update(name for name in (product.id, _group(product)) if name)
    return Selection(tuple(chosen), tuple(choices))


def _why_not(
    plan: Plan,
    shopper: Shopper,
    candidate: Choice,
    product: FeedProduct | None,
    taken: set[str],
    bought: Mapping[str, int],
    now_s: int,
) -> str:
    """Why a candidate is left out; '' if it is not."""
    if product is None:
        return "is not in the feed"
    if product.id in taken:
        return "is in the list already"
    if plan.one_of_group and _group(product) in taken:
        return "another variant is in the list already"
    if plan.in_stock and not product.for_sale:
        return "is out of stock"
    if plan.with_image and not product.image:
        return "has no image"
    if plan.least_margin and margin_rank(product) < margin_rank_of(plan.least_margin):
        return f"has a margin below {plan.least_margin}"
    if candidate.strategy in (Strategy.BOUGHT, Strategy.SUCCESSOR):
        return ""
    at_s = bought.get(product.id)
    if at_s is not None and now_s - at_s < plan.exclude_bought_s:
        return f"was bought {(now_s - at_s) // DAY_S} days ago"
    if plan.cool_down and product.category.lower() in shopper.cooling:
        return "its category was just bought"
    return ""


def _group(product: FeedProduct) -> str:
    return f"\x1f{product.group}" if product.group else ""


def margin_rank(product: FeedProduct) -> int:
    """0 low to 2 high of the shop's margin label; -1 for none or one that says nothing."""
    return margin_rank_of(product.margin)


def margin_rank_of(label: str) -> int:
    return _MARGIN_NAMES.get(label.strip().lower(), -1)


def tie_break(seed: str, product_id: str) -> int:
    """An order among equals that is the same every time, and another for another seed."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\x1f{product_id}".encode(), digest_size=8).digest(), "big")
