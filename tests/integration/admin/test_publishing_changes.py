"""Several admins, one Redis that forgets, and followers that look when they like: what they have is what was saved."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from admin.catalogue.publish import SNAPSHOT_AFTER_S, SNAPSHOT_ENTRIES, Backlog, CataloguePublisher
from admin.store.catalogue import CatalogueStore
from admin.store.changes import SYSTEM
from admin.store.database import Database
from admin.store.kinds import ADVERTISERS, CAMPAIGNS, LINE_ITEMS, ObjectKind
from admin.store.migrate import migrate
from core import keys
from core.catalogue.codec import BY_ID, apply_change, difference, encode_catalogue, encode_change, version_of
from core.catalogue.follower import CHANGE, SINCE, CatalogueFollower, CatalogueWatcher, read_catalogue
from core.clock import ManualClock
from core.errors import CatalogueError, UnavailableError
from core.model import Advertiser, Campaign, Catalogue, Status
from core.redis.client import control_redis
from tests.kit.catalogues import catalogue, line_item
from tests.kit.publishing import PublishedValues

SEEDS = range(12)
ACTIONS = 40


class Follower:
    """A role that has no index, over redis-py."""

    def __init__(self, redis: Redis, clock: ManualClock) -> None:
        self._values = CatalogueFollower()
        self.watcher = CatalogueWatcher(redis, self._values, clock=clock, poll_s=1.0)

    @property
    def current(self) -> Catalogue:
        assert self._values.current is not None
        assert self._values.current.version == self.watcher.version
        return self._values.current

    async def poll(self) -> None:
        """One poll; the moment in which the whole is being replaced is none of its faults."""
        with contextlib.suppress(UnavailableError):
            await self.watcher.follow()


class World:
    """A store with two admins over it, one Redis, and what each version of the store has in it."""

    def __init__(self, database_url: str, redis_url: str, clock: ManualClock) -> None:
        self.clock = clock
        self.databases = [Database.open(database_url) for _ in range(2)]
        self.stores = [CatalogueStore(database, clock) for database in self.databases]
        self.redis = control_redis(redis_url)
        self.publishers = [CataloguePublisher(store, self.redis, clock) for store in self.stores]
        self.followers = [Follower(self.redis, clock) for _ in range(2)]
        self.versions: dict[int, Catalogue] = {}

    async def remember(self) -> None:
        """What the present version of the store has in it."""
        present = await self.stores[0].catalogue(0)
        self.versions[present.version] = present

    async def restart(self, number: int) -> None:
        """An admin is killed, and another one started."""
        self.publishers[number] = CataloguePublisher(self.stores[number], self.redis, self.clock)
        await self.publishers[number].start()
        await self.remember()  # the version may have been lifted

    async def insert(self, kind: ObjectKind, make: Any) -> int:  # noqa: ANN401 - called with the new id
        async with self.stores[0].write(SYSTEM) as writer:
            (number,) = await writer.reserve_ids(kind, 1)
            await writer.insert(kind, [make(number)])
        await self.remember()
        return number

    async def update(self, kind: ObjectKind, number: int, **members: object) -> None:
        old = (await self.stores[1].get(kind, number)).value
        async with self.stores[1].write(SYSTEM) as writer:
            await writer.update(kind, old, msgspec.structs.replace(old, version=old.version + 1, **members))
        await self.remember()

    async def close(self) -> None:
        await self.redis.aclose()
        for database in self.databases:
            await database.close()


@pytest.fixture
async def world(any_database_url: str, valkey: str, clock: ManualClock) -> AsyncIterator[World]:
    """A store with one advertiser, one campaign and one line item, published."""
    made = World(any_database_url, valkey, clock)
    await migrate(made.databases[0])
    await made.insert(ADVERTISERS, lambda number: Advertiser(id=number, name="shop"))
    await made.insert(CAMPAIGNS, lambda number: Campaign(id=number, advertiser_id=1, name="campaign"))
    await made.insert(LINE_ITEMS, line_item)
    await made.restart(0)
    yield made
    await made.close()


def same(left: Catalogue, right: Catalogue) -> bool:
    """But for the time of publication, which each admin has its own of."""
    return msgspec.structs.replace(left, published_ms=0) == msgspec.structs.replace(right, published_ms=0)


async def write(world: World, chance: random.Random) -> None:
    """Somebody saves a line item."""
    present = world.versions[max(world.versions)].line_items
    if not present or chance.random() < 0.4:
        await world.insert(LINE_ITEMS, line_item)
        return
    status = chance.choice((Status.ACTIVE, Status.PAUSED, Status.ARCHIVED))
    await world.update(LINE_ITEMS, chance.choice(present).id, status=status, notes=str(chance.random()))


async def act(world: World, chance: random.Random, *, may_trim: bool) -> None:
    """Anything that may happen, now and then at the same time."""
    action, number = chance.random(), chance.randrange(2)
    if action < 0.35:
        await write(world, chance)
    elif action < 0.6:
        await world.publishers[number].publish()
    elif action < 0.7:
        await world.publishers[number].write_snapshot()
    elif action < 0.8:
        works: list[Callable[[], Awaitable[object]]] = [publisher.publish for publisher in world.publishers]
        works += [publisher.write_snapshot for publisher in world.publishers]
        works += [follower.poll for follower in world.followers]
        await asyncio.gather(*(work() for work in chance.sample(works, chance.randint(2, len(works)))))
    elif action < 0.84:
        await world.restart(number)
    elif action < 0.88:
        await world.redis.flushall()
    elif action < 0.92 and may_trim:
        await world.redis.xtrim(keys.CATALOGUE_CHANGES, maxlen=chance.randint(0, 2), approximate=False)


@pytest.mark.parametrize("seed", SEEDS)
async def test_followers_end_with_what_is_stored_and_never_go_back(world: World, seed: int) -> None:
    chance, may_trim = random.Random(seed), seed % 2 == 1
    seen = [-1, -1]
    for _ in range(ACTIONS):
        await act(world, chance, may_trim=may_trim)
        if not may_trim and await world.redis.exists(keys.CATALOGUE_VERSION):
            published = await read_catalogue(world.redis)
            assert same(published, world.versions[published.version]), "it is whole at every moment"
        for number, follower in enumerate(world.followers):
            if chance.random() < 0.4:
                await follower.poll()
            if follower.watcher.version >= 0:
                assert same(follower.current, world.versions[follower.watcher.version])
            assert follower.watcher.version >= seen[number]
            seen[number] = follower.watcher.version
    await write(world, chance)
    for publisher in world.publishers:
        await publisher.publish()
    await world.publishers[0].write_snapshot()  # what was trimmed away is not needed any more
    newest = world.versions[max(world.versions)]
    for follower in world.followers:
        await follower.watcher.follow()
        assert same(follower.current, newest)
    assert same(await read_catalogue(world.redis), newest)


async def entries(world: World) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The published changes."""
    found: Any = await world.redis.xrange(keys.CATALOGUE_CHANGES)
    return list(found)


