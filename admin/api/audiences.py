"""Audiences and visitors: sizes, overlaps, tags, counts, matrices, hooks, trusted events, access, erasure."""

from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.api.reading import Reader
from admin.rates.store import BASE
from admin.store.catalogue import rates
from admin.store.kinds import SEGMENTS
from admin.store.lookups import active_segments, exchange_id_of
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.visitors.audience_desk import AudienceDesk
from admin.visitors.documents import (
    CountRequest,
    EventBatch,
    EventResults,
    MatchQuery,
    MatrixRequest,
    OverlapQuery,
)
from admin.visitors.visitor_desk import EventDesk, VisitorDesk
from core.errors import NotFoundError
from core.model import Advertiser, Segment
from core.money import FxTable


class AudiencePages:
    """Routes of audiences. What belongs to one advertiser needs the scope read (events: trade) and access to it.

    What concerns all advertisers at once (cookie sync, hooks, the background pass) needs access to all of them.
    Visitors, who belong to no shop, need the scope admin as well.
    """

    def __init__(self, reader: Reader, audiences: AudienceDesk, visitors: VisitorDesk, events: EventDesk) -> None:
        self._reader = reader
        self._audiences = audiences
        self._visitors = visitors
        self._events = events

    def routes(self) -> list[web.RouteDef]:
        advertiser = "/v1/advertisers/{id}"
        return [
            web.get(f"{advertiser}/segment-sizes", self.sizes, allow_head=False),
            web.get(f"{advertiser}/segment-overlap", self.overlap, allow_head=False),
            web.get(f"{advertiser}/tags", self.tags, allow_head=False),
            web.post(f"{advertiser}/count", self.count),
            web.post(f"{advertiser}/matrix", self.matrix),
            web.post(f"{advertiser}/events", self.events),
            web.get("/v1/cookie-sync", self.matches, allow_head=False),
            web.get("/v1/given-up-calls", self.given_up, allow_head=False),
            web.post("/v1/given-up-calls/send-again", self.send_again),
            web.get("/v1/segment-pass", self.progress, allow_head=False),
            web.get("/v1/visitors/{user_id}", self.show, allow_head=False),
            web.delete("/v1/visitors/{user_id}", self.forget),
        ]

    async def sizes(self, request: web.Request) -> web.Response:
        """GET /v1/advertisers/{id}/segment-sizes"""
        requests.reject_unknown(request, ())
        advertiser = await self._advertiser(request, Scope.READ)
        async with self._reader.store.database.read() as connection:
            segments = await active_segments(connection, advertiser.id)
        return requests.respond_json(await self._audiences.sizes(segments))

    async def overlap(self, request: web.Request) -> web.Response:
        """GET /v1/advertisers/{id}/segment-overlap"""
        query = decode(requests.query_values(request), OverlapQuery, strict=False)
        advertiser = await self._advertiser(request, Scope.READ)
        left = await self._segment(request, advertiser, query.left)
        right = await self._segment(request, advertiser, query.right)
        return requests.respond_json(await self._audiences.overlap(left, right))

    async def tags(self, request: web.Request) -> web.Response:
        """GET /v1/advertisers/{id}/tags"""
        requests.reject_unknown(request, ())
        return requests.respond_json(await self._audiences.tags((await self._advertiser(request, Scope.READ)).id))

    async def count(self, request: web.Request) -> web.Response:
        """POST /v1/advertisers/{id}/count"""
        requests.reject_unknown(request, ())
        wanted = decode(await requests.read_json(request), CountRequest)
        advertiser = await self._advertiser(request, Scope.READ)
        return requests.respond_json(await self._audiences.count(advertiser, wanted.rules))

    async def matrix(self, request: web.Request) -> web.Response:
        """POST /v1/advertisers/{id}/matrix"""
        requests.reject_unknown(request, ())
        wanted = decode(await requests.read_json(request), MatrixRequest)
        advertiser = await self._advertiser(request, Scope.READ)
        return requests.respond_json(await self._audiences.matrix(advertiser, wanted))

    async def events(self, request: web.Request) -> web.Response:
        """POST /v1/advertisers/{id}/events"""
        requests.reject_unknown(request, ())
        batch = decode(await requests.read_json(request), EventBatch)
        advertiser = await self._advertiser(request, Scope.TRADE)
        async with self._reader.store.database.read() as connection:
            fx = FxTable(BASE, await rates(connection))
        return requests.respond_json(EventResults(await self._events.collect(advertiser, fx, batch.events)))

    async def matches(self, request: web.Request) -> web.Response:
        """GET /v1/cookie-sync"""
        _allowed_everywhere(request, Scope.READ)
        query = decode(requests.query_values(request), MatchQuery, strict=False)
        async with self._reader.store.database.read() as connection:
            exchange_id = await exchange_id_of(connection, query.exchange)
        return requests.respond_json(await self._audiences.matches(exchange_id))

    async def given_up(self, request: web.Request) -> web.Response:
        """GET /v1/given-up-calls"""
        _allowed_everywhere(request, Scope.READ)
        requests.reject_unknown(request, ())
        return requests.respond_json(await self._audiences.given_up())

    async def send_again(self, request: web.Request) -> web.Response:
        """POST /v1/given-up-calls/send-again"""
        _allowed_everywhere(request, Scope.TRADE)
        requests.reject_unknown(request, ())
        return requests.respond_json(await self._audiences.send_again())

    async def progress(self, request: web.Request) -> web.Response:
        """GET /v1/segment-pass"""
        _allowed_everywhere(request, Scope.READ)
        requests.reject_unknown(request, ())
        return requests.respond_json(await self._audiences.progress())

    async def show(self, request: web.Request) -> web.Response:
        """GET /v1/visitors/{user_id}"""
        principal = _allowed_everywhere(request, Scope.ADMIN)
        requests.reject_unknown(request, ())
        return requests.respond_json(await self._visitors.show(request.match_info["user_id"], _noted_as(principal)))

    async def forget(self, request: web.Request) -> web.Response:
        """DELETE /v1/visitors/{user_id}"""
        principal = _allowed_everywhere(request, Scope.ADMIN)
        requests.reject_unknown(request, ())
        return requests.respond_json(await self._visitors.forget(request.match_info["user_id"], _noted_as(principal)))

    async def _advertiser(self, request: web.Request, scope: Scope) -> Advertiser:
        return await self._reader.advertiser(request[requests.PRINCIPAL], requests.object_id_of(request), scope)

    async def _segment(self, request: web.Request, advertiser: Advertiser, segment_id: int) -> Segment:
        principal: Principal = request[requests.PRINCIPAL]
        async with self._reader.store.database.read() as connection:
            stored = await self._reader.require(connection, principal, SEGMENTS, segment_id)
        segment: Segment = stored.value
        if segment.advertiser_id != advertiser.id:
            raise NotFoundError(
                f"advertiser {advertiser.id} has no segment {segment_id}",
                hint="see GET /v1/segments",
                code="no_such_object",
            )
        return segment


def _allowed_everywhere(request: web.Request, scope: Scope) -> Principal:
    principal: Principal = request[requests.PRINCIPAL]
    principal.require(scope, everywhere=True)
    return principal


def _noted_as(principal: Principal) -> str:
    """The caller, as the audit stream names who looked: `user:7`."""
    return f"{principal.kind}:{principal.id}"
