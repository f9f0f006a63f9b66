"""The products' part of the worker: feeds by schedule, what visitors do with products, models of it."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from admin.roles.lifecycle import RoleContext
from admin.store.database import Database
from admin.store.feeds import planned_feeds
from core.catalogue.follower import CatalogueFollower
from core.errors import UnavailableError
from core.redis.client import Pipelined
from creatives.feeds.child import LoadInChild
from creatives.feeds.schedule import FeedSchedule
from creatives.products.interactions import InteractionLog, visitor_hash
from creatives.products.refresh import FitInChild, ModelRefresher
from creatives.products.sessions import Interaction, ProductTouch
from creatives.products.stock import StockTold, availability_of
from creatives.products.store import ProductStore
from segments.facts.event import Event, Kind
from segments.worker.worker import OnApplied

log = logging.getLogger(__name__)

# Stock must be in force within a second of its event, of which the event's own way takes some 50 ms.
FLUSH_S: Final = 0.25

_TOUCHES: Final = {
    Kind.VIEW_ITEM: ProductTouch.VIEW,
    Kind.ADD_TO_CART: ProductTouch.CART,
    Kind.PURCHASE: ProductTouch.BUY,
}


class ProductWork(NamedTuple):
    """What the worker's other parts need of the products: whom to tell of applied events, and whom to ask."""

    on_applied: OnApplied
    store: ProductStore


def run_products(role: RoleContext, redis: Pipelined, catalogue: CatalogueFollower, database: Database) -> ProductWork:
    """Register the loops."""
    settings = role.settings
    store = ProductStore(redis, role.clock)
    schedule = FeedSchedule(
        store,
        partial(planned_feeds, database, allow_private=settings.worker.private_feeds),
        LoadInChild(settings.redis).load,
        role.clock,
        role.telemetry,
    )

    def advertisers() -> list[int]:
        return [advertiser.id for advertiser in catalogue.current.advertisers] if catalogue.current else []

    refresher = ModelRefresher(store, advertisers, FitInChild(settings.redis), role.clock, role.telemetry)
    watcher = ProductWatcher(InteractionLog(store), StockTold(store, role.clock, role.telemetry))
    role.run_loop(schedule.run, "product feeds")
    role.run_loop(refresher.run, "product models")
    role.run_loop(watcher.run, "product events")
    role.on_close(watcher.flush)
    return ProductWork(watcher.take, store)


class ProductWatcher:
    """Takes from applied shop events what recommendations and product tables need of them."""

    def __init__(self, interactions: InteractionLog, stock: StockTold) -> None:
        self._interactions = interactions
        self._stock = stock

    def take(self, events: Sequence[Event]) -> None:
        """Take events that were just applied; what they say of products is written by `flush`."""
        for event in events:
            if event.items and not event.origin:  # passed on from another device: taken there
                self._take(event)

    def _take(self, event: Event) -> None:
        touch = _TOUCHES.get(Kind(event.kind)) if event.kind in _KINDS else None
        if touch is not None:
            visitor = visitor_hash(event.advertiser_id, event.user_id)
            at_s = event.at_ms // 1000
            rows = [Interaction(visitor, at_s, touch, item.id, item.category) for item in event.items]
            self._interactions.add(event.advertiser_id, rows)
        for item in event.items:
            availability = availability_of(item.availability) if item.availability else None
            if availability is not None:
                self._stock.add(event.advertiser_id, item.id, availability, event.at_ms)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits; what cannot be written is lost and said so."""
        try:
            await self._stock.flush()
            await self._interactions.flush()
        except UnavailableError as error:
            log.warning("what events say of products is lost: %s", error.message)


_KINDS: Final = frozenset(Kind)
