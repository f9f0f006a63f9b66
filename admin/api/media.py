"""Media: files of ads, uploaded for an advertiser."""

from http import HTTPStatus

from aiohttp import web

from admin.api import requests
from admin.api.problem import ApiError
from admin.api.reading import Reader
from admin.store.model import Scope
from creatives.media.desk import MediaDesk
from creatives.media.kinds import BadMediaError

CHUNK_BYTES = 256 * 1024


class MediaPages:
    """Routes of uploads."""

    def __init__(self, reader: Reader, desk: MediaDesk) -> None:
        self._reader = reader
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """One route: what was uploaded is read from the track port."""
        return [web.post("/v1/advertisers/{id}/media", self.upload)]

    async def upload(self, request: web.Request) -> web.Response:
        """POST /v1/advertisers/{id}/media"""
        requests.reject_unknown(request, ())
        await self._reader.advertiser(request[requests.PRINCIPAL], requests.object_id_of(request), Scope.TRADE)
        try:
            kept = await self._desk.upload(request.content.iter_chunked(CHUNK_BYTES))
        except BadMediaError as error:
            if error.code != "too_large":
                raise
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.reason, hint=error.advice) from None
        return requests.respond_json(kept, HTTPStatus.CREATED)
