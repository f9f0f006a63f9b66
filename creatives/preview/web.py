"""`/preview/...` on the track port: the page of a creative, and its picture, which bids name as `iurl`."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from core.model import Creative
from core.network.headers import CSP
from creatives.card import DEFAULT_SIZE, MAX_PIXELS, card_png
from creatives.preview.page import ad_page, framed, preview_name, preview_size
from creatives.preview.store import PreviewStore

# The `sandbox` of the policy gives the ad an origin of its own also where it is opened without its frame.
_AD_POLICY: Final = "; ".join((
    "sandbox allow-scripts",
    "default-src 'none'",
    "script-src 'unsafe-inline' 'unsafe-eval' https:",
    "style-src 'unsafe-inline' https:",
    "img-src https: http: data: blob:",
    "font-src https: data:",
    "media-src https: http: data:",
    "frame-src https: http:",
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'self'",
))  # fmt: skip
_FRAME_POLICY: Final = (
    "default-src 'none'; frame-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)
_PLAIN: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
# A version never changes its looks; a card stands in until the picture is there.
_PICTURE: Final = {
    **_PLAIN, "Content-Type": "image/png", "Cache-Control": "public, max-age=31536000, immutable",
    "Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin",
}  # fmt: skip
_CARD: Final = {**_PLAIN, "Cache-Control": "public, max-age=60", "Access-Control-Allow-Origin": "*"}


def preview_routes(store: PreviewStore, find: Callable[[int], Creative | None]) -> list[web.RouteDef]:
    """Routes; `find` gives a creative that is published."""

    def named(request: web.Request) -> tuple[str, Creative]:
        name = request.match_info["name"]
        digits = name.partition("-")[0]
        creative = find(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None
        if creative is None or preview_name(creative) != name:
            raise web.HTTPNotFound
        return name, creative

    async def picture(request: web.Request) -> web.StreamResponse:
        path = store.find(request.match_info["name"])
        if path is not None:
            return web.FileResponse(path, headers=_PICTURE)
        name, creative = named(request)
        store.want(name)
        width, height = preview_size(creative)
        shown = (width, height) if width <= MAX_PIXELS and height <= MAX_PIXELS else DEFAULT_SIZE
        return web.Response(body=card_png(*shown), content_type="image/png", headers=_CARD)

    async def page(request: web.Request) -> web.Response:
        name, creative = named(request)
        headers = {**_PLAIN, CSP: _FRAME_POLICY, "Cache-Control": "no-store"}
        return web.Response(text=framed(name, preview_size(creative)), content_type="text/html", headers=headers)

    async def ad(request: web.Request) -> web.Response:
        _name, creative = named(request)
        headers = {**_PLAIN, CSP: _AD_POLICY, "Cache-Control": "no-store"}
        return web.Response(text=ad_page(creative), content_type="text/html", headers=headers)

    return [
        web.get("/preview/{name}.png", picture),
        web.get("/preview/{name}", page),
        web.get("/preview/{name}/ad", ad),
    ]
