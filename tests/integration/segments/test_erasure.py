"""An erasure leaves nothing of a user id, whatever the worker is doing at that moment."""

import asyncio
from collections.abc import Callable
from typing import Final

import pytest

from core.clock import SystemClock
from core.ids import new_user_id
from core.keys import user_profile, user_touches
from core.model import Segment
from segments.facts.event import FORGET, LINK, Event, Item, Kind, order_key, person_digest
from segments.facts.facts import Facts
from segments.facts.layout import pack_cold
from segments.identity.persons import Identities
from segments.profiles.reading import Command
from segments.worker.purchases import Purchase
from tests.kit.profiles import EventRig, catalogue, event_rig

PERSON = person_digest(1, "ab" * 32)
SEGMENTS = [
    Segment(id=7, advertiser_id=1, name="buyers", rule="purchases.count > 0", webhook_id=4),
    Segment(id=8, advertiser_id=1, name="lapsing", rule="last_visit > 30d ago", webhook_id=4),
    Segment(id=9, advertiser_id=1, name="all", rule="everyone"),
]


_READ: Final[dict[bytes, Callable[[bytes], Command]]] = {
    b"string": lambda key: ("GET", key),
    b"hash": lambda key: ("HGETALL", key),
    b"set": lambda key: ("SMEMBERS", key),
    b"zset": lambda key: ("ZRANGE", key, 0, -1),
    b"list": lambda key: ("LRANGE", key, 0, -1),
    b"stream": lambda key: ("EXISTS", key),  # the log of events, which is trimmed
}


async def traces(rig: EventRig, user: str) -> list[bytes]:
    """Keys that name the user or hold his id, but for the tombstone and the log of events."""
    (keys,) = await rig.store.commands([("KEYS", "*")])
    assert isinstance(keys, list)
    found = []
    for key in keys:
        (kind,) = await rig.store.commands([("TYPE", key)])
        held = await rig.store.commands([_READ[bytes(kind)](key)]) if isinstance(kind, bytes) else [kind]
        if user in repr((key, held)):
            found.append(key)
    tombstone = user_profile(user).encode()
    if tombstone in found and await rig.store.commands([("HKEYS", tombstone)]) == [[b"m"]]:
        found.remove(tombstone)
    return sorted(found)


def identities_of(rig: EventRig) -> Identities:
    return Identities(rig.store, rig.sizes, rig.clock)


def order(user: str, number: str, at_ms: int) -> Event:
    return Event(Kind.PURCHASE, 1, user, at_ms, order=order_key(number), value_micros=5_000_000, person=PERSON)


class Erasing:
    """Erases the buyer of the first order at the worst moment: all is written but the profile."""

    def __init__(self, *, opting_out: bool = False) -> None:
        self.rig: EventRig | None = None
        self.opting_out = opting_out
        self.done = False

    async def __call__(self, purchase: Purchase) -> None:
        if self.done or self.rig is None:
            return
        self.done = True
        if self.opting_out:
            await identities_of(self.rig).opt_out(purchase.devices[0], "test")
        else:
            await identities_of(self.rig).forget(purchase.devices[0], "test")


@pytest.mark.parametrize("opting_out", [False, True])
@pytest.mark.parametrize("known_before", [False, True])
async def test_an_erasure_between_the_workers_read_and_its_write_leaves_nothing(
    valkey: str, opting_out: bool, known_before: bool
) -> None:
    erasing, user = Erasing(opting_out=opting_out), new_user_id()
    async with event_rig(valkey, SystemClock(), published=catalogue(SEGMENTS), on_purchase=erasing) as rig:
        if known_before:
            await rig.send(Event(Kind.PAGE_VIEW, 1, user, rig.clock.now_ms()))
            await rig.settle()
        erasing.rig = rig
        await rig.send(order(user, "A-1", rig.clock.now_ms()))
        await rig.settle()
        assert erasing.done
        assert await traces(rig, user) == []


