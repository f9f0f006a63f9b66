"""Products and their feeds: runs, uploads, search, changes between runs, match rates, recommendations."""

import asyncio
import os
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from admin.api import requests
from admin.api.problem import ApiError
from admin.api.reading import Reader
from admin.products.desk import ProductDesk
from admin.products.documents import (
    ProductChanges,
    ProductQuery,
    RecommendRequest,
    RefreshAnswer,
    RefreshRequest,
)
from admin.products.mailing import MailRequest
from admin.store.model import Feed, Scope
from admin.validation.decode import decode

# As large as a feed that is fetched (creatives.feeds.fetching).
MAX_UPLOAD_BYTES: Final = 2 * 1024**3
CHUNK_BYTES: Final = 256 * 1024


class ProductPages:
    """The routes. Reading needs the scope read, everything else trade; both only for advertisers of the caller."""

    def __init__(self, reader: Reader, desk: ProductDesk) -> None:
        self._reader = reader
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        products = "/v1/advertisers/{id}/products"
        return [
            web.get("/v1/feeds/{id}/report", self.report, allow_head=False),
            web.post("/v1/feeds/{id}/refresh", self.refresh),
            web.put("/v1/feeds/{id}/content", self.upload),
            web.get(products, self.search, allow_head=False),
            web.patch(products, self.change),
            web.get(f"{products}/match", self.match, allow_head=False),
            web.post("/v1/advertisers/{id}/recommendations", self.recommend),
            web.post("/v1/recommendations", self.mail),
        ]

    async def report(self, request: web.Request) -> web.Response:
        """GET /v1/feeds/{id}/report"""
        requests.reject_unknown(request, ())
        return requests.respond_json(await self._desk.report(await self._feed(request, Scope.READ)))

    async def refresh(self, request: web.Request) -> web.Response:
        """POST /v1/feeds/{id}/refresh"""
        requests.reject_unknown(request, ())
        asked = decode(await requests.read_json(request), RefreshRequest)
        feed = await self._feed(request, Scope.TRADE)
        await self._desk.refresh(feed, force=asked.force)
        return requests.respond_json(RefreshAnswer(feed.id, True), HTTPStatus.ACCEPTED)

    async def upload(self, request: web.Request) -> web.Response:
        """PUT /v1/feeds/{id}/content"""
        requests.reject_unknown(request, ("force",))
        force = request.query.get("force", "false") == "true"
        feed = await self._feed(request, Scope.TRADE)
        handle, name = tempfile.mkstemp(prefix="grosz-feed-")
        try:
            with os.fdopen(handle, "wb") as file:
                size = 0
                async for chunk in request.content.iter_chunked(CHUNK_BYTES):
                    size += len(chunk)
                    if size > MAX_UPLOAD_BYTES:
                        hint = f"at most {MAX_UPLOAD_BYTES // 1024**2} MiB"
                        raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the feed is too large", hint=hint)
                    await asyncio.to_thread(file.write, chunk)
            return requests.respond_json(await self._desk.upload(feed, Path(name), force=force))
        finally:
            os.unlink(name)

    async def search(self, request: web.Request) -> web.Response:
        """GET /v1/advertisers/{id}/products"""
        advertiser_id = await self._advertiser_id(request, Scope.READ)
        query = decode(requests.query_values(request), ProductQuery, strict=False)
        return requests.respond_json(await self._desk.search(advertiser_id, query))

    async def change(self, request: web.Request) -> web.Response:
        """PATCH /v1/advertisers/{id}/products"""
        requests.reject_unknown(request, ())
        changes = decode(await requests.read_json(request), ProductChanges)
        advertiser_id = await self._advertiser_id(request, Scope.TRADE)
        return requests.respond_json(await self._desk.tell(advertiser_id, changes))

    async def match(self, request: web.Request) -> web.Response:
        """GET /v1/advertisers/{id}/products/match"""
        requests.reject_unknown(request, ())
        return requests.respond_json(await self._desk.match(await self._advertiser_id(request, Scope.READ)))

    async def recommend(self, request: web.Request) -> web.Response:
        """POST /v1/advertisers/{id}/recommendations"""
        requests.reject_unknown(request, ())
        asked = decode(await requests.read_json(request), RecommendRequest)
        advertiser_id = await self._advertiser_id(request, Scope.READ)
        creative = None
        if asked.creative_id is not None:
            creative = await self._reader.creative(request[requests.PRINCIPAL], asked.creative_id)
        return requests.respond_json(await self._desk.recommend(advertiser_id, asked, creative))

    async def mail(self, request: web.Request) -> web.Response:
        """POST /v1/recommendations"""
        requests.reject_unknown(request, ())
        asked = decode(await requests.read_json(request), MailRequest)
        advertiser = await self._reader.advertiser(request[requests.PRINCIPAL], asked.advertiser_id, Scope.READ)
        return requests.respond_json(await self._desk.mail(advertiser, asked))

    async def _feed(self, request: web.Request, scope: Scope) -> Feed:
        return await self._reader.feed(request[requests.PRINCIPAL], requests.object_id_of(request), scope)

    async def _advertiser_id(self, request: web.Request, scope: Scope) -> int:
        object_id = requests.object_id_of(request)
        return (await self._reader.advertiser(request[requests.PRINCIPAL], object_id, scope)).id
