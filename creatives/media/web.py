"""`/m/{hash}.{kind}` on the track port: media for any page and player."""

import asyncio
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from core.errors import UnavailableError
from creatives.media.store import TYPES, FolderStore

# The content of a name never changes. A browser that opens one by itself runs nothing of it.
_HEADERS: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range",
}


class _MediaFile(web.FileResponse):
    """A file, whole or one range of it; caches keep it, and no refusal."""

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        try:
            _ = request.http_range
        except ValueError:  # several ranges, or of another unit: such a header is passed over (RFC 9110 section 14.2)
            kept = [(name, value) for name, value in request.headers.items() if name.lower() != "range"]
            request = request.clone(headers=kept)
        return await super().prepare(request)

    def set_status(self, status: int, reason: str | None = None) -> None:
        super().set_status(status, reason)
        if status >= HTTPStatus.BAD_REQUEST:
            self.headers["Cache-Control"] = "no-store"


def media_routes(store: FolderStore) -> list[web.RouteDef]:
    """GET and HEAD, whole or in ranges (RFC 9110 section 14); OPTIONS for players that ask first."""

    async def show(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        try:
            path = await asyncio.to_thread(store.find, name)
        except UnavailableError:
            raise web.HTTPServiceUnavailable(headers={"Access-Control-Allow-Origin": "*", "Retry-After": "5"}) from None
        if path is None:
            raise web.HTTPNotFound(headers={"Access-Control-Allow-Origin": "*"})
        headers = {**_HEADERS, "Content-Type": TYPES[path.suffix[1:]]}
        return _MediaFile(path, headers=headers)

    async def may(_request: web.Request) -> web.Response:
        allowed = {"Access-Control-Allow-Methods": "GET, HEAD", "Access-Control-Allow-Headers": "Range"}
        return web.Response(status=204, headers={**_HEADERS, **allowed, "Access-Control-Max-Age": "86400"})

    return [web.get("/m/{name}", show), web.options("/m/{name}", may)]
