"""Questions about products and feeds, for the API and for the command line alike."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from admin.products.documents import (
    FeedReport,
    MatchReport,
    ProductChanges,
    ProductChangesAnswer,
    ProductPage,
    ProductQuery,
    Recommended,
    RecommendRequest,
    change_of,
    plan_for,
    view_of,
)
from admin.products.mailing import MailAdvices, MailDesk, MailRequest
from admin.products.matching import match_ids
from admin.products.shopper import shopper_of, visitor_of
from admin.store.feeds import job_of
from admin.store.model import Feed
from core.clock import Clock
from core.config import RedisSettings
from core.errors import Fault, InputError, NotFoundError
from core.ids import is_user_id
from core.model import Advertiser, Creative
from core.money import MICROS_PER_UNIT
from creatives.feeds.child import LoadInChild
from creatives.feeds.prices import MAX_PRICE_MICROS
from creatives.feeds.runs import Request, Run, RunStore
from creatives.product import FeedProduct
from creatives.products.changes import StockChange
from creatives.products.choosing import Shopper
from creatives.products.models import ModelStore
from creatives.products.recommending import Recommender
from creatives.products.store import ProductBatch, ProductStore
from segments.facts.layout import unpack_cold
from segments.profiles.store import ProfileStore

_WORD: Final = re.compile(r"\w+")


class ProductDesk:
    """Answers questions about products, each for one advertiser, over one connection to Redis."""

    def __init__(self, redis: ProductBatch, profiles: ProfileStore, settings: RedisSettings, clock: Clock) -> None:
        self._store = ProductStore(redis, clock)
        self._runs = RunStore(self._store)
        self._models = ModelStore(self._store, clock)
        self._recommender = Recommender(self._store, self._models, clock)
        self._profiles = profiles
        self._mails = MailDesk(profiles, self._store, self._models, clock)
        self._loader = LoadInChild(settings)
        self._clock = clock

    async def report(self, feed: Feed) -> FeedReport:
        """How a feed fares."""
        last, good = await self._runs.last(feed.advertiser_id, feed.id)
        return FeedReport(feed.id, last, good, await self._runs.progress(feed.advertiser_id, feed.id))

    async def refresh(self, feed: Feed, *, force: bool) -> None:
        """Ask the worker to load a feed at once. Raises InputError for one without an address."""
        if not feed.url:
            raise InputError(f"feed {feed.id} has no address", hint="upload it: PUT /v1/feeds/{id}/content")
        await self._runs.request(feed.id, Request(asked_ms=self._clock.now_ms(), force=force))

    async def upload(self, feed: Feed, path: Path, *, force: bool) -> Run:
        """Load a file as the feed's products. Raises ConflictError while the feed is being loaded."""
        return await self._loader.load(job_of(feed, force=force), path, self._clock.now_ms())

    async def search(self, advertiser_id: int, query: ProductQuery) -> ProductPage:
        """Products by id or by words, in no particular order."""
        now_s = self._clock.now_ms() // 1000
        if query.id is not None:
            found = await self._store.find(advertiser_id, [query.id])
            views = [view_of(one.product, now_s) for one in found.values()]
            return ProductPage(views, len(views), True)
        fits = _matcher(query.q)
        views = []
        async for part in self._store.scan(advertiser_id):
            for product in part:
                if fits(product):
                    if len(views) == query.limit:
                        return ProductPage(views, len(views), False)
                    views.append(view_of(product, now_s))
        return ProductPage(views, len(views), True)

    async def tell(self, advertiser_id: int, changes: ProductChanges) -> ProductChangesAnswer:
        """Apply changes. Raises InputError for prices that a feed would not be believed, also of another currency."""
        found = await self._store.find(advertiser_id, [change.id for change in changes.products])
        faults = [
            Fault(f"/products/{place}/{name}/currency", "currency", f"the product's currency is {own}", "leave it out")
            for place, change in enumerate(changes.products)
            if change.id in found and (own := found[change.id].product.currency)
            for name in ("price", "sale_price")
            if (named := getattr(getattr(change, name), "currency", None)) is not None and named != own
        ]
        told = [change_of(change) for change in changes.products]
        faults += [fault for place, change in enumerate(told) for fault in _amount_faults(place, change)]
        prices = {one: product.product.price_micros for one, product in found.items()}
        prices |= {one.id: one.price_micros for one in told if one.price_micros is not None}
        faults += [
            Fault(f"/products/{place}/sale_price", "sale_not_lower", "is not below the price", "tell a new price, too")
            for place, change in enumerate(told)
            if change.id in prices and (change.sale_micros or 0) > prices[change.id]
        ]
        if faults:
            raise InputError("the input is not valid", faults=faults)
        unknown = await self._store.tell(advertiser_id, told, self._clock.now_ms())
        return ProductChangesAnswer(len({change.id for change in told}) - len(unknown), unknown)

    async def match(self, advertiser_id: int) -> MatchReport:
        """How many ids of the newest events the feeds have."""
        return await match_ids(self._store, advertiser_id)

    async def recommend(self, advertiser_id: int, request: RecommendRequest, creative: Creative | None) -> Recommended:
        """Products for a user, or for a visitor who has seen some; `creative` is that of the request.

        Raises NotFoundError for an unknown user, and for another advertiser's creative.
        """
        if creative is not None and creative.advertiser_id != advertiser_id:
            raise NotFoundError(f"advertiser {advertiser_id} has no creative {creative.id}")
        plan = plan_for(request, creative)
        now_s = self._clock.now_ms() // 1000
        if request.products:
            shopper = visitor_of(request.products, now_s)
        elif request.user_id:
            shopper = await self._shopper(advertiser_id, request.user_id, now_s)
        else:
            shopper = Shopper()
        selection = await self._recommender.recommend(advertiser_id, shopper, plan)
        known = await self._models.get(advertiser_id)
        views = [view_of(product, now_s) for product in selection.products]
        return Recommended(views, list(selection.choices), known.model.fitted_ms if known else 0)

    async def mail(self, advertiser: Advertiser, request: MailRequest) -> MailAdvices:
        """What to send to each of many people. Raises InputError."""
        return await self._mails.advise(advertiser, request)

    async def _shopper(self, advertiser_id: int, user_id: str, now_s: int) -> Shopper:
        if not is_user_id(user_id):
            fault = Fault("/user_id", "value", "is not a user id", "pass the 22 characters of the grosz_uid cookie")
            raise InputError("the input is not valid", faults=[fault])
        field = (await self._profiles.read({user_id: [advertiser_id]}))[user_id].fields[advertiser_id]
        if not field.cold:
            raise NotFoundError(f"the shop knows nothing of the user {user_id}")
        return shopper_of(unpack_cold(field.cold), now_s)


def _amount_faults(place: int, change: StockChange) -> list[Fault]:
    """Prices that would be refused in a feed."""
    most = MAX_PRICE_MICROS // MICROS_PER_UNIT
    return [
        Fault(f"/products/{place}/{name}/amount", "range", f"is not a price between {least} and {most:,}")
        for name, least, micros in (("price", 0.01, change.price_micros), ("sale_price", 0, change.sale_micros))
        if micros is not None and not least * MICROS_PER_UNIT <= micros <= MAX_PRICE_MICROS
    ]


def _matcher(text: str) -> Callable[[FeedProduct], bool]:
    words: Sequence[str] = _WORD.findall(text.lower())

    def fits(product: FeedProduct) -> bool:
        searched = f"{product.id} {product.title} {product.brand} {product.category}".lower()
        return all(word in searched for word in words)

    return fits
