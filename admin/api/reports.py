"""`POST /v1/reports/query`: figures by dimensions, as JSON, CSV, Parquet or XLSX."""

from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.reports.desk import ReportDesk
from admin.reports.documents import ReportRequest, ReportTerms
from admin.reports.files import csv_text
from admin.validation.decode import decode
from journal.figures import DIMENSIONS, MEASURES, form_of


class ReportPages:
    """Routes of reports: every caller gets figures of the advertisers that they may see."""

    def __init__(self, desk: ReportDesk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/reports/query", self.query),
            web.get("/v1/reports/terms", self.terms, allow_head=False),
        ]

    async def query(self, request: web.Request) -> web.Response:
        """POST /v1/reports/query"""
        principal: Principal = request[requests.PRINCIPAL]
        requests.reject_unknown(request, ())
        wanted = decode(await requests.read_json(request), ReportRequest)
        mine = principal.advertiser_ids
        if wanted.format in ("parquet", "xlsx"):
            made = await self._desk.file(wanted, mine)
            return web.Response(body=made.body, content_type=made.content_type, headers=_named(made.ending))
        answer = await self._desk.answer(wanted, mine)
        if wanted.format == "csv":
            headers = _named("csv") | {"Grosz-Fresh-Until": answer.fresh_until or ""}
            text = csv_text(answer, names=wanted.names)
            return web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers)
        return requests.respond_json(answer)

    async def terms(self, request: web.Request) -> web.Response:
        """GET /v1/reports/terms"""
        requests.reject_unknown(request, ())
        return requests.respond_json(ReportTerms(DIMENSIONS, {name: form_of(name) for name in MEASURES}))


def _named(ending: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="report.{ending}"'}
