"""Orders are reported to whoever credits them: at least once, under one name, with all devices of the buyer."""

import msgspec
import pytest

from core.clock import ManualClock
from core.errors import UnavailableError
from core.ids import new_user_id
from segments.facts.event import SERVER_ORIGIN, Event, Item, Kind, order_key, person_digest
from segments.worker.purchases import Purchase
from tests.kit.profiles import event_rig

PERSON = person_digest(1, "0" * 64)


class Told:
    """Remembers what it was told; refuses the first `failures` calls."""

    def __init__(self, failures: int = 0) -> None:
        self.purchases: list[Purchase] = []
        self._failures = failures

    async def __call__(self, purchase: Purchase) -> None:
        if self._failures:
            self._failures -= 1
            raise UnavailableError("not now")
        self.purchases.append(purchase)


def purchase(user: str, clock: ManualClock, **fields: object) -> Event:
    return msgspec.structs.replace(Event(Kind.PURCHASE, 1, user, clock.now_ms()), **fields)


async def test_an_order_is_told_with_its_value(valkey: str, clock: ManualClock) -> None:
    told, user = Told(), new_user_id()
    async with event_rig(valkey, clock, on_purchase=told) as rig:
        await rig.send(purchase(user, clock, order=order_key("A-1"), items=(Item("shoe", "", 5_000_000, 2),)))
        await rig.settle()
    (order,) = told.purchases
    assert (order.advertiser_id, order.devices, order.value_micros) == (1, (user,), 10_000_000)


async def test_a_repeated_order_has_the_same_name_and_another_one_has_not(valkey: str, clock: ManualClock) -> None:
    told, user = Told(), new_user_id()
    async with event_rig(valkey, clock, on_purchase=told) as rig:
        for number in ("A-1", "A-1", "A-2", "", ""):
            await rig.send(purchase(user, clock, order=order_key(number), value_micros=7))
        await rig.settle()
    first, again, *others = (order.order for order in told.purchases)
    assert first == again
    assert len({first, *others}) == 4


async def test_nothing_is_applied_before_it_is_told(valkey: str, clock: ManualClock) -> None:
    told, user = Told(failures=1), new_user_id()
    async with event_rig(valkey, clock, on_purchase=told) as rig:
        await rig.send(purchase(user, clock, order=order_key("A-1"), value_micros=7))
        with pytest.raises(UnavailableError):
            await rig.settle()
        assert await rig.facts(user) is None
        await rig.settle()
        facts = await rig.facts(user)
    assert facts is not None
    assert facts.purchases == len(told.purchases) == 1


async def test_a_purchase_at_the_till_is_one_order_on_all_devices(valkey: str, clock: ManualClock) -> None:
    told, phone, laptop = Told(), new_user_id(), new_user_id()
    async with event_rig(valkey, clock, on_purchase=told) as rig:
        for device in (phone, laptop):
            await rig.send(Event(Kind.LOGIN, 1, device, clock.now_ms(), person=PERSON))
            await rig.settle()
        for device in (phone, laptop):
            sale = purchase(device, clock, value_micros=9, person=PERSON, origin=SERVER_ORIGIN, offline=True)
            await rig.send(sale)
        await rig.settle()
    assert len(told.purchases) == 2
    assert len({order.order for order in told.purchases}) == 1
    assert all(set(order.devices) == {phone, laptop} for order in told.purchases)


async def test_an_event_passed_on_between_devices_is_not_an_order_of_its_own(valkey: str, clock: ManualClock) -> None:
    told, phone, laptop = Told(), new_user_id(), new_user_id()
    async with event_rig(valkey, clock, on_purchase=told) as rig:
        for device in (phone, laptop):
            await rig.send(Event(Kind.LOGIN, 1, device, clock.now_ms(), person=PERSON))
            await rig.settle()
        await rig.send(purchase(phone, clock, order=order_key("A-1"), value_micros=9))
        await rig.settle()
        on_the_other = await rig.facts(laptop)
    assert on_the_other is not None
    assert on_the_other.purchases == 1
    assert [order.devices[0] for order in told.purchases] == [phone]


async def test_a_corrected_order_stays_one_purchase_with_its_new_value(valkey: str, clock: ManualClock) -> None:
    told, user = Told(), new_user_id()
    async with event_rig(valkey, clock, on_purchase=told) as rig:
        await rig.send(purchase(user, clock, order=order_key("A-1"), value_micros=0, items=(Item("shoe"),)))
        await rig.settle()
        made_ms = clock.now_ms()
        clock.advance(3_600)
        corrected = purchase(user, clock, order=order_key("A-1"), value_micros=120, replaces=True, offline=True)
        for _ in range(2):
            await rig.send(corrected)
        await rig.settle()
        facts = await rig.facts(user)
    assert facts is not None
    assert (facts.purchases, facts.purchases_micros, facts.last_purchase_micros) == (1, 120, 120)
    assert facts.last_purchase_s == made_ms // 1000
    _, change, again = told.purchases
    assert (change.corrects, change.value_micros, change.at_ms) == (True, 120, made_ms)
    assert (again.value_micros, again.order) == (0, change.order), "a correction counts once"


async def test_a_correction_of_an_order_that_is_not_known_is_the_order(valkey: str, clock: ManualClock) -> None:
    told, user = Told(), new_user_id()
    async with event_rig(valkey, clock, on_purchase=told) as rig:
        await rig.send(purchase(user, clock, order=order_key("A-1"), value_micros=120, replaces=True))
        await rig.settle()
        facts = await rig.facts(user)
    assert facts is not None
    assert (facts.purchases, facts.purchases_micros) == (1, 120)
    (order,) = told.purchases
    assert (order.corrects, order.value_micros) == (False, 120)


async def test_a_purchase_without_a_number_counts_once_by_its_event_id(valkey: str, clock: ManualClock) -> None:
    told, user = Told(), new_user_id()
    async with event_rig(valkey, clock, on_purchase=told) as rig:
        for _ in range(2):
            await rig.send(purchase(user, clock, value_micros=5, once=7))
        await rig.settle()
        facts = await rig.facts(user)
    assert facts is not None
    assert (facts.purchases, len(told.purchases)) == (1, 1)
