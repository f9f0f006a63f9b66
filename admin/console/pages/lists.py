"""Lists of objects: search, filters, columns edited in their place, changes of many at once, CSV."""

import asyncio
import csv
import functools
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlencode

from aiohttp import web
from yarl import URL

from admin.access.principal import Principal
from admin.api import requests
from admin.api.budgets import BudgetPages, BudgetState
from admin.api.handlers import ACTIONS
from admin.api.problem import Problem, problem_of, status_of
from admin.console.browser import Visitor, own_path, require_csrf
from admin.console.desk import Desk
from admin.console.fields import FormField, document_of, id_of, input_text, value_at
from admin.console.kinds import ABOUT, PAGES, Column, KindPage
from admin.console.rendering import HEADERS, go, page
from core.errors import ConflictError, GroszError, InputError, NotFoundError, UnavailableError
from core.model import Status

_STATUSES = tuple(status.value for status in Status)
_PER_PAGE = 100
_CSV_PER_PAGE = 500
# What a spreadsheet opens with ease; all of more is what the API's cursor is for.
_CSV_ROWS = 100_000
# What is shown again of a value that was refused.
_TYPED = 100
_OWN_FILTERS = ("q", "status", "sort", "cursor", "limit")
_OWNERS = {"advertiser_id": "advertisers", "campaign_id": "campaigns"}


class _RefusedChange(NamedTuple):
    """A change of many that was refused: what was sent, and the ids that were ticked."""

    problem: Problem
    status: HTTPStatus
    sent: Mapping[str, str]
    chosen: Sequence[str]


