"""`/v1/creatives/{id}/scan`: a creative against what it says of itself, by loading what it names."""

from aiohttp import web

from admin.api import requests
from admin.api.reading import Reader
from admin.store.model import Scope
from creatives.scanning.loaded import CreativeScanner

PATH = "/v1/creatives/{id}/scan"


class ScanPages:
    """Scans creatives that the caller may see."""

    def __init__(self, reader: Reader, scanner: CreativeScanner) -> None:
        self._reader = reader
        self._scanner = scanner

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.scan)]

    async def scan(self, request: web.Request) -> web.Response:
        """POST /v1/creatives/{id}/scan"""
        requests.reject_unknown(request, ())
        principal = request[requests.PRINCIPAL]
        principal.require(Scope.TRADE)  # it calls addresses
        creative = await self._reader.creative(principal, requests.object_id_of(request))
        advertiser = await self._reader.advertiser(principal, creative.advertiser_id, Scope.TRADE)
        return requests.respond_json(await self._scanner.scan(creative, advertiser.domain))
