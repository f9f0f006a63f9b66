"""`GET /v1/auctions/tail`: auctions as they happen, by pages that follow on each other, or as a stream of events."""

import asyncio
import re
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from admin.access.principal import Forbidden, Principal
from admin.api import requests
from admin.diagnosis.tailing import TailDesk
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.validation.fields import END, Id
from bidder.decision.tailing import Watching
from core.errors import GroszError

EVENTS: Final = "text/event-stream"
# A stream looks this often, and ends after a while: browsers come back by themselves, with their rights looked at anew.
LOOK_S: Final = 0.5
STREAM_S: Final = 60.0
# Of both halves Redis takes 64 bits.
_ID = r"^([0-9]{1,19}-[0-9]{1,19})?" + END

_STOPPING: Final = web.AppKey("tails_stopping", asyncio.Event)


class TailQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which auctions."""

    nobid: Annotated[bool, Meta(description="Also those without a bid; only for callers for all advertisers.")] = False
    line_item_id: Annotated[Id, Meta(description="Bids of this line item; with nobid why it did not.")] | None = None
    exchange: Annotated[str, Meta(max_length=64, description="Key of the exchange that asks.")] = ""
    after: Annotated[str, Meta(pattern=_ID, description="`next` of the page before; without it, from now on.")] = ""


class TailPages:
    """Routes of tailing: every caller sees the bids of the advertisers that they may see."""

    def __init__(self, desk: TailDesk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/auctions/tail", self.tail, allow_head=False)]

    async def stop(self, app: web.Application) -> None:
        """End all streams, since the role stops."""
        app[_STOPPING].set()

    def join(self, app: web.Application) -> None:
        """Add the route to an application, whose shutdown ends the streams."""
        app[_STOPPING] = asyncio.Event()
        app.add_routes(self.routes())
        app.on_shutdown.append(self.stop)

    async def tail(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/auctions/tail"""
        principal: Principal = request[requests.PRINCIPAL]
        query = decode(requests.query_values(request), TailQuery, strict=False)
        watching = watching_of(principal, query)
        if EVENTS in request.headers.get("Accept", ""):
            after = query.after or request.headers.get("Last-Event-ID", "")
            return await self._stream(request, principal.key, watching, after if re.match(_ID, after) else "")
        return requests.respond_json(await self._desk.take(principal.key, watching, query.after))

    async def _stream(self, request: web.Request, who: str, watching: Watching, after: str) -> web.StreamResponse:
        page = await self._desk.take(who, watching, after)  # a fault here still gets an HTTP status of its own
        response = web.StreamResponse(headers={"Content-Type": EVENTS, "Cache-Control": "no-store"})
        await response.prepare(request)
        stopping, clock = request.config_dict[_STOPPING], asyncio.get_running_loop().time
        ends = clock() + STREAM_S
        while not stopping.is_set() and clock() < ends:
            shown = [b"data: " + msgspec.json.encode(auction) for auction in page.auctions] or [b": nothing"]
            await response.write(b"id: %s\n%s\n\n" % (page.next.encode(), b"\n\n".join(shown)))
            try:
                async with asyncio.timeout(LOOK_S):
                    await stopping.wait()
            except TimeoutError:
                pass
            try:
                page = await self._desk.take(who, watching, page.next)
            except GroszError:  # the browser connects again, and is told then
                break
        return response


def watching_of(principal: Principal, query: TailQuery) -> Watching:
    """What a caller may watch, out of what they ask for. Raises Forbidden."""
    principal.require(Scope.READ)
    mine = principal.advertiser_ids
    if query.nobid and mine is not None:
        raise Forbidden(
            "auctions without a bid are seen by callers for all advertisers alone",
            hint="`POST /v1/explain` says why a line item of yours does not bid",
        )
    return Watching(query.nobid, query.line_item_id or 0, query.exchange, None if mine is None else tuple(sorted(mine)))
