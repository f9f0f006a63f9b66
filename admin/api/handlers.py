"""The HTTP side of a resource: the same eleven routes for each."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.api.bulk import Bulk, BulkRequest
from admin.api.checks import allow_write
from admin.api.listing import parse_query
from admin.api.operations import Operations, Reply, Work, Write
from admin.api.reading import Reader
from admin.api.resource import Resource
from admin.store.catalogue import CatalogueWriter
from admin.validation.decode import decode
from core.model import Status

PREFIX = "/v1"

ACTIONS = {"pause": Status.PAUSED, "resume": Status.ACTIVE, "archive": Status.ARCHIVED}


async def _only_post(request: web.Request) -> web.Response:
    raise web.HTTPMethodNotAllowed(request.method, ["POST"])


class ResourceHandlers:
    """Handlers of one resource."""

    def __init__(self, resource: Resource, reader: Reader, operations: Operations) -> None:
        self._resource = resource
        self._reader = reader
        self._operations = operations
        self._bulk = Bulk(operations)
        self._base = f"{PREFIX}/{resource.name}"

    def routes(self) -> list[web.RouteDef]:
        """The routes of the resource."""
        one = f"{self._base}/{{id}}"
        found = [
            web.get(self._base, self.list, allow_head=False),
            web.post(self._base, self.create),
            web.get(one, self.read, allow_head=False),
            web.patch(one, self.patch),
            web.delete(one, self._status_handler(Status.ARCHIVED)),
            web.post(f"{one}/copy", self.copy),
        ]
        found += [web.post(f"{one}/{name}", self._status_handler(status)) for name, status in ACTIONS.items()]
        if self._resource.bulk:
            bulk = f"{self._base}/bulk"
            # Named before the id, and for every method: `bulk` is never an id.
            found = [web.post(bulk, self.bulk), web.route("*", bulk, _only_post), *found]
        return found

    async def list(self, request: web.Request) -> web.Response:
        """GET /v1/{resource}"""
        principal = self._reading(request)
        query = parse_query(self._resource, list(request.query.items()))
        return requests.respond_json(await self._reader.page(principal, self._resource, query))

    async def read(self, request: web.Request) -> web.Response:
        """GET /v1/{resource}/{id}"""
        principal = self._reading(request)
        requests.reject_unknown(request, ())
        body = await self._reader.read(principal, self._resource, requests.object_id_of(request))
        etag = f'"{body["version"]}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return requests.respond_json(body, headers={"ETag": etag})

    async def create(self, request: web.Request) -> web.Response:
        """POST /v1/{resource}"""
        principal = self._writing(request, creating=True)
        raw = await requests.read_object(request)
        context = await self._resource.hooks.before(principal, raw)

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.create(writer, principal, self._resource, raw, context)

        return await self._run(request, principal, work)

    async def patch(self, request: web.Request) -> web.Response:
        """PATCH /v1/{resource}/{id}"""
        principal = self._writing(request)
        object_id, version = requests.object_id_of(request), requests.expected_version(request)
        patch = await requests.read_object(request)
        context = await self._resource.hooks.before(principal, patch)

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.patch(writer, principal, self._resource, object_id, patch, version, context)

        return await self._run(request, principal, work)

    async def copy(self, request: web.Request) -> web.Response:
        """POST /v1/{resource}/{id}/copy"""
        principal = self._writing(request, creating=True)
        object_id = requests.object_id_of(request)
        changes = await requests.read_object(request, optional=True)
        context = await self._resource.hooks.before(principal, changes)

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.copy(writer, principal, self._resource, object_id, changes, context)

        return await self._run(request, principal, work)

    async def bulk(self, request: web.Request) -> web.Response:
        """POST /v1/{resource}/bulk"""
        principal = self._writing(request)
        wanted = decode(await requests.read_json(request), BulkRequest)

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._bulk.run(writer, principal, self._resource, wanted)

        return await self._run(request, principal, work)

    def _status_handler(self, status: Status) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def change(request: web.Request) -> web.Response:
            principal = self._writing(request)
            object_id, version = requests.object_id_of(request), requests.expected_version(request)

            async def work(writer: CatalogueWriter) -> Reply:
                return await self._operations.set_status(writer, principal, self._resource, object_id, status, version)

            return await self._run(request, principal, work)

        return change

    async def _run(self, request: web.Request, principal: Principal, work: Work) -> web.Response:
        write: Write = await requests.write_of(request)

        def kept(reply: Reply) -> tuple[dict[str, str], bytes]:
            # A key's secret is shown once: the kept answer must not hold it.
            shown: Any = {name: value for name, value in reply.body.items() if name != "secret"}
            is_account = self._resource.name == "api-keys"
            return requests.render(msgspec.structs.replace(reply, body=shown) if is_account else reply, self._base)

        reply = await self._operations.run(principal, write, work, kept)
        return requests.respond(reply, write, self._base)

    def _reading(self, request: web.Request) -> Principal:
        principal = request[requests.PRINCIPAL]
        principal.require(self._resource.read_scope, everywhere=self._resource.read_scope.value == "admin")
        return principal

    def _writing(self, request: web.Request, *, creating: bool = False) -> Principal:
        principal = request[requests.PRINCIPAL]
        allow_write(principal, self._resource, creating=creating)
        return principal
