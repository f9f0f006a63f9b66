"""From a request body to validated events: batches, currency, time, and faults that name the field.

One fault of a payload's shape is reported at a time for an event (the decoder stops there); faults of meaning are
reported together. Each event of a batch is judged alone.
"""

import datetime
import math
import re
from typing import Any, Final

import msgspec

from core.errors import Fault, InputError
from core.ids import is_user_id
from core.model import Advertiser
from core.money import MICROS_PER_UNIT, FxTable
from segments.events.dialects import normalised, with_shared
from segments.events.members import NameBudget, unknown_members
from segments.events.privacy import MEMBERS as PRIVACY_MEMBERS
from segments.events.privacy import NOTHING_SAID, Signals, signals_of, stricter
from segments.events.source import path_of, source_of
from segments.events.texts import mend, stripped
from segments.facts.event import (
    MAX_BATCH,
    MAX_TEXT_CHARS,
    NEEDS_ITEMS,
    Event,
    EventIn,
    Item,
    ItemIn,
    Kind,
    Source,
    customer_digest,
    event_key,
    order_key,
    person_digest,
    phone_digest,
)
from segments.facts.facts import DAY_S, AttributeValue

# Shops' clocks run ahead by seconds; more means a wrong time zone, and a visit in the future would never become idle.
MAX_AHEAD_S: Final = 300
# Unix seconds reach this in the year 2286; a larger number is in milliseconds, one a thousand times larger in
# microseconds (GA4's `timestamp_micros`).
_SECONDS_LIMIT: Final = 10_000_000_000
_ATTRIBUTE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,29}")
_LOCATION: Final = re.compile(r"\A(.*?) - at `\$(.*)`\Z", re.DOTALL)
_ENVELOPE: Final = (
    *PRIVACY_MEMBERS, "url", "page_location", "referrer", "page_referrer", "user_id", "email", "email_sha256",
    "phone_sha256", "customer_id", "user_data", "place", "currency", "currencyCode",
    "currency_code", "time", "timestamp", "timestamp_micros", "offline",
)  # fmt: skip
_HINTS: Final = {
    "email_sha256": "send the SHA-256 of the trimmed lower-case address as 64 hex digits, never the address itself",
    "phone_sha256": "send the SHA-256 of the number as +48123456789 as 64 hex digits, never the number itself",
    "event": "a lower-case GA4 name such as view_item, or a custom one of a-z, 0-9 and _, 40 characters at most",
    "currency": "three capital letters of ISO 4217, such as PLN",
}


_NO_PLACE: Final = Fault("/place", "ignored", "no object, and was ignored", hint='{"country": "POL", "city": "Kraków"}')
_NO_COUNTRY: Final = Fault("/place/country", "ignored", "no ISO 3166 alpha-3 code, and was ignored", hint="such as POL")


class Context(msgspec.Struct, frozen=True):
    """What the receiver knows besides the payload. `trusted` senders hold an API key (or are the shop's own import)."""

    advertiser: Advertiser
    fx: FxTable
    now_ms: int
    user_id: str = ""  # that our cookie names
    trusted: bool = False
    referrer: str = ""  # the page, from the Referer header, when the payload names none
    sec_gpc: str = ""  # the browser's own header


class Incoming(msgspec.Struct, frozen=True):
    """One judged event: `event` when `faults` is empty; the signals of consent are still to be judged.

    `notes` tell of members that were probably meant to be known ones, and of a place that was left out; `mended` of
    those that were cut or changed.
    """

    event: Event | None
    faults: tuple[Fault, ...] = ()
    signals: Signals = NOTHING_SAID
    notes: tuple[Fault, ...] = ()
    mended: tuple[str, ...] = ()


def split_batch(payload: object) -> list[Any]:
    """Events of a decoded body: one object, a list of them, or a GA4 envelope `{"events": [...], ...}`.

    Fields beside `events` (url, consent, user_id, ...) hold for each event that does not set its own; a flag or word
    there that refuses holds whatever an event says. Raises InputError for any other shape, a batch without an event
    object, or more than MAX_BATCH events. What else is in a batch beside objects is for `read_event` to judge.
    """
    if isinstance(payload, dict) and "events" in payload:
        shared = {name: payload[name] for name in _ENVELOPE if name in payload}
        events = payload["events"]
        rows = events
        if isinstance(events, list):
            rows = [
                with_shared(row, shared) | stricter(shared, row) if isinstance(row, dict) else row for row in events
            ]
    else:
        rows = payload if isinstance(payload, list) else [payload]
    if not isinstance(rows, list) or not any(isinstance(row, dict) for row in rows):
        fault = Fault("/events", "type", "expected an event object or a non-empty list of them")
        raise InputError("no events in the body", faults=[fault])
    if len(rows) > MAX_BATCH:
        fault = Fault("/events", "limit", f"{len(rows)} events, {MAX_BATCH} at most", hint="send smaller batches")
        raise InputError("the batch is too long", faults=[fault])
    return rows


