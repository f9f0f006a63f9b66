"""A new campaign in one form: goal, budget, audience in words, ad. It makes four objects, all of them or none."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from admin.access.principal import Principal
from admin.api.problem import Problem, problem_of, status_of
from admin.console.browser import Visitor, require_csrf
from admin.console.desk import Desk, Step
from admin.console.fields import FormField, amount_text, document_of, id_of
from admin.console.rendering import go, page
from core.errors import Fault, GroszError, InputError
from segments.audiences.ready_made import READY_MADE, parameter_value, rule_of

_EVERYBODY = "everybody"
# A thousand impressions never cost more than this many times what a click is paid with, unless a person says so.
_DEFAULT_MAX_CPM = "40.00"
_GOALS = ("cpc", "cpm", "cpa")

_NAMES = (
    "advertiser_id", "name", "goal", "bid", "max_cpm", "daily_budget", "total_budget", "start", "end", "audience",
    "countries", "size", "image_url", "landing_url",
)  # fmt: skip


class Wizard:
    """The page of a new campaign."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def form(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /start"""
        start = {"goal": "cpc", "max_cpm": _DEFAULT_MAX_CPM, "audience": "cart_abandoners", "size": "300x250"}
        return await self._page(visitor, start | dict(request.query), None, None, 200)

    async def make(self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /start: `action` review shows what would be made, make makes it."""
        sent = {name: text.strip() for name, text in fields}
        require_csrf(visitor.caller, sent)
        reviewing = sent.get("action") != "make"
        try:
            steps = await self._steps(visitor.caller, sent)
            made = await self._desk.create_together(visitor.caller, steps, dry_run=reviewing)
        except GroszError as error:
            return await self._page(visitor, sent, None, problem_of(error), status_of(error))
        if reviewing:
            return await self._page(visitor, sent, made, None, 200)
        return go(f"/line-items/{made[-1]['id']}/delivery")

    async def _page(
        self,
        visitor: Visitor,
        sent: Mapping[str, str],
        review: Sequence[Mapping[str, Any]] | None,
        problem: Problem | None,
        status: int,
    ) -> web.Response:
        shown = {name: sent.get(name, "") for name in _NAMES}
        parameters = {name: text for name, text in sent.items() if "." in name}
        advertisers = await self._desk.choices(visitor.caller, "advertisers")
        values = {"shown": shown, "parameters": parameters, "advertisers": advertisers, "audiences": READY_MADE}
        more = {"goals": _GOALS, "review": review, "problem": problem}
        return page("start.html", visitor, status, here="/start", **values, **more)

    async def _steps(self, caller: Principal, sent: Mapping[str, str]) -> list[Step]:
        """What is made, in order. Raises InputError, NotFoundError."""
        advertiser_id = id_of(sent.get("advertiser_id", ""))
        if advertiser_id is None:
            fault = Fault("/advertiser_id", "required", "choose an advertiser", "make one first, if there is none")
            raise InputError("the input is not valid", faults=[fault])
        owner = {"advertiser_id": advertiser_id}
        advertiser = await self._desk.read(caller, "advertisers", advertiser_id)
        flight = _flight(sent)
        steps = [Step("campaigns", lambda _made: owner | {"name": sent.get("name", "")} | flight)]
        segment = _segment(sent, str(advertiser["currency"]))
        if segment:
            steps.append(Step("segments", lambda _made: owner | segment))
        creative = _creative(sent) | {"advertiser_domain": advertiser["domain"] or _host(sent.get("landing_url", ""))}
        steps.append(Step("creatives", lambda _made: owner | creative))
        line_item = owner | _line_item(sent)
        steps.append(Step("line-items", lambda made: _linked(line_item, made, with_segment=bool(segment)) | flight))
        return steps


def _linked(line_item: Mapping[str, Any], made: Sequence[Mapping[str, Any]], *, with_segment: bool) -> dict[str, Any]:
    """The line item with the objects that were made before it."""
    segments = {"segments_any": [made[1]["id"]]} if with_segment else {}
    targeting = {**line_item.get("targeting", {}), **segments}
    return {**line_item, "campaign_id": made[0]["id"], "creative_ids": [made[-1]["id"]], "targeting": targeting}


def _flight(sent: Mapping[str, str]) -> dict[str, Any]:
    fields = (FormField("start", "", "moment"), FormField("end", "", "moment"))
    return {name: value for name, value in _document(fields, sent).items() if value}


def _segment(sent: Mapping[str, str], currency: str) -> dict[str, str] | None:
    key = sent.get("audience", _EVERYBODY)
    if key == _EVERYBODY:
        return None
    ready = READY_MADE.get(key)
    if ready is None:
        fault = Fault("/audience", "not_allowed", "there is no such audience", "choose one of the list")
        raise InputError("the input is not valid", faults=[fault])
    texts = {one.name: sent.get(f"{key}.{one.name}", "").strip() for one in ready.parameters}
    values = {one.name: parameter_value(one, texts[one.name], currency) for one in ready.parameters if texts[one.name]}
    return {"name": f"{ready.name}: {sent.get('name', '')}"[:255], "rule": rule_of(key, currency, values)}


def _host(url: str) -> str:
    """The host of a landing page, for an advertiser that has not told its domain; "" where there is none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:  # a bracket that opens no IPv6 address: the API says what is wrong with the page
        return ""


def _creative(sent: Mapping[str, str]) -> dict[str, Any]:
    found = re.fullmatch(r"([0-9]{1,5})\s*[x\u00d7]\s*([0-9]{1,5})", sent.get("size", "").lower())
    if not found:
        fault = Fault("/size", "type", "write the size of the ad like 300x250")
        raise InputError("the input is not valid", faults=[fault])
    width, height = found.groups()
    size = {"width": int(width), "height": int(height)}
    pages = {"image_url": sent.get("image_url", ""), "landing_url": sent.get("landing_url", "")}
    return {"name": f"{sent.get('name', '')} {width}x{height}"[:255], **size, **pages}


def _line_item(sent: Mapping[str, str]) -> dict[str, Any]:
    faults = []
    prices = {}
    for name, path in (("bid", "bid"), ("max_cpm", "max_cpm")):
        try:
            prices[path] = {"amount": amount_text(sent.get(name, ""))}
        except ValueError as error:
            faults.append(Fault(f"/{name}", "type", str(error)))
    if faults:
        raise InputError("the input is not valid", faults=faults)
    fields = (FormField("daily_budget", "", "money"), FormField("total_budget", "", "money"))
    budgets = {name: {"spend": value} for name, value in _document(fields, sent).items() if value}
    countries = [one.strip().upper() for one in sent.get("countries", "").split(",") if one.strip()]
    targeting = {"targeting": {"countries": countries}} if countries else {}
    return {"name": sent.get("name", ""), "goal": sent.get("goal", "")} | prices | budgets | targeting


def _document(fields: Sequence[FormField], sent: Mapping[str, str]) -> dict[str, Any]:
    document, faults = document_of(fields, sent.items(), {})
    if faults:
        raise InputError("the input is not valid", faults=faults)
    return document