class Lists:
    """Pages of lists."""

    def __init__(self, desk: Desk, budgets: BudgetPages) -> None:
        self._desk = desk
        self._budgets = budgets

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /{kind}"""
        address, changed = request.rel_url, id_of(request.query.get("changed", ""))
        if "changed" in address.query:
            address = address.without_query_params("changed")
        return await self._page(visitor, kind_page(request), address, changed=changed)

    async def _page(
        self,
        visitor: Visitor,
        kind: KindPage,
        address: URL,
        *,
        changed: int | None = None,
        refused: _RefusedChange | None = None,
    ) -> web.Response:
        """The list at an address; `changed` rows were changed just now, or a change was refused."""
        query = _query_of(address)
        found = await self._desk.page(visitor.caller, kind.name, query)
        names = await self._names(visitor.caller, kind, found["items"])
        delivery = await self._delivery(visitor.caller, kind, found["items"])
        following = ""
        if found["next"]:
            plain = [(name, text) for name, text in address.query.items() if name != "cursor"]
            following = f"/{kind.name}?{urlencode([*plain, ('cursor', found['next'])])}"
        return page(
            "list.html",
            visitor,
            refused.status if refused else HTTPStatus.OK,
            here=f"/{kind.name}",
            kind=kind,
            about=ABOUT[kind.name],
            items=found["items"],
            names=names,
            delivery=delivery,
            following=following,
            search=address.query.get("q", ""),
            chosen_status=address.query.get("status", ""),
            sort=address.query.get("sort", "-id"),
            statuses=_STATUSES,
            may_write=self._desk.may_write(visitor.caller, kind.name),
            value_at=value_at,
            input_text=lambda field, value: input_text(field, value, visitor.words.writing),
            kept=[(name, text) for name, text in address.query.items() if name not in _OWN_FILTERS and text],
            owners=await self._owners(visitor.caller, address),
            csv_query=address.raw_query_string,
            address=address.raw_path_qs,
            changed=changed,
            problem=refused.problem if refused else None,
            sent=refused.sent if refused else {},
            chosen=refused.chosen if refused else (),
            labels={column.field.pointer: column.field.label for column in kind.columns},
        )

    async def change_many(
        self, request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]
    ) -> web.Response:
        """POST /{kind}: the list again, with how many rows were changed, or why none was"""
        kind = kind_page(request)
        require_csrf(visitor.caller, dict(fields))
        back = URL(_back(fields, kind), encoded=True)
        try:
            count = await self._change(visitor, kind, fields)
        except (InputError, ConflictError, NotFoundError) as error:
            chosen = [text for name, text in fields if name == "id"]
            refused = _RefusedChange(problem_of(error), status_of(error), dict(fields), chosen)
            return await self._page(visitor, kind, back, refused=refused)
        return go(str(back.update_query(changed=count)))

    async def _change(self, visitor: Visitor, kind: KindPage, fields: Sequence[tuple[str, str]]) -> int:
        """Change the rows that are ticked, all or none; how many they are."""
        caller, action = visitor.caller, dict(fields).get("action", "")
        chosen = _chosen_ids(fields)
        if action == "set":
            await self._desk.patch_many(caller, kind.name, chosen, _patch_of_many(kind, fields, visitor.words.zone))
        elif action in ACTIONS:
            await self._desk.set_status(caller, kind.name, chosen, ACTIONS[action])
        else:
            raise InputError("the form names no action", hint="choose pause, resume or archive")
        return len(chosen)

    async def change_cell(
        self, request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]
    ) -> web.Response:
        """POST /{kind}/{id}/cell: one value in its place. A script gets the cell back, a form without one the list."""
        kind = kind_page(request)
        require_csrf(visitor.caller, dict(fields))
        object_id = requests.object_id_of(request)
        column = _inline_column(kind, dict(fields).get("path", ""))
        before = await self._desk.read(visitor.caller, kind.name, object_id)
        problem, status, item = None, HTTPStatus.OK, before
        try:
            patch, faults = document_of([column.field], fields, before, visitor.words.zone)
            if faults:
                raise InputError(faults[0].message, faults=faults)
            if patch:
                item = await self._desk.patch(visitor.caller, kind.name, object_id, patch, None)
        except GroszError as error:
            problem, status = problem_of(error), status_of(error)
        if request.headers.get("HX-Request") == "true":
            # htmx swaps answers of 2xx alone: the refusal is shown in the cell.
            text = input_text(column.field, value_at(item, column.field.path), visitor.words.writing)
            if problem:
                text = dict(fields).get(column.field.path, "")[:_TYPED]
            shown: dict[str, Any] = {"kind": kind, "item": item, "column": column, "text": text}
            return page("cell.html", visitor, problem=problem, saved=not problem, **shown)
        if problem:
            return page("problem.html", visitor, status, problem=problem, here=f"/{kind.name}", kind=kind)
        return go(_back(fields, kind))

    async def csv(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /{kind}.csv"""
        kind = kind_page(request)
        query = [(name, text) for name, text in _query_of(request.rel_url) if name not in ("limit", "total", "cursor")]
        query.append(("limit", str(_CSV_PER_PAGE)))
        found = await self._desk.page(visitor.caller, kind.name, query)
        items = found["items"]
        while found["next"] and len(items) < _CSV_ROWS:
            found = await self._desk.page(visitor.caller, kind.name, [*query, ("cursor", found["next"])])
            items += found["items"]
        text = io.StringIO()
        writer = csv.writer(text)
        columns = [column.field for column in kind.columns]
        writer.writerow(["id", "status", *(field.path for field in columns)])
        for item in items:
            cells = [csv_text(field, item) for field in columns]
            writer.writerow([item["id"], item.get("status", ""), *cells])
        headers = HEADERS | {"Content-Disposition": f'attachment; filename="{kind.name}.csv"'}
        return web.Response(body=text.getvalue().encode("utf-8-sig"), content_type="text/csv", headers=headers)

    async def _owners(self, caller: Principal, address: URL) -> list[str]:
        """The names of what the list is limited to by its address: one campaign, one advertiser."""
        found = []
        for name, kind in _OWNERS.items():
            object_id = id_of(address.query.get(name, ""))
            if object_id is not None:
                try:
                    found.append(str((await self._desk.read(caller, kind, object_id))["name"]))
                except NotFoundError:
                    found.append(str(object_id))
        return found

    async def _names(
        self, caller: Principal, kind: KindPage, items: Sequence[Mapping[str, Any]]
    ) -> dict[str, dict[int, str]]:
        """Kind -> id -> name, of the objects that columns name."""
        wanted = {column.field.of for column in kind.columns if column.field.of}
        if kind.name in ("line-items", "creatives"):
            wanted.add("advertisers")
        return {name: dict(await self._desk.choices(caller, name)) for name in sorted(wanted) if items}

    async def _delivery(
        self, caller: Principal, kind: KindPage, items: Sequence[Mapping[str, Any]]
    ) -> dict[int, dict[str, Any]] | None:
        """What line items have spent; None for other kinds and where Redis does not answer in a second."""
        if kind.name != "line-items":
            return None
        try:
            async with asyncio.timeout(1):
                states = await self._budgets.of_line_items(caller, [item["id"] for item in items])
        except (TimeoutError, UnavailableError):
            return None
        return {item["id"]: delivered(item, states.get(item["id"], [])) for item in items}


