"""What visitors did with products, kept for fitting: appended by the event worker, bounded, one list an advertiser.

Losing some in a crash changes no recommendation, so they are gathered for a second and written without ceremony.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import zstandard

from core.product_keys import product_model, product_touches
from creatives.products.sessions import DAY_S, Interaction
from creatives.products.store import Command, ProductStore

# Parts of an advertiser's list; each holds up to a second of its events, at least one and at most PART_ITEMS.
MAX_PARTS: Final = 20_000
PART_ITEMS: Final = 2_000
# A model is fitted to so many at most, which takes 150 MB meanwhile.
MAX_INTERACTIONS: Final = 1_000_000
KEPT_S: Final = 90 * DAY_S
# When a list has so many parts, its oldest ones are joined, so that a slow shop's seconds do not push out its weeks.
JOIN_PARTS: Final = 1_000

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[Interaction])


def visitor_hash(advertiser_id: int, user_id: str) -> int:
    """64 bits that stand for a user at one advertiser; another advertiser's hash of the same user is unrelated."""
    digest = hashlib.blake2b(f"{advertiser_id}:{user_id}".encode(), digest_size=8, person=b"grosz-product")
    return int.from_bytes(digest.digest(), "big")


def pack_part(interactions: Sequence[Interaction]) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(_encoder.encode(interactions))


def unpack_part(part: bytes) -> list[Interaction]:
    """Raises msgspec.DecodeError or zstandard.ZstdError."""
    return _decoder.decode(zstandard.ZstdDecompressor().decompress(part))


class InteractionLog:
    """Interactions of all advertisers, each in its own list."""

    def __init__(self, store: ProductStore) -> None:
        self._store = store
        self._waiting: dict[int, list[Interaction]] = {}

    def add(self, advertiser_id: int, interactions: Iterable[Interaction]) -> None:
        """Keep for the next `flush`."""
        self._waiting.setdefault(advertiser_id, []).extend(interactions)

    async def flush(self) -> None:
        """Write what was added. What cannot be written is dropped."""
        waiting, self._waiting = self._waiting, {}
        commands: list[Command] = []
        for advertiser_id, interactions in waiting.items():
            key = product_touches(advertiser_id)
            parts = [pack_part(interactions[at : at + PART_ITEMS]) for at in range(0, len(interactions), PART_ITEMS)]
            if parts:
                commands += [("RPUSH", key, *parts), ("LTRIM", key, -MAX_PARTS, -1), ("EXPIRE", key, KEPT_S)]
                commands.append(("HINCRBY", product_model(advertiser_id), "seen", len(interactions)))
        if commands:
            await self._store.commands(commands)

    async def newest(self, advertiser_id: int, at_most: int = MAX_INTERACTIONS) -> list[Interaction]:
        """The newest interactions, the oldest of them first."""
        key = product_touches(advertiser_id)
        found: list[list[Interaction]] = []
        count, last = 0, -1
        while count < at_most:
            reply = (await self._store.commands([("LRANGE", key, last - JOIN_PARTS + 1, last)]))[0]
            parts = reply if isinstance(reply, list) else []
            rows = [row for part in parts for row in unpack_part(part)]
            found.append(rows)
            count += len(rows)
            last -= JOIN_PARTS
            if len(parts) < JOIN_PARTS:
                break
        everything = [row for rows in reversed(found) for row in rows]
        return everything[-at_most:]

    async def join(self, advertiser_id: int) -> None:
        """Join the oldest parts to a few. Only for the process that fits the model: no other takes parts away."""
        key = product_touches(advertiser_id)
        length = (await self._store.commands([("LLEN", key)]))[0]
        while isinstance(length, int) and length > 2 * JOIN_PARTS:
            reply = (await self._store.commands([("LRANGE", key, 0, JOIN_PARTS - 1)]))[0]
            parts = reply if isinstance(reply, list) else []
            rows = [row for part in parts for row in unpack_part(part)]
            joined = [pack_part(rows[at : at + PART_ITEMS]) for at in range(0, len(rows), PART_ITEMS)]
            if len(joined) > JOIN_PARTS // 2:
                return
            # One script removes what is replaced, then pushes the joined parts on the left, hence the newest first.
            await self._store.commands([("EVAL", _REPLACE, 1, key, JOIN_PARTS, *reversed(joined))])
            length -= JOIN_PARTS - len(joined)


_REPLACE: Final = """
redis.call('LTRIM', KEYS[1], ARGV[1], -1)
for i = 2, #ARGV do redis.call('LPUSH', KEYS[1], ARGV[i]) end
return redis.call('LLEN', KEYS[1])
"""
