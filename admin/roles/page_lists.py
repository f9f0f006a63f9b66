"""Products for the shop's own pages: `/r/{advertiser}` on the track port.

Siblings meet here: the profile (segments) says for whom, the product tables (creatives) what. A visitor waits for the
answer, so nothing here waits for a model: what is not in memory is shed, and the list is made of what is.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import msgspec

from admin.products.shopper import shopper_of
from core.clock import Clock
from core.model import ProductChoice, ProductStrategy
from core.money import format_micros
from core.telemetry.metrics import Telemetry
from creatives.product import FeedProduct
from creatives.products.choosing import Plan, Seen, Shopper
from creatives.products.known import ProductLookup
from creatives.products.listing import ListedProduct, list_products
from creatives.products.models import ModelStore
from segments.facts.facts import Facts
from segments.facts.layout import LayoutError, expires_of, unpack_cold, unpack_windows
from segments.profiles.store import ProfileStore

# A page has drawn its first screen by then; later the list is made of what needs no thought.
LATE_S: Final = 0.02
# And later than this the list is empty: a page that waits is worse than one without it.
GIVE_UP_S: Final = 0.5
LAG_EVERY_S: Final = 0.05

COSTLY: Final = frozenset({ProductStrategy.NEXT, ProductStrategy.SIMILAR, ProductStrategy.SUCCESSOR})
"""Strategies that compute more than they look up: left out when the process is late."""

HOME: Final = (ProductStrategy.LAST_VISIT, ProductStrategy.EVER_SEEN, ProductStrategy.BESTSELLERS)
DEFAULTS: Final = {
    "home": HOME,
    "product": (ProductStrategy.SIMILAR, ProductStrategy.COMPLEMENTARY, ProductStrategy.BESTSELLERS),
    "cart": (ProductStrategy.COMPLEMENTARY, ProductStrategy.BESTSELLERS),
    "category": (ProductStrategy.BESTSELLERS,),
}
"""What a page shows that asks for no strategy, by the kind of page."""

_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5)

Page = Literal["home", "product", "cart", "category"]


class PageQuery(NamedTuple):
    """What a page asks: how many products by which strategies (none: the page's own), and what it shows."""

    most: int
    strategies: tuple[ProductStrategy, ...] = ()
    page: Page = "home"
    about: str = ""  # the product's id or the category's name


class PagePrice(msgspec.Struct, frozen=True):
    """An amount in units of its currency, as a text."""

    amount: str
    currency: str


class PageProduct(msgspec.Struct, frozen=True):
    """A product for a page. `old_price` is null without a reduced price."""

    id: str
    title: str
    link: str
    image: str
    price: PagePrice
    old_price: PagePrice | None
    brand: str
    category: str
    strategy: ProductStrategy


class PageVisitor(msgspec.Struct, frozen=True):
    """What the shop knows of the visitor: whether the e-mail, how many orders, and the segments that hold now."""

    identified: bool
    orders: int
    segments: list[int]


class PageList(msgspec.Struct, frozen=True):
    """The answer. `visitor` is null where the visitor is not recognised. `shed`: made in a hurry."""

    products: list[PageProduct]
    visitor: PageVisitor | None
    shed: bool


class _Recognised(NamedTuple):
    facts: Facts
    segments: list[int]


class PageDesk:
    """Makes lists of one advertiser's products for one visitor."""

    def __init__(
        self,
        profiles: ProfileStore,
        finding: ProductLookup,
        models: ModelStore,
        clock: Clock,
        telemetry: Telemetry,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profiles = profiles
        self._finding = finding
        self._models = models
        self._clock = clock
        self._elapsed = elapsed
        self._lag_s = 0.0
        self._counts = telemetry.counter(
            "grosz_page_lists_total", "Lists of products for the shops' own pages, by outcome.", ("outcome",)
        )
        self._seconds = telemetry.histogram(
            "grosz_page_list_seconds", "Time that a list of products for a shop's page took.", bounds=_BUCKETS
        ).labels()

    def count(self, outcome: str) -> None:
        """Count an answer by its outcome, a word of a fixed list."""
        self._counts.labels(outcome).inc()

    async def watch(self) -> None:
        """Measure how late the process's event loop is, until cancelled."""
        while True:
            asked = self._elapsed()
            await asyncio.sleep(LAG_EVERY_S)
            self._lag_s = max(0.0, self._elapsed() - asked - LAG_EVERY_S)

    async def products(self, advertiser_id: int, user_id: str, query: PageQuery) -> PageList:
        """The list; `user_id` is '' for a visitor who may not be recognised. Raises UnavailableError."""
        began = self._elapsed()
        now_s = self._clock.now_ms() // 1000
        async with asyncio.timeout(GIVE_UP_S):
            known = await self._known(advertiser_id, user_id, now_s) if user_id else None
            shopper = shopper_on(query, known.facts if known else None, now_s)
            model = self._models.at_hand(advertiser_id)
            late = self._lag_s + self._elapsed() - began > LATE_S
            plan = plan_on(query, shopper, is_late=late)
            listed: list[ListedProduct] = []
            if query.most:
                listed = await list_products(self._finding, advertiser_id, shopper, plan, model, now_s)
        self._seconds.observe(self._elapsed() - began)
        self.count("shed" if late else "personal" if known else "anonymous")
        return PageList([_told(one, now_s) for one in listed], _visitor(known), late or model is None)

    async def _known(self, advertiser_id: int, user_id: str, now_s: int) -> _Recognised | None:
        """What this shop knows of the visitor; None if that is nothing or has expired, or the visitor has opted out."""
        user = (await self._profiles.read({user_id: [advertiser_id]}))[user_id]
        field = user.fields[advertiser_id]
        if user.meta.opted_out or not field.cold or not field.hot:
            return None
        try:
            if expires_of(field.hot) <= now_s:
                return None
            segments = sorted(
                {segment for segment, enter, leave in unpack_windows(field.hot) if enter <= now_s < leave}
            )
            return _Recognised(unpack_cold(field.cold), segments)
        except LayoutError:
            return None


def shopper_on(query: PageQuery, facts: Facts | None, now_s: int) -> Shopper:
    """The visitor as the chooser takes one, with what the page shows as the last thing seen."""
    shopper = shopper_of(facts, now_s) if facts is not None else Shopper()
    if query.page == "product":
        seen = (*(one for one in shopper.seen if one.id != query.about), Seen(query.about, now_s))
        return msgspec.structs.replace(shopper, seen=seen, visit_start_s=shopper.visit_start_s or now_s)
    if query.page == "category":
        return msgspec.structs.replace(shopper, category=query.about)
    return shopper


def plan_on(query: PageQuery, shopper: Shopper, *, is_late: bool) -> Plan:
    """How the list is chosen: without what the page shows, and on the cart's page without what is in the cart."""
    strategies = query.strategies or DEFAULTS[query.page]
    if is_late:
        strategies = tuple(one for one in strategies if one not in COSTLY) or HOME
    there = {query.about} if query.page == "product" else set(shopper.cart) if query.page == "cart" else set()
    return Plan(ProductChoice(strategies=strategies, count=max(1, query.most)), leave_out=frozenset(there))


def _visitor(known: _Recognised | None) -> PageVisitor | None:
    if known is None:
        return None
    return PageVisitor(bool(known.facts.person), max(0, known.facts.purchases), known.segments)


def _told(one: ListedProduct, now_s: int) -> PageProduct:
    product: FeedProduct = one.product
    on_sale = product.on_sale(now_s)
    return PageProduct(
        product.id, product.title, product.link, product.image,
        PagePrice(format_micros(product.current_micros(now_s)), product.currency),
        PagePrice(format_micros(product.price_micros), product.currency) if on_sale else None,
        product.brand, product.category, one.strategy,
    )  # fmt: skip
