"""Stock that pages tell with their events: what a shop's own page says of a product holds until a newer feed is loaded.

Browsers may be lied with, so this changes availability only, never a price, only of products that the feed has, and so
many a minute that a flood cannot empty a shop's ads before somebody looks.
"""

from typing import Final

from core.clock import Clock
from core.telemetry.metrics import Telemetry
from creatives.product import AVAILABILITIES, Availability
from creatives.products.changes import StockChange
from creatives.products.store import ProductStore

# How many changes of an advertiser's products events may make in a minute. A large shop sells out of some hundreds of
# products an hour.
MAX_CHANGES_A_MINUTE: Final = 300
MAX_WAITING: Final = 5_000


def availability_of(text: str) -> Availability | None:
    """The availability that an event's word means; None for a word that is not known."""
    return AVAILABILITIES.get(text.strip().lower().replace(" ", "_").replace("-", "_"))


class StockTold:
    """Gathers what events tell of stock, and writes what differs from what is known."""

    def __init__(self, store: ProductStore, clock: Clock, telemetry: Telemetry) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[tuple[int, str], tuple[Availability, int]] = {}
        self._minute = 0
        self._spent: dict[int, int] = {}
        outcomes = telemetry.counter("grosz_product_stock_told_total", "Availability that events told.", ("outcome",))
        self._changed, self._refused = outcomes.labels("changed"), outcomes.labels("refused")

    def add(self, advertiser_id: int, product_id: str, availability: Availability, at_ms: int) -> None:
        """Keep for the next `flush`; of one product the latest counts."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting[advertiser_id, product_id] = (availability, at_ms)
        else:
            self._refused.inc()

    async def flush(self) -> None:
        """Write what differs from what is in force. Raises UnavailableError; what was added is dropped then."""
        waiting, self._waiting = self._waiting, {}
        by_shop: dict[int, dict[str, tuple[Availability, int]]] = {}
        for (advertiser_id, product_id), told in waiting.items():
            by_shop.setdefault(advertiser_id, {})[product_id] = told
        for advertiser_id, told_of in by_shop.items():
            found = await self._store.find(advertiser_id, told_of)
            changes = {
                product_id: told
                for product_id, told in told_of.items()
                if product_id in found
                and not found[product_id].by_group
                and found[product_id].product.for_sale != (told[0] is not Availability.OUT_OF_STOCK)
            }
            for product_id, (availability, at_ms) in list(changes.items())[: self._room(advertiser_id, len(changes))]:
                await self._store.tell(advertiser_id, [StockChange(product_id, availability=availability)], at_ms)
                self._changed.inc()

    def _room(self, advertiser_id: int, wanted: int) -> int:
        minute = self._clock.now_ms() // 60_000
        if minute != self._minute:
            self._minute, self._spent = minute, {}
        allowed = min(wanted, MAX_CHANGES_A_MINUTE - self._spent.get(advertiser_id, 0))
        self._spent[advertiser_id] = self._spent.get(advertiser_id, 0) + allowed
        self._refused.inc(wanted - allowed)
        return allowed
