"""Products in a process's memory, by their ids, for lists that are made while somebody waits (`/r/`).

As `ProductStore.find`, which is asked for what is not known yet. What changes is forgotten within POLL_S of being told,
so that nobody is shown what has sold out.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import msgspec

from core.errors import UnavailableError
from core.product_keys import PRODUCT_NEWS
from core.telemetry.metrics import Telemetry
from creatives.products.store import Found, ProductStore

log = logging.getLogger(__name__)

POLL_S: Final = 0.1
# At about a kilobyte each: the bestsellers and the last hours' products of some hundred shops.
PRODUCTS_KEPT: Final = 30_000

_ids_decoder: Final = msgspec.msgpack.Decoder(list[str])

Key = tuple[int, str]


class ProductLookup(Protocol):
    """A place where products are looked up: `ProductStore` or `KnownProducts`."""

    async def find(self, advertiser_id: int, product_ids: Iterable[str]) -> dict[str, Found]:
        """The products that are known, as they are now, in the order asked for. Raises UnavailableError."""
        ...


class KnownProducts:
    """Keeps at most `size` products of all advertisers together, in two generations; use moves one to the younger."""

    def __init__(self, store: ProductStore, telemetry: Telemetry, size: int = PRODUCTS_KEPT) -> None:
        self._store = store
        self._half = max(1, size // 2)
        self._young: dict[Key, Found | None] = {}
        self._old: dict[Key, Found | None] = {}
        self._forgotten: dict[int, int] = {}  # advertiser -> how often something was forgotten
        self._groups: dict[int, set[str]] = {}  # ids of item groups that are kept, by advertiser
        self._last = b"$"
        self._is_used = False  # until `find` is called there is nothing to follow
        looked = telemetry.counter(
            "grosz_known_products_total", "Products that lists asked the process's memory for.", ("outcome",)
        )
        self._hits, self._misses = looked.labels("hit"), looked.labels("miss")

    async def find(self, advertiser_id: int, product_ids: Iterable[str]) -> dict[str, Found]:
        """The products that are known, as they are now, in the order asked for. Raises UnavailableError."""
        self._is_used = True
        wanted = list(dict.fromkeys(product_ids))
        rows: dict[str, Found | None] = {}
        missing = [one for one in wanted if not self._take((advertiser_id, one), rows)]
        self._hits.inc(len(wanted) - len(missing))
        if missing:
            self._misses.inc(len(missing))
            rows |= await self._fetch(advertiser_id, missing)
        return {one: found for one in wanted if (found := rows.get(one)) is not None}

    async def _fetch(self, advertiser_id: int, missing: list[str]) -> Mapping[str, Found | None]:
        forgotten = self._forgotten.get(advertiser_id, 0)
        found = await self._store.find(advertiser_id, missing)
        if self._last != b"$" and forgotten == self._forgotten.get(advertiser_id, 0):  # otherwise it may be old already
            for one in missing:
                row = found.get(one)
                self._put((advertiser_id, one), row)
                if row is not None and row.by_group:
                    self._groups.setdefault(advertiser_id, set()).add(one)
        return found

    def _take(self, key: Key, rows: dict[str, Found | None]) -> bool:
        if key in self._young:
            rows[key[1]] = self._young[key]
            return True
        if key not in self._old:
            return False
        rows[key[1]] = self._old.pop(key)
        self._put(key, rows[key[1]])
        return True

    def _put(self, key: Key, found: Found | None) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = found

    async def run(self) -> None:
        """Follow the news of changed products, until cancelled."""
        while True:
            try:
                if self._is_used:
                    await self.follow()
            except UnavailableError as error:
                log.warning("products are not kept, Redis does not answer: %s", error.message)
                self._forget_all()
                self._last = b"$"  # news may be missed meanwhile: the next round forgets everything
            await asyncio.sleep(POLL_S)

    async def follow(self) -> None:
        """Forget the products that the news names as changed. Raises UnavailableError."""
        if self._last == b"$":
            newest = (await self._store.commands([("XREVRANGE", PRODUCT_NEWS, "+", "-", "COUNT", 1)]))[0]
            self._last = newest[0][0] if isinstance(newest, list) and newest else b"0-0"
            self._forget_all()
            return
        reply = (await self._store.commands([("XRANGE", PRODUCT_NEWS, b"(" + self._last, "+")]))[0]
        for entry_id, fields in reply if isinstance(reply, list) else []:
            self._last = entry_id
            told = dict(zip(fields[::2], fields[1::2], strict=True))
            self._forget(int(told[b"a"]), _ids_decoder.decode(told[b"i"]))

    def _forget(self, advertiser_id: int, product_ids: list[str]) -> None:
        """Forget these products of an advertiser; all of them where no ids are given."""
        self._forgotten[advertiser_id] = self._forgotten.get(advertiser_id, 0) + 1
        groups = self._groups.pop(advertiser_id, set())  # what stands for a group may be another product now
        for generation in (self._young, self._old):
            if product_ids:
                keys = [(advertiser_id, one) for one in (*product_ids, *groups)]
            else:
                keys = [key for key in generation if key[0] == advertiser_id]
            for key in keys:
                generation.pop(key, None)

    def _forget_all(self) -> None:
        self._young, self._old, self._groups = {}, {}, {}
