"""The overview: what was spent, what is delivered now, what needs attention."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.api.budgets import BudgetPages, BudgetState, DayPlan, DaySpend
from admin.api.doctoring import Doctoring
from admin.api.explanations import Explanations
from admin.console.beginning import Beginning
from admin.console.browser import Visitor
from admin.console.desk import Desk
from admin.console.pages.lists import delivered
from admin.console.rendering import page
from admin.diagnosis.findings import Report, Severity, is_settling
from admin.store.model import Scope
from core.errors import NotFoundError, UnavailableError
from core.model import Status
from core.money import format_micros

_ADVERTISERS = 100
_LEADERS = 10
# A page waits so long for Redis, then shows the rest.
_PATIENCE_S = 4
# A page of findings; `grosz doctor` writes all of them.
_FINDINGS = 500
# The doctor's whole round takes seconds with 10,000 line items, and each overview asks for it.
_REPORT_KEPT_S = 15

# A change reaches bidders and budgets within a second or two; what is still amiss then is worth an alarm.
_SETTLING_S = 1.0
_MORE_LOOKS = 3

# Where what the doctor finds is mended; other areas are no matter of a page.
_CURES: Final = {
    "exchanges": "/exchanges", "prices": "/exchanges", "products": "/feeds", "line items": "/line-items",
}  # fmt: skip


class Overview:
    """The first page, and the page of a line item's delivery."""

    def __init__(
        self,
        desk: Desk,
        budgets: BudgetPages,
        doctoring: Doctoring,
        explanations: Explanations,
        beginning: Beginning,
    ) -> None:
        self._desk = desk
        self._beginning = beginning
        self._budgets = budgets
        self._doctoring = doctoring
        self._explanations = explanations
        self._examining = asyncio.Lock()
        self._report: tuple[float, Report] | None = None

    async def show(self, _request: web.Request, visitor: Visitor) -> web.Response:
        """GET /"""
        caller = visitor.caller
        query = [("limit", str(_ADVERTISERS)), ("status", "active"), ("sort", "name")]
        found = await self._desk.page(caller, "advertisers", query)
        shops = {shop["id"]: shop for shop in found["items"]}
        plans = await self._budgets.plans(caller, list(shops))
        spent = await self._budgets.spent_today(caller, {one: shops[one]["timezone"] for one in shops}, _LEADERS)
        items = await self._leaders(caller, spent)
        states = await self._states(caller, [item["id"] for item in items])
        return page(
            "overview.html",
            visitor,
            here="/",
            shops=[_shop(shop, plans[one], spent[one]) for one, shop in shops.items()],
            further=bool(found["next"]),
            rows=[(item, delivered(item, (states or {}).get(item["id"], []))) for item in items],
            available=states is not None,
            everywhere=caller.advertiser_ids is None,
            may_start=self._desk.may_write(caller, "line-items"),
            may_own=self._desk.may_create(caller, "advertisers"),
        )

    async def _leaders(self, caller: Principal, spent: Mapping[int, DaySpend]) -> list[dict[str, Any]]:
        """The line items that spent most today, of each currency by its own amounts."""
        amounts = {one: micros for day in spent.values() for one, micros in day.by_line_item.items()}
        first = sorted(amounts, key=lambda one: -amounts[one])[:_LEADERS]
        if not first:
            return []
        query = [("id", str(one)) for one in first] + [("status", status.value) for status in Status]
        items = (await self._desk.page(caller, "line-items", query))["items"]
        return sorted(items, key=lambda item: first.index(item["id"]))

    async def _states(self, caller: Principal, ids: Sequence[int]) -> Mapping[int, Sequence[BudgetState]] | None:
        """The money counters of line items; None where Redis does not answer in time."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._budgets.of_line_items(caller, ids)
        except (TimeoutError, UnavailableError):
            return None

    async def attention(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /attention: what the doctor finds, the worst first"""
        report = await self._whole_report(visitor.caller)
        found = [one for one in report.findings if one.severity is not Severity.OK]
        found.sort(key=lambda one: one.severity is not Severity.STOP or one.is_waiting)
        return page(
            "attention.html",
            visitor,
            here="/attention",
            findings=found,
            cures=_CURES,
            most=5 if "most" in request.query else _FINDINGS,
        )

    async def _whole_report(self, caller: Principal) -> Report:
        """What the doctor found lately, the same for all who may ask; one asks at a time. Raises Forbidden."""
        caller.require(Scope.READ, everywhere=True)
        async with self._examining:
            now = asyncio.get_running_loop().time()
            if self._report is None or now - self._report[0] > _REPORT_KEPT_S:
                self._report = (now, await self._doctoring.report(caller, None))
            return self._report[1]

    async def delivery(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /line-items/{id}/delivery: budgets, the funnel with its biggest loss first, what the doctor says"""
        object_id, caller = requests.object_id_of(request), visitor.caller
        item = await self._desk.read(caller, "line-items", object_id)
        funnel, states, steps = None, None, []
        try:
            async with asyncio.timeout(_PATIENCE_S):
                funnel = await self._explanations.funnel_of(caller, object_id)
                states = (await self._budgets.of_line_items(caller, [object_id]))[object_id]
                steps = await self._beginning.steps(caller, item, funnel)
        except (TimeoutError, UnavailableError):
            funnel, states = None, None
        return page("delivery.html", visitor, here="/line-items", item=item, funnel=funnel, states=states, steps=steps)

    async def findings(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /line-items/{id}/findings: what the doctor says of a line item; the page of its delivery asks for it"""
        object_id, caller = requests.object_id_of(request), visitor.caller
        item = await self._desk.read(caller, "line-items", object_id)
        found, published = [], True
        try:
            report = await self._settled_report(caller, object_id)
            found = [one for one in report.findings if one.line_item_id == object_id or one.severity is Severity.STOP]
        except NotFoundError:
            published = False  # it is archived, or so new that the bidders have not got it
        found = [one for one in found if one.severity is not Severity.OK]
        return page("findings.html", visitor, here="/line-items", item=item, findings=found, published=published)

    async def _settled_report(self, caller: Principal, line_item_id: int) -> Report:
        """What the doctor says of a line item once what a change sets in motion is through. Raises NotFoundError."""
        report = await self._doctoring.report(caller, line_item_id)
        for _ in range(_MORE_LOOKS):
            if not any(is_settling(finding) for finding in report.findings):
                break
            await asyncio.sleep(_SETTLING_S)
            report = await self._doctoring.report(caller, line_item_id)
        return report


def _shop(advertiser: Mapping[str, Any], plan: DayPlan, spent: DaySpend) -> dict[str, Any]:
    """What an advertiser's line items spent today, and what is planned for the day."""
    currency = advertiser["currency"]
    planned = plan.micros if plan.is_limited and plan.line_items else None
    return {
        "advertiser": advertiser,
        "line_items": plan.line_items,
        "today": {"amount": format_micros(spent.micros), "currency": currency},
        "planned": None if planned is None else {"amount": format_micros(planned), "currency": currency},
        "percent": min(100, round(100 * spent.micros / planned)) if planned else None,
        "impressions": spent.impressions,
    }