def delivered(item: Mapping[str, Any], states: Sequence[BudgetState]) -> dict[str, Any]:
    """What a line item has spent today and in all, and which part of the day's budget that is (percent)."""
    zero = {"amount": "0", "currency": (item.get("bid") or {}).get("currency") or "PLN"}
    found: dict[str, Any] = {"today": zero, "total": zero, "percent": None, "impressions": 0}
    for state in states:
        if state.share is not None:
            continue
        spent = {"amount": state.spend.spent.amount, "currency": state.spend.spent.currency or zero["currency"]}
        if state.day is None:
            found["total"] = spent
            continue
        found["today"], found["impressions"] = spent, state.impressions.spent
        if state.spend.budget is not None and Decimal(state.spend.budget.amount) > 0:
            share = 100 * Decimal(spent["amount"]) / Decimal(state.spend.budget.amount)
            found["percent"] = min(100, round(share))
    return found


def kind_page(request: web.Request) -> KindPage:
    """The pages of the kind in the path. Raises NotFoundError."""
    name = request.match_info["kind"]
    if name not in PAGES:
        raise NotFoundError(f"there is no page '{name[:40]}'", hint="go back to the overview")
    return PAGES[name]


def _chosen_ids(fields: Sequence[tuple[str, str]]) -> list[int]:
    """The ids of the rows that are ticked, each once. Raises InputError."""
    chosen = {id_of(text): None for name, text in fields if name == "id"}
    ids = [one for one in chosen if one is not None]
    if not ids or None in chosen:
        raise InputError("no row is chosen", hint="tick the rows that shall change, then press the button")
    return ids


def csv_text(field: FormField, item: Mapping[str, Any]) -> str:
    """A cell of a CSV; moments are as the API has them.

    A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    value = value_at(item, field.path)
    text = str(value or "") if field.kind == "moment" else input_text(field, value).replace("\n", ", ")
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _query_of(address: URL) -> list[tuple[str, str]]:
    """The list's query for the API; what the page itself uses, and empty filters, are left out."""
    query = [(name, text) for name, text in address.query.items() if text]
    names = {name for name, _ in query}
    if "limit" not in names:
        query.append(("limit", str(_PER_PAGE)))
    if "sort" not in names:
        query.append(("sort", "-id"))
    if "status" not in names:
        query += [("status", "active"), ("status", "paused")]
    return query


def _inline_column(kind: KindPage, path: str) -> Column:
    for column in kind.columns:
        if column.inline and column.field.path == path:
            return column
    raise InputError(f"'{path[:40]}' cannot be changed in the list", hint="open the object")


def _patch_of_many(kind: KindPage, fields: Sequence[tuple[str, str]], zone: str) -> dict[str, Any]:
    """The change that a form makes of every chosen row; an empty value takes the old ones away. Raises InputError."""
    sent = dict(fields)
    column = _inline_column(kind, sent.get("path", ""))
    patch, faults = document_of([column.field], [(column.field.path, sent.get("value", "").strip())], {}, zone)
    if faults:
        raise InputError("the input is not valid", faults=faults)
    nothing: Any = None
    return patch or functools.reduce(lambda inner, part: {part: inner}, reversed(column.field.path.split(".")), nothing)


def _back(fields: Sequence[tuple[str, str]], kind: KindPage) -> str:
    """The list as it was, with its filters."""
    address = own_path(dict(fields).get("back", ""))
    return address if address.startswith((f"/{kind.name}?", f"/{kind.name}/")) else f"/{kind.name}"
