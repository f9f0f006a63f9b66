"""Texts of events: numbers where a text belongs, line ends that a till's export leaves, addresses longer than we keep.

A shop's order number is a number in one system and a text in the other, so a number is a text everywhere. True and
false are not: nobody's order is called True. What only decorates an event (the page's address, a phrase, a category) is
cut, or left out, and never a reason to lose the event; what identifies something is taken as it is or refused.
"""

import contextlib
import math
import re
from collections.abc import MutableMapping
from typing import Any, Final, NamedTuple

from core.ids import is_hash_of_nothing, is_unfilled
from segments.events.source import shortened
from segments.facts.event import MAX_SECONDS, MAX_TEXT_CHARS, MAX_URL_CHARS

# What stands at the ends of a text by accident: spaces of any kind, control characters, line separators, a byte order
# mark in the middle of a file. Not a pattern: one that ends in `+\\Z` takes quadratic time on a long run inside a text.
_ENDS: Final = (
    "".join(sign for sign in map(chr, range(0x3001)) if sign.isspace() or sign < " " or "\x7f" <= sign <= "\x9f")
    + "\u200b\ufeff"
)
_INSIDE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
# A double holds whole numbers up to here exactly; a larger id was rounded before it was sent.
_EXACT: Final = 2**53
# No id has more digits, and Python refuses to write a number of thousands of digits.
_LONGEST_NUMBER: Final = 10**300
# The largest quantity that is read as a weight: as many pieces as an item may have (event.ItemIn).
_MOST_WEIGHED: Final = 10_000

_CURRENCY_SIGNS: Final = {"ZŁ": "PLN", "ZL": "PLN", "€": "EUR", "£": "GBP"}


class _Text(NamedTuple):
    """How a member is read. One that `decorates` is cut at `most` characters and loses inner control characters."""

    most: int = 0
    decorates: bool = False
    is_url: bool = False


_ID: Final = _Text()
_EVENT: Final = {
    "event": _ID, "transaction_id": _ID, "event_id": _ID, "user_id": _ID, "email_sha256": _ID, "phone_sha256": _ID,
    "customer_id": _ID, "currency": _ID,
    "consent": _ID, "ad_personalization": _ID,
    "url": _Text(MAX_URL_CHARS, decorates=True, is_url=True),
    "referrer": _Text(MAX_URL_CHARS, decorates=True, is_url=True),
    "search_term": _Text(MAX_TEXT_CHARS, decorates=True),
}  # fmt: skip
_ITEM: Final = {
    "item_id": _ID, "currency": _ID,
    "item_category": _Text(MAX_TEXT_CHARS, decorates=True),
    "availability": _Text(MAX_TEXT_CHARS, decorates=True),
}  # fmt: skip
_PLACE: Final = {
    "country": _Text(MAX_TEXT_CHARS, decorates=True),
    "region": _Text(20, decorates=True),
    "city": _Text(60, decorates=True),
}
_COUNTRY: Final = re.compile(r"[A-Za-z]{3}")
# Empty texts are removed where a number or a flag belongs: shops' templates print them for missing values.
_NUMBERS: Final = ("value", "seconds", "time", "gdpr", "offline", "replace")
_ITEM_NUMBERS: Final = ("price", "quantity", "stock")
# Objects that PHP writes as `[]`, and templates as `""`, when they are empty: they are removed then.
_OBJECTS: Final = ("attributes", "place")
_NAMES: Final = ("transaction_id", "event_id", "customer_id")
_HASHES: Final = ("email_sha256", "phone_sha256")


def stripped(text: str) -> str:
    """The text without spaces, control characters and line separators at its ends."""
    return text.strip(_ENDS)


def mend(event: MutableMapping[str, Any]) -> list[str]:
    """Bring an event's texts, in place, into the form that its check wants; returns the members that were changed.

    A member that identifies something stays if it is neither text nor number: the check refuses it by name.
    """
    mended: list[str] = []
    _mend_texts(event, _EVENT, mended)
    _drop_empty(event, _NUMBERS)
    for item in _objects(event.get("items")):
        _mend_texts(item, _ITEM, mended)
        _drop_empty(item, _ITEM_NUMBERS)
        _mend_currency(item, mended)
        _mend_quantity(item, mended)
    for name in _OBJECTS:
        if event.get(name) in ([], ""):
            del event[name]
    _mend_place(event, mended)
    _mend_currency(event, mended)
    _mend_gdpr(event)
    _mend_seconds(event, mended)
    _drop_unfilled(event, mended)
    return mended


