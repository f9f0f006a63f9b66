"""Customer lists on a real server: who is named when he logs in, who was known before, replaced, expired, erased."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence

import pytest

from core.clock import ManualClock, SystemClock
from core.errors import ConflictError, InputError
from core.ids import new_user_id
from core.keys import ROSTER_NEWS, rosters
from core.model import Segment
from segments.audiences import roster_import
from segments.audiences.roster_import import RosterImport, RosterImporter
from segments.audiences.roster_news import SETTLE_MS, RosterTeller
from segments.audiences.rosters import RosterStore
from segments.facts.event import Event, Kind, customer_digest, person_digest, phone_digest
from segments.identity.persons import Identities
from tests.kit.profiles import EventRig, catalogue, event_rig

SEGMENTS = [
    Segment(id=7, advertiser_id=1, name="vip", rule="has list.vip"),
    Segment(id=8, advertiser_id=1, name="not vip", rule="not has list.vip"),
    Segment(id=9, advertiser_id=2, name="vip of the other shop", rule="has list.vip"),
]
DAY_MS = 86_400_000


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def person_of(name: str, advertiser_id: int = 1) -> bytes:
    return person_digest(advertiser_id, sha256(f"{name}@example.pl"))


class World:
    """A rig whose clock a test moves, its importer, and the teller of its worker."""

    def __init__(self, rig: EventRig, clock: ManualClock) -> None:
        self.rig = rig
        self.clock = clock
        self.importer = RosterImporter(rig.store, clock)
        self.store = RosterStore(rig.store, clock)
        self.teller = RosterTeller(rig.store, lambda: {0}, clock)

    async def load(
        self, *lines: str, replace: bool = True, advertiser: int = 1, name: str = "vip", days: int = 30
    ) -> RosterImport:
        async def pieces() -> AsyncIterator[bytes]:
            for line in lines:
                await asyncio.sleep(0)
                yield f"{line}\n".encode()

        return await self.importer.load(advertiser, name, pieces(), replace=replace, days=days)

    async def tell(self) -> None:
        """Let everybody hear of it."""
        self.clock.advance(SETTLE_MS / 1000)
        while await self.teller.step():
            await self.rig.settle()

    async def login(self, *persons: str, advertiser: int = 1, known_as: Sequence[bytes] = (), user: str = "") -> str:
        user = user or new_user_id()
        digest = person_of(persons[0], advertiser) if persons else b""
        await self.rig.send(
            Event(Kind.LOGIN, advertiser, user, self.clock.now_ms(), person=digest, known_as=tuple(known_as))
        )
        await self.rig.settle()
        return user

    async def inside(self, user: str) -> set[int]:
        (packed,) = await self.rig.segments_of(user)
        return {int.from_bytes(packed[at : at + 4], "little") for at in range(0, len(packed), 4)}


@pytest.fixture
async def world(valkey: str) -> AsyncIterator[World]:
    clock = ManualClock(SystemClock().now_ms())
    async with event_rig(valkey, clock, published=catalogue(SEGMENTS)) as rig:
        yield World(rig, clock)


async def test_who_was_known_before_the_list_came_is_in_the_audience(world: World) -> None:
    jan, ola = await world.login("jan"), await world.login("ola")
    found = await world.load("email", "jan@example.pl", "nobody@example.pl", "x")
    assert (found.rows, found.matched, found.devices, found.faulty) == (2, 1, 1, 1)
    await world.tell()
    assert await world.inside(jan) == {7}
    assert await world.inside(ola) == {8}


async def test_who_logs_in_after_the_list_came_is_in_the_audience_at_once(world: World) -> None:
    await world.load("email_sha256", sha256("jan@example.pl"))
    assert await world.inside(await world.login("jan")) == {7}


async def test_phone_and_customer_id_name_a_person_too(world: World) -> None:
    await world.load("phone,customer_id", "+48600100200,", ",K-1")
    by_phone = await world.login(known_as=[phone_digest(1, sha256("+48600100200"))])
    by_id = await world.login(known_as=[customer_digest(1, "K-1")])
    stranger = await world.login(known_as=[customer_digest(1, "K-2")])
    assert [await world.inside(user) for user in (by_phone, by_id, stranger)] == [{7}, {7}, {8}]
    found = await world.load("customer_id", "K-1", "K-2")
    assert (found.matched, found.devices) == (2, 2)


async def test_a_replaced_list_names_only_its_new_persons(world: World) -> None:
    jan, ola = await world.login("jan"), await world.login("ola")
    await world.load("email", "jan@example.pl")
    await world.tell()
    found = await world.load("email", "ola@example.pl")
    assert (found.gone, found.roster.rows) == (1, 1)
    await world.tell()
    assert [await world.inside(user) for user in (jan, ola)] == [{8}, {7}]
    assert await world.inside(await world.login("jan")) == {8}


async def test_a_list_that_is_added_to_keeps_whom_it_had(world: World) -> None:
    jan, ola = await world.login("jan"), await world.login("ola")
    await world.load("email", "jan@example.pl")
    found = await world.load("email", "ola@example.pl", replace=False)
    assert (found.gone, found.roster.rows, found.roster.matched) == (0, 2, 2)
    await world.tell()
    assert [await world.inside(user) for user in (jan, ola)] == [{7}, {7}]


async def test_who_is_still_named_by_another_value_stays(world: World) -> None:
    jan = await world.login("jan", known_as=[customer_digest(1, "K-1")])
    await world.load("email", "jan@example.pl")
    await world.tell()
    found = await world.load("customer_id", "K-1")
    assert found.gone == 0
    await world.tell()
    assert await world.inside(jan) == {7}


async def test_an_entry_ends_when_it_was_said_to(world: World) -> None:
    jan = await world.login("jan")
    await world.load("email", "jan@example.pl", days=3)
    await world.tell()
    world.clock.advance(2 * 86_400)
    await world.login("jan", user=jan)
    assert await world.inside(jan) == {7}
    world.clock.advance(86_400)
    assert await world.inside(jan) == {8}
    await world.login("jan", user=jan)
    assert await world.inside(jan) == {8}
    assert await world.inside(await world.login("jan")) == {8}


async def test_another_shop_s_list_names_nobody_here(world: World) -> None:
    jan = await world.login("jan")
    await world.load("email", "jan@example.pl", advertiser=2)
    await world.tell()
    assert await world.inside(jan) == {8}
    await world.login("jan", advertiser=2, user=jan)
    assert await world.inside(jan) == {8, 9}


async def test_an_erased_person_is_on_no_list_any_more(world: World) -> None:
    jan = await world.login("jan", known_as=[customer_digest(1, "K-1")])
    await world.load("email,customer_id", "jan@example.pl,K-1", "ola@example.pl,")
    before = await world.rig.store.commands([("ZCARD", ROSTER_NEWS)])
    await Identities(world.rig.store, world.rig.sizes, world.clock).forget(jan, "test")
    assert (before, await world.rig.store.commands([("ZCARD", ROSTER_NEWS)])) == ([1], [0])
    known = await world.store.all(1)
    now_s = world.clock.now_ms() // 1000
    of_jan = await world.store.lists_of(1, known.values(), [person_of("jan"), customer_digest(1, "K-1")], now_s)
    assert (of_jan, set(await world.store.lists_of(1, known.values(), [person_of("ola")], now_s))) == ({}, {"vip"})
    world.clock.advance(60)
    assert await world.inside(await world.login("jan")) == {8}


async def test_a_person_without_a_device_can_be_taken_out(world: World) -> None:
    ola = await world.login("ola")
    await world.load("email", "jan@example.pl", "ola@example.pl")
    await world.tell()
    assert await world.importer.forget(1, [person_of("jan")]) == 1
    assert await world.importer.forget(1, [person_of("ola")]) == 1
    assert await world.importer.forget(2, [person_of("ola")]) == 0
    await world.tell()
    assert await world.inside(ola) == {8}
    assert await world.inside(await world.login("jan")) == {8}


async def test_a_deleted_list_names_nobody_and_leaves_no_key(world: World) -> None:
    jan = await world.login("jan")
    await world.load("email", "jan@example.pl")
    await world.tell()
    assert await world.importer.drop(1, "vip") == 1
    await world.tell()
    assert await world.inside(jan) == {8}
    (left,) = await world.rig.store.commands([("KEYS", f"{rosters(1)}:*")])
    assert left == []


async def test_a_person_who_logs_in_where_another_one_was_is_not_on_the_other_s_lists(world: World) -> None:
    await world.load("email", "jan@example.pl")
    device = await world.login("jan")
    await world.login("ola", user=device)
    assert await world.inside(device) == {8}


async def test_two_devices_of_one_person_are_named_alike(world: World) -> None:
    await world.load("customer_id", "K-1")
    phone = await world.login("jan", known_as=[customer_digest(1, "K-1")])
    laptop = await world.login("jan")
    assert [await world.inside(user) for user in (phone, laptop)] == [{7}, {7}]


async def test_an_import_that_broke_changes_nothing_of_what_it_was_to_replace(world: World) -> None:
    jan = await world.login("jan")
    await world.load("email", "jan@example.pl")
    await world.tell()
    with pytest.raises(InputError, match="names nobody"):
        await world.load("email", "x")

    async def broken() -> AsyncIterator[bytes]:
        yield b"email\nola@example.pl\n"
        await asyncio.sleep(0)
        raise ConnectionError("the browser went away")

    with pytest.raises(ConnectionError):
        await world.importer.load(1, "vip", broken(), replace=True, days=30)
    assert await world.inside(jan) == {7}
    assert await world.inside(await world.login("ola")) == {8}
    assert (await world.load("email", "jan@example.pl")).gone == 0
    (numbers,) = await world.rig.store.commands([("KEYS", f"{rosters(1)}:*:*")])
    assert isinstance(numbers, list)
    assert len({key.split(b":")[2] for key in numbers}) == 1


async def test_two_imports_at_once_are_refused(world: World) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"email\njan@example.pl\n"
        with pytest.raises(ConflictError, match="by somebody else"):
            await world.load("email", "ola@example.pl")

    assert (await world.importer.load(1, "vip", slow(), replace=True, days=30)).rows == 1
    assert (await world.load("email", "ola@example.pl")).rows == 1


async def test_news_wait_while_the_log_has_more_than_a_moment_s_work(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segments.audiences.roster_news.BATCH", 2)
    jan = await world.login("jan")
    await world.load("email", "jan@example.pl")
    now = world.clock.now_ms()
    await world.rig.send(*(Event(Kind.PAGE_VIEW, 1, new_user_id(), now) for _ in range(3)))
    world.clock.advance(SETTLE_MS / 1000)
    assert await world.teller.step() == 0
    await world.rig.settle()
    assert await world.teller.step() == 1
    assert await world.teller.step() is None
    await world.rig.settle()
    assert await world.inside(jan) == {7}


async def test_more_rows_than_a_flush_holds_are_all_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_import, "FLUSH_ROWS", 7)
    users = [await world.login(f"p{number}") for number in range(3)]
    found = await world.load("email", *(f"p{number % 20}@example.pl" for number in range(30)))
    assert (found.rows, found.matched, found.devices) == (30, 6, 3)
    await world.tell()
    assert [await world.inside(user) for user in users] == [{7}] * 3
