"""Other spellings of an event (GA4's measurement protocol and data layer, Criteo's OneTag) turned into ours.

Nothing is judged here: what has a wrong type stays as it is, and the decoder names it.
"""

from collections.abc import Mapping
from typing import Any, Final

from segments.events.texts import stripped
from segments.facts.event import ALIASES

# The measurement protocol has an event's fields in `params`, a tag manager's data layer in `ecommerce`.
_WRAPPERS: Final = ("params", "ecommerce")
# Criteo and older GA spellings of fields.
FIELD_ALIASES: Final = {
    "name": "event", "item": "items", "products": "items", "product": "items", "id": "transaction_id",
    "email": "email_sha256", "keywords": "search_term", "page_location": "url", "page_referrer": "referrer",
    "timestamp": "time", "timestamp_micros": "time", "gdpr_consent": "consent",
}  # fmt: skip
ITEM_ALIASES: Final = {"id": "item_id", "product_id": "item_id", "category": "item_category"}


def normalised(row: Mapping[str, Any]) -> dict[str, Any]:
    """The event with names, fields and items in our own spelling; null fields are left out."""
    merged = dict(row)
    for wrapper in _WRAPPERS:
        inner = merged.pop(wrapper, None)
        if isinstance(inner, dict):
            merged |= inner
    _lift_user_data(merged)
    for alias, name in FIELD_ALIASES.items():
        if alias in merged and name not in merged:
            merged[name] = merged.pop(alias)
    kind = merged.get("event")
    if isinstance(kind, str):
        kind = stripped(kind)
        merged["event"] = str(ALIASES.get(kind, kind))
    merged["email_sha256"] = _only(merged.get("email_sha256"))
    if "engagement_time_msec" in merged and "seconds" not in merged:
        milliseconds = merged["engagement_time_msec"]
        is_number = isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool)
        merged["seconds"] = milliseconds / 1000 if is_number else milliseconds
    items = merged.get("items")
    if items is not None:
        rows = items if isinstance(items, list) else [items]
        merged["items"] = [_normalised_item(item) for item in rows]
    return {name: value for name, value in merged.items() if value is not None}


def _lift_user_data(merged: dict[str, Any]) -> None:
    """GA4 has the hashed address inside `user_data`."""
    user_data = merged.pop("user_data", None)
    if isinstance(user_data, dict) and "sha256_email_address" in user_data:
        merged.setdefault("email_sha256", user_data["sha256_email_address"])


def _only(value: object) -> object:
    """GA4 and Criteo allow a list of addresses; one person has been named by a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _normalised_item(item: object) -> object:
    if isinstance(item, str | int | float) and not isinstance(item, bool):  # Criteo's viewList: bare ids
        return {"item_id": item}
    if not isinstance(item, dict):
        return item
    return {ITEM_ALIASES.get(name, name): value for name, value in item.items() if value is not None}
