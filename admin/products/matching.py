"""Whether the ids that events name are those of the feeds: by id, otherwise by item group."""

from collections import Counter
from typing import Final

from admin.products.documents import EventMatch, MatchReport
from creatives.products.interactions import InteractionLog
from creatives.products.sessions import ProductTouch
from creatives.products.store import Found, ProductStore

# What match rates are made of: a busy shop's last hours.
NEWEST_EVENTS: Final = 20_000
IDS_AT_ONCE: Final = 500
MAX_EXAMPLES: Final = 5
_EVENTS: Final = {ProductTouch.VIEW: "view_item", ProductTouch.CART: "add_to_cart", ProductTouch.BUY: "purchase"}


async def match_ids(store: ProductStore, advertiser_id: int) -> MatchReport:
    """The rates of an advertiser's newest events. Raises UnavailableError."""
    touches = await InteractionLog(store).newest(advertiser_id, NEWEST_EVENTS)
    counts = {touch: Counter(one.product_id for one in touches if one.touch == touch) for touch in ProductTouch}
    ids = sorted({one.product_id for one in touches})
    found: dict[str, Found] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        found |= await store.find(advertiser_id, ids[start : start + IDS_AT_ONCE])
    events = [
        _match(_EVENTS[touch], counted, {one: found[one].by_group for one in counted if one in found})
        for touch, counted in counts.items()
        if counted
    ]
    heads = await store.heads(advertiser_id)
    return MatchReport(events, sum(head.products for head in heads.values()))


def _match(event: str, counted: Counter[str], found: dict[str, bool]) -> EventMatch:
    by_group = sum(count for one, count in counted.items() if found.get(one))
    by_id = sum(count for one, count in counted.items() if one in found) - by_group
    total = sum(counted.values())
    missing = [one for one, _ in counted.most_common() if one not in found]
    return EventMatch(
        event, total, by_id, by_group, total - by_id - by_group, (by_id + by_group) / total, missing[:MAX_EXAMPLES]
    )
