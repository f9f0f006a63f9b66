"""Brings every change of the catalogue to the bidders within a second.

The publisher keeps the catalogue in memory and reads only the rows that a newer revision wrote, so a change among
100,000 line items costs one row and one encoding. It is woken by this process's own writes and looks at the version a
few times a second for those of others (a command line, a second admin). Changes that come while it encodes go out
together in the next round.
"""

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from admin.store.catalogue import ARCHIVED_MEMBERS, NEVER_MS, CatalogueStore, Changed
from admin.store.kinds import KINDS
from core import keys
from core.clock import Clock
from core.errors import UnavailableError
from core.model import Advertiser, Campaign, Catalogue, LineItem, Status

log = logging.getLogger(__name__)

# Writes of another process are seen after this; with the bidders' own 250 ms poll a change is effective within 1 s.
POLL_S = 0.2
# How often the bidders are told that the snapshot is current although nothing changed.
ALIVE_S = 1.0
# A database or Redis that is away is asked again after this; the bidders keep their snapshot meanwhile.
RETRY_S = 0.5
# After so many new objects the garbage collector is told to leave them alone: they are in no cycle, and walking 100,000
# line items in each full collection stops the API for 0.2 s.
MANY_OBJECTS = 1_000

# Two admins may publish at the same time: the newer version stays, whoever comes last. An empty store has version 0 and
# is published too: roles are ready once they know the catalogue, also that there is nothing in it.
PUBLISH_SCRIPT = """
local current = tonumber(redis.call('GET', KEYS[2]) or '-1')
if tonumber(ARGV[2]) <= current then return current end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
redis.call('SET', KEYS[3], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[2])
return tonumber(ARGV[2])
"""


class Encoder(Protocol):
    """bidder.published.encode_catalogue; given, so that this module does not decide the format."""

    def __call__(self, catalogue: Catalogue, /) -> bytes: ...


class Publisher:
    """Publishes the catalogue of one store to one Redis. `wake` after each commit, `run` as a task."""

    def __init__(self, store: CatalogueStore, redis: Redis, encode: Encoder, clock: Clock) -> None:
        self._store = store
        self._redis = redis
        self._encode = encode
        self._clock = clock
        self._objects: dict[str, dict[int, Any]] = {kind.name: {} for kind in KINDS if kind.member}
        self._archived: dict[str, dict[int, Any]] = {name: {} for name in ARCHIVED_MEMBERS}
        self._seen = -1
        self._expires_ms = NEVER_MS
        self._woken = asyncio.Event()
        self.published_version = 0
        """Version of the last publication by this process."""

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
        for kind_name, objects in changed.objects.items():
            current = self._objects[kind_name]
            for object_id, value in objects.items():
                if value.status is Status.ARCHIVED:
                    current.pop(object_id, None)
                    self._archived.get(kind_name, {})[object_id] = value
                else:
                    current[object_id] = value
        if sum(map(len, changed.objects.values())) >= MANY_OBJECTS:
            gc.freeze()
        self._seen = changed.version
        self._expires_ms = changed.expires_ms
        now_ms = self._clock.now_ms()
        # Encoding 100,000 line items takes about half a second; the API answers meanwhile.
        body = await asyncio.to_thread(self._build, changed, now_ms)
        names = (keys.CATALOGUE_SNAPSHOT, keys.CATALOGUE_VERSION, keys.CATALOGUE_ALIVE)
        result = await self._redis.eval(
            PUBLISH_SCRIPT, 3, *names, body, changed.version, now_ms, keys.CATALOGUE_CHANGES
        )
        self.published_version = int(result)
        return self.published_version

    async def _lost(self) -> bool:
        """Whether Redis has forgotten the snapshot (restarted without its data)."""
        return int(await self._redis.get(keys.CATALOGUE_VERSION) or 0) < self._seen

    def _build(self, changed: Changed, now_ms: int) -> bytes:
        members = {kind.member: self._objects[kind.name] for kind in KINDS if kind.member}
        members |= {member: self._archived[name] for name, member in ARCHIVED_MEMBERS.items()}
        return self._encode(consistent_catalogue(changed, now_ms, members))


def consistent_catalogue(changed: Changed, published_ms: int, members: dict[str, dict[int, Any]]) -> Catalogue:
    """A catalogue without objects whose owner is gone: the index refuses a line item without campaign or advertiser."""
    advertisers: dict[int, Advertiser] = members["advertisers"]
    campaigns: dict[int, Campaign] = members["campaigns"]

    def owned(value: Any) -> bool:  # noqa: ANN401 - any tenant's object
        return value.advertiser_id is None or value.advertiser_id in advertisers

    def placed(value: LineItem) -> bool:
        campaign = campaigns.get(value.campaign_id)
        return campaign is not None and campaign.advertiser_id == value.advertiser_id and owned(value)

    ownerless = ("advertisers", "exchanges", *ARCHIVED_MEMBERS.values())
    keep: dict[str, Callable[[Any], bool]] = {"line_items": placed, **dict.fromkeys(ownerless, _always)}
    chosen: dict[str, Any] = {
        name: tuple(value for _, value in sorted(objects.items()) if keep.get(name, owned)(value))
        for name, objects in members.items()
    }
    return Catalogue(
        version=changed.version,
        published_ms=published_ms,
        fx_rates=changed.rates,
        webhooks=changed.webhooks,
        event_keys=changed.event_keys,
        conversions=changed.conversions,
        **chosen,
    )


def _always(_value: object) -> bool:
    return True
