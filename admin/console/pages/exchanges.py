"""What exchanges have decided of creatives, and how one is connected: address, cookie sync, the acceptance test."""

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from admin.api import requests
from admin.api.problem import Problem, problem_of, status_of
from admin.api.reading import Reader, moment_text
from admin.console.browser import Visitor, require_csrf
from admin.console.certifying import advice_of, detail_of, title_of
from admin.console.desk import Desk
from admin.console.example_request import ExampleRequests
from admin.console.fields import id_of
from admin.console.rendering import go, page
from admin.diagnosis.certification import CertificationDesk
from admin.reviews.desk import ReviewDesk
from admin.reviews.documents import ApprovalQuery, ApprovalRequest
from admin.store.kinds import CREATIVES, EXCHANGES
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.visitors.audience_desk import AudienceDesk
from core.errors import GroszError, InputError
from core.model import Creative, Exchange

_STATES: Final = ("pending", "approved", "rejected", "expired")
_PER_PAGE: Final = 100
# A run takes a second or two; whoever waits longer sees that it goes on.
_CERTIFY_PATIENCE_S: Final = 10.0


class ExchangePages:
    """Pages between creatives and exchanges."""

    def __init__(
        self,
        desk: Desk,
        reader: Reader,
        approvals: ReviewDesk,
        audiences: AudienceDesk,
        certification: CertificationDesk,
        examples: ExampleRequests,
        tracker: str,
    ) -> None:
        self._examples = examples
        self._tracker = tracker
        self._desk = desk
        self._reader = reader
        self._approvals = approvals
        self._audiences = audiences
        self._certification = certification

    async def approvals(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /approvals: by `state`, `exchange_id` and `creative_id`"""
        return await self._page(visitor, dict(request.query), None, 200)

    async def decide(self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /approvals: `action` again lets the exchange look once more, note writes down what it has said"""
        sent, caller = dict(fields), visitor.caller
        require_csrf(caller, sent)
        is_noted = sent.get("action") == "note"
        # What is noted lets ads be shown: it is for callers who may set up exchanges.
        caller.require(Scope.ADMIN if is_noted else Scope.TRADE)
        try:
            creative, exchange = await self._named(visitor, sent)
            if is_noted:
                raw = {"state": sent.get("state", ""), "reason": sent.get("reason", "").strip()}
                await self._approvals.note(creative, exchange, decode(raw, ApprovalRequest), caller.actor)
            else:
                await self._approvals.submit(creative, exchange, caller.actor)
        except GroszError as error:
            return await self._page(visitor, {}, problem_of(error), status_of(error))
        return go(f"/approvals?creative_id={creative.id}&saved")

    async def traffic(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /exchanges/{id}/traffic: where it sends requests, how cookies are matched, how it is certified"""
        visitor.caller.require(Scope.READ, everywhere=True)
        saved = "saved" in request.query
        return await self._traffic(await self._exchange(request, visitor), visitor, saved=saved)

    async def certify(self, request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /exchanges/{id}/traffic: runs the acceptance test against this machine's bidder, one at a time"""
        require_csrf(visitor.caller, dict(fields))
        visitor.caller.require(Scope.ADMIN, everywhere=True)
        exchange = await self._exchange(request, visitor)
        try:
            await self._certification.run(exchange, _CERTIFY_PATIENCE_S)
        except GroszError as error:
            return await self._traffic(exchange, visitor, problem_of(error), status_of(error))
        return go(f"/exchanges/{exchange.id}/traffic#certification")

    async def _exchange(self, request: web.Request, visitor: Visitor) -> Exchange:
        async with self._reader.store.database.read() as connection:
            found = await self._reader.require(connection, visitor.caller, EXCHANGES, requests.object_id_of(request))
        exchange: Exchange = found.value
        return exchange

    async def _traffic(
        self,
        exchange: Exchange,
        visitor: Visitor,
        problem: Problem | None = None,
        status: int = 200,
        *,
        saved: bool = False,
    ) -> web.Response:
        matches, example = None, None
        try:
            matches = await self._audiences.matches(exchange.id)
            example = await self._examples.example(visitor.caller, exchange)
        except GroszError as error:
            problem = problem or problem_of(error)
        certification = self._certification
        report = certification.report(exchange.id)
        values: dict[str, Any] = {
            "exchange": exchange,
            "matches": matches,
            "example": example,
            "address": self._examples.address(exchange),
            "is_here": bool(self._examples.bidder),
            "sync": f"{self._tracker}/sync/{exchange.key}",
            "saved": saved,
            "problem": problem,
            "report": report,
            "report_at": moment_text(report.finished_ms) if report else "",
            "is_running": certification.is_running(exchange.id),
            "may_certify": certification.is_here and visitor.caller.has(Scope.ADMIN),
            "title_of": title_of,
            "detail_of": detail_of,
            "advice_of": advice_of,
        }
        return page("exchange_traffic.html", visitor, status, here="/exchanges", **values)

    async def _named(self, visitor: Visitor, sent: dict[str, str]) -> tuple[Creative, Exchange]:
        creative_id, exchange_id = id_of(sent.get("creative_id", "")), id_of(sent.get("exchange_id", ""))
        if creative_id is None or exchange_id is None:
            raise InputError("choose a creative and an exchange")
        async with self._reader.store.database.read() as connection:
            creative = (await self._reader.require(connection, visitor.caller, CREATIVES, creative_id)).value
            exchange = (await self._reader.require(connection, visitor.caller, EXCHANGES, exchange_id)).value
        return creative, exchange

    async def _page(
        self, visitor: Visitor, asked: dict[str, str], problem: Problem | None, status: int
    ) -> web.Response:
        caller = visitor.caller
        caller.require(Scope.READ)
        chosen = {name: asked.get(name, "").strip() for name in ("state", "exchange_id", "creative_id", "cursor")}
        raw: dict[str, Any] = {"limit": _PER_PAGE}
        raw |= {name: text for name, text in chosen.items() if text and name in ("state", "cursor")}
        raw |= {name: id_of(chosen[name]) for name in ("exchange_id", "creative_id") if id_of(chosen[name])}
        found = await self._approvals.page(decode(raw, ApprovalQuery), caller.advertiser_ids)
        ids = sorted({item.creative_id for item in found.items})
        names: dict[int, str] = {}
        if ids:
            query = [("id", str(one)) for one in ids] + [("limit", str(_PER_PAGE))]
            query += [("status", status) for status in ("active", "paused", "archived")]
            names = {one["id"]: one["name"] for one in (await self._desk.page(caller, "creatives", query))["items"]}
        return page(
            "approvals.html",
            visitor,
            status,
            here="/approvals",
            found=found,
            names=names,
            exchanges=dict(await self._desk.choices(caller, "exchanges")),
            chosen=chosen,
            states=_STATES,
            problem=problem,
            saved="saved" in asked,
            may_ask=caller.has(Scope.TRADE),
            may_note=caller.has(Scope.ADMIN),
        )
