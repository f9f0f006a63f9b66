"""A list of products for somebody who waits for it: candidates are made and looked up until the list is full."""

import itertools
from typing import Final, NamedTuple

from core.model import ProductStrategy
from creatives.product import FeedProduct
from creatives.products.choosing import Choice, Plan, Shopper, Taking, anchors_of
from creatives.products.known import ProductLookup
from creatives.products.models import KnownModel
from creatives.products.strategies import ChoiceScene, proposals

# How many of the cart's and the last seen products are looked up to compare others with. An ad looks up more.
ANCHORS_LOOKED_UP: Final = 12
# Candidates that are looked up in one go, beyond what the list still lacks.
SPARE: Final = 4


class ListedProduct(NamedTuple):
    """A product of a list, the strategy that proposed it, and why."""

    product: FeedProduct
    strategy: ProductStrategy
    reason: str


async def list_products(
    finding: ProductLookup, advertiser_id: int, shopper: Shopper, plan: Plan, known: KnownModel | None, now_s: int
) -> list[ListedProduct]:
    """The first candidates that nothing speaks against, as `choosing.select` takes them. Raises UnavailableError.

    `known` None: strategies that need the shop's tables propose nothing.
    """
    anchors = await finding.find(advertiser_id, anchors_of(shopper)[:ANCHORS_LOOKED_UP])
    scene = ChoiceScene(plan, shopper, known, anchors, now_s)
    taking = Taking(plan, shopper, now_s)
    taken: list[ListedProduct] = []
    for strategy in plan.choice.strategies:
        candidates = proposals(scene, strategy)
        while not taking.is_full:
            some: list[Choice] = list(itertools.islice(candidates, plan.choice.count - len(taken) + SPARE))
            if not some:
                break
            found = await finding.find(advertiser_id, [one.id for one in some])
            taken += [
                ListedProduct(taking.products[-1], strategy, one.reason)
                for one in some
                if not taking.take(one, found.get(one.id))
            ]
    return taken
