"""HTTP routes of the notices, for the tracker's application. What they do is in pacing/notices/notices.py."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import web

from core.query import query_values
from pacing.notices.clicks import fault_of
from pacing.notices.notices import ClickedProduct, NoticeDesk, NoticeResult

# The smallest transparent GIF.
PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"
    b"\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)

# Seconds after which a notice that could not be made durable is worth sending again: a restart takes less.
RETRY_AFTER = "5"

_UNCACHED = {"Cache-Control": "no-store"}
_Handler = Callable[[web.Request], Awaitable[web.Response]]


def routes(desk: NoticeDesk) -> list[web.RouteDef]:
    """`/n/{win,bill,loss}/{token}` and `/t/{imp,click}/{token}`; notices come by GET or POST, all in the query.

    HEAD, which mail scanners, link checkers and previews send, is answered as GET would be and has no effect.
    """

    async def win(request: web.Request) -> web.Response:
        query = _query(request)
        return _answer(await desk.win(request.match_info["token"], query.get("p"), query.get("c"), query.get("q")))

    async def bill(request: web.Request) -> web.Response:
        query = _query(request)
        return _answer(await desk.bill(request.match_info["token"], query.get("p"), query.get("c"), query.get("q")))

    async def loss(request: web.Request) -> web.Response:
        query = _query(request)
        return _answer(await desk.loss(request.match_info["token"], query.get("r"), query.get("m")))

    async def impression(request: web.Request) -> web.Response:
        query = _query(request)
        result = await desk.impression(request.match_info["token"], query.get("p"), query.get("c"), query.get("q"))
        if result.status in (200, 204):
            return web.Response(body=PIXEL, content_type="image/gif", headers=_UNCACHED)
        return _answer(result)

    async def click(request: web.Request) -> web.Response:
        query, token = _query(request), request.match_info["token"]
        fault = fault_of(request.headers.get("User-Agent", ""), request.headers.get("Sec-Purpose", ""))
        return _redirect(await desk.click(token, query.get("to"), fault, product=_product(query)))

    notices: dict[str, _Handler] = {"/n/win/{token}": win, "/n/bill/{token}": bill, "/n/loss/{token}": loss}
    return [
        *(web.get(path, handler, allow_head=False) for path, handler in notices.items()),
        *(web.post(path, handler) for path, handler in notices.items()),
        web.get("/t/imp/{token}", impression, allow_head=False),
        web.get("/t/click/{token}", click, allow_head=False),
        *_looking(desk, notices),
    ]


def _looking(desk: NoticeDesk, notices: Iterable[str]) -> list[web.RouteDef]:
    """Routes that answer HEAD without any effect."""

    async def notice(request: web.Request) -> web.Response:
        return _answer(desk.look(request.match_info["token"]))

    async def impression(request: web.Request) -> web.Response:
        result = desk.look(request.match_info["token"])
        if result.status == 204:
            return web.Response(body=PIXEL, content_type="image/gif", headers=_UNCACHED)
        return _answer(result)

    async def click(request: web.Request) -> web.Response:
        query = _query(request)
        return _redirect(desk.look_at_click(request.match_info["token"], query.get("to"), _product(query)))

    return [
        *(web.head(path, notice) for path in notices),
        web.head("/t/imp/{token}", impression),
        web.head("/t/click/{token}", click),
    ]


def _redirect(result: NoticeResult) -> web.Response:
    if not result.location:
        return _answer(result)
    headers = {**_UNCACHED, "Location": result.location, "Referrer-Policy": "no-referrer-when-downgrade"}
    return web.Response(status=302, headers=headers)


def _product(query: Mapping[str, str]) -> ClickedProduct | None:
    signature = query.get("s", "")
    return ClickedProduct(query.get("i", ""), signature) if signature else None


def _query(request: web.Request) -> dict[str, str]:
    return query_values(request.rel_url.raw_query_string)


def _answer(result: NoticeResult) -> web.Response:
    headers = {"Retry-After": RETRY_AFTER} if result.status == 503 else None
    return web.Response(status=result.status, headers=headers)
