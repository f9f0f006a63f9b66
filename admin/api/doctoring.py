"""`GET /v1/doctor`: what stops delivery, from the processes down to the line items."""

import msgspec
from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.api.reading import Reader
from admin.diagnosis.doctor import Doctor
from admin.diagnosis.findings import Report
from admin.store.kinds import LINE_ITEMS
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.validation.fields import Id


class DoctorQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Everything, or one line item. Callers who may not see all advertisers must name one of theirs."""

    line_item_id: Id | None = None


class Doctoring:
    """Lets callers ask the doctor."""

    def __init__(self, reader: Reader, doctor: Doctor) -> None:
        self._reader = reader
        self._doctor = doctor

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/doctor", self.examine, allow_head=False)]

    async def examine(self, request: web.Request) -> web.Response:
        """GET /v1/doctor"""
        query = decode(requests.query_values(request), DoctorQuery, strict=False)
        return requests.respond_json(await self.report(request[requests.PRINCIPAL], query.line_item_id))

    async def report(self, principal: Principal, line_item_id: int | None) -> Report:
        """What the doctor finds, of everything or of one line item. Raises Forbidden, NotFoundError."""
        principal.require(Scope.READ, everywhere=line_item_id is None)
        if line_item_id is not None:
            async with self._reader.store.database.read() as connection:
                await self._reader.require(connection, principal, LINE_ITEMS, line_item_id)
        if principal.advertiser_ids is not None and line_item_id is not None:
            return await self._doctor.examine_line_item(line_item_id)
        return await self._doctor.examine(line_item_id)
