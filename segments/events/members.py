"""Which members an event has, and which unknown one was probably meant to be one of them.

GA4's events carry many members that mean nothing here, so an unknown one is no fault. One that is spelt nearly like a
member of ours is a mistake in the tag that nobody would notice: the price never arrives. It is told to the sender, and
kept for the shop's tag health.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from core.errors import Fault
from segments.events.dialects import FIELD_ALIASES, ITEM_ALIASES
from segments.events.privacy import MEMBERS as PRIVACY_MEMBERS
from segments.facts.event import EventIn, ItemIn, PlaceIn

UNKNOWN_MEMBER: Final = "unknown_member"
"""Code of a note about a member that was probably meant to be a known one."""

_CONTAINERS: Final = frozenset({"params", "ecommerce", "user_data", "engagement_time_msec", "client_id", "events"})
EVENT_MEMBERS: Final = frozenset({*EventIn.__struct_fields__, *FIELD_ALIASES, *_CONTAINERS, *PRIVACY_MEMBERS})
ITEM_MEMBERS: Final = frozenset({*ItemIn.__struct_fields__, *ITEM_ALIASES})
PLACE_MEMBERS: Final = frozenset(PlaceIn.__struct_fields__)
NOTED_MEMBERS: Final = frozenset({*EventIn.__struct_fields__, *ItemIn.__struct_fields__, *PlaceIn.__struct_fields__})
"""The only members that a note which is kept of a shop can name as meant."""

COLUMNS: Final = tuple(
    sorted(
        {*EventIn.__struct_fields__, *ItemIn.__struct_fields__, *FIELD_ALIASES}
        - {"attributes", "place", "items", "item", "products", "product"}
    )
)
"""Members that a row of a table can have: those that are no objects or lists."""

# GA4's and OneTag's own names that are near to ours and mean something else.
_OTHERS: Final = re.compile(
    r"item_(name|brand|variant|category\d|list_id|list_name)|items?_\w*count|value_\w+|prices?_\w+|user_(agent|name|type)"
    r"|page_\w+|event_(name|time|source|callback|category|label|action|timeout)|session_\w+|gtm\.\w+|_\w*|names?|type"
    r"|transaction_(date|total|status)|curren(t|cies)|location_id|index|email_(opt_in|consent)|titles?|timer?|content|source|medium|campaign|term"
)
_MEANT: Final = {
    "qty": "quantity", "sku": "item_id", "order_id": "transaction_id", "orderid": "transaction_id", "total": "value",
    "revenue": "value", "amount": "value", "curr": "currency", "hashed_email": "email_sha256", "query": "search_term",
}  # fmt: skip
_SHORTEST: Final = 4
_LONGEST: Final = 40
# How many names of one body are looked at. Real tags have a few dozen; comparing costs up to 0.3 ms a name, and half a
# megabyte of made-up ones would hold everybody else for a minute.
MOST_NAMES: Final = 256
# A name may have one wrong letter; one that is at least so long may have two.
_LONG_NAME: Final = 8


class NameBudget:
    """How many unknown names of a body may still be looked at; the others are ignored without a word."""

    __slots__ = ("left",)

    def __init__(self, most: int = MOST_NAMES) -> None:
        self.left = most


def unknown_members(event: Mapping[str, Any], budget: NameBudget) -> list[Fault]:
    """Notes about members of a normalised event that are nearly known: pointer, and which one was meant."""
    notes = _near(event, EVENT_MEMBERS, "", budget)
    items = event.get("items")
    for at, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            notes += _near(item, ITEM_MEMBERS, f"/items/{at}", budget)
    place = event.get("place")
    if isinstance(place, dict):
        notes += _near(place, PLACE_MEMBERS, "/place", budget)
    return notes


def _near(values: Mapping[str, Any], known: frozenset[str], pointer: str, budget: NameBudget) -> list[Fault]:
    notes = []
    for name in values:
        if name in known:
            continue
        if not budget.left:
            break
        budget.left -= 1
        meant = nearest_member(name, known)
        if meant is not None and meant not in values:
            text = f"'{name}' is no member and was ignored"
            notes.append(Fault(f"{pointer}/{name}", UNKNOWN_MEMBER, text, hint=f"did you mean '{meant}'?"))
    return sorted(notes, key=lambda note: note.pointer)


def meant_by(note: Fault) -> tuple[str, str]:
    """(written, meant) of a note of `unknown_members`."""
    return note.pointer.rpartition("/")[2], note.hint.split("'")[1]


@functools.lru_cache(maxsize=4_096)
def nearest_member(name: str, known: frozenset[str]) -> str | None:
    """The known member that `name` was probably meant to be: the same but for case and marks, or a wrong letter."""
    if len(name) > _LONGEST or len(name) < 3 or _OTHERS.fullmatch(name):
        return None
    plain = _plain(name)
    for member in sorted(known):
        if _plain(member) == plain:
            return member
    meant = _MEANT.get(name.lower())
    if meant is not None:
        return meant if meant in known else None
    if len(name) < _SHORTEST:
        return None
    return _closest(plain, known)


def _closest(plain: str, known: Iterable[str]) -> str | None:
    letters, found = set(plain), []
    for member in known:
        meant = _plain(member)
        # A wrong letter takes one out of the set and puts one in: most names are not worth comparing.
        if len(member) < _SHORTEST or abs(len(meant) - len(plain)) > 2 or len(letters ^ set(meant)) > 4:
            continue
        found.append((_distance(plain, meant), member))
    distance, member = min(found, default=(99, ""))
    return member if distance <= (2 if len(_plain(member)) >= _LONG_NAME else 1) else None


@functools.lru_cache(maxsize=4_096)
def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _distance(left: str, right: str) -> int:
    """Letters to insert, delete, replace, or swap with their neighbour."""
    before, row = [0] * (len(right) + 1), list(range(len(right) + 1))
    for at, letter in enumerate(left, start=1):
        previous, before, row = before, row, [at]
        for to, other in enumerate(right, start=1):
            cost = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != other))
            if at > 1 and to > 1 and letter == right[to - 2] and left[at - 2] == other:
                cost = min(cost, previous[to - 2] + 1)
            row.append(cost)
    return row[-1]