def _objects(values: object) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _mend_texts(values: MutableMapping[str, Any], members: dict[str, _Text], mended: list[str]) -> None:
    for name, how in members.items():
        if name not in values:
            continue
        value = values[name]
        text = _number_text(value) if isinstance(value, int | float) else value
        if not isinstance(text, str):
            if how.decorates and value is not None:
                values[name] = _only_text(value)
                mended.append(name)
            continue
        text = stripped(text)
        if how.decorates:
            text = _INSIDE.sub(" ", text)
            if len(text) > how.most:
                text = shortened(text, how.most) if how.is_url else text[: how.most]
                mended.append(name)
        values[name] = text


def _only_text(value: object) -> str:
    """The text to keep of a value that is none, in a member that identifies nothing: that of a list of one, or ''."""
    only = value[0] if isinstance(value, list) and len(value) == 1 else None
    return stripped(only)[:MAX_TEXT_CHARS] if isinstance(only, str) else ""


def _number_text(value: float) -> object:
    """`10001` for 10001 and for 10001.0, as some languages write it; other values as they are."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value) if abs(value) < _LONGEST_NUMBER else value
    if not math.isfinite(value):
        return value
    return str(int(value)) if value == int(value) and abs(value) < _EXACT else str(value)


def _drop_empty(values: MutableMapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        value = values.get(name)
        if isinstance(value, str):
            values[name] = value = stripped(value)
            if not value:
                del values[name]


def _mend_currency(event: MutableMapping[str, Any], mended: list[str]) -> None:
    currency = event.get("currency")
    if not isinstance(currency, str):
        return
    upper = currency.upper()
    known = _CURRENCY_SIGNS.get(upper, upper)
    if known != currency:
        mended.append("currency")
    event["currency"] = known
    if not known:
        del event["currency"]


def _mend_place(event: MutableMapping[str, Any], mended: list[str]) -> None:
    """Leave out of a place, which only decorates an event, what is no place: `"Poland"`, `{"country": "PL"}`."""
    place = event.get("place")
    if place is None:
        return
    if not isinstance(place, dict):
        del event["place"]
        mended.append("place")
        return
    _mend_texts(place, _PLACE, mended)
    country = place.get("country")
    if country and _COUNTRY.fullmatch(country) is None:
        del place["country"]
        mended.append("country")


def _mend_quantity(item: MutableMapping[str, Any], mended: list[str]) -> None:
    """Make goods sold by weight one piece at their price together: 0.752 kg at 12.99 become one at 9.76848."""
    quantity, price = _number(item.get("quantity")), _number(item.get("price"))
    if quantity is None or not 0 < quantity <= _MOST_WEIGHED or quantity.is_integer():
        return
    item["quantity"] = max(round(quantity), 1) if price is None else 1
    if price is not None:
        item["price"] = price * quantity
    mended.append("quantity")


def _number(value: object) -> float | None:
    """A finite number, also if it is written as a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) if not isinstance(value, str) or "_" not in value else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _drop_unfilled(event: MutableMapping[str, Any], mended: list[str]) -> None:
    """Remove names that a template left unfilled: by them all orders, or all persons, would be the same one."""
    for names, is_nothing in ((_NAMES, is_unfilled), (_HASHES, is_hash_of_nothing)):
        for name in names:
            value = event.get(name)
            if isinstance(value, str) and value and is_nothing(value):
                del event[name]
                mended.append(name)


def _mend_gdpr(event: MutableMapping[str, Any]) -> None:
    """True and false are 1 and 0 here, as texts too; anything else that is said means that the regulation applies."""
    if "gdpr" not in event:
        return
    value = event["gdpr"]
    word = value.lower() if isinstance(value, str) else value
    event["gdpr"] = 0 if word in (0, "0", "false", "no") else 1


def _mend_seconds(event: MutableMapping[str, Any], mended: list[str]) -> None:
    """Bound the seconds on a page: one left open over night counts as MAX_SECONDS, a clock that was set back as 0."""
    seconds = event.get("seconds")
    if isinstance(seconds, str):
        with contextlib.suppress(ValueError):
            seconds = float(seconds)
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and not 0 <= seconds <= MAX_SECONDS:
        event["seconds"] = MAX_SECONDS if seconds > 0 else 0
        mended.append("seconds")
