"""What is to be said of the events that a page was seen to send. The tracker's own reader judges each of them."""

import difflib
import json
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from admin.tags.watching import TagRequest, Watched
from core.errors import Fault, InputError
from core.model import Advertiser
from core.money import MICROS_PER_UNIT, FxTable
from segments.events.consent import EventConsentPolicy
from segments.events.dialects import normalised
from segments.events.intake import Context, Incoming, read_event, split_batch
from segments.events.privacy import Signals, signals_of
from segments.events.reading import read_json
from segments.events.web import OPT_OUT_EVENT, row_of_query
from segments.facts.event import OWN_KINDS, Kind

EventFate = Literal["accepted", "dropped", "invalid", "refused", "unanswered"]
_GOOD: Final = ("accepted", "dropped")
# No event has more (segments.facts.event).
_ITEMS_READ: Final = 200
_TEXT_CHARS: Final = 100
_WHY: Final[Mapping[int, str]] = {
    403: "the page is not one of the shop's: set the advertiser's domain or origins",
    404: "the tracker knows no such advertiser: look at data-advertiser",
    413: "the batch is too large",
    429: "the tracker has too much to do",
    503: "the tracker could not store it",
}
_BLOCKED: Final[Mapping[str, str]] = {
    "csp": "the page's content security policy forbids it",
    "mixed-content": "the page is https and the tracker is not",
    "redirected": "it was redirected, which loses events: name the last address",
    "subresource-integrity": "`integrity` is that of another tag",
}


class ConsentSaid(msgspec.Struct):
    """What a request said of the person's consent, and whether a profile may be written then by the settings here."""

    said: str
    permits: bool


class EventCheck(msgspec.Struct):
    """One event as it was sent. `fate` is what became of it, `why` says so in words where it is not stored.

    `dropped` is rightly so: there was no consent. `errors` lose the event, `warnings` a part of its use.
    """

    event: str
    advertiser_id: int
    tracker: str
    product_ids: list[str]
    value: float | None
    currency: str
    consent: ConsentSaid
    status: int
    fate: EventFate
    why: str = ""
    errors: list[Fault] = []
    warnings: list[Fault] = []


class ProductIdCheck(msgspec.Struct):
    """A product id of the events: the product of the feeds that it names, by its id or as an item group, if any."""

    id: str
    found: Literal["id", "group", "none"]
    title: str = ""


class TagCheck(msgspec.Struct):
    """All that a page's tag did. `problems` are about the page; `products` is null where no shop was named."""

    page: str
    status: int
    events: list[EventCheck]
    problems: list[str]
    products: list[ProductIdCheck] | None = None

    @property
    def is_good(self) -> bool:
        """Whether events came, and all of them without an error."""
        unknown = any(one.found == "none" for one in self.products or ())
        faulty = any(one.fate not in _GOOD or one.errors for one in self.events)
        return bool(self.events) and not (self.problems or unknown or faulty)


def judge(page: str, watched: Watched, policy: EventConsentPolicy, now_ms: int, advertiser_id: int = 0) -> TagCheck:
    """What a visit has shown. `advertiser_id`: the shop whose tag it should be; 0 for any."""
    events = _once([one for request in watched.events for one in _events_of(request, policy, now_ms)])
    if advertiser_id:
        for one in events:
            if one.advertiser_id != advertiser_id:
                text = f"sent for advertiser {one.advertiser_id}, not {advertiser_id}"
                one.errors.append(Fault("", "other_advertiser", text, hint="look at data-advertiser"))
    problems = [text for text in _page_problems(watched, bool(events)) if text]
    return TagCheck(watched.state.url or page, watched.status, events, problems)


def _page_problems(watched: Watched, has_events: bool) -> Iterable[str]:
    if watched.failure:
        yield f"the page could not be opened: {watched.failure}"
        return
    if watched.status >= 400:
        yield f"the page answers {watched.status}"
    if watched.late:
        yield "the page had not finished loading in time"
    yield from _tag_problems(watched, has_events)
    yield from (f"the browser says: {text}" for text in watched.complaints)


