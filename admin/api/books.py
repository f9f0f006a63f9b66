"""The books: `GET /v1/audit` compares counters and ledger, `POST /v1/ledger/corrections` books a row by hand."""

from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.books.desk import BookDesk
from admin.books.documents import AuditQuery, CorrectionRequest
from admin.store.model import Scope
from admin.validation.decode import decode


class BookPages:
    """Routes of the books, for callers with the finance scope, of the advertisers that they may see."""

    def __init__(self, desk: BookDesk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/audit", self.audit, allow_head=False),
            web.post("/v1/ledger/corrections", self.correct),
        ]

    async def audit(self, request: web.Request) -> web.Response:
        """GET /v1/audit"""
        principal = _finance(request)
        query = decode(requests.query_values(request), AuditQuery, strict=False)
        return requests.respond_json(await self._desk.audit(query.advertiser_id, principal.sees))

    async def correct(self, request: web.Request) -> web.Response:
        """POST /v1/ledger/corrections"""
        principal = _finance(request)
        requests.reject_unknown(request, ())
        wanted = decode(await requests.read_json(request), CorrectionRequest)
        return requests.respond_json(await self._desk.correct(wanted, principal.sees))


def _finance(request: web.Request) -> Principal:
    principal: Principal = request[requests.PRINCIPAL]
    principal.require(Scope.FINANCE)
    return principal
