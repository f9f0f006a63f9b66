"""Customer lists: the persons whom a shop names by hashed e-mail, hashed phone or its own id of them.

A list keeps digests that mean nothing outside the advertiser (segments.facts.event.person_digest), each with the time
from when to when it is listed, in BUCKETS small hashes. Whoever logs in is looked up by the worker; whoever has logged
in before is found by the devices of the digest, which hear of it by an event (roster_news.py). Rules ask for
`list.NAME`.
"""

import contextlib
import secrets
import struct
import zlib
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import ConflictError, NotFoundError
from core.keys import person, roster_entries, roster_lock, rosters
from segments.facts.facts import ListedTime
from segments.profiles.reading import Command
from segments.profiles.scripts import Script
from segments.profiles.store import ProfileStore

# A million entries are 244 in each, which Redis keeps packed (up to 512); a small list has as many keys as entries.
BUCKETS: Final = 4_096
# As many as a visitor's facts can hold (segments.facts.facts.MAX_LISTS).
MAX_ROSTERS: Final = 32
NAME_PATTERN: Final = r"[a-z][a-z0-9_]{0,29}"
LOCK_MS: Final = 60_000
# A list that was replaced between two looks is still looked up under its old number: those few are told by the import,
# which waits longer than this before it tells (roster_news.SETTLE_MS).
KNOWN_S: Final = 1.0
NEXT: Final = ":next"
PENDING: Final = ":pending"

_LISTED: Final = struct.Struct("<II")
# KEYS: lock. ARGV: owner.
_UNLOCK: Final = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")
# KEYS: lock. ARGV: owner, ms. 0: somebody else has it.
_RELOCK: Final = Script(
    """
    local owner = redis.call('GET', KEYS[1])
    if owner and owner ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
    """
)


class Roster(msgspec.Struct, frozen=True):
    """One customer list: its counts are those of the import before last changes; times in unix seconds."""

    name: str
    number: int
    rows: int = 0  # persons of the file, or of all files that were added
    matched: int = 0  # how many of them have a device that is known
    updated_s: int = 0
    until_s: int = 0  # when the last of its entries ends


def bucket_of(digest: bytes) -> int:
    """The number of the Redis hash that holds a digest's entry."""
    return zlib.crc32(digest) % BUCKETS


def buckets_of(digests: Iterable[bytes]) -> dict[int, list[bytes]]:
    """Digests by the number of the Redis hash that holds them."""
    found: dict[int, list[bytes]] = {}
    for digest in digests:
        found.setdefault(bucket_of(digest), []).append(digest)
    return found


