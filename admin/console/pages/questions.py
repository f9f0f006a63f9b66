"""Why a line item bids or not on a request, and what a segment's rule means before it is saved."""

import contextlib
import copy
import json
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from admin.access.principal import Principal
from admin.api.explanations import EXAMPLE, ExplainRequest, Explanations
from admin.api.problem import problem_of, status_of
from admin.console.browser import Visitor, require_csrf
from admin.console.desk import MAX_CHOICES, Desk
from admin.console.fields import id_of, json_value
from admin.console.rendering import page
from admin.validation.decode import decode
from core.errors import GroszError, InputError, NotFoundError


class QuestionPages:
    """The page that explains bid requests."""

    def __init__(self, desk: Desk, explanations: Explanations) -> None:
        self._desk = desk
        self._explanations = explanations

    async def form(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /explain"""
        shown = {
            "exchange": request.query.get("exchange", ""),
            "request": json.dumps(_example(request.query.get("place", ""), request.query.get("size", "")), indent=2),
            "line_item_id": request.query.get("line_item_id", ""),
            "user_id": "",
        }
        return await self._page(visitor, shown, None, None, 200)

    async def answer(self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /explain"""
        sent = dict(fields)
        require_csrf(visitor.caller, sent)
        shown = {name: sent.get(name, "").strip() for name in ("exchange", "request", "line_item_id", "user_id")}
        try:
            explanation = await self._explanations.explained(visitor.caller, _asked(shown))
        except GroszError as error:
            return await self._page(visitor, shown, None, error, status_of(error))
        return await self._page(visitor, shown, explanation, None, 200)

    async def _page(
        self,
        visitor: Visitor,
        shown: dict[str, str],
        explanation: Any,  # noqa: ANN401 - an Explanation or None
        error: GroszError | None,
        status: int,
    ) -> web.Response:
        names = await self._names(visitor.caller, id_of(shown["line_item_id"]))
        query = [("limit", str(MAX_CHOICES)), ("sort", "name"), ("status", "active")]
        found = (await self._desk.page(visitor.caller, "exchanges", query))["items"]
        exchanges = [(one["key"], one["name"] or one["key"]) for one in found]
        if exchanges and not shown["exchange"]:
            shown |= {"exchange": exchanges[0][0]}
        return page(
            "explain.html",
            visitor,
            status,
            here="/explain",
            shown=shown,
            explanation=explanation,
            problem=problem_of(error) if error else None,
            names=names,
            pick=len(names) < MAX_CHOICES,
            exchanges=exchanges,
        )

    async def _names(self, caller: Principal, asked: int | None) -> dict[int, str]:
        """Line items to choose from, by id, and the one that is asked about."""
        names = dict(await self._desk.choices(caller, "line-items"))
        if asked is not None and asked not in names:
            with contextlib.suppress(NotFoundError):  # the answer says so
                names[asked] = (await self._desk.read(caller, "line-items", asked))["name"]
        return names


def _example(place: str, size: str) -> dict[str, Any]:
    """The request to begin with: of a site and a size such as 300x250, where these are given."""
    example: dict[str, Any] = copy.deepcopy(EXAMPLE["request"])
    if place:
        example["site"]["domain"] = place
    if found := re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", size):
        example["imp"][0]["banner"] = {"w": int(found[1]), "h": int(found[2])}
    return example


def _line_item(text: str) -> int:
    found = id_of(text)
    if found is None:
        raise InputError("the line item is named by its number", hint="leave it empty to ask about all")
    return found


def _asked(shown: dict[str, str]) -> ExplainRequest:
    """Raises InputError."""
    raw: dict[str, Any] = {"exchange": shown["exchange"]}
    try:
        raw["request"] = json_value(shown["request"])
    except ValueError as error:
        raise InputError(f"the bid request: {error}") from None
    if shown["line_item_id"]:
        raw["line_item_id"] = _line_item(shown["line_item_id"])
    if shown["user_id"]:
        raw["user_id"] = shown["user_id"]
    return decode(raw, ExplainRequest)
