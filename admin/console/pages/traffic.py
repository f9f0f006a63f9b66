"""What recorded traffic says: requests of a line item explained, what it would do; a campaign before it is made."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from admin.api import requests
from admin.api.problem import problem_of, status_of
from admin.api.reading import moment_text
from admin.console.browser import Visitor, require_csrf
from admin.console.desk import Desk
from admin.console.fields import id_of
from admin.console.pages.wizard import Wizard
from admin.console.rendering import page
from admin.diagnosis.forecasting import Forecast, ForecastDesk, ForecastRequest
from admin.diagnosis.recorded import RecordedDesk, RecordedQuery
from admin.store.model import Scope
from core.errors import GroszError, InputError, NotFoundError

_SHOWN: Final = 30
# Somebody waits for it beside a form: a part of the week's requests that takes a second or two.
_PART: Final = 0.25
_FACTORS: Final = (0.5, 1.0, 1.5, 2.0)


class TrafficPages:
    """Pages about recorded requests."""

    def __init__(self, desk: Desk, recorded: RecordedDesk, forecasts: ForecastDesk, wizard: Wizard) -> None:
        self._desk = desk
        self._recorded = recorded
        self._forecasts = forecasts
        self._wizard = wizard

    async def recorded(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /line-items/{id}/recorded: the newest requests on which it bid; `request` is the one to explain"""
        caller, object_id = visitor.caller, requests.object_id_of(request)
        item = await self._desk.read(caller, "line-items", object_id)
        caller.require(Scope.READ)
        values: dict[str, Any] = {"found": (), "told": None, "problem": None}
        values["chosen"] = request.query.get("request", "")
        try:
            query = RecordedQuery(line_item_id=object_id, limit=_SHOWN)
            listed = await self._recorded.listed(query, caller.advertiser_ids)
            values["found"] = [(one, moment_text(one.at_ms)) for one in listed.requests]
            if values["chosen"]:
                values["told"] = await self._recorded.explain(values["chosen"], object_id, caller.advertiser_ids)
        except GroszError as error:
            values["problem"] = problem_of(error)
        return page("recorded.html", visitor, here="/line-items", item=item, **values)

    async def forecast(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /line-items/{id}/forecast: what it would do on the last week's traffic, bid by bid"""
        caller, object_id = visitor.caller, requests.object_id_of(request)
        item = await self._desk.read(caller, "line-items", object_id)
        caller.require(Scope.READ)
        asked = ForecastRequest(line_item_id=object_id, part=_PART, factors=_FACTORS)
        return await self._told(visitor, "forecast.html", self._forecasts.forecast(asked, caller.advertiser_ids), item)

    async def of_wizard(
        self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]
    ) -> web.Response:
        """POST /start/forecast: what the form's campaign would do; the review asks for it"""
        sent = {name: text.strip() for name, text in fields}
        require_csrf(visitor.caller, sent)
        visitor.caller.require(Scope.READ)
        return await self._told(visitor, "forecast_part.html", self._of_form(visitor, sent), {})

    async def _of_form(self, visitor: Visitor, sent: Mapping[str, str]) -> Forecast:
        """Raises InputError, NotFoundError."""
        caller, advertiser_id = visitor.caller, id_of(sent.get("advertiser_id", ""))
        if advertiser_id is None:
            raise NotFoundError("a new advertiser has no traffic yet", hint="come back when its campaign has run")
        campaigns = await self._desk.choices(caller, "campaigns", advertiser_id)
        wanted = self._wizard.size_of(sent)
        query = [("advertiser_id", str(advertiser_id)), ("status", "active"), ("limit", "500")]
        ads = [
            one["id"]
            for one in (await self._desk.page(caller, "creatives", query))["items"]
            if (one["width"], one["height"]) == wanted
        ]
        if not campaigns or not ads:
            hint = "start the campaign, then look at its forecast"
            raise InputError("there is no forecast before the advertiser has an ad of this size", hint=hint)
        document = self._wizard.line_item_of(sent) | {
            "advertiser_id": advertiser_id, "campaign_id": campaigns[0][0], "creative_ids": ads[:20],
            "name": "forecast",
        }  # fmt: skip
        asked = ForecastRequest(line_item=document, part=_PART, factors=())
        return await self._forecasts.forecast(asked, caller.advertiser_ids)

    async def _told(
        self, visitor: Visitor, template: str, asked: Awaitable[Forecast], item: Mapping[str, Any]
    ) -> web.Response:
        forecast, problem, status = None, None, 200
        try:
            forecast = await asked
        except GroszError as error:
            expected = isinstance(error, InputError | NotFoundError)
            problem, status = problem_of(error), 200 if expected else status_of(error)
        return page(template, visitor, status, here="/line-items", item=item, forecast=forecast, problem=problem)
