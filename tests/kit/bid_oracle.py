"""The bid port's oracle: an aiohttp route with the same handler. Slow, and written by people who know HTTP better.

Whatever both understand as a request must be answered alike; tests/integration/bidder/test_bid_oracle.py compares.
"""

import asyncio
import gzip
import zlib

from aiohttp import web

from bidder.door.http import MAX_BODY_BYTES, MIN_GZIP_BYTES
from bidder.door.port import BidHandler, Sender
from core.clock import Clock

_JSON_TYPES = ("", "application/json", "text/json")
_VERSION = {"x-openrtb-version": "2.6"}


def bid_application(handler: BidHandler, clock: Clock) -> web.Application:
    """`POST /openrtb2/{exchange}` and `GET /healthz`."""

    async def bid(request: web.Request) -> web.Response:
        refusal = _refusal(request)
        if refusal:
            return web.Response(status=refusal)
        arrival = clock.monotonic()
        body = await request.read()  # aiohttp decompresses by itself, and refuses bodies above client_max_size
        answered: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        def reply(status: int, answer: bytes) -> None:
            answered.set_result((status, answer))

        authorization = request.headers.get("Authorization", "").encode("latin-1")
        handler.submit(request.match_info["exchange"], body, arrival, reply, Sender(authorization))
        return _answer(request, *await answered)

    async def health(request: web.Request) -> web.Response:
        return web.Response(body=b"ok", content_type="text/plain")

    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.router.add_post("/openrtb2/{exchange}", bid)
    application.router.add_get("/healthz", health)
    return application


def _refusal(request: web.Request) -> int:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in _JSON_TYPES and not media_type.endswith("+json"):
        return 415
    if request.headers.get("Content-Encoding", "identity").lower() not in ("gzip", "x-gzip", "identity"):
        return 415
    return 0


def _answer(request: web.Request, status: int, body: bytes) -> web.Response:
    if status != 200:
        return web.Response(status=status, headers=_VERSION if status == 204 else None)
    headers = dict(_VERSION)
    if len(body) >= MIN_GZIP_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, 1)
    return web.Response(status=200, body=body, content_type="application/json", headers=headers)


def plain_body(fields: dict[str, str], body: bytes) -> bytes:
    """A body with its Content-Encoding undone."""
    return zlib.decompress(body, 31) if fields.get("content-encoding") == "gzip" else body
