"""`GET /v1/effective-version`: which catalogue version all bidders run, so that a change can be waited for."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta
from redis.asyncio import Redis
from redis.exceptions import RedisError

from admin.api import requests
from admin.api.reading import moment_text
from admin.store.catalogue import CatalogueStore
from admin.validation.decode import decode
from core import keys
from core.catalogue.version_report import GONE_MS, decode_report
from core.clock import Clock
from core.errors import UnavailableError


class EffectiveQuery(msgspec.Struct, forbid_unknown_fields=True):
    """`version`: of a write, from its Grosz-Catalogue-Version header."""

    version: Annotated[int, Meta(ge=0, le=2**62)] | None = None


class BidderVersion(msgspec.Struct):
    """What one bidder process runs. `refused_version`: a later one that it cannot install (`refused_because`).

    It bids on the old one until that is older than the setting `catalogue.max_age_s` (docs/explain.md).
    """

    process: str
    version: int
    seen_at: str
    refused_version: int | None = None
    refused_because: str = ""


class EffectiveVersion(msgspec.Struct):
    """`effective_version` is the lowest among the bidders, null without a bidder."""

    version: int
    published_version: int
    effective_version: int | None
    is_effective: bool
    bidders: list[BidderVersion]


class Effective:
    """Compares the store with what the bidders report."""

    def __init__(self, store: CatalogueStore, redis: Redis, clock: Clock) -> None:
        self._store = store
        self._redis = redis
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/effective-version", self.read, allow_head=False)]

    async def read(self, request: web.Request) -> web.Response:
        """GET /v1/effective-version"""
        query = decode(requests.query_values(request), EffectiveQuery, strict=False)
        version = await self._store.version()
        try:
            published = int(await self._redis.get(keys.CATALOGUE_VERSION) or 0)
            reported = await self._redis.hgetall(keys.CATALOGUE_EFFECTIVE)
        except (RedisError, OSError) as error:
            raise UnavailableError("Redis does not answer", hint="check that it runs") from error
        bidders = self._bidders(reported)
        effective = min((bidder.version for bidder in bidders), default=None)
        wanted = version if query.version is None else query.version
        is_effective = effective is not None and effective >= wanted
        return requests.respond_json(EffectiveVersion(version, published, effective, is_effective, bidders))

    def _bidders(self, reported: Mapping[Any, Any]) -> list[BidderVersion]:
        found = []
        for process, text in sorted(reported.items()):
            try:
                report = decode_report(text)
            except ValueError:  # not a bidder's: the publisher removes it
                continue
            if report.seen_ms > self._clock.now_ms() - GONE_MS:
                seen_at, refused = moment_text(report.seen_ms), report.refused or None
                found.append(BidderVersion(process.decode(), report.version, seen_at, refused, report.reason))
        return found
