"""Two ways to ask about products: the admin API, or Redis and the database of this machine."""

import contextlib
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import msgspec

from admin.access.principal import command_line
from admin.api.app import uncounted
from admin.api.reading import Reader
from admin.cli.object_access import ApiAccess
from admin.cli.opening import open_store
from admin.cli.profiles import open_profiles
from admin.products.desk import ProductDesk
from admin.products.documents import (
    FeedReport,
    MatchReport,
    ProductPage,
    ProductQuery,
    Recommended,
    RecommendRequest,
    RefreshAnswer,
    RefreshRequest,
)
from admin.products.mailing import MailAdvices, MailRequest
from admin.store.catalogue import CatalogueStore
from admin.store.model import Feed, Scope
from core.clock import SystemClock
from core.model import Advertiser
from creatives.feeds.runs import Run


class ProductQuestions(Protocol):
    """What the commands ask. Failures are GroszErrors with hints."""

    async def report(self, feed_id: int) -> FeedReport: ...

    async def refresh(self, feed_id: int, *, force: bool) -> None: ...

    async def upload(self, feed_id: int, file: Path, *, force: bool) -> Run: ...

    async def search(self, advertiser_id: int, query: ProductQuery) -> ProductPage: ...

    async def match(self, advertiser_id: int) -> MatchReport: ...

    async def recommend(self, advertiser_id: int, request: RecommendRequest) -> Recommended: ...

    async def mail(self, request: MailRequest) -> MailAdvices: ...


class HttpProducts(ApiAccess):
    """Over the API of a running admin role."""

    async def report(self, feed_id: int) -> FeedReport:
        return self._call("GET", f"/feeds/{feed_id}/report", FeedReport)

    async def refresh(self, feed_id: int, *, force: bool) -> None:
        self._call("POST", f"/feeds/{feed_id}/refresh", RefreshAnswer, RefreshRequest(force))

    async def upload(self, feed_id: int, file: Path, *, force: bool) -> Run:
        query = "?force=true" if force else ""
        return self._call("PUT", f"/feeds/{feed_id}/content{query}", Run, file=file)

    async def search(self, advertiser_id: int, query: ProductQuery) -> ProductPage:
        asked = {"limit": query.limit} | ({"id": query.id} if query.id is not None else {"q": query.q})
        return self._call("GET", f"/advertisers/{advertiser_id}/products?{urllib.parse.urlencode(asked)}", ProductPage)

    async def match(self, advertiser_id: int) -> MatchReport:
        return self._call("GET", f"/advertisers/{advertiser_id}/products/match", MatchReport)

    async def recommend(self, advertiser_id: int, request: RecommendRequest) -> Recommended:
        return self._call("POST", f"/advertisers/{advertiser_id}/recommendations", Recommended, request)

    async def mail(self, request: MailRequest) -> MailAdvices:
        return self._call("POST", "/recommendations", MailAdvices, request)


class LocalProducts:
    """On Redis and the database themselves, with all rights."""

    def __init__(self, desk: ProductDesk, store: CatalogueStore) -> None:
        self._desk = desk
        self._reader = Reader(store, SystemClock(), uncounted)

    async def report(self, feed_id: int) -> FeedReport:
        return await self._desk.report(await self._feed(feed_id))

    async def refresh(self, feed_id: int, *, force: bool) -> None:
        await self._desk.refresh(await self._feed(feed_id), force=force)

    async def upload(self, feed_id: int, file: Path, *, force: bool) -> Run:
        return await self._desk.upload(await self._feed(feed_id), file, force=force)

    async def search(self, advertiser_id: int, query: ProductQuery) -> ProductPage:
        await self._advertiser(advertiser_id)
        return await self._desk.search(advertiser_id, query)

    async def match(self, advertiser_id: int) -> MatchReport:
        await self._advertiser(advertiser_id)
        return await self._desk.match(advertiser_id)

    async def recommend(self, advertiser_id: int, request: RecommendRequest) -> Recommended:
        await self._advertiser(advertiser_id)
        wanted = request.creative_id
        creative = None if wanted is None else await self._reader.creative(command_line(), wanted)
        return await self._desk.recommend(advertiser_id, request, creative)

    async def mail(self, request: MailRequest) -> MailAdvices:
        return await self._desk.mail(await self._advertiser(request.advertiser_id), request)

    async def _feed(self, feed_id: int) -> Feed:
        return await self._reader.feed(command_line(), feed_id, Scope.TRADE)

    async def _advertiser(self, advertiser_id: int) -> Advertiser:
        return await self._reader.advertiser(command_line(), advertiser_id, Scope.TRADE)


@contextlib.asynccontextmanager
async def open_products(url: str, key: str, data: Path | None, config: Path | None) -> AsyncIterator[ProductQuestions]:
    """Over HTTP when there is a URL, otherwise on this machine."""
    if url:
        yield HttpProducts(url, key)
        return
    async with open_store(config, data) as store, open_profiles(config, data) as profiles:
        redis = msgspec.structs.replace(profiles.settings.redis, url=profiles.url)
        yield LocalProducts(ProductDesk(profiles.redis, profiles.store, redis, SystemClock()), store)
