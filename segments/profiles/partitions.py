"""Who works on which partition: leases with fencing tokens, spread evenly, taken over within seconds of a death.

A lease is a key with a short life that its owner renews. Every owner gets a larger token than all before it; the
cursor moves only for the holder of the key's current value, so a worker that was frozen past its lease can neither
move the cursor nor trim the stream when it wakes up.
"""

import asyncio
import logging
import secrets
from typing import Final

from core.clock import Clock
from core.errors import UnavailableError
from core.keys import EVENT_WORKERS, event_cursor, event_fence, event_owner, event_stream
from segments.facts.streams import START, after, pack_id, text_of
from segments.profiles.log import PARTITIONS
from segments.profiles.scripts import Script
from segments.profiles.store import ProfileStore

log = logging.getLogger(__name__)

# Long enough that a worker keeps its partitions while garbage collection or a busy machine stops it; those of a dead
# worker are taken over within LEASE_MS + RENEW_S.
LEASE_MS: Final = 3_000
RENEW_S: Final = 0.75

_ACQUIRE: Final = Script(
    """
    if redis.call('EXISTS', KEYS[1]) == 1 then return false end
    local owner = ARGV[1] .. ':' .. redis.call('INCR', KEYS[2])
    redis.call('SET', KEYS[1], owner, 'PX', ARGV[2])
    return owner
    """
)
_RENEW: Final = Script(
    """
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return 1
    """
)
_RELEASE: Final = Script(
    """
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    return redis.call('DEL', KEYS[1])
    """
)
# KEYS: owner, cursor, stream. ARGV: owner, new cursor, first id to keep.
_ADVANCE: Final = Script(
    """
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[2], ARGV[2])
    redis.call('XTRIM', KEYS[3], 'MINID', ARGV[3])
    return 1
    """
)


class PartitionLeases:
    """The partitions of one worker."""

    def __init__(self, store: ProfileStore, clock: Clock, *, partitions: int = PARTITIONS, worker_id: str = "") -> None:
        self._store = store
        self._clock = clock
        self._count = partitions
        self.worker_id = worker_id or secrets.token_hex(6)
        self._owned: dict[int, bytes] = {}
        self._renewed_ms = 0

    @property
    def owned(self) -> dict[int, bytes]:
        """Partition -> value of its lease, for those held now; none if the last renewal is older than LEASE_MS."""
        if self._clock.now_ms() - self._renewed_ms >= LEASE_MS:
            return {}
        return dict(self._owned)

    async def keep(self) -> None:
        """Renew and balance for ever; run it beside the work."""
        while True:
            try:
                await self.balance()
            except UnavailableError as error:  # the leases run out by themselves; the next round tries again
                log.warning("event partitions cannot be renewed: %s", error.message)
            await asyncio.sleep(RENEW_S)

    async def balance(self) -> None:
        """Renew what is held, give back what is beyond a fair share, take free partitions up to that share."""
        now_ms = self._clock.now_ms()
        replies = await self._store.commands(
            [
                ("ZADD", EVENT_WORKERS, now_ms + LEASE_MS, self.worker_id),
                ("ZREMRANGEBYSCORE", EVENT_WORKERS, "-inf", now_ms),
                ("ZCARD", EVENT_WORKERS),
            ]
        )
        workers = max(1, int(str(replies[2])))
        share = -(-self._count // workers)
        await self._renew()
        self._renewed_ms = now_ms
        for partition in sorted(self._owned)[share:]:
            await self._release(partition)
        if len(self._owned) < share:
            await self._acquire(share - len(self._owned))

    async def release_all(self) -> None:
        """Give everything back, so that others take over at once."""
        for partition in tuple(self._owned):
            await self._release(partition)
        await self._store.commands([("ZREM", EVENT_WORKERS, self.worker_id)])

    async def cursor(self, partition: int) -> bytes:
        """Packed id of the last entry that is applied."""
        (reply,) = await self._store.commands([("GET", event_cursor(partition))])
        return pack_id(reply) if isinstance(reply, bytes) else START

    async def advance(self, partition: int, cursor: bytes) -> bool:
        """Everything up to `cursor` is applied: forget it. False (and the partition is lost) if another owns it."""
        owner = self._owned.get(partition)
        if owner is None:
            return False
        keys = [event_owner(partition), event_cursor(partition), event_stream(partition)]
        (reply,) = await self._store.script(_ADVANCE, [_ADVANCE.call(keys, [owner, text_of(cursor), after(cursor)])])
        if reply != 1:
            self._owned.pop(partition, None)
        return reply == 1

    async def _renew(self) -> None:
        held = list(self._owned.items())
        calls = [_RENEW.call([event_owner(partition)], [owner, LEASE_MS]) for partition, owner in held]
        if not calls:
            return
        for (partition, _), reply in zip(held, await self._store.script(_RENEW, calls), strict=True):
            if reply != 1:
                self._owned.pop(partition, None)

    async def _acquire(self, room: int) -> None:
        free = [partition for partition in range(self._count) if partition not in self._owned]
        owners = await self._store.commands([("EXISTS", event_owner(partition)) for partition in free])
        wanted = [partition for partition, taken in zip(free, owners, strict=True) if not taken][:room]
        if not wanted:
            return
        calls = [_ACQUIRE.call([event_owner(p), event_fence(p)], [self.worker_id, LEASE_MS]) for p in wanted]
        for partition, owner in zip(wanted, await self._store.script(_ACQUIRE, calls), strict=True):
            if isinstance(owner, bytes):
                self._owned[partition] = owner

    async def _release(self, partition: int) -> None:
        owner = self._owned.pop(partition, None)
        if owner is not None:
            await self._store.script(_RELEASE, [_RELEASE.call([event_owner(partition)], [owner])])
