"""Products in a process's memory, by the references of hot profiles: what the bid path asks, without waiting.

A hit is a look-up in a dict. A miss is noted, answered with "not known yet", and fetched in the background; until then
an ad that needs the product is filled when it is shown. The cache has two generations: what is used moves to the
younger one, and when that is half of the bound the older one goes. Changes are followed by a stream, so a price or
stock that was told is seen within half a second.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import UnavailableError
from core.ids import product_reference
from core.keys import PRODUCT_NEWS, product_changes
from core.telemetry.metrics import Telemetry
from creatives.feeds.product import FeedProduct
from creatives.products.changes import Told, as_told, unpack_told
from creatives.products.codec import TableHead, TableReader, block_at
from creatives.products.store import Command, ProductStore, table_key

log = logging.getLogger(__name__)

# A product is about 1 KB as an object.
DEFAULT_SIZE: Final = 50_000
# Misses that wait to be fetched; beyond that they are noted when they are asked for again.
MAX_WAITING: Final = 5_000
FETCH_AT_ONCE: Final = 200
POLL_S: Final = 0.1
# How long a process relies on a shop's heads without news of it, should news have been lost.
HEADS_S: Final = 60.0

Key = tuple[int, int]
"""Advertiser id, product reference."""

_ids_decoder: Final = msgspec.msgpack.Decoder(list[str])


class ProductCache:
    """Bounded by `size` products of all advertisers together; products that no feed has are remembered too."""

    def __init__(self, telemetry: Telemetry, size: int = DEFAULT_SIZE) -> None:
        self._young: dict[Key, FeedProduct | None] = {}
        self._old: dict[Key, FeedProduct | None] = {}
        self._half = max(1, size // 2)
        self._waiting: dict[Key, None] = {}
        looked = telemetry.counter("grosz_product_cache_total", "Products looked up in the cache.", ("outcome",))
        self._hits, self._misses = looked.labels("hit"), looked.labels("miss")
        telemetry.gauge("grosz_product_cache_size", "Products in the cache.").labels().follow(
            lambda: float(len(self._young) + len(self._old))
        )

    def get(self, advertiser_id: int, references: Iterable[int]) -> list[FeedProduct]:
        """The products among `references` that are known now; the others are fetched soon."""
        young = self._young
        found: list[FeedProduct] = []
        hits = 0
        for reference in references:
            key = (advertiser_id, reference)
            try:
                product = young[key]
            except KeyError:
                if key not in self._old:
                    self._miss(key)
                    continue
                product = self._promote(key)
            hits += 1
            if product is not None:
                found.append(product)
        self._hits.value += hits
        return found

    def _miss(self, key: Key) -> None:
        self._misses.value += 1
        if len(self._waiting) < MAX_WAITING:
            self._waiting[key] = None

    def _promote(self, key: Key) -> FeedProduct | None:
        product = self._old.pop(key)
        self.put(key, product)
        return product

    def put(self, key: Key, product: FeedProduct | None) -> None:
        """Remember a product, or that there is none."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = product

    def waiting(self) -> list[Key]:
        """Takes out misses to be fetched."""
        taken = list(self._waiting)[:FETCH_AT_ONCE]
        for key in taken:
            del self._waiting[key]
        return taken

    def forget(self, advertiser_id: int, references: Iterable[int] | None) -> None:
        """Products that changed; None: all of the advertiser's."""
        for generation in (self._young, self._old):
            if references is None:
                for key in [key for key in generation if key[0] == advertiser_id]:
                    del generation[key]
            else:
                for reference in references:
                    generation.pop((advertiser_id, reference), None)

    def forget_all(self) -> None:
        self._young.clear()
        self._old.clear()


