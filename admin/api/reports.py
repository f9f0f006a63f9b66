"""`POST /v1/reports/query`: figures by dimensions, as JSON, CSV or Parquet."""

from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.reports.desk import ReportDesk, csv_text
from admin.reports.documents import ReportRequest
from admin.validation.decode import decode


class ReportPages:
    """For every caller, of the advertisers that they may see."""

    def __init__(self, desk: ReportDesk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/reports/query", self.query)]

    async def query(self, request: web.Request) -> web.Response:
        """POST /v1/reports/query"""
        principal: Principal = request[requests.PRINCIPAL]
        requests.reject_unknown(request, ())
        wanted = decode(await requests.read_json(request), ReportRequest)
        mine = principal.advertiser_ids
        if wanted.format == "parquet":
            body = await self._desk.parquet(wanted, mine)
            return web.Response(body=body, content_type="application/vnd.apache.parquet", headers=_named("parquet"))
        answer = await self._desk.answer(wanted, mine)
        if wanted.format == "csv":
            headers = _named("csv") | {"Grosz-Fresh-Until": answer.fresh_until or ""}
            return web.Response(text=csv_text(answer), content_type="text/csv", charset="utf-8", headers=headers)
        return requests.respond_json(answer)


def _named(ending: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="report.{ending}"'}
