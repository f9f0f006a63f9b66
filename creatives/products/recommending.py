"""Recommending: look up, let the strategies propose, look up again, select."""

from core.clock import Clock
from creatives.products.choosing import Plan, Selection, Shopper, anchors_of, select
from creatives.products.models import ModelStore
from creatives.products.store import ProductStore
from creatives.products.strategies import ChoiceScene, candidates


class Recommender:
    """Chooses products of one advertiser at a time; two round trips when the model is known."""

    def __init__(self, store: ProductStore, models: ModelStore, clock: Clock) -> None:
        self._store = store
        self._models = models
        self._clock = clock

    async def recommend(self, advertiser_id: int, shopper: Shopper, plan: Plan) -> Selection:
        """Products for this shopper, with the reason of each candidate. Raises UnavailableError."""
        now_s = self._clock.now_ms() // 1000
        known = await self._models.get(advertiser_id)
        anchors = await self._store.find(advertiser_id, anchors_of(shopper))
        proposed = candidates(ChoiceScene(plan, shopper, known, anchors, now_s))
        missing = [choice.id for choice in proposed if choice.id not in anchors]
        found = anchors | (await self._store.find(advertiser_id, missing) if missing else {})
        return select(plan, shopper, proposed, found, now_s)
