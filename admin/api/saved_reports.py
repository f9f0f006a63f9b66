"""`/v1/reports/saved`, their links, who may be written to, and what was sent; pages behind links are the console's."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.api.product_paths import Json
from admin.mail.outbox import Outbox
from admin.reports.deliveries import SentDelivery, SentDeliveryPage, sent_delivery
from admin.reports.desk import ReportDesk
from admin.reports.documents import ReportAnswer
from admin.reports.inviting import invite
from admin.reports.saved import (
    LinkRequest,
    Recipient,
    RecipientPage,
    RecipientRequest,
    ReportDraft,
    ReportLink,
    ReportLinkPage,
    SavedReport,
    SavedReportDesk,
    SavedReportPage,
    seen_by,
)
from admin.store.model import Scope
from admin.validation.decode import decode
from core.errors import Fault, InputError, NotFoundError

_STATES: Final = ("waiting", "sent", "dead")


class SavedReportPages:
    """Reading needs the scope `read`, everything else `trade`."""

    def __init__(self, saved: SavedReportDesk, reports: ReportDesk, outbox: Outbox, public_url: str) -> None:
        self._saved, self._reports, self._outbox, self._public_url = saved, reports, outbox, public_url.rstrip("/")

    def routes(self) -> list[web.RouteDef]:
        one, link = "/v1/reports/saved/{id}", "/v1/reports/saved/{id}/links"
        return [
            web.get("/v1/reports/saved", self.listed, allow_head=False),
            web.post("/v1/reports/saved", self.create),
            web.get(one, self.read, allow_head=False),
            web.put(one, self.replace),
            web.delete(one, self.delete),
            web.post(f"{one}/run", self.run),
            web.get(link, self.links, allow_head=False),
            web.post(link, self.share),
            web.delete(f"{link}/{{link}}", self.revoke),
            web.get("/v1/reports/recipients", self.recipients, allow_head=False),
            web.post("/v1/reports/recipients", self.ask),
            web.post("/v1/reports/recipients/forget", self.forget),
            web.get("/v1/reports/deliveries", self.deliveries, allow_head=False),
            web.post("/v1/reports/deliveries/{id}/send-again", self.again),
        ]

    async def listed(self, request: web.Request) -> web.Response:
        """GET /v1/reports/saved"""
        return requests.respond_json(SavedReportPage(await self._saved.listed(_reading(request))))

    async def create(self, request: web.Request) -> web.Response:
        """POST /v1/reports/saved"""
        mine = _writing(request)
        made = await self._saved.save(decode(await requests.read_json(request), ReportDraft), mine)
        return requests.respond_json(made, 201, {"Location": f"/v1/reports/saved/{made.id}"})

    async def read(self, request: web.Request) -> web.Response:
        """GET /v1/reports/saved/{id}"""
        mine = _reading(request)
        return requests.respond_json(await self._saved.get(requests.object_id_of(request), mine))

    async def replace(self, request: web.Request) -> web.Response:
        """PUT /v1/reports/saved/{id}"""
        mine, number = _writing(request), requests.object_id_of(request)
        draft = decode(await requests.read_json(request), ReportDraft)
        return requests.respond_json(await self._saved.save(draft, mine, number))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /v1/reports/saved/{id}"""
        mine = _writing(request)
        await self._saved.delete(requests.object_id_of(request), mine)
        return web.Response(status=204)

    async def run(self, request: web.Request) -> web.Response:
        """POST /v1/reports/saved/{id}/run"""
        mine = _reading(request)
        report = await self._saved.get(requests.object_id_of(request), mine)
        return requests.respond_json(await self._reports.answer(report.request, seen_by(report) or mine))

    async def links(self, request: web.Request) -> web.Response:
        """GET /v1/reports/saved/{id}/links"""
        mine = _reading(request)
        return requests.respond_json(ReportLinkPage(await self._saved.links(requests.object_id_of(request), mine)))

    async def share(self, request: web.Request) -> web.Response:
        """POST /v1/reports/saved/{id}/links"""
        mine, number = _writing(request), requests.object_id_of(request)
        asked = decode(await requests.read_json(request, optional=True), LinkRequest)
        return requests.respond_json(await self._saved.share(number, asked, mine), 201)

    async def revoke(self, request: web.Request) -> web.Response:
        """DELETE /v1/reports/saved/{id}/links/{link}"""
        mine, text = _writing(request), request.match_info["link"]
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            raise NotFoundError("there is no such link")
        await self._saved.revoke(requests.object_id_of(request), int(text), mine)
        return web.Response(status=204)

    async def recipients(self, request: web.Request) -> web.Response:
        """GET /v1/reports/recipients"""
        return requests.respond_json(RecipientPage(await self._saved.recipients(_reading(request))))

    async def ask(self, request: web.Request) -> web.Response:
        """POST /v1/reports/recipients: a mail asks the owner of the address."""
        mine = _writing(request)
        asked = decode(await requests.read_json(request), RecipientRequest)
        await invite(self._saved, self._outbox, self._public_url, asked, mine)
        return requests.respond_json(Recipient(asked.address, asked.advertiser_id, None), 202)

    async def forget(self, request: web.Request) -> web.Response:
        """POST /v1/reports/recipients/forget"""
        mine = _writing(request)
        await self._saved.forget_recipient(decode(await requests.read_json(request), RecipientRequest), mine)
        return web.Response(status=204)

    async def deliveries(self, request: web.Request) -> web.Response:
        """GET /v1/reports/deliveries"""
        mine = _reading(request)
        requests.reject_unknown(request, ("state",))
        state = request.query.get("state", "")
        if state and state not in _STATES:
            raise InputError(
                "the input is not valid", faults=[Fault("/state", "enum", f"is none of {', '.join(_STATES)}")]
            )
        rows = await self._outbox.listed(mine, state)
        return requests.respond_json(SentDeliveryPage([sent_delivery(row) for row in rows]))

    async def again(self, request: web.Request) -> web.Response:
        """POST /v1/reports/deliveries/{id}/send-again"""
        mine = _writing(request)
        if not await self._outbox.again(requests.object_id_of(request), mine):
            raise NotFoundError("there is no delivery of this number that was set aside")
        return web.Response(status=204)