async def snapshot_version(world: World) -> int:
    data = await world.redis.get(keys.CATALOGUE_SNAPSHOT)
    assert isinstance(data, bytes)
    return version_of(data)


async def test_a_change_is_written_beside_the_snapshot_and_has_only_what_changed(world: World) -> None:
    before = await snapshot_version(world)
    number = await world.insert(LINE_ITEMS, line_item)
    published = await world.publishers[0].publish()
    assert await snapshot_version(world) == before
    assert int(await world.redis.get(keys.CATALOGUE_VERSION) or 0) == published
    ((entry, fields),) = await entries(world)
    assert (entry, fields[SINCE]) == (b"%d-0" % published, b"%d" % before)
    follower = world.followers[0]
    await follower.poll()
    assert [value.id for value in follower.current.line_items] == [1, number]


async def test_two_admins_that_publish_in_turn_continue_each_other(world: World) -> None:
    before = await snapshot_version(world)
    await world.publishers[1].publish()
    expected = []
    for number in (1, 0, 0, 1, 0):
        since = int(await world.redis.get(keys.CATALOGUE_VERSION) or 0)
        await world.insert(LINE_ITEMS, line_item)
        expected.append((since, await world.publishers[number].publish()))
    found = [(int(fields[SINCE]), int(entry.partition(b"-")[0])) for entry, fields in await entries(world)]
    assert found == expected
    assert await snapshot_version(world) == before, "neither had to publish everything"


