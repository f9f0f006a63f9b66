"""Recommending: look up, let the strategies propose, look up again, select."""

from typing import Final

import msgspec

from core.clock import Clock
from creatives.product import FeedProduct
from creatives.products.choosing import Plan, Selection, Shopper, anchors_of, select
from creatives.products.known import ProductLookup
from creatives.products.models import ModelStore
from creatives.products.strategies import ChoiceScene, candidates

# So many candidates of each strategy are looked up first: ads show up to five, and most candidates can be shown.
FIRST_CANDIDATES: Final = 12


class Recommender:
    """Chooses products of one advertiser at a time; two round trips when the model is known."""

    def __init__(self, store: ProductLookup, models: ModelStore, clock: Clock) -> None:
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

    async def listed(self, advertiser_id: int, shopper: Shopper, plan: Plan) -> tuple[FeedProduct, ...]:
        """The products that `recommend` chooses, without the reasons: it looks up no more candidates than it needs.

        Raises UnavailableError.
        """
        now_s = self._clock.now_ms() // 1000
        known = await self._models.get(advertiser_id)
        anchors = await self._store.find(advertiser_id, anchors_of(shopper))
        found, proposed = dict(anchors), []
        products: tuple[FeedProduct, ...] = ()
        for strategy in plan.choice.strategies:
            alone = msgspec.structs.replace(plan.choice, strategies=(strategy,))
            scene = ChoiceScene(msgspec.structs.replace(plan, choice=alone), shopper, known, anchors, now_s)
            more = candidates(scene)
            for some in (more[:FIRST_CANDIDATES], more[FIRST_CANDIDATES:]):
                missing = [choice.id for choice in some if choice.id not in found]
                found |= await self._store.find(advertiser_id, missing) if missing else {}
                proposed += some
                products = select(plan, shopper, proposed, found, now_s).products
                if len(products) >= plan.choice.count:
                    return products
        return products