class ProductFollower:
    """Fetches what a cache missed, and forgets what changed."""

    def __init__(self, cache: ProductCache, store: ProductStore, clock: Clock) -> None:
        self._cache = cache
        self._store = store
        self._clock = clock
        self._readers: dict[int, tuple[float, list[TableReader]]] = {}
        self._last = b"$"

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.follow()
                await self.fetch()
            except UnavailableError as error:
                log.warning("products are not followed, Redis does not answer: %s", error.message)
                self._last = b"$"  # what was told meanwhile is not known
            await asyncio.sleep(POLL_S)

    async def follow(self) -> None:
        """Forget what news says has changed; everything, when news may have been lost."""
        if self._last == b"$":
            newest = (await self._store.commands([("XREVRANGE", PRODUCT_NEWS, "+", "-", "COUNT", 1)]))[0]
            self._last = newest[0][0] if isinstance(newest, list) and newest else b"0-0"
            self._cache.forget_all()
            self._readers.clear()
            return
        reply = (await self._store.commands([("XRANGE", PRODUCT_NEWS, b"(" + self._last, "+")]))[0]
        for entry_id, fields in reply if isinstance(reply, list) else []:
            self._last = entry_id
            told = dict(zip(fields[::2], fields[1::2], strict=True))
            advertiser_id, ids = int(told[b"a"]), _ids_decoder.decode(told[b"i"])
            self._cache.forget(advertiser_id, [product_reference(one) for one in ids] if ids else None)
            if not ids:
                self._readers.pop(advertiser_id, None)

    async def fetch(self) -> None:
        """Look up what was missed, of all advertisers in one round trip, or two for a shop that is new here."""
        missed = self._cache.waiting()
        if not missed:
            return
        for advertiser_id in {advertiser_id for advertiser_id, _ in missed}:
            await self._know(advertiser_id)
        found = await self._look_up({key: key[1] for key in missed})
        # A reference of an item group leads to the product that stands for it.
        groups = {key: product_reference(one) for key, (one, _) in found.items() if isinstance(one, str)}
        products = {key: (one, head) for key, (one, head) in found.items() if isinstance(one, FeedProduct)}
        named = await self._look_up(groups) if groups else {}
        products |= {key: (one, head) for key, (one, head) in named.items() if isinstance(one, FeedProduct)}
        changes = await self._changes(products)
        for key in missed:
            if key not in products:
                self._cache.put(key, None)
                continue
            product, head = products[key]
            self._cache.put(key, as_told(product, changes[key], head.as_of_ms) if key in changes else product)

    async def _look_up(self, places: Mapping[Key, int]) -> dict[Key, tuple[FeedProduct | str, TableHead]]:
        """What lies at each key's place in the tables of its advertiser."""
        asked = [(key, place, reader) for key, place in places.items() for reader in self._readers[key[0]][1]]
        commands: list[Command] = [
            ("HGET", table_key(key[0], reader.head), block_at(place, reader.head.blocks))
            for key, place, reader in asked
        ]
        replies = await self._store.commands(commands) if commands else []
        found: dict[Key, tuple[FeedProduct | str, TableHead]] = {}
        for (key, place, reader), reply in zip(asked, replies, strict=True):
            one = reader.find_reference(reply, place) if isinstance(reply, bytes) else None
            if one is not None:
                found.setdefault(key, (one, reader.head))
        return found

    async def _changes(self, found: Mapping[Key, tuple[FeedProduct, TableHead]]) -> dict[Key, Told]:
        keys = list(found)
        commands: list[Command] = [("HGET", product_changes(key[0]), found[key][0].id) for key in keys]
        replies: Sequence[object] = await self._store.commands(commands) if commands else []
        return {key: unpack_told(reply) for key, reply in zip(keys, replies, strict=True) if isinstance(reply, bytes)}

    async def _know(self, advertiser_id: int) -> None:
        known = self._readers.get(advertiser_id)
        now_s = self._clock.monotonic()
        if known is None or now_s - known[0] > HEADS_S:
            readers = await self._store.readers(advertiser_id)
            self._readers[advertiser_id] = (now_s, list(readers.values()))