def _tag_problems(watched: Watched, has_events: bool) -> Iterable[str]:
    state = watched.state
    if not state.tags and not has_events:
        yield "there is no tag: no script of the page has `data-advertiser`"
    for address, advertiser in state.tags:
        if not (advertiser.isascii() and advertiser.isdigit()):
            yield f"data-advertiser is '{advertiser[:_TEXT_CHARS]}', which is no number of an advertiser"
        script = next((one for one in watched.scripts if one.url == address), None)
        if script is not None and (script.failure or script.status >= 400):
            yield f"the tag was not loaded from {address[:500]}: {_reason(script)}"
        elif script is not None and not state.ready:
            yield "the tag was loaded and did not run: is `integrity` that of another release?"
    if state.queued and not state.ready:
        yield f"{state.queued} call(s) wait for the tag and were not sent"
    if not has_events and state.ready and state.platform:
        yield "nothing was sent: the page's consent platform has not answered, and nobody presses its button here"
    elif not has_events and state.ready and not watched.complaints:
        yield "the tag runs, and the page pushes no event"


def _events_of(request: TagRequest, policy: EventConsentPolicy, now_ms: int) -> list[tuple[str, EventCheck]]:
    """Each event of a request, with the id that makes it count once."""
    try:
        rows = _rows_of(request)
    except InputError as error:
        checked = _checked({}, request, policy, now_ms)
        checked.fate, checked.warnings = _fate(request, failed=True), []
        checked.errors = list(error.faults) or [Fault("", "json", error.message)]
        return [("", checked)]
    checks = [_checked(row if isinstance(row, dict) else {}, request, policy, now_ms) for row in rows]
    for one, told in zip(checks, _told(request.answer, len(checks)), strict=True):
        _add_told(one, told)
    return [
        (_text(row.get("event_id")) if isinstance(row, dict) else "", one)
        for row, one in zip(rows, checks, strict=True)
    ]


def _rows_of(request: TagRequest) -> list[Any]:
    if request.method == "GET":
        return [row_of_query(dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True)))]
    return split_batch(read_json(request.body.encode("utf-8", errors="replace")))


def _checked(row: dict[str, Any], request: TagRequest, policy: EventConsentPolicy, now_ms: int) -> EventCheck:
    shop = int(urlsplit(request.url).path.rpartition("/")[2])
    event = normalised(row)
    read = read_event(row, _context(event, shop, now_ms))
    signals = signals_of(row)
    flags = policy.flags(signals)
    consent = ConsentSaid(_said(signals), flags.identifiers and flags.profile_write)
    fate = _fate(request, failed=read.event is None)
    why = "" if fate in ("accepted", "invalid") else _reason(request)
    if fate == "accepted" and not consent.permits and event.get("event") != OPT_OUT_EVENT:
        fate, why = "dropped", "no consent to write a profile"
    value = event.get("value")
    return EventCheck(
        event=_text(event.get("event")),
        advertiser_id=shop,
        tracker=urlsplit(request.url).netloc,
        product_ids=_product_ids(read, event),
        value=float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None,
        currency=_text(event.get("currency")),
        consent=consent,
        status=request.status,
        fate=fate,
        why=why,
        errors=list(read.faults),
        warnings=[*read.notes, *_advice(event, {fault.pointer for fault in read.faults})],
    )


def _context(event: Mapping[str, Any], shop: int, now_ms: int) -> Context:
    """A context like the tracker's, but with a rate for every currency: the tracker itself says which ones have one."""
    named = [event, *_items(event)]
    currencies = {one["currency"] for one in named if isinstance(one.get("currency"), str)}
    own = Advertiser(id=shop, name="")
    return Context(own, FxTable(own.currency, dict.fromkeys(currencies, MICROS_PER_UNIT)), now_ms)


def _product_ids(read: Incoming, event: Mapping[str, Any]) -> list[str]:
    if read.event is not None:
        return [item.id for item in read.event.items]
    return [_text(one["item_id"]) for one in _items(event) if "item_id" in one]


