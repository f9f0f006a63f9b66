"""Products in Redis: tables of feeds, swapped whole, and what was told of products since (docs/feeds.md).

An advertiser may have several feeds; a product is looked for in the order of their ids, so one that is in two feeds is
that of the older one. Everything of one advertiser lies in one slot; nothing here takes ids of two.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import hiredis
import msgspec

from core.clock import Clock
from core.errors import ConflictError, UnavailableError
from core.product_keys import PRODUCT_NEWS, feed_lock, product_changes, product_heads, product_model, product_table
from creatives.product import FeedProduct
from creatives.products.changes import StockChange, Told, as_told, merged, pack_told, unpack_told, with_change
from creatives.products.codec import TableHead, TableReader, block_of, pack_head, unpack_head

Argument = bytes | str | int
Command = tuple[Argument, ...]

CALL_TIMEOUT_S: Final = 5.0
# Blocks of one call while loading or scanning: 0.2 MB, a millisecond of the server.
CHUNK: Final = 128
LOCK_S: Final = 60
# A half-written table vanishes this long after its loader was killed.
BUILDING_S: Final = 3_600
# Readers that know only the version before notice the swap within a second.
GRACE_S: Final = 10
MAX_NEWS: Final = 10_000
# More ids than this are told as "all products".
MAX_NEWS_IDS: Final = 1_000

# KEYS: lock, heads, model (which counts swaps), new table, the table before if there is one. ARGV: token, feed, head,
# grace. 0: the lock is lost. The table before ends after the grace.
_SWAP: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('HINCRBY', KEYS[3], 'swaps', 1)
redis.call('PERSIST', KEYS[4])
if #KEYS >= 5 then redis.call('EXPIRE', KEYS[5], ARGV[4]) end
return 1
"""
# KEYS: heads, model. ARGV: feed.
_REMOVE: Final = """
redis.call('HINCRBY', KEYS[2], 'swaps', 1)
return redis.call('HDEL', KEYS[1], ARGV[1])
"""
_UNLOCK: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_RENEW: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end return 0"
)
# Compare and set: told values are read, changed in Python and written back, unless another process wrote one meanwhile,
# whose place is returned; then the change is made again. KEYS: told values. ARGV: (id, expected, new) each.
_TELL: Final = """
for i = 1, #ARGV, 3 do
  if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then return i end
end
for i = 1, #ARGV, 3 do
  if ARGV[i + 2] == '' then redis.call('HDEL', KEYS[1], ARGV[i])
  else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
end
return 0
"""
MAX_TRIES: Final = 20
# Of so many advertisers the heads are kept.
KEPT_READERS: Final = 200


class ProductBatch(Protocol):
    """The part of a connection that is needed here (core.redis.client.Pipelined has it)."""

    async def batch(self, commands: Sequence[Command], deadline: float) -> list[object]:
        """Replies in order, error replies among them; raises UnavailableError."""
        ...


class Lock(NamedTuple):
    """The right to load one feed."""

    advertiser_id: int
    feed_id: int
    token: str


class Found(NamedTuple):
    """A product as it is now, the feed it comes from, and whether it stands for the group that was asked for."""

    product: FeedProduct
    feed_id: int
    by_group: bool = False


