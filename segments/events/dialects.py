"""Other spellings of an event (GA4's measurement protocol and data layer, Criteo's OneTag) turned into ours.

Nothing is judged here: what has a wrong type stays as it is, and the decoder names it.
"""

from collections.abc import Mapping
from typing import Any, Final

from segments.events.privacy import CONSENT_STRINGS
from segments.events.privacy import MEMBERS as PRIVACY_MEMBERS
from segments.events.texts import stripped
from segments.facts.event import ALIASES

# The measurement protocol has an event's fields in `params`, a tag manager's data layer in `ecommerce`.
_WRAPPERS: Final = ("params", "ecommerce")
# Criteo and older GA spellings of fields.
FIELD_ALIASES: Final = {
    "name": "event", "item": "items", "products": "items", "product": "items", "id": "transaction_id",
    "email": "email_sha256", "keywords": "search_term", "page_location": "url", "page_referrer": "referrer",
    "timestamp": "time", "timestamp_micros": "time", "gdpr_consent": "consent",
    "currencyCode": "currency", "currency_code": "currency", "priceCurrency": "currency", "price_currency": "currency",
}  # fmt: skip
ITEM_ALIASES: Final = {
    "id": "item_id", "product_id": "item_id", "category": "item_category",
    "currencyCode": "currency", "currency_code": "currency", "priceCurrency": "currency", "price_currency": "currency",
}  # fmt: skip


def normalised(row: Mapping[str, Any]) -> dict[str, Any]:
    """The event with names, fields and items in our own spelling; null fields are left out."""
    merged = dict(row)
    for wrapper in _WRAPPERS:
        inner = merged.pop(wrapper, None)
        if isinstance(inner, dict):
            merged |= _told(inner, merged)
    _lift_user_data(merged)
    for alias, name in FIELD_ALIASES.items():
        if alias in merged and says_nothing(merged.get(name)):
            merged[name] = merged.pop(alias)
    kind = merged.get("event")
    if isinstance(kind, str):
        kind = stripped(kind)
        merged["event"] = str(ALIASES.get(kind, kind))
    for name in ("email_sha256", "phone_sha256"):
        merged[name] = _only(merged.get(name))
    if "engagement_time_msec" in merged and "seconds" not in merged:
        milliseconds = merged["engagement_time_msec"]
        merged["seconds"] = _seconds_of(milliseconds)
    items = merged.get("items")
    if items == "":
        merged["items"] = []
    elif items is not None:
        rows = items if isinstance(items, list) else [items]
        merged["items"] = [_normalised_item(item) for item in rows]
    return {name: value for name, value in merged.items() if value is not None}


def with_shared(row: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The event with what stands beside its batch, unless it says the same by any of the names for it.

    Wishes (segments.events.privacy) of another name are kept: each of them can take away.
    """
    layers = [row, *(inner for name in _WRAPPERS if isinstance(inner := row.get(name), dict))]
    own = {_canonical(name) for layer in layers for name, value in layer.items() if not says_nothing(value)}
    beside = {name: value for name, value in shared.items() if name in PRIVACY_MEMBERS or _canonical(name) not in own}
    merged = beside | _told(row, beside)
    _settle_strings(merged, row, shared)
    return merged


def _settle_strings(merged: dict[str, Any], row: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
    """The event's own consent string displaces the batch's; words of consent and strings do not displace each other."""
    told = {name: value for name in CONSENT_STRINGS if isinstance(value := shared.get(name), str) and stripped(value)}
    if any(isinstance(value := row.get(name), str) and stripped(value) for name in CONSENT_STRINGS):
        for name in told:
            if says_nothing(row.get(name)):
                del merged[name]
    elif told and not any(merged.get(name) == value for name, value in told.items()):
        place = merged.get("gdpr_consent")
        if says_nothing(place) or isinstance(place, Mapping):  # an object here is no string
            merged["gdpr_consent"] = list(told.values())[-1]


def says_nothing(value: object) -> bool:
    """Whether a member might as well not be there: templates print an empty text where they have nothing."""
    return value is None or (isinstance(value, str) and not stripped(value))


def _told(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> dict[str, Any]:
    """The inner members, without those that say nothing where the outer ones do."""
    return {
        name: value
        for name, value in inner.items()
        if name not in outer or not (says_nothing(value) or (name == "gpp_sid" and value == []))
    }


def _canonical(name: str) -> str:
    return FIELD_ALIASES.get(name, name)


def _lift_user_data(merged: dict[str, Any]) -> None:
    """Take the hashed address and number out of `user_data`, where GA4 has them."""
    user_data = merged.pop("user_data", None)
    if isinstance(user_data, dict) and "sha256_email_address" in user_data:
        merged.setdefault("email_sha256", user_data["sha256_email_address"])
    if isinstance(user_data, dict) and "sha256_phone_number" in user_data:
        merged.setdefault("phone_sha256", user_data["sha256_phone_number"])


def _only(value: object) -> object:
    """The value, or that of a list of one: GA4 and Criteo allow lists of addresses, but we know one person an event."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _normalised_item(item: object) -> object:
    if isinstance(item, str | int | float) and not isinstance(item, bool):  # Criteo's viewList: bare ids
        return {"item_id": item}
    if not isinstance(item, dict):
        return item
    read = {name: value for name, value in item.items() if value is not None}
    for alias, name in ITEM_ALIASES.items():
        if alias in read and says_nothing(read.get(name)):
            read[name] = read.pop(alias)
    return read


def _seconds_of(milliseconds: object) -> object:
    """Seconds, also of a text, as tag managers write it; what is no number stays as it is, for the check to refuse."""
    try:
        if isinstance(milliseconds, int | float | str) and not isinstance(milliseconds, bool):
            return float(milliseconds) / 1000
    except (ValueError, OverflowError):
        pass
    return milliseconds
