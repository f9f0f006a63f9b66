"""HTTP routes of the ads, for the tracker's application."""

from aiohttp import web

from creatives.card import card_png

_CACHED = {"Cache-Control": "public, max-age=86400"}


def routes() -> list[web.RouteDef]:
    """`/card/{width}x{height}.png`: the plain picture of a size."""

    async def card(request: web.Request) -> web.Response:
        try:
            picture = card_png(int(request.match_info["width"]), int(request.match_info["height"]))
        except ValueError:
            raise web.HTTPNotFound from None
        return web.Response(body=picture, content_type="image/png", headers=_CACHED)

    return [web.get(r"/card/{width:[0-9]{1,5}}x{height:[0-9]{1,5}}.png", card)]
