"""Which products an ad shows: strategies in an order, exclusions, and for each product why it was taken or left out.

The same shopper, feed version and seed give the same list. What was seen stays a candidate. Nothing here reads another
advertiser's data: everything is asked with one advertiser's id.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from core.model import Creative, ProductChoice, ProductStrategy
from creatives.product import FeedProduct
from creatives.products.sessions import DAY_S
from creatives.products.store import Found

# Candidates that are looked up for one list: four times as many as the largest ad shows, since some are left out.
MAX_CANDIDATES: Final = 80
_MARGIN_NAMES: Final = {
    "low": 0, "niska": 0, "l": 0, "1": 0, "medium": 1, "middle": 1, "mid": 1, "srednia": 1, "średnia": 1, "m": 1,
    "2": 1, "high": 2, "wysoka": 2, "h": 2, "3": 2,
}  # fmt: skip


class Plan(msgspec.Struct, frozen=True):
    """How one ad or list chooses; `seed` decides between equals, `leave_out` are products that are on the page."""

    choice: ProductChoice = ProductChoice()
    seed: str = ""
    leave_out: frozenset[str] = frozenset()


def plan_of(creative: Creative) -> Plan | None:
    """How a creative chooses; None for one that shows no products."""
    return None if creative.products is None else Plan(creative.products, str(creative.id))


class Seen(msgspec.Struct, frozen=True):
    """A product that was looked at; the price is 0 where no event told it."""

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
    category: str = ""  # whose page is open, as the feed names it; "" on other pages


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate: `left_out` is empty for a chosen one. `score` has a meaning within its strategy only."""

    id: str
    strategy: ProductStrategy
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
    """The first candidates that nothing speaks against, as many as the plan's ad shows."""
    taking = Taking(plan, shopper, now_s)
    choices: list[Choice] = []
    for candidate in candidates:
        why = taking.take(candidate, found.get(candidate.id))
        choices.append(msgspec.structs.replace(candidate, left_out=why) if why else candidate)
    return Selection(tuple(taking.products), tuple(choices))


class Taking:
    """The products of one list for one shopper while candidates are taken or left out."""

    __slots__ = ("_bought", "_listed", "_now_s", "_plan", "_shopper")

    def __init__(self, plan: Plan, shopper: Shopper, now_s: int) -> None:
        self._plan = plan
        self._shopper = shopper
        self._now_s = now_s
        self._listed = Listed(plan.choice)
        self._bought = {one.id: one.at_s for one in shopper.bought}

    @property
    def products(self) -> list[FeedProduct]:
        return self._listed.products

    @property
    def is_full(self) -> bool:
        return self._listed.is_full

    def take(self, candidate: Choice, found: Found | None) -> str:
        """Why a candidate is left out; '' if it was taken."""
        if found is None:
            return "is not in the feed"
        product = found.product
        if self._plan.leave_out and not self._plan.leave_out.isdisjoint((candidate.id, product.id)):
            return "is on the page"
        why = self._listed.why_not(product) or _why_not_for(
            self._plan.choice, self._shopper, candidate, product, self._bought, self._now_s
        )
        return why or self._listed.add(product)


class Listed:
    """The products of one ad while they are chosen, by rules that hold for all visitors; `Taking` adds the others."""

    __slots__ = ("_choice", "_taken", "products")

    def __init__(self, choice: ProductChoice) -> None:
        self._choice = choice
        self._taken: set[str] = set()
        self.products: list[FeedProduct] = []

    @property
    def is_full(self) -> bool:
        return len(self.products) >= self._choice.count

    def why_not(self, product: FeedProduct) -> str:
        """Why the ad may not show a product to anybody, or may not show it again; '' if it may."""
        choice = self._choice
        if product.id in self._taken:
            return "is in the list already"
        if choice.one_of_group and product.group and _group(product) in self._taken:
            return "another variant is in the list already"
        if choice.in_stock and not product.for_sale:
            return "is out of stock"
        if choice.with_image and not product.image:
            return "has no image"
        if choice.least_margin is not None and margin_rank(product) < margin_rank_of(choice.least_margin):
            return f"has a margin below {choice.least_margin}"
        return ""

    def add(self, product: FeedProduct) -> str:
        """Add a product that `why_not` admits: '' if it was added, otherwise why not."""
        if self.is_full:
            return "the list is full"
        self.products.append(product)
        self._taken.add(product.id)
        if product.group:
            self._taken.add(_group(product))
        return ""


def _why_not_for(
    choice: ProductChoice,
    shopper: Shopper,
    candidate: Choice,
    product: FeedProduct,
    bought: Mapping[str, int],
    now_s: int,
) -> str:
    """Why a visitor is not shown a product; '' if nothing speaks against it."""
    if candidate.strategy in (ProductStrategy.BOUGHT, ProductStrategy.SUCCESSOR):
        return ""
    at_s = bought.get(product.id)
    if at_s is not None and now_s - at_s < choice.exclude_bought_days * DAY_S:
        return f"was bought {(now_s - at_s) // DAY_S} days ago"
    if choice.cool_down and product.category.lower() in shopper.cooling:
        return "its category was just bought"
    return ""


def _group(product: FeedProduct) -> str:
    return f"\x1f{product.group}"


def margin_rank(product: FeedProduct) -> int:
    """0 low to 2 high of the shop's margin label; -1 for none or one that says nothing."""
    return margin_rank_of(product.margin)


def margin_rank_of(label: str) -> int:
    return _MARGIN_NAMES.get(label.strip().lower(), -1)


def tie_break(seed: str, product_id: str) -> int:
    """An order among equals that is the same every time, and another for another seed."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\x1f{product_id}".encode(), digest_size=8).digest(), "big")
