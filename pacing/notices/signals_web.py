"""HTTP routes of the signals, for the tracker's application. What they do is in pacing/notices/signals.py."""

from collections.abc import Callable

from aiohttp import web

from core.query import query_values
from pacing.notices.notices import NoticeResult
from pacing.notices.signals import QUARTILES, VIEWS, Signal, SignalDesk
from pacing.notices.web import PIXEL

# Players ask by script as well as by image, from pages of any publisher; the answer says nothing and sets no cookie.
_HEADERS = {"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}

_Reader = Callable[[str | None], Signal | None]

_READERS: dict[str, _Reader] = {
    "/t/quartile/{token}": lambda event: QUARTILES.get(event or ""),
    "/t/view/{token}": lambda event: VIEWS.get(event or "viewable"),
    "/t/error/{token}": lambda _code: Signal.ERROR,
}


def signal_routes(desk: SignalDesk) -> list[web.RouteDef]:
    """`/t/{quartile,view,error}/{token}?e=...` by GET or POST (`navigator.sendBeacon`); HEAD has no effect."""
    return [route for path, reader in _READERS.items() for route in _routes(desk, path, reader)]


def _routes(desk: SignalDesk, path: str, reader: _Reader) -> list[web.RouteDef]:
    async def take(request: web.Request) -> web.Response:
        told = query_values(request.rel_url.raw_query_string).get("e")
        return _answer(await desk.take(request.match_info["token"], reader(told), told))

    async def look(request: web.Request) -> web.Response:
        told = query_values(request.rel_url.raw_query_string).get("e")
        return _answer(desk.look(request.match_info["token"], reader(told)))

    return [web.get(path, take, allow_head=False), web.post(path, take), web.head(path, look)]


def _answer(result: NoticeResult) -> web.Response:
    if result.status != 200:
        return web.Response(status=result.status, headers=_HEADERS)
    return web.Response(body=PIXEL, content_type="image/gif", headers=_HEADERS)
