"""One object: its form, what may be done with it, its change log."""

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from admin.access.principal import Principal
from admin.api import requests
from admin.api.changes import ChangeQuery, Changes
from admin.api.handlers import ACTIONS
from admin.api.problem import FaultDocument, Problem, problem_of, status_of
from admin.console.browser import Visitor, require_csrf
from admin.console.desk import Desk
from admin.console.fields import FormField, document_of, id_of, input_text, value_at, with_rows_joined
from admin.console.kinds import CURRENCIES, KindPage
from admin.console.modifiers import LABELS
from admin.console.pages.lists import kind_page
from admin.console.rendering import go, page
from core.dialects import GENERIC
from core.errors import Fault, GroszError, InputError
from core.model import Clearing, Status
from segments.rules.vocabulary import FACTS, Fact, Type

_CHANGES_SHOWN = 20
_EXAMPLES: Final = {
    Type.NUMBER: "{name} >= 3", Type.MONEY: "{name} >= 500 PLN", Type.DURATION: "{name} > 10m",
    Type.MOMENT: "{name} in 7d", Type.AGE: "{name} in 1h..14d", Type.TEXT: '{name} = "google"',
    Type.TEXTS: '{name} contains "buty"',
}  # fmt: skip


class ObjectPages:
    """Pages of single objects."""

    def __init__(self, desk: Desk, changes: Changes) -> None:
        self._desk = desk
        self._changes = changes

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /{kind}/{id}"""
        kind, object_id = kind_page(request), requests.object_id_of(request)
        item = await self._desk.read(visitor.caller, kind.name, object_id)
        saved = "saved" in request.query
        return await self._form(visitor, kind, item, [], None, HTTPStatus.OK, new=False, saved=saved)

    async def save(self, request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /{kind}/{id}"""
        kind, object_id = kind_page(request), requests.object_id_of(request)
        require_csrf(visitor.caller, dict(fields))
        item = await self._desk.read(visitor.caller, kind.name, object_id)
        try:
            patch = _patch(kind, fields, item, visitor.words.zone)
            version = dict(fields).get("version", "")
            expected = int(version) if re.fullmatch("[0-9]{1,18}", version) else None
            await self._desk.patch(visitor.caller, kind.name, object_id, patch, expected)
        except GroszError as error:
            return await self._form(visitor, kind, item, fields, problem_of(error), status_of(error), new=False)
        return go(f"/{kind.name}/{object_id}?saved")

    async def new(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /{kind}/new: the query fills the form (`?campaign_id=3`)."""
        kind = kind_page(request)
        filled = dict(request.query)
        if kind.name == "exchanges":
            filled = await self._usual_exchange(visitor) | filled
        return await self._form(visitor, kind, {}, list(filled.items()), None, HTTPStatus.OK, new=True)

    async def _usual_exchange(self, visitor: Visitor) -> dict[str, str]:
        """What the form of one more exchange begins with: a name, and prices in the currency of the advertisers."""
        caller = visitor.caller
        every = [("status", status.value) for status in Status]  # an archived one keeps its key
        query = [("limit", "1"), ("sort", "-id"), *every]
        newest = (await self._desk.page(caller, "exchanges", query))["items"]
        name = f"{visitor.words.text('Exchange')} {newest[0]['id'] + 1 if newest else 1}"
        shops = await self._desk.listed(caller, "advertisers")
        currencies = [shop["currency"] for shop in shops]
        usual = max(currencies, key=currencies.count, default=CURRENCIES[0])
        return {"name": name, "dialect": GENERIC, "default_currency": usual, "clearing": Clearing.REPORTED.value}

    async def create(self, request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /{kind}/new"""
        kind = kind_page(request)
        require_csrf(visitor.caller, dict(fields))
        try:
            raw = _patch(kind, fields, {}, visitor.words.zone)
            if kind.name == "exchanges" and "key" not in raw:
                raw |= {"key": _key_of(raw.get("name", ""))}
            made = await self._desk.create(visitor.caller, kind.name, raw)
        except GroszError as error:
            return await self._form(visitor, kind, {}, fields, problem_of(error), status_of(error), new=True)
        if "secret" in made and kind.name == "api-keys":
            return page("secret.html", visitor, here=f"/{kind.name}", secret=made["secret"], kind=kind, item=made)
        if kind.name == "exchanges":
            return go(f"/exchanges/{made['id']}/traffic?saved")
        return go(f"/{kind.name}/{made['id']}?saved")

    async def act(self, request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /{kind}/{id}/{action}: pause, resume, archive, copy, undo"""
        kind, object_id, action = kind_page(request), requests.object_id_of(request), request.match_info["action"]
        require_csrf(visitor.caller, dict(fields))
        if action in ACTIONS:
            await self._desk.set_status(visitor.caller, kind.name, [object_id], ACTIONS[action])
        elif action == "copy":
            object_id = (await self._desk.copy(visitor.caller, kind.name, object_id))["id"]
        elif action == "undo":
            await self._desk.undo(visitor.caller, kind.name, object_id)
        else:
            raise web.HTTPNotFound
        return go(f"/{kind.name}/{object_id}?saved")

    async def _form(
        self,
        visitor: Visitor,
        kind: KindPage,
        item: Mapping[str, Any],
        sent: Sequence[tuple[str, str]],
        problem: Problem | None,
        status: int,
        *,
        new: bool,
        saved: bool = False,
    ) -> web.Response:
        writing = visitor.words.writing
        texts = {one.path: input_text(one, value_at(item, one.path), writing) for one in (*kind.form, *kind.more)}
        several = [field for field in kind.form if field.kind in ("many", "boxes")]
        chosen = {field.path: _texts(value_at(item, field.path)) for field in several}
        if new:
            chosen |= {field.path: {field.choices[0]} for field in several if field.kind == "boxes"}
        for name, text in with_rows_joined((*kind.form, *kind.more), sent):
            if name in texts:
                texts[name] = text
        if sent:
            chosen = {path: {text for name, text in sent if name == path and text} for path in chosen}
        advertiser = value_at(item, "advertiser_id") or id_of(texts.get("advertiser_id", ""))
        choices = await self._choices(visitor.caller, kind, advertiser)
        changes = None
        if not new:
            query = ChangeQuery(kind=kind.name, object_id=item["id"], limit=_CHANGES_SHOWN)
            changes = (await self._changes.read(visitor.caller, query)).items
        at_fields, rest = _by_field(kind, problem)
        return page(
            "object.html",
            visitor,
            status,
            here=f"/{kind.name}",
            kind=kind,
            item=item,
            warnings=item.get("warnings", ()),
            texts=texts,
            chosen=chosen,
            choices=choices,
            changes=changes,
            problem=problem,
            at_fields=at_fields,
            rest=rest,
            modifying=LABELS,
            facts=_facts() if kind.name == "segments" else (),
            new=new,
            saved=saved,
            may_write=self._desk.may_write(visitor.caller, kind.name),
        )

    async def _choices(
        self, caller: Principal, kind: KindPage, advertiser: int | None
    ) -> dict[str, list[tuple[int, str]]]:
        """What selects offer: of the object's own advertiser, where objects have one."""
        found = {}
        for name in sorted({field.of for field in (*kind.form, *kind.more) if field.of}):
            tenant = name not in ("advertisers", "exchanges")
            found[name] = await self._desk.choices(caller, name, advertiser if tenant else None)
        return found


def _example(fact: Fact) -> str:
    if fact.words:
        return f"{fact.name} = {fact.words[-1]}"
    return _EXAMPLES[fact.type].format(name=fact.name)


@functools.cache
def _facts() -> tuple[tuple[str, str, str], ...]:
    """Name, example and meaning of each fact of rules."""
    return tuple((fact.name, _example(fact), fact.summary) for fact in FACTS.values())


def _patch(kind: KindPage, fields: Sequence[tuple[str, str]], item: Mapping[str, Any], zone: str) -> dict[str, Any]:
    """The document that a form means. Raises InputError."""
    asked: list[FormField] = [field for field in (*kind.form, *kind.more) if not (field.fixed and item)]
    patch, faults = document_of(asked, fields, item, zone)
    if faults:
        raise InputError("the input is not valid", faults=faults)
    if not item:  # a value that was left empty means the default
        patch = {name: value for name, value in patch.items() if value not in (None, "", [])}
    return patch


def _key_of(name: str) -> str:
    """The part of an address that a name becomes: `Onet SSP` is `onet-ssp`."""
    plain = unicodedata.normalize("NFKD", name.lower().replace("ł", "l")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64]


def _by_field(kind: KindPage, problem: Problem | None) -> tuple[dict[str, FaultDocument], list[FaultDocument]]:
    """The faults at each field of the form, and those that no field stands for."""
    at: dict[str, FaultDocument] = {}
    rest: list[FaultDocument] = []
    for fault in problem.errors if problem else []:
        fields = [field for field in (*kind.form, *kind.more) if _covers(field, fault)]
        if fields:
            at[max(fields, key=lambda field: len(field.path)).path] = fault
        else:
            rest.append(fault)
    return at, rest


def _covers(field: FormField, fault: FaultDocument | Fault) -> bool:
    return fault.pointer == field.pointer or fault.pointer.startswith(f"{field.pointer}/")


def _texts(value: Any) -> set[str]:  # noqa: ANN401 - a list of ids or words, or None
    return {str(one) for one in value or ()}
