"""The overview: what was spent, what is delivered now, what needs attention."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from aiohttp import web

from admin.api.budgets import BudgetPages
from admin.api.doctoring import Doctoring
from admin.api.explanations import Explanations
from admin.console.browser import Visitor
from admin.console.desk import Desk
from admin.console.pages.lists import delivered, object_id_of
from admin.console.rendering import page
from admin.diagnosis.findings import Severity
from core.errors import UnavailableError

# Line items of one page of the overview; those that spent most today come first.
_LINE_ITEMS = 500
# A page of findings; `grosz doctor` writes all of them.
_FINDINGS = 500


class Overview:
    """The first page, and the page of a line item's delivery."""

    def __init__(self, desk: Desk, budgets: BudgetPages, doctoring: Doctoring, explanations: Explanations) -> None:
        self._desk = desk
        self._budgets = budgets
        self._doctoring = doctoring
        self._explanations = explanations

    async def show(self, _request: web.Request, visitor: Visitor) -> web.Response:
        """GET /"""
        caller = visitor.caller
        query = [("limit", str(_LINE_ITEMS)), ("status", "active"), ("total", "true")]
        found = await self._desk.page(caller, "line-items", query)
        advertisers = (await self._desk.page(caller, "advertisers", [("limit", "100"), ("status", "active")]))["items"]
        available = True
        try:
            states = await self._budgets.of_line_items(caller, [item["id"] for item in found["items"]])
        except UnavailableError:
            states, available = {}, False
        rows = [(item, delivered(item, states.get(item["id"], []))) for item in found["items"]]
        rows.sort(key=lambda row: -Decimal(row[1]["today"]["amount"]))
        return page(
            "overview.html",
            visitor,
            here="/",
            shops=[_shop(advertiser, rows) for advertiser in advertisers],
            rows=rows[:20],
            total=found["total"],
            available=available,
            everywhere=caller.advertiser_ids is None,
        )

    async def attention(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /attention: what the doctor finds, the worst first"""
        report = await self._doctoring.report(visitor.caller, None)
        found = [one for one in report.findings if one.severity is not Severity.OK]
        found.sort(key=lambda one: one.severity is not Severity.STOP)
        return page(
            "attention.html",
            visitor,
            here="/attention",
            findings=found,
            most=5 if "most" in request.query else _FINDINGS,
        )

    async def delivery(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /line-items/{id}/delivery: budgets, the funnel with its biggest loss first, what the doctor says"""
        object_id, caller = object_id_of(request), visitor.caller
        item = await self._desk.read(caller, "line-items", object_id)
        funnel = await self._explanations.funnel_of(caller, object_id)
        report = await self._doctoring.report(caller, object_id)
        states = await self._budgets.of_line_items(caller, [object_id])
        return page(
            "delivery.html",
            visitor,
            here="/line-items",
            item=item,
            funnel=funnel,
            findings=[one for one in report.findings if one.line_item_id == object_id or one.severity is Severity.STOP],
            spent=delivered(item, states[object_id]),
            states=states[object_id],
        )


def _shop(advertiser: Mapping[str, Any], rows: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, Any]:
    """What an advertiser's active line items spent, and have for today."""
    own = [(item, spent) for item, spent in rows if item["advertiser_id"] == advertiser["id"]]
    currency = advertiser["currency"]
    budgets = [item["daily_budget"]["spend"] for item, _ in own]
    planned = sum((Decimal(budget["amount"]) for budget in budgets if budget), Decimal(0))
    today = sum((Decimal(spent["today"]["amount"]) for _, spent in own), Decimal(0))
    return {
        "advertiser": advertiser,
        "line_items": len(own),
        "today": {"amount": str(today), "currency": currency},
        "planned": {"amount": str(planned), "currency": currency} if planned and all(budgets) else None,
        "percent": min(100, round(100 * today / planned)) if planned else None,
        "impressions": sum(spent["impressions"] for _, spent in own),
    }