async def test_a_change_is_not_appended_to_another_one_than_it_begins_at(world: World) -> None:
    await world.insert(LINE_ITEMS, line_item)
    await world.publishers[0].publish()
    await world.redis.delete(keys.CATALOGUE_CHANGES)
    await world.insert(LINE_ITEMS, line_item)
    published = await world.publishers[0].publish()
    assert (await snapshot_version(world), await entries(world)) == (published, []), "everything was published"


@pytest.mark.parametrize("has_version", [False, True])
async def test_nothing_is_appended_where_version_and_changes_disagree(world: World, *, has_version: bool) -> None:
    for _ in range(2):
        await world.insert(LINE_ITEMS, line_item)
        await world.publishers[0].publish()
    first, second = await entries(world)
    if has_version:
        await world.redis.xdel(keys.CATALOGUE_CHANGES, second[0])
    else:
        await world.redis.set(keys.CATALOGUE_VERSION, int(first[0].partition(b"-")[0]))
    await world.insert(LINE_ITEMS, line_item)
    published = await world.publishers[0].publish()
    assert (await snapshot_version(world), await entries(world)) == (published, []), "everything was published"


async def test_a_restarted_admin_goes_on_from_what_is_published(world: World) -> None:
    before = await snapshot_version(world)
    await world.followers[0].poll()
    await world.update(LINE_ITEMS, 1, status=Status.PAUSED)
    await world.restart(1)
    assert await snapshot_version(world) == before
    await world.followers[0].poll()
    assert same(world.followers[0].current, world.versions[max(world.versions)])


async def test_a_snapshot_keeps_the_changes_of_who_has_read_the_one_before(world: World) -> None:
    first = await world.redis.get(keys.CATALOGUE_SNAPSHOT)
    for _ in range(2):
        await world.insert(LINE_ITEMS, line_item)
        await world.publishers[0].publish()
    await world.publishers[0].write_snapshot()
    second = await world.redis.get(keys.CATALOGUE_SNAPSHOT)
    assert await world.redis.xlen(keys.CATALOGUE_CHANGES) == 2
    await world.insert(LINE_ITEMS, line_item)
    published = await world.publishers[0].publish()
    for read in (first, second):  # before the newer one was written
        assert isinstance(read, bytes)
        late = PublishedValues()
        late.publish(read, published)
        late.stream = [(int(entry.partition(b"-")[0]), fields) for entry, fields in await entries(world)]
        assert same(await read_catalogue(late), world.versions[published])
    await world.publishers[0].write_snapshot()
    assert await world.redis.xlen(keys.CATALOGUE_CHANGES) == 1


async def test_a_damaged_change_is_over_with_the_next_snapshot(world: World) -> None:
    follower = world.followers[0]
    await follower.poll()
    await world.insert(LINE_ITEMS, line_item)
    published = await world.publishers[0].publish()
    ((entry, fields),) = await entries(world)
    await world.redis.delete(keys.CATALOGUE_CHANGES)
    damaged: dict[Any, Any] = {**fields, CHANGE: b"rubbish"}
    await world.redis.xadd(keys.CATALOGUE_CHANGES, damaged, id=entry)
    await follower.poll()
    with pytest.raises(CatalogueError):
        await follower.watcher.follow()
    assert follower.watcher.version < published
    await world.publishers[0].write_snapshot()
    await world.insert(LINE_ITEMS, line_item)
    assert await world.publishers[0].publish() > published
    await follower.poll()
    assert same(follower.current, world.versions[max(world.versions)])


async def test_snapshots_are_written_behind_the_changes_when_they_are_due(world: World) -> None:
    before = await snapshot_version(world)
    running = asyncio.create_task(world.publishers[0].run_snapshots())
    try:
        await world.insert(LINE_ITEMS, line_item)
        published = await world.publishers[0].publish()
        async with asyncio.timeout(20):
            while await snapshot_version(world) == before:  # noqa: ASYNC110 - what is awaited is in another task
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
    assert await snapshot_version(world) == published
    assert await world.redis.xlen(keys.CATALOGUE_CHANGES) == 1


async def test_a_snapshot_is_not_put_over_a_newer_one_or_into_an_empty_redis(world: World) -> None:
    await world.insert(LINE_ITEMS, line_item)
    for publisher in world.publishers:
        await publisher.publish()
    await world.insert(LINE_ITEMS, line_item)
    newest = await world.publishers[1].publish()
    await world.publishers[1].write_snapshot()
    await world.publishers[0].write_snapshot()
    assert await snapshot_version(world) == newest
    await world.redis.flushall()
    await world.publishers[0].write_snapshot()
    assert await world.redis.get(keys.CATALOGUE_SNAPSHOT) is None


