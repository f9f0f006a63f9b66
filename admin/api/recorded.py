"""Recorded requests: `GET /v1/recorded-requests`, one of them explained, and `POST /v1/replay`."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from admin.access.principal import Principal
from admin.api import requests
from admin.diagnosis.recorded import RecordedDesk, RecordedQuery, ReplayRequest
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.validation.fields import Id


class RecordedExplainQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which line item of a recorded request to explain."""

    line_item_id: Annotated[Id, Meta(description="Only this line item.")] | None = None


class RecordedPages:
    """Routes of recorded requests. Callers see those that their line items bid on; replays need access to all."""

    def __init__(self, desk: RecordedDesk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/recorded-requests", self.listed, allow_head=False),
            web.get("/v1/recorded-requests/{name}", self.explain, allow_head=False),
            web.post("/v1/replay", self.replay),
        ]

    async def listed(self, request: web.Request) -> web.Response:
        """GET /v1/recorded-requests"""
        principal = _reader(request)
        query = decode(requests.query_values(request), RecordedQuery, strict=False)
        return requests.respond_json(await self._desk.listed(query, principal.advertiser_ids))

    async def explain(self, request: web.Request) -> web.Response:
        """GET /v1/recorded-requests/{name}"""
        principal = _reader(request)
        query = decode(requests.query_values(request), RecordedExplainQuery, strict=False)
        name = request.match_info["name"]
        return requests.respond_json(await self._desk.explain(name, query.line_item_id, principal.advertiser_ids))

    async def replay(self, request: web.Request) -> web.Response:
        """POST /v1/replay"""
        principal: Principal = request[requests.PRINCIPAL]
        principal.require(Scope.READ, everywhere=True)
        requests.reject_unknown(request, ())
        asked = decode(await requests.read_json(request), ReplayRequest)
        return requests.respond_json(await self._desk.replay(asked))


def _reader(request: web.Request) -> Principal:
    principal: Principal = request[requests.PRINCIPAL]
    principal.require(Scope.READ)
    return principal