def read_event(row: object, context: Context, names: NameBudget | None = None) -> Incoming:
    """Judge one event object. Never raises: what is wrong comes back as faults.

    `names` is how many unknown members of the whole body are still looked at; None for an event that is alone.
    """
    if not isinstance(row, dict):
        return Incoming(None, (Fault("", "type", "expected an event object"),))
    mended: list[str] = []
    notes: list[Fault] = []
    try:
        signals = signals_of(row, sec_gpc=context.sec_gpc)
        event = normalised(row)
        for name in PRIVACY_MEMBERS:  # judged as signals: no form of them makes the event itself wrong
            event.pop(name, None)
        notes = unknown_members(event, names or NameBudget())
        mended = mend(event)
        if "place" in mended:
            notes.append(_NO_PLACE)
        elif "country" in mended and not event["place"].get("country"):
            notes.append(_NO_COUNTRY)
        if not context.trusted:
            event.pop("time", None)  # a browser's clock is not believed, so it cannot spoil the event either
        parsed = msgspec.convert(event, EventIn, strict=False)
    except msgspec.ValidationError as error:
        return Incoming(None, (_shape_fault(str(error)),), notes=tuple(notes))
    except RecursionError:
        return Incoming(None, (Fault("", "type", "nested too deeply"),))
    faults: list[Fault] = []
    built = _build(parsed, context, faults)
    if faults:
        return Incoming(None, tuple(faults), notes=tuple(notes))
    return Incoming(built, (), signals, tuple(notes), tuple(dict.fromkeys(mended)))


def _shape_fault(message: str) -> Fault:
    located = _LOCATION.match(message)
    text, path = (located[1], located[2]) if located else (message, "")
    pointer = re.sub(r"\[(\d+)\]", r"/\1", path.replace("[...]", "").replace(".", "/"))  # [...]: a value by its name
    missing = re.search(r"missing required field `(\w+)`", text)
    if missing:
        pointer += f"/{missing[1]}"
    field = pointer.rsplit("/", 1)[-1]
    return Fault(pointer, "missing" if missing else "value", text[:1].lower() + text[1:], hint=_HINTS.get(field, ""))


def _build(parsed: EventIn, context: Context, faults: list[Fault]) -> Event:
    advertiser, url = context.advertiser, parsed.url or context.referrer
    currency = _known_currency(_currency_of(parsed) or advertiser.currency, "/currency", context, faults)
    if parsed.event in NEEDS_ITEMS and not parsed.items:
        faults.append(Fault("/items", "missing", f"{parsed.event} needs at least one item", hint='[{"item_id": "42"}]'))
    if parsed.event == Kind.REFUND and not parsed.transaction_id:
        faults.append(Fault("/transaction_id", "missing", "a refund names the order that it takes back"))
    person = person_digest(advertiser.id, parsed.email_sha256) if parsed.email_sha256 else b""
    place = parsed.place
    return Event(
        kind=parsed.event,
        advertiser_id=advertiser.id,
        user_id=_user_of(parsed, context, person, faults),
        at_ms=_time_of(parsed, context, faults),
        path=path_of(url),
        source=_source_of(parsed, url, advertiser),
        items=tuple(_item(item, at, currency, context, faults) for at, item in enumerate(parsed.items)),
        value_micros=_value_of(parsed, currency, context),
        order=order_key(parsed.transaction_id),
        phrase=" ".join(parsed.search_term.split()).lower()[:80],
        seconds=round(parsed.seconds),
        person=person,
        attributes=_attributes(parsed, faults),
        country=place.country.upper() if place else "",
        region=place.region if place else "",
        city=place.city.lower() if place else "",
        offline=_offline_of(parsed, context, faults),
        once=event_key(parsed.event_id),
        replaces=_replaces_of(parsed, context, faults),
        known_as=_known_as(parsed, advertiser.id),
    )


def _user_of(parsed: EventIn, context: Context, person: bytes, faults: list[Fault]) -> str:
    """Our cookie of the browser; a trusted sender may name the user instead, or leave it to the hashed e-mail."""
    if not context.trusted:
        return context.user_id
    if parsed.user_id and not is_user_id(parsed.user_id):
        faults.append(Fault("/user_id", "value", "not a Grosz user id", hint="send the value that /sync gave you"))
    if not parsed.user_id and not person:
        faults.append(Fault("/user_id", "missing", "an event needs user_id or email_sha256"))
    return parsed.user_id


def _known_as(parsed: EventIn, advertiser_id: int) -> tuple[bytes, ...]:
    """Digests by which customer lists may name the person, besides the e-mail's."""
    found = []
    if parsed.phone_sha256:
        found.append(phone_digest(advertiser_id, parsed.phone_sha256.lower()))
    if parsed.customer_id:
        found.append(customer_digest(advertiser_id, parsed.customer_id))
    return tuple(found)


def _offline_of(parsed: EventIn, context: Context, faults: list[Fault]) -> bool:
    if parsed.offline and not context.trusted:
        faults.append(Fault("/offline", "forbidden", "a browser cannot report offline events", hint="use an API key"))
    return parsed.offline


