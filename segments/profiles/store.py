"""Profiles as the worker sees them: read together, changed in memory, written back in one atomic step a user.

Exactly-once comes from one comparison: a write carries the stream id that the profile was at when it was read, and the
server refuses it if the profile has moved on. A worker that lost its partition without noticing therefore cannot undo
what its successor wrote, and an event that is read twice is recognised by its id. The fencing token of the partition
(partitions.py) is not needed for that; it protects the cursor.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from core.clock import Clock
from core.keys import user_facts, user_profile
from segments.facts.meta import Meta, unpack_meta
from segments.profiles.reading import META_FIELD, Command, Pipeline
from segments.profiles.scripts import Argument, Script, check, run

LAST_FIELD: Final = b"l"
CALL_TIMEOUT_S: Final = 5.0
# A connection bounds what is in flight (core.redis.client.MAX_IN_FLIGHT); a large round goes in parts, about 20 ms
# each.
CHUNK: Final = 2_000

# The least time to live of a user's keys, since a time to live of 0 would delete them at once.
MIN_TTL_MS: Final = 60_000

# KEYS: u:{uid}, f:{uid}. ARGV: expected last id, expected meta, new last id, ttl ms, then (field, hot, cold) triples;
# an empty hot deletes the field. 0: another process wrote in between.
_COMMIT: Final = Script(
    """
    if (redis.call('HGET', KEYS[2], 'l') or '') ~= ARGV[1] then return 0 end
    if (redis.call('HGET', KEYS[1], 'm') or '') ~= ARGV[2] then return 0 end
    redis.call('HSET', KEYS[2], 'l', ARGV[3])
    for i = 5, #ARGV, 3 do
      if ARGV[i + 1] == '' then
        redis.call('HDEL', KEYS[1], ARGV[i])
        redis.call('HDEL', KEYS[2], ARGV[i])
      else
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
        redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2])
      end
    end
    for i = 1, 2 do
      if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
    end
    return 1
    """
)


class StoredField(msgspec.Struct, frozen=True):
    """One advertiser's packed halves; both empty if there are none."""

    hot: bytes = b""
    cold: bytes = b""


class StoredUser(msgspec.Struct, frozen=True):
    """What was read of a user: `last` is the packed id of the last applied event (b"" before the first)."""

    user_id: str
    last: bytes
    meta: Meta
    meta_bytes: bytes
    fields: Mapping[int, StoredField]


class UserWrite(msgspec.Struct, frozen=True):
    """New halves by advertiser (an empty hot half deletes the field), and the id up to which events are now applied."""

    read: StoredUser
    last: bytes
    fields: Mapping[int, StoredField]
    ttl_ms: int


class ProfileStore:
    """Reads and writes whole users."""

    __slots__ = ("_clock", "_redis")

    def __init__(self, redis: Pipeline, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock

    async def read(self, wanted: Mapping[str, Iterable[int]]) -> dict[str, StoredUser]:
        """Users with their fields of these advertisers. Raises UnavailableError."""
        asked = {user_id: list(advertisers) for user_id, advertisers in wanted.items()}
        commands: list[Command] = []
        for user_id, advertisers in asked.items():
            commands.append(("HMGET", user_profile(user_id), META_FIELD, *advertisers))
            commands.append(("HMGET", user_facts(user_id), LAST_FIELD, *advertisers))
        replies = await self.commands(commands)
        users: dict[str, StoredUser] = {}
        for at, (user_id, advertisers) in enumerate(asked.items()):
            hot, cold = replies[2 * at], replies[2 * at + 1]
            if not isinstance(hot, list) or not isinstance(cold, list):
                raise TypeError("HMGET answers with a list")
            users[user_id] = StoredUser(
                user_id=user_id,
                last=cold[0] or b"",
                meta=unpack_meta(hot[0]),
                meta_bytes=hot[0] or b"",
                fields={
                    advertiser: StoredField(hot[index] or b"", cold[index] or b"")
                    for index, advertiser in enumerate(advertisers, start=1)
                },
            )
        return users

    async def write(self, writes: Sequence[UserWrite]) -> list[bool]:
        """Whether each write took effect; False: the user changed since it was read, so read and apply again."""
        calls = [
            _COMMIT.call([user_profile(w.read.user_id), user_facts(w.read.user_id)], _arguments(w)) for w in writes
        ]
        replies = await run(self._redis, _COMMIT, calls, self._deadline())
        return [reply == 1 for reply in replies]

    async def commands(self, commands: Sequence[Command]) -> list[object]:
        """Answers of plain commands; raises UnavailableError, for an error answer too."""
        replies: list[object] = []
        for start in range(0, len(commands), CHUNK):
            replies += await self._redis.batch(commands[start : start + CHUNK], self._deadline())
        check(replies)
        return replies

    async def script(self, script: Script, calls: Sequence[Command]) -> list[object]:
        """Answers of a script's calls."""
        return await run(self._redis, script, calls, self._deadline())

    def _deadline(self) -> float:
        return self._clock.monotonic() + CALL_TIMEOUT_S


def _arguments(write: UserWrite) -> list[Argument]:
    arguments: list[Argument] = [write.read.last, write.read.meta_bytes, write.last, max(write.ttl_ms, MIN_TTL_MS)]
    for advertiser, field in write.fields.items():
        arguments += [advertiser, field.hot, field.cold]
    return arguments
