"""`/v1/approvals`: what exchanges have decided of creatives, noted by hand or asked for again."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from admin.api import requests
from admin.api.problem import ApiError
from admin.api.reading import Reader
from admin.reviews.desk import ReviewDesk
from admin.reviews.documents import APPROVAL_TYPES as APPROVAL_TYPES
from admin.reviews.documents import ApprovalPage, ApprovalQuery, ApprovalRequest, ApprovalView
from admin.store.kinds import EXCHANGES
from admin.store.model import Scope
from admin.validation.decode import decode
from core.ids import MAX_ID
from core.model import Creative, Exchange

Json = dict[str, Any]

LIST = "/v1/approvals"
ONE = "/v1/creatives/{id}/approvals/{exchange_id}"


class ApprovalPages:
    """Lets callers see, and change, approvals of creatives that they may see."""

    def __init__(self, reader: Reader, desk: ReviewDesk) -> None:
        self._reader = reader
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(LIST, self.page, allow_head=False),
            web.put(ONE, self.note),
            web.post(f"{ONE}/submit", self.submit),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """GET /v1/approvals"""
        principal = request[requests.PRINCIPAL]
        principal.require(Scope.READ)
        query = decode(requests.query_values(request), ApprovalQuery, strict=False)
        return requests.respond_json(await self._desk.page(query, principal.advertiser_ids))

    async def note(self, request: web.Request) -> web.Response:
        """PUT /v1/creatives/{id}/approvals/{exchange_id}"""
        requests.reject_unknown(request, ())
        # What is noted lets ads be shown: it is for callers who may set up exchanges.
        creative, exchange = await self._named(request, Scope.ADMIN)
        wanted = decode(await requests.read_json(request), ApprovalRequest)
        actor = request[requests.PRINCIPAL].actor
        return requests.respond_json(await self._desk.note(creative, exchange, wanted, actor))

    async def submit(self, request: web.Request) -> web.Response:
        """POST /v1/creatives/{id}/approvals/{exchange_id}/submit"""
        requests.reject_unknown(request, ())
        creative, exchange = await self._named(request, Scope.TRADE)
        asked = await self._desk.submit(creative, exchange, request[requests.PRINCIPAL].actor)
        return requests.respond_json(asked, HTTPStatus.ACCEPTED)

    async def _named(self, request: web.Request, scope: Scope) -> tuple[Creative, Exchange]:
        principal = request[requests.PRINCIPAL]
        principal.require(scope)
        text = request.match_info["exchange_id"]
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= MAX_ID):
            raise ApiError(HTTPStatus.NOT_FOUND, f"there is no exchange '{text[:20]}'", hint="ids are positive numbers")
        creative = await self._reader.creative(principal, requests.object_id_of(request))
        async with self._reader.store.database.read() as connection:
            exchange: Exchange = (await self._reader.require(connection, principal, EXCHANGES, int(text))).value
        return creative, exchange


def approval_paths(operation: Callable[..., Json], parameters: Callable[..., Sequence[Json]], object_id: Json) -> Json:
    """The paths of approvals in the OpenAPI document, made with the builders of admin.api.openapi."""
    one = [object_id, object_id | {"name": "exchange_id"}]
    listed = operation(
        None, "approvals", "What exchanges have decided of creatives", ApprovalPage, parameters(ApprovalQuery)
    )
    note = operation(
        None, "noteApproval", "Note what an exchange has decided of a creative", ApprovalView, one, ApprovalRequest
    )
    submit = operation(None, "submitCreative", "Let an exchange look at a creative again", ApprovalView, one, None, 202)
    return {LIST: {"get": listed}, ONE: {"put": note}, f"{ONE}/submit": {"post": submit}}