def _advice(event: Mapping[str, Any], faulty: Container[str]) -> list[Fault]:
    """Warnings about what the tracker takes and a shop hardly meant; members that are `faulty` already are left out."""
    found = []
    name = _text(event.get("event"))
    if name and name not in {*Kind, *OWN_KINDS, OPT_OUT_EVENT}:
        close = difflib.get_close_matches(name, list(Kind), n=1)
        hint = f"did you mean '{close[0]}'?" if close else "the names with a meaning are in docs/events.md"
        found.append(Fault("/event", "custom_event", f"'{name}' has a meaning in rules alone that name it", hint=hint))
    if _lacks_currency(event):
        found.append(Fault("/currency", "missing", "the advertiser's currency is assumed", hint='currency: "PLN"'))
    if name == Kind.PURCHASE and not event.get("transaction_id"):
        text = "an order without its number counts again whenever the page is loaded"
        found.append(Fault("/transaction_id", "missing", text))
    if name == Kind.PURCHASE and event.get("value") is None and not _has_prices(event):
        found.append(Fault("/value", "missing", "the order has no value, so reports do not know what ads brought"))
    return [fault for fault in found if fault.pointer not in faulty]


def _lacks_currency(event: Mapping[str, Any]) -> bool:
    """Whether there is an amount, and neither the event nor all of its items say of which currency."""
    rows = _items(event)
    if event.get("currency") or (rows and all(one.get("currency") for one in rows)):
        return False
    return event.get("value") is not None or _has_prices(event)


def _has_prices(event: Mapping[str, Any]) -> bool:
    return any(one.get("price") is not None for one in _items(event))


def _items(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = event.get("items")
    return [one for one in items[:_ITEMS_READ] if isinstance(one, dict)] if isinstance(items, list) else []


def _said(signals: Signals) -> str:
    if signals.refusal:
        return f"refused by {signals.refusal}"
    words = [f"gdpr {int(signals.gdpr)}"] if signals.gdpr is not None else []
    words += ["TC string"] if signals.consent else []
    words += ["GPP string"] if signals.gpp else []
    words += [f"gpp_sid {', '.join(map(str, signals.sections))}"] if signals.sections else []
    return ", ".join(words) or "nothing"


def _fate(request: TagRequest, *, failed: bool) -> EventFate:
    if not request.status:
        return "unanswered"
    if failed or request.status == 400:
        return "invalid"
    return "accepted" if request.status in (200, 204) else "refused"


def _reason(request: TagRequest) -> str:
    if request.status and request.status not in (200, 204):
        why = _BLOCKED.get(request.failure) or _WHY.get(request.status, "")
        return f"{request.status}" + (f", {why}" if why else "")
    if request.failure:
        return _BLOCKED.get(request.failure, request.failure)
    return "" if request.status else "there was no answer before the end"


def _told(answer: str, count: int) -> list[dict[str, Any]]:
    """What the tracker said of each event; empty where it said nothing, or the browser no longer has it."""
    silent: list[dict[str, Any]] = [{} for _ in range(count)]
    try:
        said = json.loads(answer) if answer else {}
    except ValueError:
        return silent
    if not isinstance(said, dict):
        return silent
    results = said.get("results")
    if isinstance(results, list) and len(results) == count:
        return [one if isinstance(one, dict) else {} for one in results]
    return [{"status": "invalid", "errors": said.get("errors")}] if count == 1 and said.get("errors") else silent


def _add_told(check: EventCheck, told: Mapping[str, Any]) -> None:
    """Take over what the tracker itself said: it knows the shop's currencies and settings, so its word goes first."""
    status = told.get("status")
    if status in ("accepted", "dropped", "invalid"):
        check.fate, check.why = status, _text(told.get("reason"))
    elif status == "retry":
        check.fate, check.why = "refused", "the event log is full"
    for name, known in (("errors", check.errors), ("warnings", check.warnings)):
        try:
            said = msgspec.convert(told.get(name) or [], list[Fault])
        except msgspec.ValidationError:
            continue
        pointers = {(fault.pointer, fault.code) for fault in known}
        known.extend(fault for fault in said if (fault.pointer, fault.code) not in pointers)


def _once(events: list[tuple[str, EventCheck]]) -> list[EventCheck]:
    """The events, each once: the tag sends an event again in another way when the first one fails."""
    found: dict[object, EventCheck] = {}
    for place, (event_id, check) in enumerate(events):
        key = (check.advertiser_id, check.event, event_id) if event_id else place
        if key not in found or (found[key].fate not in _GOOD and check.fate in _GOOD):
            found[key] = check
    return list(found.values())


def _text(value: object) -> str:
    return str(value)[:_TEXT_CHARS] if isinstance(value, str | int | float) else ""
