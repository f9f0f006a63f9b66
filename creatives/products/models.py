"""Models in Redis: fitted by one worker at a time, read and kept by the processes that recommend."""

import asyncio
import logging
import secrets
from collections import OrderedDict
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import CatalogueError, UnavailableError
from core.product_keys import product_fit, product_model
from creatives.products.model import ProductModel, pack_model, unpack_model
from creatives.products.store import ProductStore

log = logging.getLogger(__name__)

# A model of 50,000 products is some 60 MB in memory; of a usual shop, a few.
KEPT_MODELS: Final = 32
# A model is refreshed every few minutes; a process uses the one it has for so long without asking Redis.
LOOK_S: Final = 15.0
FIT_LOCK_S: Final = 600


class KnownModel(msgspec.Struct):
    """A model with its products by id, and when Redis was last asked for a newer one.

    `popular` keeps lists of bestsellers, by seed and category (None: of the shop).
    """

    model: ProductModel
    numbers: dict[str, int]
    looked_s: float
    popular: dict[tuple[str, int | None], list[int]] = msgspec.field(default_factory=dict)


def _known(blob: bytes, now_s: float) -> KnownModel:
    model = unpack_model(blob)
    return KnownModel(model, model.numbers(), now_s)


class ModelStore:
    """Models of all advertisers; a process keeps those that it used last."""

    def __init__(self, store: ProductStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._kept: OrderedDict[int, KnownModel] = OrderedDict()
        self._fetching: dict[int, asyncio.Task[None]] = {}

    async def get(self, advertiser_id: int) -> KnownModel | None:
        """The advertiser's model; None before the first was fitted. Raises UnavailableError, ModelError."""
        known = self._kept.get(advertiser_id)
        now_s = self._clock.monotonic()
        if known is not None and now_s - known.looked_s < LOOK_S:
            self._kept.move_to_end(advertiser_id)
            return known
        fitted = await self.fitted(advertiser_id)
        if not fitted[0]:
            self._kept.pop(advertiser_id, None)
            return None
        if known is None or known.model.fitted_ms != fitted[0]:
            blob = (await self._store.commands([("HGET", product_model(advertiser_id), "model")]))[0]
            if not isinstance(blob, bytes):
                return None
            known = await asyncio.to_thread(_known, blob, now_s)
        known.looked_s = now_s
        self._kept[advertiser_id] = known
        self._kept.move_to_end(advertiser_id)
        while len(self._kept) > KEPT_MODELS:
            self._kept.popitem(last=False)
        return known

    def at_hand(self, advertiser_id: int) -> KnownModel | None:
        """The model in memory, even a little old, or None. After LOOK_S a newer one is fetched in the background.

        For callers that cannot wait: fetching a model of 50,000 products takes half a second.
        """
        known = self._kept.get(advertiser_id)
        if known is None or self._clock.monotonic() - known.looked_s >= LOOK_S:
            if advertiser_id not in self._fetching:
                task = asyncio.create_task(self._fetch(advertiser_id))
                self._fetching[advertiser_id] = task
                task.add_done_callback(lambda _: self._fetching.pop(advertiser_id, None))
        else:
            self._kept.move_to_end(advertiser_id)
        return known

    async def _fetch(self, advertiser_id: int) -> None:
        try:
            await self.get(advertiser_id)
        except (UnavailableError, CatalogueError) as error:
            log.warning("the product model of advertiser %d cannot be read: %s", advertiser_id, error.message)

    async def close(self) -> None:
        """End what is being fetched."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def fitted(self, advertiser_id: int) -> tuple[int, str]:
        """When the model was fitted (unix ms; 0: never), and the `touches` that `put` was given."""
        reply = (await self._store.commands([("HMGET", product_model(advertiser_id), "fitted", "touches")]))[0]
        fitted, touches = reply if isinstance(reply, list) else (None, None)
        return int(fitted or 0), (touches or b"").decode()

    async def put(self, advertiser_id: int, model: ProductModel, touches: str) -> None:
        """Put a model in force; `touches` names the state of interactions and feeds that it was fitted to."""
        key = product_model(advertiser_id)
        pairs = ("model", pack_model(model), "fitted", model.fitted_ms, "touches", touches)
        await self._store.commands([("HSET", key, *pairs)])

    async def claim(self, advertiser_id: int) -> bool:
        """The right to fit a model, for FIT_LOCK_S."""
        key = product_fit(advertiser_id)
        return bool((await self._store.commands([("SET", key, secrets.token_hex(8), "NX", "EX", FIT_LOCK_S)]))[0])

    async def release(self, advertiser_id: int) -> None:
        await self._store.commands([("DEL", product_fit(advertiser_id))])
