"""`/v1/line-items/{id}/target`: how a line item fares with its target, and going on after it was stopped."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from admin.api import requests
from admin.api.reading import Reader
from admin.diagnosis.paced import PacingDesk, TargetReport, TargetResume
from admin.store.model import Scope
from core.model import Advertiser, LineItem

PATH = "/v1/line-items/{id}/target"

Json = dict[str, Any]


class Targets:
    """Lets callers see, and resume, line items that they may see."""

    def __init__(self, reader: Reader, desk: PacingDesk) -> None:
        self._reader = reader
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.read, allow_head=False), web.post(f"{PATH}/resume", self.resume)]

    async def read(self, request: web.Request) -> web.Response:
        """GET /v1/line-items/{id}/target"""
        requests.reject_unknown(request, ())
        line_item, advertiser = await self._line_item(request, Scope.READ)
        return requests.respond_json(await self._desk.target(line_item, advertiser.currency))

    async def resume(self, request: web.Request) -> web.Response:
        """POST /v1/line-items/{id}/target/resume"""
        requests.reject_unknown(request, ())
        line_item, _ = await self._line_item(request, Scope.TRADE)
        return requests.respond_json(await self._desk.resume(line_item), HTTPStatus.ACCEPTED)

    async def _line_item(self, request: web.Request, scope: Scope) -> tuple[LineItem, Advertiser]:
        return await self._reader.line_item(request[requests.PRINCIPAL], requests.object_id_of(request), scope)


TARGET_TYPES = (TargetReport, TargetResume)


def target_paths(operation: Callable[..., Json], object_id: Json) -> Json:
    """The paths of targets in the OpenAPI document, made with the builders of admin.api.openapi."""
    read = operation(None, "target", "How a line item fares with its target", TargetReport, [object_id])
    resume = operation(
        None, "resumeTarget", "Go on with a line item that its target stopped", TargetResume, [object_id], None, 202
    )
    return {PATH: {"get": read}, f"{PATH}/resume": {"post": resume}}
