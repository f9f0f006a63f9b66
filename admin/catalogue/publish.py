"""Brings every change of the catalogue to the bidders within a second.

The publisher keeps the catalogue in memory and reads only the rows that a newer revision wrote; what it writes is the
change from what Redis has, so one of 100,000 line items costs one row and a few hundred bytes. It is woken by this
process's own writes and looks at the version a few times a second for those of others (a command line, a second admin).
Changes that come while it works go out together in the next round. The whole catalogue, for a process that starts, is
written now and then, behind the changes (docs/decisions/0013).
"""

import asyncio
import contextlib
import logging
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from admin.catalogue.consistency import Built, CatalogueBuilder
from admin.store.catalogue import NEVER_MS, CatalogueStore
from core import keys
from core.catalogue.codec import (
    BY_ID,
    FORMAT,
    HEADER_BYTES,
    Change,
    apply_encoded,
    difference,
    encode_catalogue,
    encode_change,
    header_of,
    version_of,
)
from core.catalogue.follower import read_catalogue, read_changes
from core.catalogue.version_report import forgotten
from core.clock import Clock
from core.collector import exempt_what_exists
from core.errors import CatalogueError, UnavailableError
from core.model import Catalogue

log = logging.getLogger(__name__)

# Writes of another process are seen after this; with the bidders' own 250 ms poll a change is effective within 1 s.
POLL_S = 0.2
# How often the bidders are told that the version is current although nothing changed.
ALIVE_S = 1.0
# A database or Redis that is away is asked again after this; the bidders keep their snapshot meanwhile.
RETRY_S = 0.5
# From so many new objects on, gc.freeze() exempts them from garbage collection, which otherwise walks 100,000 line
# items for 0.2 s each time.
MANY_OBJECTS = 1_000
# How often this process catches up with another admin that publishes at the same time, before it publishes everything.
CATCH_UPS = 3

# A new snapshot is due when the changes after the last one are more than one in so many of the objects: a starting
# process reads little more than the snapshot, and memory in Redis is bounded.
SNAPSHOT_SHARE = 8
# Applying a change takes a millisecond at 100,000 line items, so that many take a starting process a quarter of a
# second.
SNAPSHOT_ENTRIES = 256
# After so long a new snapshot mends whatever went wrong with a change in Redis, well before catalogue.max_age_s (15
# minutes), after which nobody bids.
SNAPSHOT_AFTER_S = 300.0
SNAPSHOT_POLL_S = 1.0

# How often reports of bidder processes that are gone are removed.
TIDY_S = 60.0

# Of two admins that publish at the same time the newer version stays, in whatever order they come; a version has one
# content, the store's. A change is appended only where Redis has what it begins at: the last change or, if there is
# none, the snapshot.
CHANGE_SCRIPT = """
local version, since, header = ARGV[1], ARGV[2], ARGV[3]
local current = tonumber(redis.call('GET', KEYS[2]) or '-1')
if tonumber(version) <= current then return current end
if tonumber(since) ~= current then return -1 end
local last = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
if last then
  if last[1] ~= since .. '-0' then return -1 end
elseif redis.call('GETRANGE', KEYS[1], 0, #header - 1) ~= header then
  return -1
end
redis.call('XADD', KEYS[4], version .. '-0', 'since', since, 'change', ARGV[5])
redis.call('SET', KEYS[2], version)
redis.call('SET', KEYS[3], ARGV[4])
return tonumber(version)
"""
DIVERGED: Final = -1
"""Its answer when Redis has another version than the change begins at."""

# An empty store has version 0 and is published too: roles are ready once they know the catalogue, even an empty one.
WHOLE_SCRIPT = """
local current = tonumber(redis.call('GET', KEYS[2]) or '-1')
if tonumber(ARGV[1]) <= current then return current end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1])
redis.call('SET', KEYS[3], ARGV[3])
redis.call('DEL', KEYS[4])
return tonumber(ARGV[1])
"""

# Nothing is written where another process has replaced the snapshot since its header was read, or where Redis has come
# back with older data: it does not have the version yet then, or the changes that follow begin at another one. The
# changes since the replaced snapshot stay: a process that has just read that one reads on from there.
SNAPSHOT_SCRIPT = """
local version = ARGV[4]
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return 0 end
if tonumber(redis.call('GET', KEYS[3]) or '-1') < tonumber(version) then return 0 end
local following = redis.call('XRANGE', KEYS[2], '(' .. version .. '-0', '+', 'COUNT', 1)[1]
if following and following[2][2] ~= version then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[3])
return 1
"""


