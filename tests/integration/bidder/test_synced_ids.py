"""What an exchange has synced over real HTTP is found by a bid request that has it elsewhere than in `user.id`."""

from typing import Any

import msgspec
import pytest

from bidder.decision.pipeline import look_up
from bidder.request.consent import ConsentPolicy, resolve_consent
from bidder.request.identify import identify
from core.clock import ManualClock
from core.config import ConsentSettings
from segments.profiles.reading import ProfileBatch
from tests.kit.openrtb import auction_of
from tests.kit.profiles import catalogue
from tests.kit.tracker import EXCHANGE, Shop, shop

IFA = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
SSP = msgspec.structs.replace(EXCHANGE, user_id_sources=("eids:ssp.example", "data:ssp", "ifa"))
VIEW = {"event": "view_item", "items": [{"item_id": "red-heels", "price": 320}], "gdpr": 0}
PLACES: dict[str, dict[str, Any]] = {
    "in eids": {"user": {"eids": [{"source": "ssp.example", "uids": [{"id": IFA.lower()}]}]}},
    "in user.data": {"user": {"data": [{"name": "ssp", "segment": [{"id": IFA.lower()}]}]}},
    "of the device": {"device": {"ifa": IFA}},
}


async def looked_up(site: Shop, **members: object) -> ProfileBatch:
    """What a bid request of somebody is told of him."""
    auction = auction_of(SSP, **members)
    resolve_consent(auction, ConsentPolicy(ConsentSettings()))
    identify(auction)
    clock = site.rig.clock
    return await look_up([auction], site.rig.reader, clock.now_ms(), clock.monotonic() + 20)


@pytest.mark.parametrize("place", PLACES)
async def test_a_visitor_is_known_by_what_his_exchange_has_synced(valkey: str, clock: ManualClock, place: str) -> None:
    async with shop(valkey, clock, published=catalogue(exchanges=[SSP])) as site:
        await site.client.post("/e/1", json=VIEW)
        await site.client.get(f"/sync/demo?uid={IFA}&gdpr=0")
        await site.rig.settle()
        asked = {**PLACES[place], "regs": {"gdpr": 0}}
        assert (await looked_up(site, **asked)).user_ids == [site.user_id()]
        assert (await looked_up(site, **asked)).found == [True]
        limited = {**asked, "device": {"ifa": IFA, "lmt": 1}}
        assert (await looked_up(site, **limited)).user_ids == [None]
        await site.client.post("/optout")
        assert (await looked_up(site, **asked)).user_ids == [None]
