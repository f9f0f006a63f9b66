"""HTTP routes of the ads, for the tracker's application."""

from aiohttp import web

from creatives.card import card_png, sign_png

_CACHED = {"Cache-Control": "public, max-age=86400"}


def routes() -> list[web.RouteDef]:
    """`/card/{width}x{height}.png`: the plain picture of a size; `/card/sign.png`: the sign above videos."""

    async def card(request: web.Request) -> web.Response:
        try:
            picture = card_png(int(request.match_info["width"]), int(request.match_info["height"]))
        except ValueError:
            raise web.HTTPNotFound from None
        return web.Response(body=picture, content_type="image/png", headers=_CACHED)

    async def sign(_request: web.Request) -> web.Response:
        return web.Response(body=sign_png(), content_type="image/png", headers=_CACHED)

    return [web.get("/card/sign.png", sign), web.get(r"/card/{width:[0-9]{1,5}}x{height:[0-9]{1,5}}.png", card)]