class Backlog:
    """What was published since the last snapshot."""

    def __init__(self) -> None:
        self.entries = self.objects = 0
        self.begun_s = 0.0

    def find(self, entries: int, now_s: float) -> None:
        """Count changes that Redis has: otherwise an admin that starts again and again would never write a snapshot."""
        self.entries, self.begun_s = entries, now_s

    def add(self, change: Change, now_s: float) -> None:
        if not self.entries:
            self.begun_s = now_s
        self.entries += 1
        self.objects += change.count

    def drop(self, entries: int, objects: int, now_s: float) -> None:
        """Take off what a new snapshot holds."""
        self.entries -= entries
        self.objects -= objects
        self.begun_s = now_s

    def is_due(self, catalogue: Catalogue, now_s: float) -> bool:
        """Whether there is enough for a new snapshot."""
        if not self.entries:
            return False
        objects = sum(len(getattr(catalogue, name)) for name in BY_ID)
        is_late = now_s - self.begun_s >= SNAPSHOT_AFTER_S
        return is_late or self.entries > SNAPSHOT_ENTRIES or self.objects * SNAPSHOT_SHARE > objects


class CataloguePublisher:
    """Publishes the catalogue of one store to one Redis. `wake` after each commit; `run`, `run_snapshots` as tasks."""

    def __init__(self, store: CatalogueStore, redis: Redis, clock: Clock) -> None:
        self._store = store
        self._redis = redis
        self._clock = clock
        self._builder = CatalogueBuilder()
        self._in_redis: Catalogue | None = None  # the newest that Redis is known to have had
        self._backlog = Backlog()
        self._seen = -1
        self._expires_ms = NEVER_MS
        self._woken = asyncio.Event()
        self.published_version = 0
        """The version that Redis had after the last publication of this process."""

    def wake(self) -> None:
        """Something was committed: publish now, without waiting for the poll."""
        self._woken.set()

    async def run(self) -> None:
        """Publishes until cancelled; outages of the store or of Redis are waited out."""
        while True:
            try:
                await self._run_connected()
            except (UnavailableError, RedisError, OSError) as error:
                log.warning("the catalogue is not published: %s", error)
                await asyncio.sleep(RETRY_S)

    async def run_snapshots(self) -> None:
        """Writes the whole catalogue when it is due, until cancelled; an outage of Redis is waited out."""
        while True:
            await asyncio.sleep(SNAPSHOT_POLL_S)
            if self._in_redis is None or not self._backlog.is_due(self._in_redis, self._clock.monotonic()):
                continue
            try:
                await self.write_snapshot()
            except (RedisError, OSError) as error:
                log.warning("the whole catalogue is not written: %s", error)

    async def run_tidying(self) -> None:
        """Removes the reports of processes that are gone, until cancelled; an outage of Redis is waited out."""
        while True:
            try:
                await self.tidy()
            except (RedisError, OSError) as error:
                log.warning("reports of processes that are gone are not removed: %s", error)
            await asyncio.sleep(TIDY_S)

    async def tidy(self) -> None:
        """One round of `run_tidying`."""
        gone = forgotten(await self._redis.hgetall(keys.CATALOGUE_EFFECTIVE), self._clock.now_ms())
        if gone:
            await self._redis.hdel(keys.CATALOGUE_EFFECTIVE, *gone)

    async def _run_connected(self) -> None:
        await self.start()
        told = self._clock.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):  # then it is time to look for the changes of other processes
                await asyncio.wait_for(self._woken.wait(), POLL_S)
            self._woken.clear()
            if self._clock.now_ms() >= self._expires_ms:  # a key ended, though nobody changed anything
                await self._store.raise_version(self._seen)
            if await self._store.version() != self._seen or await self._lost():
                await self.publish()
            if self._clock.monotonic() - told >= ALIVE_S:
                told = self._clock.monotonic()
                await self._redis.set(keys.CATALOGUE_ALIVE, self._clock.now_ms())

    async def start(self) -> int:
        """First publication of this process; lifts the store's version above one that Redis has from elsewhere."""
        in_redis = int(await self._redis.get(keys.CATALOGUE_VERSION) or 0)
        if in_redis and in_redis >= await self._store.version():
            await self._store.raise_version(in_redis)
        return await self.publish()

    async def publish(self) -> int:
        """Publishes the catalogue as it is now; returns the version that Redis has afterwards."""
        changed = await self._store.changed_since(self._seen)
        if sum(map(len, changed.objects.values())) >= MANY_OBJECTS:
            exempt_what_exists()
        self._seen = changed.version
        self._expires_ms = changed.expires_ms
        # Threads: what takes longer than a few milliseconds must not keep the API from answering.
        built = await asyncio.to_thread(self._builder.build, changed, self._clock.now_ms())
        self.published_version = await self._put(built)
        return self.published_version

    async def _lost(self) -> bool:
        """Whether Redis has forgotten the catalogue (restarted without its data)."""
        return int(await self._redis.get(keys.CATALOGUE_VERSION) or 0) < self._seen

    async def _put(self, built: Built) -> int:
        """The change from what Redis has, or everything; returns the version that Redis has afterwards."""
        base, catalogue = self._in_redis, built.catalogue
        if base is None:
            base = await self._read(None)
            self._backlog.find(await self._redis.xlen(keys.CATALOGUE_CHANGES), self._clock.monotonic())
        for _ in range(CATCH_UPS):
            if base is None or base.version >= catalogue.version:  # Redis has lost it
                break
            current = await self._append(base, built)
            if current != DIVERGED:
                return current
            base = self._in_redis = await self._read(base)
        return await self._put_whole(catalogue)

    async def _append(self, base: Catalogue, built: Built) -> int:
        change, body = await asyncio.to_thread(_encoded_change, base, built)
        names = (keys.CATALOGUE_SNAPSHOT, keys.CATALOGUE_VERSION, keys.CATALOGUE_ALIVE, keys.CATALOGUE_CHANGES)
        header, now_ms = header_of(change.since), self._clock.now_ms()
        current = int(
            await self._redis.eval(CHANGE_SCRIPT, 4, *names, change.version, change.since, header, now_ms, body)
        )
        if current == built.catalogue.version:
            self._in_redis = built.catalogue
            self._backlog.add(change, self._clock.monotonic())
        return current

    async def _read(self, base: Catalogue | None) -> Catalogue | None:
        """The catalogue that Redis has, by the changes after `base` if there are any; None where it cannot be read."""
        try:
            if base is not None:
                chain = await read_changes(self._redis, base.version)
                if chain.changes:
                    return await asyncio.to_thread(apply_encoded, base, chain.changes)
            return await read_catalogue(self._redis)
        except (CatalogueError, UnavailableError) as error:
            log.info("the catalogue is published as a whole: %s", error.message)
            return None

    async def _put_whole(self, catalogue: Catalogue) -> int:
        body = await asyncio.to_thread(encode_catalogue, catalogue)
        names = (keys.CATALOGUE_SNAPSHOT, keys.CATALOGUE_VERSION, keys.CATALOGUE_ALIVE, keys.CATALOGUE_CHANGES)
        current = int(await self._redis.eval(WHOLE_SCRIPT, 4, *names, catalogue.version, body, self._clock.now_ms()))
        if current == catalogue.version:
            self._in_redis = catalogue
            self._backlog = Backlog()
        return current

    async def write_snapshot(self) -> None:
        """Writes the whole of what this process published last; the changes that come meanwhile stay behind it."""
        catalogue, backlog = self._in_redis, self._backlog
        if catalogue is None:
            return
        entries, objects = backlog.entries, backlog.objects
        body = await asyncio.to_thread(encode_catalogue, catalogue)
        header = await self._redis.getrange(keys.CATALOGUE_SNAPSHOT, 0, HEADER_BYTES - 1)
        # Otherwise Redis has lost it, or another admin was faster.
        if isinstance(header, bytes) and header.startswith(FORMAT) and version_of(header) < catalogue.version:
            names = (keys.CATALOGUE_SNAPSHOT, keys.CATALOGUE_CHANGES, keys.CATALOGUE_VERSION)
            first = f"{version_of(header) + 1}-0"
            if not await self._redis.eval(SNAPSHOT_SCRIPT, 3, *names, header, body, first, catalogue.version):
                return  # stays due
        backlog.drop(entries, objects, self._clock.monotonic())


def _encoded_change(base: Catalogue, built: Built) -> tuple[Change, bytes]:
    """The change that leads on from `base`: as it was built or, where others have published meanwhile, by comparing."""
    change = built.change
    if change is None or change.since != base.version:
        change = difference(base, built.catalogue)
    return change, encode_change(change)
