"""What Redis keeps of a user, and how long: what the advertiser's retention says, whatever else happens."""

import pytest

from core.clock import SystemClock
from core.ids import new_user_id
from core.keys import client_user, exchange_user, person, user_aliases, user_facts, user_profile
from core.model import Advertiser
from segments.facts.event import Event, Kind, person_digest
from segments.facts.facts import DAY_S
from segments.identity.persons import _CLIENT_TRIAL_S, COOKIE_LIFETIME_S, Identities
from tests.kit.profiles import EventRig, catalogue, event_rig

PERSON = person_digest(1, "ab" * 32)


async def days_left(rig: EventRig, *keys: str) -> list[int]:
    """Time to live in days, rounded up."""
    return [-(-int(str(seconds)) // DAY_S) for seconds in await rig.store.commands([("TTL", key) for key in keys])]


@pytest.mark.parametrize("days", [7, 90, 730])
async def test_facts_live_as_long_as_the_retention_says_also_after_a_cookie_sync(valkey: str, days: int) -> None:
    shop = Advertiser(id=1, name="Shoes", profile_retention_days=days)
    user = new_user_id()
    async with event_rig(valkey, SystemClock(), published=catalogue(advertisers=[shop])) as rig:
        identities = Identities(rig.store, rig.sizes, rig.clock)
        await rig.send(Event(Kind.LOGIN, 1, user, rig.clock.now_ms(), person=PERSON))
        await rig.settle()
        await identities.bind(5, "theirs", user)
        keys = user_facts(user), user_profile(user), person(1, PERSON.hex())
        assert await days_left(rig, *keys) == [days] * 3
        assert await days_left(rig, user_aliases(user), exchange_user(5, "theirs")) == [COOKIE_LIFETIME_S // DAY_S] * 2


async def test_a_person_stays_known_while_the_device_visits(valkey: str) -> None:
    user, key = new_user_id(), person(1, PERSON.hex())
    async with event_rig(valkey, SystemClock()) as rig:
        now_ms = rig.clock.now_ms()
        await rig.send(Event(Kind.LOGIN, 1, user, now_ms - DAY_S * 1000, person=PERSON))
        await rig.settle()
        await rig.store.commands([("EXPIRE", key, 60)])
        await rig.send(Event(Kind.PAGE_VIEW, 1, user, now_ms))
        await rig.settle()
        assert await days_left(rig, key) == [90]


async def test_a_sync_in_the_middle_of_an_erasure_leaves_no_way_back(valkey: str) -> None:
    user = new_user_id()
    async with event_rig(valkey, SystemClock()) as rig:
        identities = Identities(rig.store, rig.sizes, rig.clock)
        await identities.bind(5, "theirs", user)
        assert (await identities.export(user, "test")).exchange_ids == {"5": "theirs"}
        erased = await identities.forget(user, "test")
        assert erased.exchange_ids == 1
        assert await rig.store.commands([("EXISTS", exchange_user(5, "theirs"))]) == [0]


async def test_a_first_party_id_is_kept_for_browsers_without_our_cookie_only(valkey: str) -> None:
    async with event_rig(valkey, SystemClock()) as rig:
        identities = Identities(rig.store, rig.sizes, rig.clock)
        client, first, second = "2f1c9a52-6a0a-4f7e-8a51-0b3c7c1d2e3f", new_user_id(), new_user_id()
        assert await identities.user_of_client(1, client) is None
        assert await identities.adopt_client(1, client, first) == first
        assert await identities.adopt_client(1, client, second) == first, "two beacons of one page are one visitor"
        assert await identities.user_of_client(1, client) == first
        assert await identities.user_of_client(2, client) is None, "another shop's pages learn nothing"
        (keys,) = await rig.store.commands([("KEYS", client_user(1, "*"))])
        assert isinstance(keys, list)
        key = keys[0].decode()
        (seconds,) = await rig.store.commands([("TTL", key)])
        assert int(str(seconds)) <= _CLIENT_TRIAL_S, "a browser that keeps our cookie does not come again without"
        await rig.store.commands([("EXPIRE", key, _CLIENT_TRIAL_S - 61)])
        assert await identities.user_of_client(1, client) == first
        assert await days_left(rig, key) == [COOKIE_LIFETIME_S // DAY_S]
        assert (await identities.export(first, "test")).first_party_ids == (1,)
        await identities.forget(first, "test")
        assert await identities.user_of_client(1, client) is None
