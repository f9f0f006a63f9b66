"""Why a line item does or does not deliver: `POST /v1/explain` and `GET /v1/line-items/{id}/funnel`."""

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from admin.access.principal import Principal
from admin.api import requests
from admin.api.problem import ApiError
from admin.api.reading import Reader
from admin.diagnosis.explaining import ExplainDesk
from admin.diagnosis.funnels import Funnel, FunnelDesk, Hour
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.validation.fields import END, ExchangeKey, Id
from bidder.diagnosis.explain import Explanation, Malformed
from core.errors import Fault, InputError
from core.ids import USER_ID_CHARS
from core.model import Advertiser, LineItem

UserId = Annotated[
    str,
    Meta(
        pattern=rf"^[A-Za-z0-9_-]{{{USER_ID_CHARS}}}" + END,
        description="A user id of ours (the cookie `grosz_uid`): explain as if this user had caused the request.",
    ),
]

# A bid request is a few KiB; the bid port refuses those above bid.max_body_bytes (256 KiB).
MAX_REQUEST_BYTES = 256 * 1024


class ExplainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A bid request as an exchange sends it, and what to ask about it."""

    exchange: Annotated[ExchangeKey, Meta(description="Key of the exchange whose settings apply.")]
    request: Annotated[dict[str, Any], Meta(description="OpenRTB bid request.")]
    line_item_id: Annotated[Id, Meta(description="Only this line item.")] | None = None
    user_id: UserId | None = None


EXAMPLE: dict[str, Any] = {
    "exchange": "demo",
    "request": {
        "id": "1",
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 1.2, "bidfloorcur": "PLN"}],
        "site": {"domain": "wiadomosci.example"},
        "cur": ["PLN"],
    },
}


class Explanations:
    """Questions about delivery, answered with what the caller may know."""

    def __init__(self, reader: Reader, explaining: ExplainDesk, funnels: FunnelDesk) -> None:
        self._reader = reader
        self._explaining = explaining
        self._funnels = funnels

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/explain", self.explain),
            web.get("/v1/line-items/{id}/funnel", self.funnel, allow_head=False),
        ]

    async def explain(self, request: web.Request) -> web.Response:
        """POST /v1/explain"""
        requests.reject_unknown(request, ())
        asked = decode(await requests.read_json(request), ExplainRequest)
        return requests.respond_json(await self.explained(request[requests.PRINCIPAL], asked))

    async def explained(self, principal: Principal, asked: ExplainRequest) -> Explanation:
        """What the bidders would do with a request. Raises Forbidden, ApiError 413, InputError, NotFoundError."""
        principal.require(Scope.READ)
        body = msgspec.json.encode(asked.request)
        if len(body) > MAX_REQUEST_BYTES:
            text = f"the bid request has {len(body)} bytes"
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text, hint=f"at most {MAX_REQUEST_BYTES}")
        try:
            return await self._explaining.explain(
                body,
                asked.exchange,
                line_item_id=asked.line_item_id,
                user_id=asked.user_id,
                advertisers=principal.advertiser_ids,
            )
        except Malformed as error:
            fault = Fault("/request", error.reason.value, error.message, error.hint)
            raise InputError("the bid request is not valid", faults=[fault]) from None

    async def funnel(self, request: web.Request) -> web.Response:
        """GET /v1/line-items/{id}/funnel"""
        requests.reject_unknown(request, ())
        funnel = await self.funnel_of(request[requests.PRINCIPAL], requests.object_id_of(request))
        return requests.respond_json(funnel)

    async def funnel_of(self, principal: Principal, object_id: int) -> Funnel:
        """The way of a line item from requests to spend. Raises Forbidden, NotFoundError, UnavailableError."""
        _, advertiser = await self._reader.line_item(principal, object_id, Scope.READ)
        return await self._funnels.funnel(object_id, advertiser.currency)

    async def hours_of(self, principal: Principal, object_id: int) -> tuple[LineItem, Advertiser, list[Hour]]:
        """A line item, its advertiser, and its last day by hours. Raises Forbidden, NotFoundError, UnavailableError."""
        line_item, advertiser = await self._reader.line_item(principal, object_id, Scope.READ)
        return line_item, advertiser, await self._funnels.hours(object_id)