def _reading(request: web.Request) -> frozenset[int] | None:
    principal: Principal = request[requests.PRINCIPAL]
    principal.require(Scope.READ)
    return principal.advertiser_ids


def _writing(request: web.Request) -> frozenset[int] | None:
    principal: Principal = request[requests.PRINCIPAL]
    principal.require(Scope.TRADE)
    return principal.advertiser_ids


def saved_report_paths(said: Callable[..., Json], object_id: Json) -> Json:
    """The paths of saved reports in the OpenAPI document, made with the builder of admin.api.desk_paths."""
    one = [object_id]
    link = {"name": "link", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}
    state = {"name": "state", "in": "query", "schema": {"enum": list(_STATES)}}
    saved, links = "/v1/reports/saved", "/v1/reports/saved/{id}/links"
    return {
        saved: {
            "get": said("listSavedReports", "Saved reports", SavedReportPage),
            "post": _answers(said("saveReport", "Save a report", SavedReport, (), ReportDraft), 201),
        },
        f"{saved}/{{id}}": {
            "get": said("readSavedReport", "A saved report", SavedReport, one),
            "put": said("replaceSavedReport", "Change a saved report", SavedReport, one, ReportDraft),
            "delete": _answers(said("deleteSavedReport", "Forget a report and its links", SavedReport, one), 204),
        },
        f"{saved}/{{id}}/run": {"post": said("runSavedReport", "The figures now", ReportAnswer, one)},
        links: {
            "get": said("listReportLinks", "Links to a report", ReportLinkPage, one),
            "post": _answers(said("shareReport", "A link for whoever has it", ReportLink, one, LinkRequest), 201),
        },
        f"{links}/{{link}}": {
            "delete": _answers(said("revokeReportLink", "End a link", ReportLink, [object_id, link]), 204)
        },
        "/v1/reports/recipients": {
            "get": said("listRecipients", "Who may be written to", RecipientPage),
            "post": _answers(said("askRecipient", "Ask an address", Recipient, (), RecipientRequest), 202),
        },
        "/v1/reports/recipients/forget": {
            "post": _answers(said("forgetRecipient", "Write no more", Recipient, (), RecipientRequest), 204)
        },
        "/v1/reports/deliveries": {
            "get": said("listDeliveries", "What was sent or could not be", SentDeliveryPage, [state])
        },
        "/v1/reports/deliveries/{id}/send-again": {
            "post": _answers(said("sendDeliveryAgain", "Send what was set aside once more", SentDelivery, one), 204)
        },
    }


def _answers(operation: Json, status: int) -> Json:
    """The same operation, answered with another status than 200; 204 has no body."""
    good = operation["responses"].pop("200")
    operation["responses"][str(status)] = {"description": "Done."} if status == 204 else good
    return operation
