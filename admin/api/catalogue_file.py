"""The whole catalogue as one file: `GET /v1/catalogue/export` and `POST /v1/catalogue/import`."""

from collections.abc import Callable

from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.api.problem import JSON
from admin.catalogue.file import Imported, export_bytes, import_bytes
from admin.store.catalogue import CatalogueStore
from admin.store.model import Scope


class CatalogueFile:
    """Export and import of the whole catalogue. They concern every advertiser: the scope admin and access to all.

    Keys and tokens are masked in what is exported, since the API never shows them.
    """

    def __init__(self, store: CatalogueStore, committed: Callable[[], None]) -> None:
        self._store = store
        self._committed = committed

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/catalogue/export", self.export, allow_head=False),
            web.post("/v1/catalogue/import", self.take),
        ]

    async def export(self, request: web.Request) -> web.Response:
        """GET /v1/catalogue/export"""
        _everything(request)
        requests.reject_unknown(request, ())
        return web.Response(body=await export_bytes(self._store, reveal=False), content_type=JSON)

    async def take(self, request: web.Request) -> web.Response:
        """POST /v1/catalogue/import"""
        principal = _everything(request)
        requests.reject_unknown(request, ())
        await requests.read_json(request)  # the content type, and that it is JSON
        done: Imported = await import_bytes(self._store, await requests.whole_body(request), principal.actor)
        self._committed()
        return requests.respond_json(done)


def _everything(request: web.Request) -> Principal:
    principal: Principal = request[requests.PRINCIPAL]
    principal.require(Scope.ADMIN, everywhere=True)
    return principal
