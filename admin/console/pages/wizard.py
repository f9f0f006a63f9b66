"""A new campaign in one form: goal, budget, audience in words, ad. It makes four objects, all of them or none."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from aiohttp import web

from admin.access.principal import Principal
from admin.api.authentication import CSRF_HEADER
from admin.api.media import CHUNK_BYTES
from admin.api.problem import Problem, problem_of, status_of
from admin.console.advertised import ADVERTISED
from admin.console.browser import CSRF_FIELD, Visitor, refuse_other_sites, require_csrf
from admin.console.cures import cure_of
from admin.console.desk import Desk, Step
from admin.console.fields import N_, UTC, FormField, amount_text, document_of, id_of
from admin.console.kinds import CURRENCIES, PAGES
from admin.console.rendering import HEADERS, go, page
from admin.console.telling import told
from admin.console.words import Words
from admin.store.model import Scope
from core.errors import Fault, GroszError, InputError
from creatives.media.desk import MediaDesk
from segments.audiences.ready_made import (
    READY_MADE,
    ParameterValue,
    ReadyMade,
    default_text,
    parameter_value,
    rule_of,
)

_EVERYBODY = "everybody"
_NEW = "new"
# What somebody begins with who has no figures of their own: a usual price of a click, and a bound that no usual
# impression reaches.
_BEGINNING: Final = {
    "goal": "cpc", "bid": "1.00", "max_cpm": "40.00", "audience": "cart_abandoners", "size": "300x250",
    "currency": "PLN",
}  # fmt: skip
_GOALS = ("cpc", "cpm", "cpa")
# An address as people write it, without its scheme.
_BARE_ADDRESS: Final = re.compile(r"[\w-]+(\.[\w-]+)+(:[0-9]{1,5})?([/?#].*)?")
# A shorter wait is worth a word to somebody who tries things out.
_SHORT_WAIT_S: Final = 300

_NAMES = (
    "advertiser_id", "shop", "currency", "name", "goal", "bid", "max_cpm", "daily_budget", "total_budget", "start",
    "end", "audience", "countries", "size", "image_url", "landing_url", "category",
)  # fmt: skip

_INPUTS = {
    "advertiser_id": ("advertiser_id", N_("Advertiser")), "currency": ("currency", N_("Its currency")),
    "name": ("name", N_("Name of the campaign")), "goal": ("goal", N_("You pay for")),
    "bid": ("bid", N_("and it is worth to you")), "start": ("start", N_("Start ({zone})")),
    "end": ("end", N_("End ({zone})")),
    "max_cpm": ("max_cpm", N_("Highest price of a thousand impressions")),
    "daily_budget": ("daily_budget", N_("Daily budget")), "total_budget": ("total_budget", N_("Total budget")),
    "targeting": ("countries", N_("Countries")), "size": ("size", N_("Size")), "width": ("size", N_("Size")),
    "height": ("size", N_("Size")), "image_url": ("image_url", N_("Address of the image")),
    "html": ("image_url", N_("Address of the image")), "landing_url": ("landing_url", N_("Landing page")),
    "domain": ("landing_url", N_("Landing page")), "advertiser_domain": ("landing_url", N_("Landing page")),
    "categories": ("category", N_("What it advertises")), "audience": ("audiences", N_("Who sees it")),
}  # fmt: skip
"""Member of a document -> the input that it comes from, and its label: faults name what people see."""

_T = TypeVar("_T")
_Made = Mapping[str, Mapping[str, Any]]
"""What was made before a step, by its kind."""


class Wizard:
    """The page of a new campaign."""

    def __init__(self, desk: Desk, media: MediaDesk) -> None:
        self._desk = desk
        self._media = media

    async def form(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /start"""
        point = visitor.words.writing.point
        beginning = _BEGINNING | {name: _BEGINNING[name].replace(".", point) for name in ("bid", "max_cpm")}
        return await self._page(visitor, beginning | dict(request.query), None, None, 200)

    async def make(self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /start: `action` review shows what would be made, make makes it."""
        sent = _as_meant(fields)
        require_csrf(visitor.caller, sent)
        reviewing = sent.get("action") != "make"
        try:
            steps = await self._steps(visitor, sent)
            made = await self._desk.create_together(visitor.caller, steps, dry_run=reviewing)
            if reviewing:
                advertiser, _ = await self._advertiser(visitor.caller, sent)
                audience = _in_words(sent, str(advertiser["currency"]), visitor.words)
                review = [(PAGES[step.name].one, one) for step, one in zip(steps, made, strict=True)]
                return await self._page(visitor, sent, review, None, 200, audience)
        except GroszError as error:
            return await self._page(visitor, sent, None, problem_of(error), status_of(error))
        return go(f"/line-items/{made[-1]['id']}/delivery#next")

    async def keep_picture(self, request: web.Request, visitor: Visitor) -> web.Response:
        """POST /start/picture: keeps the file that is the body; the form's script puts its address into the form"""
        refuse_other_sites(request.headers, request.host)
        require_csrf(visitor.caller, {CSRF_FIELD: request.headers.get(CSRF_HEADER, "")})
        visitor.caller.require(Scope.TRADE)
        try:
            kept = await self._media.upload(request.content.iter_chunked(CHUNK_BYTES))
            if not kept.mime.startswith("image/"):
                raise InputError("this is no picture", hint="videos and sounds have creatives of their own")
        except GroszError as error:
            problem = problem_of(error)
            fault = problem.errors[0] if problem.errors else None
            said = [fault.message, fault.hint] if fault else [problem.detail, problem.hint]
            text = ": ".join(visitor.words.text(one) for one in said if one)
            return web.json_response({"fault": text}, status=status_of(error), headers=HEADERS)
        return web.json_response({"url": kept.url, "size": f"{kept.width}x{kept.height}"}, headers=HEADERS)

    def segment_of(self, sent: Mapping[str, str], currency: str) -> dict[str, str] | None:
        """Name and rule of the form's audience; None for everybody. Raises InputError."""
        return _segment(sent, currency)

    def size_of(self, sent: Mapping[str, str]) -> tuple[int, int]:
        """Width and height of the form's ad. Raises InputError."""
        ad = _creative(sent, "")
        return ad["width"], ad["height"]

    def line_item_of(self, sent: Mapping[str, str]) -> dict[str, Any]:
        """The form's line item, without what it belongs to. Raises InputError."""
        return _line_item(sent)

    async def _page(
        self,
        visitor: Visitor,
        sent: Mapping[str, str],
        review: Sequence[tuple[str, Mapping[str, Any]]] | None,
        problem: Problem | None,
        status: int,
        audience: str = "",
    ) -> web.Response:
        shown = {name: sent.get(name, "") for name in _NAMES}
        parameters = {name: text for name, text in sent.items() if "." in name}
        advertisers = await self._desk.listed(visitor.caller, "advertisers")
        values = {"shown": shown, "parameters": parameters, "advertisers": advertisers, "audiences": READY_MADE}
        chosen = next((one for one in advertisers if str(one["id"]) == shown["advertiser_id"]), None)
        owner = chosen or (advertisers[0] if advertisers and shown["advertiser_id"] != _NEW else {})
        values |= {"categories": ADVERTISED, "own_currency": owner.get("currency") or shown["currency"]}
        may_own = self._desk.may_create(visitor.caller, "advertisers")
        more = {"may_own": may_own, "currencies": CURRENCIES, "goals": _GOALS, "review": review, "problem": problem}
        faults = [(*_input_of(fault.pointer, sent), fault) for fault in problem.errors] if problem else []
        more |= {"faults": faults, "at": {name: fault for name, _, fault in reversed(faults)}}
        if review:
            # The segment and the line item that targets it warn of the same.
            said = [(one.message, one.code, one.hint) for _, made in review for one in made.get("warnings") or ()]
            warnings = [(text, cure_of(f"warning.{code}", hint)) for text, code, hint in dict.fromkeys(said)]
            wait_s = _waits(sent)
            waits = visitor.words.duration(wait_s) if wait_s else ""
            more |= {"warnings": warnings, "waits": waits, "told": audience}
            more |= {"is_long": wait_s > _SHORT_WAIT_S, "is_limited": sent["daily_budget"] or sent["total_budget"]}
        return page("start.html", visitor, status, here="/start", **values, **more)

    async def _steps(self, visitor: Visitor, sent: Mapping[str, str]) -> list[Step]:
        """What is made, in order, with names in the visitor's language.

        Raises InputError with all faults of the form's own, NotFoundError.
        """
        advertiser, steps = await self._advertiser(visitor.caller, sent)
        name = sent.get("name", "") or visitor.words.text(_default_name(sent))
        faults = _missing(sent)
        nothing: dict[str, Any] = {}
        flight = _tried(faults, lambda: _flight(sent, visitor.words.zone), nothing)
        segment = _tried(faults, lambda: _segment(sent, str(advertiser["currency"])), None)
        creative = _tried(faults, lambda: _creative(sent, name), nothing)
        line_item = _tried(faults, lambda: _line_item(sent), nothing) | {"name": name}
        if faults:
            raise InputError("the input is not valid", faults=faults)

        def owner(made: _Made) -> dict[str, Any]:
            return {"advertiser_id": advertiser.get("id") or made["advertisers"]["id"]}

        steps.append(Step("campaigns", lambda made: owner(made) | {"name": name} | flight))
        if segment:
            audience = visitor.words.text(segment["name"])
            segment["name"] = audience if audience == name else f"{audience}: {name}"[:255]
            steps.append(Step("segments", lambda made: owner(made) | segment))
        domain = {"advertiser_domain": advertiser["domain"] or _host(sent.get("landing_url", ""))}
        steps.append(Step("creatives", lambda made: owner(made) | creative | domain))
        steps.append(Step("line-items", lambda made: owner(made) | _linked(line_item, made) | flight))
        return steps

    async def _advertiser(self, caller: Principal, sent: Mapping[str, str]) -> tuple[Mapping[str, Any], list[Step]]:
        """Whose campaign it is, and the step that makes a new advertiser. Raises InputError, NotFoundError."""
        if sent.get("advertiser_id") == _NEW:
            domain = _host(sent.get("landing_url", ""))
            new = {"name": sent.get("shop", ""), "currency": sent.get("currency", ""), "domain": domain}
            return new, [Step("advertisers", lambda _made: new)]
        advertiser_id = id_of(sent.get("advertiser_id", ""))
        if advertiser_id is None:
            fault = Fault("/advertiser_id", "required", "choose an advertiser", "or make a new one here")
            raise InputError("the input is not valid", faults=[fault])
        return await self._desk.read(caller, "advertisers", advertiser_id), []


def _as_meant(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The form as its sender means it: addresses with their scheme, a new advertiser with a name."""
    sent = dict.fromkeys(_NAMES, "") | {name: text.strip() for name, text in fields}
    for name in ("image_url", "landing_url"):
        if _BARE_ADDRESS.fullmatch(sent[name]):
            sent[name] = f"https://{sent[name]}"
    if sent["advertiser_id"] == _NEW and not sent["shop"]:
        sent["shop"] = _host(sent["landing_url"])
    return sent


def _missing(sent: Mapping[str, str]) -> list[Fault]:
    """What the form cannot do without."""
    needed = (
        ("landing_url", N_("the page that a click leads to is needed")),
        ("image_url", N_("the address of an image is needed, or a file")),
    )
    return [Fault(f"/{name}", "required", text) for name, text in needed if not sent[name]]


def _tried(faults: list[Fault], read: Callable[[], _T], otherwise: _T) -> _T:
    """What is read of a part of the form, or `otherwise`, with its faults added to the others."""
    try:
        return read()
    except InputError as error:
        faults += error.faults
        return otherwise


def _default_name(sent: Mapping[str, str]) -> str:
    """A campaign without a name is called as its audience."""
    ready = READY_MADE.get(sent.get("audience", ""))
    return ready.name if ready else N_("Everybody")


def _linked(line_item: Mapping[str, Any], made: _Made) -> dict[str, Any]:
    """The line item with the objects that were made before it."""
    segments = {"segments_any": [made["segments"]["id"]]} if "segments" in made else {}
    targeting = {**line_item.get("targeting", {}), **segments}
    places = {"campaign_id": made["campaigns"]["id"], "creative_ids": [made["creatives"]["id"]]}
    return {**line_item, **places, "targeting": targeting}


def _flight(sent: Mapping[str, str], zone: str) -> dict[str, Any]:
    fields = (FormField("start", "", "moment"), FormField("end", "", "moment"))
    return {name: value for name, value in _document(fields, sent, zone).items() if value}


def _segment(sent: Mapping[str, str], currency: str) -> dict[str, str] | None:
    key = sent.get("audience", _EVERYBODY)
    if key == _EVERYBODY:
        return None
    ready = READY_MADE.get(key)
    if ready is None:
        fault = Fault("/audience", "not_allowed", "there is no such audience", "choose one of the list")
        raise InputError("the input is not valid", faults=[fault])
    return {"name": ready.name, "rule": rule_of(key, currency, _values(sent, ready, currency))}


def _values(sent: Mapping[str, str], ready: ReadyMade, currency: str) -> dict[str, ParameterValue]:
    """The audience's parameters that were filled in. Raises InputError with a fault for each that is wrong."""
    found: dict[str, ParameterValue] = {}
    faults: list[Fault] = []
    for one in ready.parameters:
        text = sent.get(f"{ready.key}.{one.name}", "").strip()
        try:
            if text:
                found[one.name] = parameter_value(one, text, currency)
        except InputError as error:
            message = error.message.removeprefix(f"{one.name}: ")
            faults.append(Fault(f"/parameters/{one.name}", "value", message, error.hint))
    if faults:
        raise InputError("the input is not valid", faults=faults)
    return found


def _in_words(sent: Mapping[str, str], currency: str, words: Words) -> str:
    """The form's audience in words; "" for everybody. Raises InputError."""
    ready = READY_MADE.get(sent.get("audience", ""))
    return told(ready.key, _values(sent, ready, currency), currency, words) if ready else ""


def _waits(sent: Mapping[str, str]) -> int:
    """How many seconds after a cart was left the form's audience begins; 0 if it begins at once."""
    key = sent.get("audience", "")
    ready = READY_MADE.get(key)
    delays = [one for one in ready.parameters if one.name == "delay"] if ready else []
    for parameter in delays:
        seconds = parameter_value(parameter, sent.get(f"{key}.delay", "").strip() or default_text(parameter), "")
        return seconds if isinstance(seconds, int) else 0
    return 0


def _host(url: str) -> str:
    """The host of a landing page, for an advertiser that has not told its domain; "" where there is none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:  # a bracket that opens no IPv6 address: the API says what is wrong with the page
        return ""


def _creative(sent: Mapping[str, str], name: str) -> dict[str, Any]:
    found = re.fullmatch(r"([0-9]{1,5})\s*[x\u00d7]\s*([0-9]{1,5})", sent.get("size", "").lower())
    if not found:
        fault = Fault("/size", "type", "write the size of the ad like 300x250")
        raise InputError("the input is not valid", faults=[fault])
    width, height = found.groups()
    size = {"width": int(width), "height": int(height)}
    pages = {"image_url": sent.get("image_url", ""), "landing_url": sent.get("landing_url", "")}
    category = {"categories": [sent["category"]]} if sent.get("category") else {}
    return {"name": f"{name} {width}x{height}"[:255], **size, **pages, **category}


def _input_of(pointer: str, sent: Mapping[str, str]) -> tuple[str, str]:
    """The id and label of the input that a fault is about; two empty texts for none."""
    if pointer.startswith("/parameters/"):
        return _parameter(sent.get("audience", ""), pointer.rpartition("/")[2])
    member = pointer.split("/")[1] if pointer.startswith("/") else pointer
    if member == "name" and sent.get("advertiser_id") == _NEW and not sent.get("shop"):
        return "shop", N_("Name of the new advertiser")
    return _INPUTS.get(member, ("", ""))


def _parameter(audience: str, name: str) -> tuple[str, str]:
    """The id and label of the input of an audience's parameter."""
    found = next(one for one in READY_MADE[audience].parameters if one.name == name)
    return f"p-{audience}-{name}", found.summary


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


def _document(fields: Sequence[FormField], sent: Mapping[str, str], zone: str = UTC) -> dict[str, Any]:
    document, faults = document_of(fields, sent.items(), {}, zone)
    if faults:
        raise InputError("the input is not valid", faults=faults)
    return document
