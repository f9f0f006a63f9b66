"""Keeping models fresh: each advertiser's is fitted anew every few minutes when something changed, in a child."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from core.clock import Clock, SystemClock
from core.config import RedisSettings
from core.errors import UnavailableError
from core.product_keys import product_model
from core.telemetry.metrics import Telemetry
from creatives.children import connected, in_child
from creatives.products.interactions import InteractionLog
from creatives.products.models import ModelStore
from creatives.products.store import ProductStore

log = logging.getLogger(__name__)

# A visitor's session is over in half an hour; what they did an hour ago should help the next one.
REFRESH_S: Final = 300.0
# A shop with nothing new is looked at again this soon: its first feed should not wait for five minutes.
LOOK_S: Final = 15.0
POLL_S: Final = 3.0

Advertisers = Callable[[], Iterable[int]]
Fit = Callable[[int], Awaitable[None]]


class ModelRefresher:
    """Fits models one after the other. `fit` fits one advertiser's; in which process is its business."""

    def __init__(
        self, store: ProductStore, advertisers: Advertisers, fit: Fit, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._store = store
        self._models = ModelStore(store, clock)
        self._advertisers = advertisers
        self._fit = fit
        self._clock = clock
        self._next_s: dict[int, float] = {}
        self._fitted = telemetry.counter(
            "grosz_product_models_total", "Recommendation models, by what came of fitting.", ("outcome",)
        )
        self._seconds = telemetry.gauge(
            "grosz_product_model_fit_seconds", "How long the last recommendation model took to fit."
        ).labels()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Fit what is due, one advertiser after the other."""
        for advertiser_id in list(self._advertisers()):
            now_s = self._clock.monotonic()
            if now_s < self._next_s.get(advertiser_id, 0.0):
                continue
            self._next_s[advertiser_id] = now_s + REFRESH_S
            try:
                if not await self.refresh(advertiser_id):
                    self._next_s[advertiser_id] = now_s + LOOK_S
            except UnavailableError as error:
                self._fitted.labels("failed").inc()
                log.warning("the recommendations of advertiser %d stay as they are: %s", advertiser_id, error.message)

    async def refresh(self, advertiser_id: int) -> bool:
        """Fit a model if anything changed since the last one and no other worker fits it; whether one was fitted."""
        state = await world_state(self._store, advertiser_id)
        if not state or (await self._models.fitted(advertiser_id))[1] == state:
            return False
        if not await self._models.claim(advertiser_id):
            return False
        began = self._clock.monotonic()
        try:
            await self._fit(advertiser_id)
        finally:
            await self._models.release(advertiser_id)
        self._seconds.set(self._clock.monotonic() - began)
        self._fitted.labels("fitted").inc()
        return True


async def world_state(store: ProductStore, advertiser_id: int) -> str:
    """Text that changes with what a model is fitted to; '' when there is nothing to fit to."""
    reply = (await store.commands([("HMGET", product_model(advertiser_id), "seen", "swaps")]))[0]
    seen, swaps = reply if isinstance(reply, list) else (None, None)
    return f"{int(seen or 0)}:{int(swaps or 0)}" if seen or swaps else ""


async def fit_advertiser(store: ProductStore, advertiser_id: int, clock: Clock) -> None:
    """Read everything of one advertiser, fit, put the model in force."""
    from creatives.products.fit import MAX_PRODUCTS, fit_model  # SciPy, which only the child needs

    state = await world_state(store, advertiser_id)
    touches = InteractionLog(store)
    interactions = await touches.newest(advertiser_id)
    touched = {one.product_id for one in interactions}
    products = []
    room = max(0, MAX_PRODUCTS - len(touched))
    async for part in store.scan(advertiser_id):
        for product in part:
            if product.id in touched:
                products.append(product)
            elif room:
                products.append(product)
                room -= 1
    model = fit_model(interactions, products, clock.now_ms())
    await ModelStore(store, clock).put(advertiser_id, model, state)
    await touches.join(advertiser_id)


class FitInChild:
    """Fits models in children, one each."""

    def __init__(self, redis: RedisSettings) -> None:
        self._redis = redis

    async def __call__(self, advertiser_id: int) -> None:
        await in_child(fit_in_child, self._redis, advertiser_id)


def fit_in_child(redis: RedisSettings, advertiser_id: int) -> None:
    """One fit, in the child."""
    asyncio.run(_fit(redis, advertiser_id))


async def _fit(redis: RedisSettings, advertiser_id: int) -> None:
    clock = SystemClock()
    async with connected(redis, clock) as connection:
        await fit_advertiser(ProductStore(connection, clock), advertiser_id, clock)
