"""Calls of audience hooks that were given up: to be looked at, and to be made again when the receiver is back."""

from collections.abc import Sequence
from typing import Final

import msgspec

from core.keys import WEBHOOK_BODIES, WEBHOOK_DEAD, WEBHOOK_QUEUE
from segments.audiences.hooks import Delivery
from segments.profiles.scripts import Script
from segments.profiles.store import ProfileStore

# KEYS: queue, bodies, dead letters. ARGV: id in the stream, delivery id, delivery, due ms. 0: the dead letter is gone.
_SEND_AGAIN: Final = Script(
    """
    if redis.call('XDEL', KEYS[3], ARGV[1]) == 0 then return 0 end
    redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
    redis.call('ZADD', KEYS[1], ARGV[4], ARGV[2])
    return 1
    """
)


class DeadLetter(msgspec.Struct, frozen=True):
    """One call that was given up at `given_up_ms` (unix ms), for the `reason` of the last try."""

    entry_id: str
    delivery_id: str
    delivery: Delivery
    given_up_ms: int
    reason: str


async def read_dead_letters(store: ProfileStore) -> list[DeadLetter]:
    """All that are kept, oldest first. Raises UnavailableError."""
    (reply,) = await store.commands([("XRANGE", WEBHOOK_DEAD, "-", "+")])
    letters = []
    for entry_id, flat in reply if isinstance(reply, list) else []:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        letters.append(
            DeadLetter(
                entry_id=entry_id.decode(),
                delivery_id=fields[b"id"].decode(),
                delivery=msgspec.msgpack.decode(fields[b"delivery"], type=Delivery),
                given_up_ms=int(entry_id.partition(b"-")[0]),
                reason=fields[b"reason"].decode(errors="replace"),
            )
        )
    return letters


async def send_again(store: ProfileStore, letters: Sequence[DeadLetter], now_ms: int) -> int:
    """Queue them again, each with a full number of tries; returns how many of them were still there."""
    keys = [WEBHOOK_QUEUE, WEBHOOK_BODIES, WEBHOOK_DEAD]
    calls = [
        _SEND_AGAIN.call(keys, [letter.entry_id, letter.delivery_id, _fresh(letter.delivery), now_ms])
        for letter in letters
    ]
    return sum(reply == 1 for reply in await store.script(_SEND_AGAIN, calls)) if calls else 0


def _fresh(delivery: Delivery) -> bytes:
    return msgspec.msgpack.encode(msgspec.structs.replace(delivery, attempts=0))