class ProductStore:
    """Reads and writes the products of advertisers. Heads, which have dictionaries of 64 KiB in them, are kept."""

    def __init__(self, redis: ProductBatch, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._readers: OrderedDict[int, tuple[int, dict[int, TableReader]]] = OrderedDict()

    async def heads(self, advertiser_id: int) -> dict[int, TableHead]:
        """Head of each feed that was loaded, by feed id, in that order."""
        reply = (await self.commands([("HGETALL", product_heads(advertiser_id))]))[0]
        pairs = reply if isinstance(reply, list) else []
        found = {int(pairs[at]): unpack_head(pairs[at + 1]) for at in range(0, len(pairs), 2)}
        return dict(sorted(found.items()))

    async def swaps(self, advertiser_id: int) -> int:
        """How often tables of the advertiser were swapped or removed."""
        reply = (await self.commands([("HGET", product_model(advertiser_id), "swaps")]))[0]
        return int(reply) if isinstance(reply, bytes) else 0

    async def readers(self, advertiser_id: int) -> dict[int, TableReader]:
        """A reader of each feed's table in force, by feed id, in that order."""
        swaps = await self.swaps(advertiser_id)
        known = self._readers.get(advertiser_id)
        if known is None or known[0] != swaps:
            found = {feed: TableReader(head) for feed, head in (await self.heads(advertiser_id)).items()}
            known = self._readers[advertiser_id] = (swaps, found)
            while len(self._readers) > KEPT_READERS:
                self._readers.popitem(last=False)
        self._readers.move_to_end(advertiser_id)
        return known[1]

    async def find(self, advertiser_id: int, product_ids: Iterable[str]) -> dict[str, Found]:
        """The products that are known, as they are now, in the order asked for; by id, otherwise by item group."""
        wanted = list(dict.fromkeys(product_ids))
        for _ in range(MAX_TRIES):
            readers = await self.readers(advertiser_id)
            found = await self._find_in(advertiser_id, wanted, readers)
            if found is None:
                continue
            stand_ins = await self._stand_ins(advertiser_id, [one for one in wanted if one not in found], readers)
            named = await self._find_in(advertiser_id, sorted(set(stand_ins.values())), readers)
            if named is not None:
                found |= {
                    group: named[product_id]._replace(by_group=True)
                    for group, product_id in stand_ins.items()
                    if product_id in named
                }
                return {product_id: found[product_id] for product_id in wanted if product_id in found}
        raise UnavailableError("the product tables keep changing")

    async def _stand_ins(
        self, advertiser_id: int, groups: list[str], readers: Mapping[int, TableReader]
    ) -> dict[str, str]:
        """Group -> the id of the product that stands for it, for those of `groups` that are groups."""
        commands: list[Command] = []
        asked: list[tuple[str, TableReader]] = []
        for reader in readers.values():
            for group in groups:
                block = block_of(group, reader.head.blocks)
                commands.append(("HGET", table_key(advertiser_id, reader.head), block))
                asked.append((group, reader))
        found: dict[str, str] = {}
        replies = await self.commands(commands) if commands else []
        for (group, reader), reply in zip(asked, replies, strict=True):
            product_id = reader.find_in_group(reply, group) if isinstance(reply, bytes) else None
            if product_id is not None:
                found.setdefault(group, product_id)
        return found

    async def _find_in(
        self, advertiser_id: int, wanted: list[str], readers: Mapping[int, TableReader]
    ) -> dict[str, Found] | None:
        """Products by id; None when a table was swapped meanwhile, so that its blocks are gone."""
        commands: list[Command] = [
            ("HGET", table_key(advertiser_id, reader.head), block_of(product_id, reader.head.blocks))
            for reader in readers.values()
            for product_id in wanted
        ]
        if not commands:
            return {}
        replies = await self.commands([("HMGET", product_changes(advertiser_id), *wanted), *commands])
        told, blocks = replies[0], replies[1:]
        if not isinstance(told, list):
            raise TypeError("HMGET answers with a list")
        found: dict[str, Found] = {}
        empty = set()
        for number, reader in enumerate(readers.values()):
            part = blocks[number * len(wanted) : (number + 1) * len(wanted)]
            if not any(part):
                empty.add(reader.head.feed_id)
            for at, (product_id, block) in enumerate(zip(wanted, part, strict=True)):
                product = reader.find(block, product_id) if isinstance(block, bytes) else None
                if product is not None and product_id not in found:
                    blob = told[at]
                    change = unpack_told(blob) if isinstance(blob, bytes) else Told()
                    found[product_id] = Found(as_told(product, change, reader.head.as_of_ms), reader.head.feed_id)
        return found if not empty or await self._still_there(advertiser_id, readers, empty) else None

    async def _still_there(self, advertiser_id: int, readers: Mapping[int, TableReader], feeds: set[int]) -> bool:
        """Whether the tables of these feeds, in which no block was found, are still those in force."""
        self._readers.pop(advertiser_id, None)
        present = await self.heads(advertiser_id)
        return all(feed in present and present[feed].version == readers[feed].head.version for feed in feeds)

    async def scan(self, advertiser_id: int) -> AsyncIterator[list[FeedProduct]]:
        """All products as they are now, some at a time; of two feeds once. Skips a table that was swapped meanwhile."""
        seen: set[str] = set()
        heads = await self.heads(advertiser_id)
        several = len(heads) > 1
        told = await self._all_told(advertiser_id)
        for head in heads.values():
            reader = TableReader(head)
            key = table_key(advertiser_id, head)
            for start in range(0, head.blocks, CHUNK):
                fields = range(start, min(head.blocks, start + CHUNK))
                reply = (await self.commands([("HMGET", key, *fields)]))[0]
                blocks = reply if isinstance(reply, list) else []
                products = [product for block in blocks if block for product in reader.all(block)]
                if several:
                    products = [product for product in products if product.id not in seen]
                    seen.update(product.id for product in products)
                if told:
                    products = [as_told(one, told.get(one.id, Told()), head.as_of_ms) for one in products]
                yield products
                await asyncio.sleep(0)

    async def tell(self, advertiser_id: int, changes: Iterable[StockChange], at_ms: int) -> list[str]:
        """Apply changes told at `at_ms`; all processes see them within a second. Returns the ids that no feed has."""
        wanted = merged(changes)
        known = await self.find(advertiser_id, wanted)
        key = product_changes(advertiser_id)
        ids = [product_id for product_id, found in known.items() if not found.by_group]
        if ids:
            for start in range(0, len(ids), CHUNK):
                await self._tell(key, ids[start : start + CHUNK], wanted, at_ms)
            await self.announce(advertiser_id, ids)
        return [product_id for product_id in wanted if product_id not in ids]

    async def _tell(self, key: str, ids: Sequence[str], wanted: Mapping[str, StockChange], at_ms: int) -> None:
        for _ in range(MAX_TRIES):
            reply = (await self.commands([("HMGET", key, *ids)]))[0]
            before = [blob or b"" for blob in reply] if isinstance(reply, list) else []
            arguments: list[Argument] = []
            for product_id, blob in zip(ids, before, strict=True):
                told = with_change(unpack_told(blob) if blob else Told(), wanted[product_id], at_ms)
                arguments += [product_id, blob, pack_told(told)]
            if (await self.commands([("EVAL", _TELL, 1, key, *arguments)]))[0] == 0:
                return
        raise UnavailableError("the told products keep changing under this writer")

    async def _all_told(self, advertiser_id: int) -> dict[str, Told]:
        found: dict[str, Told] = {}
        cursor: bytes | int = 0
        while True:
            reply = (await self.commands([("HSCAN", product_changes(advertiser_id), cursor, "COUNT", 1_000)]))[0]
            cursor, pairs = reply if isinstance(reply, list) else (b"0", [])
            for at in range(0, len(pairs), 2):
                found[pairs[at].decode()] = unpack_told(pairs[at + 1])
            if int(cursor) == 0:
                return found

    async def forget_told(self, advertiser_id: int) -> int:
        """Remove what was told before every feed of the advertiser; returns of how many products."""
        heads = await self.heads(advertiser_id)
        if not heads:
            return 0
        oldest_ms = min(head.as_of_ms for head in heads.values())
        stale = {
            product_id: told
            for product_id, told in (await self._all_told(advertiser_id)).items()
            if told.latest_ms <= oldest_ms
        }
        ids = list(stale)
        for start in range(0, len(ids), CHUNK):
            arguments: list[Argument] = []
            for product_id in ids[start : start + CHUNK]:
                arguments += [product_id, pack_told(stale[product_id]), b""]
            await self.commands([("EVAL", _TELL, 1, product_changes(advertiser_id), *arguments)])
        return len(ids)

    async def lock(self, advertiser_id: int, feed_id: int) -> Lock | None:
        """The right to load a feed for LOCK_S; None when somebody else has it."""
        token = secrets.token_hex(8)
        key = feed_lock(advertiser_id, feed_id)
        reply = (await self.commands([("SET", key, token, "NX", "EX", LOCK_S)]))[0]
        return Lock(advertiser_id, feed_id, token) if reply else None

    async def renew(self, lock: Lock) -> bool:
        """Hold the lock for another LOCK_S; False if it is lost."""
        key = feed_lock(lock.advertiser_id, lock.feed_id)
        return (await self.commands([("EVAL", _RENEW, 1, key, lock.token, LOCK_S)]))[0] == 1

    async def unlock(self, lock: Lock) -> None:
        await self.commands([("EVAL", _UNLOCK, 1, feed_lock(lock.advertiser_id, lock.feed_id), lock.token)])

    async def write_blocks(self, lock: Lock, version: int, blocks: Sequence[tuple[int, bytes]]) -> None:
        """Write blocks of a version that is not yet in force; they vanish if `swap` does not follow."""
        key = product_table(lock.advertiser_id, lock.feed_id, version)
        for start in range(0, len(blocks), CHUNK):
            pairs: list[Argument] = []
            for number, block in blocks[start : start + CHUNK]:
                pairs += [number, block]
            await self.commands([("HSET", key, *pairs), ("EXPIRE", key, BUILDING_S)])

    async def discard(self, lock: Lock, version: int) -> None:
        """Remove what was written of a version that will not come into force."""
        await self.commands([("UNLINK", product_table(lock.advertiser_id, lock.feed_id, version))])

    async def swap(self, lock: Lock, head: TableHead) -> None:
        """Put a written version in force. Raises ConflictError when another loader took over meanwhile."""
        advertiser_id, feed_id = lock.advertiser_id, lock.feed_id
        before = (await self.heads(advertiser_id)).get(feed_id)
        keys: list[Argument] = [
            feed_lock(advertiser_id, feed_id),
            product_heads(advertiser_id),
            product_model(advertiser_id),
            product_table(advertiser_id, feed_id, head.version),
        ]
        if before is not None and before.version != head.version:
            keys.append(table_key(advertiser_id, before))
        arguments: list[Argument] = [lock.token, feed_id, pack_head(head), GRACE_S]
        if (await self.commands([("EVAL", _SWAP, len(keys), *keys, *arguments)]))[0] != 1:
            if before is None or before.version != head.version:
                await self.discard(lock, head.version)
            raise ConflictError(f"feed {feed_id} was loaded by another process meanwhile")
        await self.announce(advertiser_id, None)

    async def remove(self, advertiser_id: int, feed_id: int) -> None:
        """Forget a feed's products, as when it is archived."""
        head = (await self.heads(advertiser_id)).get(feed_id)
        if head is not None:
            keys = (product_heads(advertiser_id), product_model(advertiser_id))
            await self.commands([("EVAL", _REMOVE, 2, *keys, feed_id), ("UNLINK", table_key(advertiser_id, head))])
            await self.announce(advertiser_id, None)

    async def announce(self, advertiser_id: int, product_ids: Sequence[str] | None) -> None:
        """Tell the caches which products changed; None: all of the advertiser's."""
        ids = [] if product_ids is None or len(product_ids) > MAX_NEWS_IDS else list(product_ids)
        news: Command = ("XADD", PRODUCT_NEWS, "MAXLEN", "~", MAX_NEWS, "*", "a", advertiser_id)
        await self.commands([(*news, "i", msgspec.msgpack.encode(ids))])

    async def commands(self, commands: Sequence[Command]) -> list[object]:
        """Replies of plain commands. Raises UnavailableError, for an error reply too."""
        replies = await self._redis.batch(commands, self._clock.monotonic() + CALL_TIMEOUT_S)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise UnavailableError(f"Redis refused a command: {reply}", hint="see its log; is it out of memory?")
        return replies


def table_key(advertiser_id: int, head: TableHead) -> str:
    """The Redis key of the table that a head describes."""
    return product_table(advertiser_id, head.feed_id, head.version)