def _replaces_of(parsed: EventIn, context: Context, faults: list[Fault]) -> bool:
    """Whether the order corrects what is known of it; only those who keep the shop's books may say so."""
    if parsed.replace and not context.trusted:
        faults.append(Fault("/replace", "forbidden", "a browser cannot correct orders", hint="use an API key"))
    elif parsed.replace and (parsed.event != Kind.PURCHASE or not parsed.transaction_id):
        text = "only a purchase that names its transaction_id can replace one"
        faults.append(Fault("/replace", "value", text))
    return parsed.replace


def _source_of(parsed: EventIn, url: str, advertiser: Advertiser) -> Source | None:
    return None if parsed.offline or not url else source_of(url, parsed.referrer, advertiser.domain)


def _micros(amount: float, currency: str, context: Context) -> int:
    micros = round(amount * MICROS_PER_UNIT)
    return context.fx.convert(micros, currency, context.advertiser.currency)


def _currency_of(parsed: EventIn) -> str | None:
    """The currency of an event's value: its own, otherwise the one that all items name; None where they differ."""
    named = {item.currency for item in parsed.items}
    return parsed.currency or (named.pop() if len(named) == 1 else None)


def _known_currency(currency: str, pointer: str, context: Context, faults: list[Fault]) -> str:
    """The currency, if it has an exchange rate; otherwise the advertiser's, and a fault is added."""
    own = context.advertiser.currency
    if context.fx.knows(currency) or currency == own:
        return currency
    known = tuple(sorted({context.fx.base, *context.fx.rates}))
    faults.append(Fault(pointer, "unknown", f"no exchange rate for {currency}", allowed=known))
    return own


def _item(item: ItemIn, at: int, currency: str, context: Context, faults: list[Fault]) -> Item:
    if item.currency and item.currency != currency:
        currency = _known_currency(item.currency, f"/items/{at}/currency", context, faults)
    price = _micros(item.price, currency, context) if item.price is not None else 0
    availability = item.availability
    if not availability and item.stock is not None:
        availability = "in_stock" if item.stock > 0 else "out_of_stock"
    category = " ".join(item.item_category.split()).lower()[:60]
    return Item(item.item_id, category, price, item.quantity, availability[:20])


def _value_of(parsed: EventIn, currency: str, context: Context) -> int | None:
    return _micros(parsed.value, currency, context) if parsed.value is not None else None


def _time_of(parsed: EventIn, context: Context, faults: list[Fault]) -> int:
    """The sender's time if it may be believed (a trusted one); browsers' clocks are not."""
    if parsed.time is None or not context.trusted:
        return context.now_ms
    at_ms = _parse_time(parsed.time)
    oldest_ms = context.now_ms - context.advertiser.profile_retention_days * DAY_S * 1000
    if at_ms is None:
        hint = "unix seconds, milliseconds or microseconds, or ISO 8601 with an offset: 2026-03-01T12:00:00+01:00"
        faults.append(Fault("/time", "value", "not a time", hint=hint))
    elif at_ms > context.now_ms + MAX_AHEAD_S * 1000:
        faults.append(Fault("/time", "range", "lies in the future", hint="check the sender's clock and time zone"))
    elif at_ms < oldest_ms:
        days = context.advertiser.profile_retention_days
        faults.append(Fault("/time", "range", f"is older than the {days} days that profiles are kept"))
    return min(at_ms or context.now_ms, context.now_ms)


def _parse_time(value: str | float) -> int | None:
    if isinstance(value, str) and not re.fullmatch(r"\d{1,16}(\.\d+)?", value):
        try:
            moment = datetime.datetime.fromisoformat(value)
        except ValueError:
            return None
        return round(moment.timestamp() * 1000) if moment.tzinfo is not None else None
    number = float(value)
    if not 0 < number < _SECONDS_LIMIT * 1_000_000:  # also refuses NaN
        return None
    per_second = next(unit for unit in (1, 1_000, 1_000_000) if number < _SECONDS_LIMIT * unit)
    return round(number * 1_000 / per_second)


def _attributes(parsed: EventIn, faults: list[Fault]) -> dict[str, AttributeValue | None]:
    """Attributes with valid names; null removes one. Texts are bounded, numbers finite (JSON has no others)."""
    for name, value in parsed.attributes.items():
        pointer = f"/attributes/{name}"
        if not _ATTRIBUTE_NAME.fullmatch(name):
            hint = "a-z, 0-9 and _, starting with a letter, 30 characters at most"
            faults.append(Fault(pointer, "name", "not a valid attribute name", hint=hint))
        elif isinstance(value, float) and not math.isfinite(value):
            faults.append(Fault(pointer, "value", "is not a number"))
        elif isinstance(value, str) and len(value) > MAX_TEXT_CHARS:
            faults.append(Fault(pointer, "limit", f"longer than {MAX_TEXT_CHARS} characters"))
        elif isinstance(value, int) and not -(2**53) <= value <= 2**53:
            faults.append(Fault(pointer, "range", "beyond 2^53"))
    return {name: stripped(value) if isinstance(value, str) else value for name, value in parsed.attributes.items()}