async def test_a_snapshot_waits_while_redis_has_not_its_version(world: World) -> None:
    before, versions = await snapshot_version(world), []
    for _ in range(2):
        await world.insert(LINE_ITEMS, line_item)
        versions.append(await world.publishers[0].publish())
    first, second = await entries(world)
    await world.redis.xdel(keys.CATALOGUE_CHANGES, second[0])  # restarted with older data
    await world.redis.set(keys.CATALOGUE_VERSION, versions[0])
    await world.publishers[0].write_snapshot()
    assert await snapshot_version(world) == before
    newest = versions[1] + 1  # another admin goes on from there
    fields: dict[Any, Any] = {**first[1], SINCE: versions[0]}
    await world.redis.xadd(keys.CATALOGUE_CHANGES, fields, id=f"{newest}-0")
    await world.redis.set(keys.CATALOGUE_VERSION, newest)
    await world.publishers[0].write_snapshot()
    assert await snapshot_version(world) == before, "nobody could go on from what it has"


async def test_an_admin_that_starts_again_and_again_writes_a_snapshot_in_the_end(world: World) -> None:
    before = await snapshot_version(world)
    for _ in range(SNAPSHOT_ENTRIES + 1):
        world.publishers[0] = CataloguePublisher(world.stores[0], world.redis, world.clock)
        await world.publishers[0].start()
    await world.restart(0)
    running = asyncio.create_task(world.publishers[0].run_snapshots())
    try:
        async with asyncio.timeout(20):
            while await snapshot_version(world) == before:  # noqa: ASYNC110 - what is awaited is in another task
                await asyncio.sleep(0.05)
    finally:
        running.cancel()


def test_a_snapshot_is_due_by_objects_by_entries_and_by_time() -> None:
    lines = tuple(line_item(number) for number in range(1, 10_001))
    before = catalogue(*lines)
    objects = sum(len(getattr(before, name)) for name in BY_ID)

    def after(count: int) -> Catalogue:
        other = tuple(msgspec.structs.replace(line, notes="other") for line in lines[:count])
        return msgspec.structs.replace(before, version=2, line_items=other + lines[count:])

    def is_due(count: int, times: int, seconds: float = 0.0) -> bool:
        backlog = Backlog()
        for _ in range(times):
            backlog.add(difference(before, after(count)), 5.0)
        return backlog.is_due(before, 5.0 + seconds)

    assert not is_due(1, 0, 10 * SNAPSHOT_AFTER_S)
    assert (is_due(objects // 8, 1), is_due(objects // 8 + 1, 1)) == (False, True)
    assert (is_due(1, SNAPSHOT_ENTRIES), is_due(1, SNAPSHOT_ENTRIES + 1)) == (False, True)
    assert (is_due(1, 1, SNAPSHOT_AFTER_S - 1), is_due(1, 1, SNAPSHOT_AFTER_S)) == (False, True)


async def test_the_source_in_memory_answers_as_redis_does(world: World) -> None:
    """What the unit tests of following rest on."""
    memory = PublishedValues()
    await world.redis.flushall()
    present = catalogue(line_item(1), version=3)
    memory.publish(encode_catalogue(present), 3)
    await world.redis.set(keys.CATALOGUE_SNAPSHOT, encode_catalogue(present))
    for version in (4, 9):
        change = difference(present, msgspec.structs.replace(present, version=version))
        memory.append(change)
        fields: dict[Any, Any] = {SINCE: change.since, CHANGE: encode_change(change)}
        await world.redis.xadd(keys.CATALOGUE_CHANGES, fields, id=f"{version}-0")
        await world.redis.set(keys.CATALOGUE_VERSION, version)
        present = apply_change(present, change)
    for name in (keys.CATALOGUE_VERSION, keys.CATALOGUE_SNAPSHOT, "nothing"):
        assert await memory.get(name) == await world.redis.get(name)
    for first in ("0-0", "4-0", "5-0", "9-0", "10-0"):
        theirs: Any = await world.redis.xrange(keys.CATALOGUE_CHANGES, first)
        assert list(theirs) == await memory.xrange(keys.CATALOGUE_CHANGES, first)
