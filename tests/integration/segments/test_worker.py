"""The worker against a real server."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest

from core.clock import ManualClock, SystemClock
from core.ids import new_user_id
from core.keys import event_cursor, event_dead, event_owner, event_stream
from core.model import Segment
from segments.facts.event import Event, Item, Kind, order_key, person_digest
from segments.profiles.log import partition_of
from segments.profiles.partitions import LEASE_MS, PartitionLeases
from segments.profiles.reading import Command
from segments.profiles.store import ProfileStore
from segments.worker.purchases import LogEntry
from tests.kit.profiles import PARTITIONS, catalogue, event_rig

CART = Segment(id=7, advertiser_id=1, name="cart", rule="cart.value >= 500 PLN and cart.age in 1h..14d")
HOUR_S = 3_600


def event(kind: str, user: str, clock: ManualClock, **fields: object) -> Event:
    return msgspec.structs.replace(Event(kind, 1, user, clock.now_ms()), **fields)


def shoes(quantity: int = 1, price: int = 640_000_000) -> tuple[Item, ...]:
    return (Item("red-heels", "shoes", price, quantity),)


async def test_an_event_becomes_visible_to_the_bid_path(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        user = new_user_id()
        await rig.send(event(Kind.ADD_TO_CART, user, clock, items=shoes()))
        assert await rig.settle() == 1
        clock.advance(HOUR_S)
        batch = await rig.reader.fetch([(user, 0, None)], clock.now_ms(), clock.monotonic() + 5)
        assert batch.found == [True]
        assert batch.cart_micros.tolist() == [640_000_000]
        assert batch.cart_age_s.tolist() == [HOUR_S]


async def test_an_abandoned_cart_enters_its_segment_by_the_clock_and_leaves_at_the_purchase(
    valkey: str, clock: ManualClock
) -> None:
    async with event_rig(valkey, clock, published=catalogue([CART])) as rig:
        user = new_user_id()
        await rig.send(event(Kind.ADD_TO_CART, user, clock, items=shoes()))
        await rig.settle()
        assert await rig.segments_of(user) == [b""]
        clock.advance(HOUR_S + 1)
        assert await rig.segments_of(user) == [(7).to_bytes(4, "little")]
        await rig.send(event(Kind.PURCHASE, user, clock, order=order_key("A-1"), value_micros=640_000_000))
        await rig.settle()
        assert await rig.segments_of(user) == [b""]
        facts = await rig.facts(user)
        assert facts is not None
        assert (facts.purchases, facts.purchases_micros, facts.cart) == (1, 640_000_000, [])


async def test_an_entry_read_twice_is_applied_once(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        user = new_user_id()
        await rig.send(*[event(Kind.PAGE_VIEW, user, clock, path=f"/{page}") for page in range(5)])
        stream = event_stream(partition_of(user, PARTITIONS))
        (entries,) = await rig.store.commands([("XRANGE", stream, "-", "+")])
        assert isinstance(entries, list)
        await rig.settle()
        partition = partition_of(user, PARTITIONS)
        await rig.store.commands([("DEL", event_cursor(partition))])
        await rig.store.commands([("XADD", stream + "x", entry, *fields) for entry, fields in entries])
        await rig.store.commands([("RENAME", stream + "x", stream)])
        async with event_rig(valkey, clock, worker_id="worker-b") as other:
            await rig.leases.release_all()
            assert await other.settle() == 5
        facts = await rig.facts(user)
        assert facts is not None
        assert facts.pages == 5


async def test_a_dead_workers_partitions_are_taken_over_when_its_lease_ends(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as dead, event_rig(valkey, clock, worker_id="worker-b") as heir:
        await dead.leases.balance()
        user = new_user_id()
        await heir.send(event(Kind.PAGE_VIEW, user, clock))
        clock.advance(LEASE_MS / 1000 + 0.001)  # the dead worker is off the list of the living
        assert dead.leases.owned == {}
        keys = [event_owner(partition) for partition in range(PARTITIONS)]
        await heir.store.commands([("DEL", key) for key in keys])  # what time would do, without waiting for it
        assert await heir.settle() == 1
        assert len(heir.leases.owned) == PARTITIONS


async def test_a_worker_that_lost_its_lease_cannot_move_the_cursor(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as old, event_rig(valkey, clock, worker_id="worker-b") as new:
        await old.leases.balance()
        await old.store.commands([("DEL", event_owner(0))])
        await new.leases.balance()
        assert not await old.leases.advance(0, (1).to_bytes(8, "big") + bytes(8))
        assert 0 not in old.leases.owned


async def test_two_workers_share_the_partitions(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as first, event_rig(valkey, clock, worker_id="worker-b") as second:
        await first.leases.balance()
        await second.leases.balance()
        await first.leases.balance()
        await second.leases.balance()
        assert len(first.leases.owned) == len(second.leases.owned) == PARTITIONS // 2
        assert not first.leases.owned.keys() & second.leases.owned.keys()


async def test_an_event_that_cannot_be_decoded_is_set_aside_and_the_rest_goes_on(
    valkey: str, clock: ManualClock
) -> None:
    async with event_rig(valkey, clock) as rig:
        user = new_user_id()
        stream = event_stream(partition_of(user, PARTITIONS))
        await rig.store.commands([("XADD", stream, "*", "e", b"\xc1"), ("XADD", stream, "*", "odd", "1")])
        await rig.send(event(Kind.PAGE_VIEW, user, clock))
        assert await rig.settle() == 3
        assert rig.worker_metrics.dead.value == 2
        assert await rig.store.commands([("XLEN", event_dead(0))]) == [2]
        assert await rig.facts(user) is not None


async def test_two_devices_of_one_person_share_what_the_shop_knows(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        phone, laptop = new_user_id(), new_user_id()
        person = person_digest(1, "ab" * 32)
        await rig.send(event(Kind.ADD_TO_CART, phone, clock, items=shoes()), event(Kind.PAGE_VIEW, laptop, clock))
        clock.advance(60)
        await rig.send(event(Kind.LOGIN, phone, clock, person=person))
        await rig.settle()
        await rig.send(event(Kind.LOGIN, laptop, clock, person=person))
        await rig.settle()
        on_laptop, on_phone = await rig.facts(laptop), await rig.facts(phone)
        assert on_laptop is not None
        assert on_phone is not None
        assert on_laptop.cart_micros == on_phone.cart_micros == 640_000_000
        assert on_laptop.visits == on_phone.visits == 2
        await rig.send(event(Kind.PURCHASE, laptop, clock, order=order_key("A-1"), value_micros=640_000_000))
        await rig.settle()
        on_phone = await rig.facts(phone)
        assert on_phone is not None
        assert (on_phone.cart, on_phone.purchases) == ([], 1)


async def test_the_running_worker_stops_when_cancelled_and_gives_its_partitions_back(
    valkey: str, clock: ManualClock
) -> None:
    async with event_rig(valkey, clock) as rig:
        task = asyncio.create_task(rig.worker.run())
        user = new_user_id()
        await rig.send(event(Kind.PAGE_VIEW, user, clock))
        while not rig.worker_metrics.applied.value:  # noqa: ASYNC110 a counter is no event
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        owners = await rig.store.commands([("EXISTS", event_owner(partition)) for partition in range(PARTITIONS)])
        assert owners == [0] * PARTITIONS


@pytest.mark.parametrize("helper", ["keep", "balance", "house"])
async def test_a_worker_whose_helper_died_ends_with_its_partitions_given_back_and_can_be_run_again(
    valkey: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, helper: str
) -> None:
    """Without the task that renews the leases it would own nothing, do nothing, and look alive."""

    async def dies(_self: PartitionLeases) -> None:
        await asyncio.sleep(0.01)
        raise RuntimeError("the helper died")

    async with event_rig(valkey, clock) as rig:
        with monkeypatch.context() as broken:
            if helper == "house":
                broken.setattr("segments.worker.worker.HOUSE_S", 0.01)
                broken.setattr(ProfileStore, "commands", _refusing("XLEN"))
                await rig.leases.balance()
            else:
                broken.setattr(PartitionLeases, helper, dies)
            with pytest.raises(ExceptionGroup, match="unhandled errors in a TaskGroup"):
                await rig.worker.run()
        owners = await rig.store.commands([("EXISTS", event_owner(partition)) for partition in range(PARTITIONS)])
        assert owners == [0] * PARTITIONS
        user = new_user_id()
        await rig.send(event(Kind.PAGE_VIEW, user, clock))
        again = asyncio.create_task(rig.worker.run())
        while not rig.worker_metrics.applied.value:  # noqa: ASYNC110 a counter is no event
            await asyncio.sleep(0.01)
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


def _refusing(word: str) -> Callable[[ProfileStore, Sequence[Command]], Awaitable[list[object]]]:
    """`ProfileStore.commands`, but for one command, which fails as nobody expects."""
    working = ProfileStore.commands

    async def ask(store: ProfileStore, asked: Sequence[Command]) -> list[object]:
        if any(command[0] == word for command in asked):
            raise RuntimeError("the helper died")
        return await working(store, asked)

    return ask


async def test_a_write_is_refused_after_somebody_else_wrote(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        user = new_user_id()
        before = (await rig.store.read({user: [1]}))[user]
        await rig.send(event(Kind.PAGE_VIEW, user, clock))
        await rig.settle()
        late = LogEntry(bytes(7) + b"\x01" + bytes(8), event(Kind.PAGE_VIEW, user, clock))
        plan = rig.planner.plan(before, [late], {}, clock.now_ms())
        assert plan.write is not None
        assert await rig.store.write([plan.write]) == [False]
        facts = await rig.facts(user)
        assert facts is not None
        assert facts.pages == 1


async def test_a_worker_without_the_catalogue_leaves_events_alone(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        await rig.send(event(Kind.PAGE_VIEW, new_user_id(), clock))
        rig.directory.ready = False
        assert await rig.settle() == 0
        rig.directory.ready = True
        assert await rig.settle() == 1


async def test_an_event_of_an_advertiser_that_the_worker_does_not_know_yet_waits(valkey: str) -> None:
    async with event_rig(valkey, SystemClock(), published=catalogue(advertisers=[])) as rig:
        await rig.send(Event(Kind.PAGE_VIEW, 1, new_user_id(), rig.clock.now_ms()))
        assert await rig.settle() == 0
        rig.directory.replace(catalogue())
        assert await rig.settle() == 1


async def test_a_profile_whose_retention_is_over_begins_anew(valkey: str, clock: ManualClock) -> None:
    async with event_rig(valkey, clock) as rig:
        user = new_user_id()
        await rig.send(event(Kind.PAGE_VIEW, user, clock))
        await rig.settle()
        clock.advance(91 * 86_400)
        await rig.send(event(Kind.PAGE_VIEW, user, clock))
        await rig.settle()
        facts = await rig.facts(user)
        assert facts is not None
        assert (facts.visits, facts.first_visit_s) == (1, clock.now_ms() // 1000)
