"""What rules ask of products, brought to the events that are about them: from a seam that knows the feeds."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from segments.facts.event import Event
from segments.facts.layout import LayoutError, unpack_cold
from segments.facts.traits import UNKNOWN, Detail, asked_for, products_of
from segments.profiles.store import StoredUser
from segments.worker.planning import NOTHING_TOLD, ShopDetails, UserPlanner

AskProducts = Callable[[Mapping[int, Collection[str]]], Awaitable[Mapping[int, Mapping[str, Detail]]]]
"""From product ids by advertiser id to what their feeds say now. Raises UnavailableError."""


async def nothing_known(_wanted: Mapping[int, Collection[str]]) -> ShopDetails:
    """The seam of a worker that knows no feeds."""
    return NOTHING_TOLD


class ProductTeller:
    """Asks the feeds for the traits that an advertiser's rules need, and for nothing where they need none."""

    def __init__(self, planner: UserPlanner, ask: AskProducts) -> None:
        self._planner = planner
        self._ask = ask

    async def of_events(self, events: Iterable[Event]) -> ShopDetails:
        """Details of the events' products. Raises UnavailableError."""
        wanted: dict[int, set[str]] = {}
        for event in events:
            if event.items and self._planner.asked(event.advertiser_id):
                wanted.setdefault(event.advertiser_id, set()).update(item.id for item in event.items)
        return await self._details(wanted)

    async def of_profiles(self, users: Iterable[StoredUser], advertiser_ids: Iterable[int]) -> ShopDetails:
        """Details of all products in the users' profiles. Raises UnavailableError."""
        asking = [advertiser_id for advertiser_id in advertiser_ids if self._planner.asked(advertiser_id)]
        wanted: dict[int, set[str]] = {}
        for user in users if asking else ():
            for advertiser_id in asking:
                ids = _products_in(user.fields[advertiser_id].cold) if advertiser_id in user.fields else set()
                if ids:
                    wanted.setdefault(advertiser_id, set()).update(ids)
        return await self._details(wanted)

    async def _details(self, wanted: Mapping[int, Collection[str]]) -> ShopDetails:
        """Details of the wanted products; one that no feed has gets empty traits, so that it is known to have none."""
        if not wanted:
            return NOTHING_TOLD
        told = await self._ask(wanted)
        found: dict[int, dict[str, Detail]] = {}
        for advertiser_id, ids in wanted.items():
            asked, known = self._planner.asked(advertiser_id), told.get(advertiser_id, {})
            found[advertiser_id] = {one: asked_for(known.get(one, UNKNOWN), asked) for one in ids}
        return found


def _products_in(cold: bytes) -> set[str]:
    """Ids of the products of a stored profile; none of one that cannot be read, which is dealt with elsewhere."""
    try:
        return products_of(unpack_cold(cold)) if cold else set()
    except LayoutError:
        return set()
