"""`/i/{token}` on the track port: one picture of a shop's feed, in the size that an ad shows."""

from collections.abc import Callable
from typing import Final, NamedTuple

from aiohttp import web

from core.errors import UnavailableError
from creatives.pictures.fetching import PictureProxy

_HEADERS: Final = {
    "Cache-Control": "public, max-age=86400",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_REFUSED: Final = {"Cache-Control": "public, max-age=60"}


class WantedPicture(NamedTuple):
    """What a token names."""

    width: int
    height: int
    url: str


def picture_routes(proxy: PictureProxy, read: Callable[[str], WantedPicture | None]) -> list[web.RouteDef]:
    """GET and HEAD; `read` gives what a token names, None for one that is not genuine."""

    async def show(request: web.Request) -> web.Response:
        token = request.match_info["token"]
        wanted = read(token)
        if wanted is None:
            return web.Response(status=403, headers=_REFUSED)
        try:
            picture = await proxy.get(token, *wanted)
        except UnavailableError:
            return web.Response(status=503, headers={"Retry-After": "5", "Cache-Control": "no-store"})
        if picture is None:
            return web.Response(status=404, headers=_REFUSED)
        return web.Response(body=picture, content_type="image/webp", headers=_HEADERS)

    return [web.get("/i/{token}", show)]
