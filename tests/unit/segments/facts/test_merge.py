"""No fact is forgotten when two devices become one person; what merging does to each is in tests/property."""

import typing
from typing import Any

import msgspec
import pytest

from segments.facts.facts import FACT_NAMES, Facts
from segments.facts.merge import merge

NOW_S = 1_790_000_000

# What merging does not take over from the other side, and why.
NOT_TAKEN = {
    "devices": "who is passed on to is decided by the worker that links two devices, on each side for itself",
    "forwarded": "how far the other device's stream was read concerns the other device",
    "merged": "names the other side itself",
    "engagement": "derived anew from the facts of both",
    "frequency_class": "derived anew from the facts of both",
    "monetary_class": "derived anew from the facts of both",
    "lifetime_value_micros": "derived anew from the facts of both",
    "lifecycle": "derived anew from the facts of both",
}

TYPES = typing.get_type_hints(Facts)


def some(kind: Any) -> Any:  # noqa: ANN401 - any annotation of a fact, any value
    """A value of a type that its default is not."""
    origin = typing.get_origin(kind)
    if origin is list:
        return [some(typing.get_args(kind)[0])]
    if origin is dict:
        return {"seven": some(typing.get_args(kind)[1])}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: some(hint) for name, hint in typing.get_type_hints(kind).items()})
    if isinstance(kind, type) and issubclass(kind, bool):
        return True
    if isinstance(kind, type) and issubclass(kind, int):
        return NOW_S
    if isinstance(kind, type) and issubclass(kind, float):
        return 7.0
    return b"seven7" if kind is bytes else "seven"


def visitor() -> Facts:
    return Facts(**{name: some(kind) for name, kind in TYPES.items()})


@pytest.mark.parametrize("name", sorted(FACT_NAMES - set(NOT_TAKEN)))
def test_a_fact_of_the_other_device_is_not_forgotten(name: str) -> None:
    mine = Facts()
    # Alone, so that no other fact can bring it back; a cart and an order are facts only together with their parts.
    together = {
        "cart": ("cart", "cart_micros", "cart_stage", "cart_since_s", "cart_changed_s", "cart_idle_s"),
        "purchases": ("orders", "purchases", "purchases_micros", "last_purchase_s", "last_purchase_micros"),
    }
    group = next((names for names in together.values() if name in names), (name,))
    other = Facts(**{member: getattr(visitor(), member) for member in group})
    merge(mine, "me", other, "other")
    assert getattr(mine, name) == getattr(other, name) != getattr(Facts(), name)


def test_the_list_of_what_is_not_taken_names_facts() -> None:
    assert set(NOT_TAKEN) <= FACT_NAMES