class RosterStore:
    """Reads and changes the lists of any advertiser; who may do so is the caller's business."""

    def __init__(self, store: ProfileStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def all(self, advertiser_id: int) -> dict[str, Roster]:
        """The advertiser's lists by name."""
        (reply,) = await self._store.commands([("HGETALL", rosters(advertiser_id))])
        flat: Sequence[bytes] = reply if isinstance(reply, list) else []
        return {
            flat[at].decode(): msgspec.json.decode(flat[at + 1], type=Roster)
            for at in range(0, len(flat), 2)
            if not flat[at].startswith(b":")
        }

    async def require(self, advertiser_id: int, name: str) -> Roster:
        """One list. Raises NotFoundError."""
        found = (await self.all(advertiser_id)).get(name)
        if found is None:
            raise NotFoundError(
                f"advertiser {advertiser_id} has no customer list '{name}'", hint="see `grosz audience lists`"
            )
        return found

    async def save(self, advertiser_id: int, roster: Roster) -> None:
        """Put a list's state in force."""
        await self._store.commands([("HSET", rosters(advertiser_id), roster.name, msgspec.json.encode(roster))])

    async def drop(self, advertiser_id: int, roster: Roster) -> None:
        """Delete a list and its entries."""
        await self._store.commands([("HDEL", rosters(advertiser_id), roster.name)])
        await self.drop_entries(advertiser_id, roster.number)

    async def new_number(self, advertiser_id: int) -> int:
        """A number for entries that are about to be written. Removes entries of an import that never ended."""
        key = rosters(advertiser_id)
        number, left = await self._store.commands([("HINCRBY", key, NEXT, 1), ("HGET", key, PENDING)])
        if isinstance(left, bytes):
            await self.drop_entries(advertiser_id, int(left))
        await self._store.commands([("HSET", key, PENDING, str(number))])
        return int(str(number))

    async def settle_number(self, advertiser_id: int) -> None:
        """Note that the entries of the newest number belong to a list now, so that `new_number` keeps them."""
        await self._store.commands([("HDEL", rosters(advertiser_id), PENDING)])

    async def drop_entries(self, advertiser_id: int, number: int) -> None:
        """Remove all entries that were written under a number."""
        await self._store.commands(
            [("UNLINK", roster_entries(advertiser_id, number, bucket)) for bucket in range(BUCKETS)]
        )

    async def add(self, advertiser_id: int, number: int, digests: Iterable[bytes], listed: ListedTime) -> None:
        """Write entries; the times of one that is there already are replaced."""
        blob = _LISTED.pack(listed.since_s, listed.until_s)
        commands: list[Command] = []
        for bucket, members in buckets_of(digests).items():
            key = roster_entries(advertiser_id, number, bucket)
            commands.append(("HSET", key, *(part for digest in members for part in (digest, blob))))
        await self._store.commands(commands)

    async def devices(self, advertiser_id: int, digests: Sequence[bytes]) -> list[list[str]]:
        """User ids of the devices that logged in as each of these persons."""
        replies = await self._store.commands([("SMEMBERS", person(advertiser_id, one.hex())) for one in digests])
        return [
            sorted(member.decode() for member in reply) if isinstance(reply, list | set) else [] for reply in replies
        ]

    async def lists_of(
        self, advertiser_id: int, known: Collection[Roster], digests: Collection[bytes], now_s: int
    ) -> dict[str, ListedTime]:
        """Which of these lists name a person known by any of these digests, and from when to when."""
        asked = [(roster, digest) for roster in known for digest in digests]
        replies = await self._store.commands(
            [
                ("HGET", roster_entries(advertiser_id, roster.number, bucket_of(digest)), digest)
                for roster, digest in asked
            ]
        )
        found: dict[str, ListedTime] = {}
        for (roster, _), reply in zip(asked, replies, strict=True):
            if not isinstance(reply, bytes):
                continue
            since_s, until_s = _LISTED.unpack(reply)
            before = found.get(roster.name)
            if until_s > now_s and (before is None or before.until_s < until_s):
                found[roster.name] = ListedTime(since_s, until_s)
        return found

    async def forget(self, advertiser_id: int, digests: Collection[bytes]) -> int:
        """Take persons out of all lists of an advertiser; returns how many entries that were."""
        (state,) = await self._store.commands([("HGET", rosters(advertiser_id), PENDING)])
        numbers = [roster.number for roster in (await self.all(advertiser_id)).values()]
        numbers += [int(state)] if isinstance(state, bytes) else []
        commands: list[Command] = [
            ("HDEL", roster_entries(advertiser_id, number, bucket_of(digest)), digest)
            for number in numbers
            for digest in digests
        ]
        return sum(int(str(reply)) for reply in await self._store.commands(commands)) if commands else 0

    @contextlib.asynccontextmanager
    async def locked(self, advertiser_id: int) -> AsyncIterator["RosterLock"]:
        """The right to change the advertiser's lists. Raises ConflictError while somebody else does."""
        lock = RosterLock(self._store, advertiser_id)
        await lock.keep()
        try:
            yield lock
        finally:
            await lock.release()


class RosterLock:
    """Held while an advertiser's lists change; that of a process that died runs out within a minute."""

    def __init__(self, store: ProfileStore, advertiser_id: int) -> None:
        self._store = store
        self._key = roster_lock(advertiser_id)
        self._owner = secrets.token_hex(8)

    async def keep(self) -> None:
        """Take the lock, or hold it for another minute. Raises ConflictError while another process has it."""
        (held,) = await self._store.script(_RELOCK, [_RELOCK.call([self._key], [self._owner, LOCK_MS])])
        if held != 1:
            raise ConflictError(
                "a customer list of this advertiser is being changed by somebody else", hint="try again in a minute"
            )

    async def release(self) -> None:
        """Give the lock back."""
        await self._store.script(_UNLOCK, [_UNLOCK.call([self._key], [self._owner])])


class RosterLookup:
    """Customer lists of those who log in, for the worker: which lists there are is read once a second at most."""

    def __init__(self, store: ProfileStore, clock: Clock) -> None:
        self._rosters = RosterStore(store, clock)
        self._clock = clock
        self._known: dict[int, tuple[float, tuple[Roster, ...]]] = {}

    async def of(self, logins: Mapping[int, Collection[bytes]]) -> dict[tuple[int, bytes], dict[str, ListedTime]]:
        """(advertiser id, digest) -> lists, for those digests of each advertiser that any list names."""
        found = {}
        now_s = self._clock.now_ms() // 1000
        for advertiser_id, digests in logins.items():
            known = await self._lists(advertiser_id)
            for digest in digests if known else ():
                if lists := await self._rosters.lists_of(advertiser_id, known, [digest], now_s):
                    found[advertiser_id, digest] = lists
        return found

    async def _lists(self, advertiser_id: int) -> tuple[Roster, ...]:
        now = self._clock.monotonic()
        read_at, known = self._known.get(advertiser_id, (-1.0, ()))
        if read_at < 0 or now - read_at > KNOWN_S:
            known = tuple((await self._rosters.all(advertiser_id)).values())
            self._known[advertiser_id] = (now, known)
        return known
