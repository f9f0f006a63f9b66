"""`/m/{hash}.{kind}` on the track port: media for any page and player."""

import asyncio
from typing import Final

from aiohttp import web

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
        return web.FileResponse(path, headers=headers)

    async def may(_request: web.Request) -> web.Response:
        allowed = {"Access-Control-Allow-Methods": "GET, HEAD", "Access-Control-Allow-Headers": "Range"}
        return web.Response(status=204, headers={**_HEADERS, **allowed, "Access-Control-Max-Age": "86400"})

    return [web.get("/m/{name}", show), web.options("/m/{name}", may)]
