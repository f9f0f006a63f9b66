"""Keeps a process's products true: fetches what its cache missed, and forgets what changed.

Changes are told by one stream for all advertisers, so a price or stock that was told is seen within half a second.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import CatalogueError, UnavailableError
from core.ids import product_reference
from core.product_keys import PRODUCT_NEWS, product_changes
from creatives.product import FeedProduct
from creatives.products.cache import Key, ProductCache
from creatives.products.changes import Told, as_told, unpack_told
from creatives.products.codec import TableHead, TableReader, block_at
from creatives.products.store import Command, ProductStore, table_key

log = logging.getLogger(__name__)

POLL_S: Final = 0.1
# A shop's heads are read again after so long even without news of it, in case news was lost.
HEADS_S: Final = 60.0
# The pause after damaged data. Products of the feed stay unknown until somebody loads it again.
AFTER_DAMAGE_S: Final = 5.0

_ids_decoder: Final = msgspec.msgpack.Decoder(list[str])


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
            if self._cache.is_used:
                await self._step()
            await asyncio.sleep(POLL_S)

    async def _step(self) -> None:
        try:
            await self.follow()
            await self.fetch()
        except UnavailableError as error:
            log.warning("products are not followed, Redis does not answer: %s", error.message)
            self._last = b"$"  # news may be missed meanwhile: the next round forgets everything
        except CatalogueError as error:
            log.warning("products cannot be read: %s; load the feed again", error.message)
            await asyncio.sleep(AFTER_DAMAGE_S)

    async def follow(self) -> None:
        """Forget the products that the news names as changed; all of them when news may have been lost.

        Those of a feed that was loaded anew are fetched anew.
        """
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
            if ids:
                self._cache.forget((advertiser_id, product_reference(one)) for one in ids)
            else:
                self._cache.renew(advertiser_id)
                self._readers.pop(advertiser_id, None)

    async def fetch(self) -> None:
        """Look up what was missed, of all advertisers in one round trip, or two for a shop that is new here."""
        missed = self._cache.waiting()
        if not missed:
            return
        try:
            await self._fill(missed)
        except (UnavailableError, CatalogueError):
            self._cache.forget(missed)  # what is known of them is from before
            raise

    async def _fill(self, missed: Sequence[Key]) -> None:
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
