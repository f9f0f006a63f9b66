"""Products for the bids whose creatives show some; a batch without such a creative does not come here."""

from collections.abc import Mapping

from bidder.decision.choose import Chosen
from bidder.decision.pricing import Evaluation
from creatives.products.cache import ProductCache
from creatives.products.on_bid import choose
from segments.profiles.reading import ProfileBatch


def attach_products(
    chosen: Mapping[int, Chosen], found: Evaluation, cache: ProductCache, profiles: ProfileBatch, now_ms: int
) -> None:
    """Give each bid with a dynamic ad its products, by its visitor's profile and this process's product cache."""
    for number, bid in chosen.items():
        plan = bid.shown.prepared.plan
        if plan is not None:
            advertiser_id = bid.shown.line.advertiser_id
            references, of_cart = profiles.references(found.slots[number].number, advertiser_id)
            rows, unknown = cache.get(advertiser_id, references)
            bid.products = choose(plan, rows, of_cart, unknown, now_ms // 1000)
