"""Customer lists: audiences from a file of e-mails, phones or the shop's own ids, hashed or to be hashed here."""

from collections.abc import AsyncIterator, Callable, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from admin.api import requests
from admin.api.problem import ApiError
from admin.api.reading import Reader
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.visitors import rosters as documents
from admin.visitors.rosters import MAX_LIST_BYTES, ForgetCustomer, ImportQuery, RosterDesk

CHUNK_BYTES = 256 * 1024
Json = dict[str, Any]


class RosterPages:
    """Reading needs the scope read, everything else trade; both only for advertisers of the caller."""

    def __init__(self, reader: Reader, desk: RosterDesk) -> None:
        self._reader = reader
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        lists = "/v1/advertisers/{id}/customer-lists"
        return [
            web.get(lists, self.all, allow_head=False),
            web.put(f"{lists}/{{name}}", self.replace),
            web.post(f"{lists}/{{name}}", self.add),
            web.delete(f"{lists}/{{name}}", self.drop),
            web.post("/v1/advertisers/{id}/forget-customer", self.forget),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """GET /v1/advertisers/{id}/customer-lists"""
        requests.reject_unknown(request, ())
        return requests.respond_json(await self._desk.all(await self._advertiser_id(request, Scope.READ)))

    async def replace(self, request: web.Request) -> web.Response:
        """PUT /v1/advertisers/{id}/customer-lists/{name}"""
        return await self._load(request, replace=True)

    async def add(self, request: web.Request) -> web.Response:
        """POST /v1/advertisers/{id}/customer-lists/{name}"""
        return await self._load(request, replace=False)

    async def drop(self, request: web.Request) -> web.Response:
        """DELETE /v1/advertisers/{id}/customer-lists/{name}"""
        requests.reject_unknown(request, ())
        advertiser_id = await self._advertiser_id(request, Scope.TRADE)
        return requests.respond_json(await self._desk.drop(advertiser_id, request.match_info["name"]))

    async def forget(self, request: web.Request) -> web.Response:
        """POST /v1/advertisers/{id}/forget-customer"""
        requests.reject_unknown(request, ())
        person = decode(await requests.read_json(request), ForgetCustomer)
        return requests.respond_json(await self._desk.forget(await self._advertiser_id(request, Scope.TRADE), person))

    async def _load(self, request: web.Request, *, replace: bool) -> web.Response:
        query = decode(requests.query_values(request), ImportQuery, strict=False)
        advertiser_id = await self._advertiser_id(request, Scope.TRADE)
        name = request.match_info["name"]
        found = await self._desk.load(advertiser_id, name, list_pieces(request), replace=replace, days=query.days)
        return requests.respond_json(found)

    async def _advertiser_id(self, request: web.Request, scope: Scope) -> int:
        object_id = requests.object_id_of(request)
        return (await self._reader.advertiser(request[requests.PRINCIPAL], object_id, scope)).id


async def list_pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ApiError for one that is too large."""
    size = 0
    async for piece in request.content.iter_chunked(CHUNK_BYTES):
        size += len(piece)
        if size > MAX_LIST_BYTES:
            hint = f"at most {MAX_LIST_BYTES // 1024**2} MiB; split it"
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the list is too large", hint=hint)
        yield piece


def roster_paths(operation: Callable[..., Json], parameters: Callable[..., list[Json]], object_id: Json) -> Json:
    """The paths of customer lists in the OpenAPI document, made with the builders of admin.api.openapi."""

    def said(name: str, summary: str, answer: type, given: Sequence[Json], body: type | None = None) -> Json:
        return operation(None, name, summary, answer, list(given), body)

    name = {
        "name": "name", "in": "path", "required": True, "description": "As in rules: has list.NAME.",
        "schema": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,29}$"},
    }  # fmt: skip
    lists, one, query = "/v1/advertisers/{id}/customer-lists", [object_id, name], parameters(ImportQuery)
    body = {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
    replace = said("replaceCustomerList", "Make or replace a customer list (CSV)", documents.ListImport, [*one, *query])
    add = said("addToCustomerList", "Add persons to a customer list (CSV)", documents.ListImport, [*one, *query])
    replace["requestBody"] = add["requestBody"] = body
    return {
        lists: {"get": said("customerLists", "The customer lists", documents.CustomerLists, [object_id])},
        f"{lists}/{{name}}": {
            "put": replace,
            "post": add,
            "delete": said("dropCustomerList", "Delete a customer list", documents.ListDropped, one),
        },
        "/v1/advertisers/{id}/forget-customer": {
            "post": said(
                "forgetCustomer", "Take a person out of all customer lists", documents.CustomerForgotten, [object_id],
                ForgetCustomer,
            )
        },
    }  # fmt: skip
