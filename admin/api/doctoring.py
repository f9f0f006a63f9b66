"""`GET /v1/doctor`: what stops delivery, from the processes down to the line items."""

import msgspec
from aiohttp import web

from admin.api import requests
from admin.api.reading import Reader
from admin.diagnosis.doctor import Doctor
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
        principal = request[requests.PRINCIPAL]
        query = decode(requests.query_values(request), DoctorQuery, strict=False)
        principal.require(Scope.READ, everywhere=query.line_item_id is None)
        if query.line_item_id is not None:
            async with self._reader.store.database.read() as connection:
                await self._reader.require(connection, principal, LINE_ITEMS, query.line_item_id)
        if principal.advertiser_ids is not None and query.line_item_id is not None:
            return requests.respond_json(await self._doctor.examine_line_item(query.line_item_id))
        return requests.respond_json(await self._doctor.examine(query.line_item_id))