async def test_a_visit_after_the_erasure_counts_although_it_was_planned_together(valkey: str) -> None:
    user = new_user_id()

    class ThenVisiting(Erasing):
        async def __call__(self, purchase: Purchase) -> None:
            first = not self.done
            await super().__call__(purchase)
            if first and self.rig is not None:
                await asyncio.sleep(0.002)  # an event of the erasure's own millisecond counts as erased
                await self.rig.send(Event(Kind.LOGIN, 1, user, self.rig.clock.now_ms(), person=PERSON))

    erasing = ThenVisiting()
    async with event_rig(valkey, SystemClock(), published=catalogue(SEGMENTS), on_purchase=erasing) as rig:
        erasing.rig = rig
        await rig.send(order(user, "A-1", rig.clock.now_ms()))
        await rig.settle()
        facts = await rig.facts(user)
        assert facts is not None
        assert (facts.purchases, facts.visits) == (0, 1)
        assert await rig.sizes.size(9, rig.clock.now_ms()) == 1
        assert await rig.sizes.size(7, rig.clock.now_ms()) == 0
        assert await identities_of(rig).devices(1, PERSON) == [user]


async def test_an_erasure_in_rest_leaves_nothing(valkey: str) -> None:
    user = new_user_id()
    async with event_rig(valkey, SystemClock(), published=catalogue(SEGMENTS)) as rig:
        await rig.send(order(user, "A-1", rig.clock.now_ms()))
        await rig.settle()
        await rig.send(Event(Kind.ADD_TO_CART, 1, user, rig.clock.now_ms(), items=(Item("a"),)))
        await rig.settle()
        await identities_of(rig).bind(5, "theirs-1", user)
        await rig.store.commands([("RPUSH", user_touches(user), b"touch")])
        assert len(await traces(rig, user)) > 8
        await identities_of(rig).forget(user, "test")
        assert await traces(rig, user) == []


async def test_what_an_erased_device_had_passed_on_does_not_come_back_on_another(valkey: str) -> None:
    async with event_rig(valkey, SystemClock(), published=catalogue(SEGMENTS)) as rig:
        erased, other = new_user_id(), new_user_id()
        await rig.send(Event(Kind.PAGE_VIEW, 1, erased, rig.clock.now_ms()))
        await rig.settle()
        (reply,) = await rig.store.commands([("TIME",)])
        assert isinstance(reply, list)
        passed_on = (int(reply[0]) * 1000).to_bytes(8, "big") + bytes(8)
        await identities_of(rig).forget(erased, "test")
        now_ms = rig.clock.now_ms()
        snapshot = pack_cold(Facts(first_visit_s=5, last_visit_s=now_ms // 1000, visits=4))
        await rig.send(
            Event(LINK, 1, other, now_ms, person=PERSON, origin=erased, origin_id=passed_on, snapshot=snapshot),
            Event(Kind.PAGE_VIEW, 1, other, now_ms, origin=erased, origin_id=passed_on),
        )
        await rig.settle()
        assert await rig.facts(other) is None
        assert await traces(rig, erased) == []


async def test_a_browser_that_left_a_shop_hears_nothing_of_the_persons_other_devices(valkey: str) -> None:
    async with event_rig(valkey, SystemClock(), published=catalogue(SEGMENTS)) as rig:
        phone, laptop = new_user_id(), new_user_id()
        for device in (phone, laptop):
            await rig.send(Event(Kind.LOGIN, 1, device, rig.clock.now_ms(), person=PERSON))
            await rig.settle()
        await rig.send(Event(Kind.VIEW_ITEM, 1, laptop, rig.clock.now_ms(), items=(Item("before"),)))
        await rig.settle()
        facts = await rig.facts(phone)
        assert facts is not None
        assert [product.id for product in facts.products] == ["before"], "the devices are linked"
        await rig.send(Event(FORGET, 1, phone, rig.clock.now_ms()))
        await rig.send(Event(Kind.VIEW_ITEM, 1, laptop, rig.clock.now_ms(), items=(Item("after"),)))
        await rig.settle()
        assert await rig.facts(phone) is None
        assert await identities_of(rig).devices(1, PERSON) == [laptop]
