"""The checked rule: facts resolved, types right, operators reduced to ranges. What windows are computed from."""

import msgspec

from segments.rules.happenings import HappeningSource
from segments.rules.patterns import Selecting
from segments.rules.predicates import Predicate
from segments.rules.vocabulary import Fact


class Fixed(msgspec.Struct, frozen=True):
    holds: bool


class Test(msgspec.Struct, frozen=True):
    """The fact has a value and the value satisfies `holds`."""

    fact: Fact
    holds: Predicate


class Known(msgspec.Struct, frozen=True):
    """The fact has a value."""

    fact: Fact


class Distance(msgspec.Struct, frozen=True):
    """The fact's moment lies `low` to `high` seconds (both included; None: no end) before now, or `ahead` of it."""

    fact: Fact
    low: int
    high: int | None
    ahead: bool


class Occurrences(msgspec.Struct, frozen=True, kw_only=True):
    """The number (or, `weighted`, the value in micros) of matching events lies in `least`..`most`, both included.

    An event counts if its age is `low` to `high` seconds (None: any age) and, with `since`, if it is not earlier than
    that fact's moment; without such a moment none counts.
    """

    source: HappeningSource
    patterns: Selecting
    low: int
    high: int | None
    since: Fact | None
    least: int
    most: int | None
    weighted: bool


class AllOf(msgspec.Struct, frozen=True):
    parts: tuple["Condition", ...]


class AnyOf(msgspec.Struct, frozen=True):
    parts: tuple["Condition", ...]


class Opposite(msgspec.Struct, frozen=True):
    part: "Condition"


Condition = AllOf | AnyOf | Opposite | Fixed | Test | Known | Distance | Occurrences


Key = tuple[object, ...] | None
"""Equal for conditions that mean the same; None for one that is as cheap to compute as to look up."""


def shared_key(condition: Condition) -> Key:
    """The key by which rules that ask the same share a condition: the tiers of carts all ask for their age."""
    match condition:
        case Distance(fact=fact, low=low, high=high, ahead=ahead):
            return ("distance", fact.name, low, high, ahead)
        case Occurrences(source=source, since=since):
            own = (condition.patterns.key, condition.low, condition.high, condition.least, condition.most)
            return ("occurrences", id(source), since.name if since else "", condition.weighted, own)
        case Opposite(part=part) if (key := shared_key(part)) is not None:
            return ("opposite", key)
        case _:
            return None


def shared_keys(condition: Condition) -> list[Key]:
    """Keys of all parts of a condition that another rule may ask too."""
    key = shared_key(condition)
    match condition:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return [key for part in parts for key in shared_keys(part)]
        case Opposite(part=part):
            return [*shared_keys(part), *([key] if key is not None else [])]
        case _:
            return [key] if key is not None else []


def reads(condition: Condition) -> frozenset[str]:
    """The fields of `Facts` that the condition depends on."""
    match condition:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return frozenset().union(*map(reads, parts))
        case Opposite(part=part):
            return reads(part)
        case Fixed():
            return frozenset()
        case Occurrences(source=source, since=since):
            return source.reads | (since.reads if since else frozenset())
        case Test(fact=fact) | Known(fact=fact) | Distance(fact=fact):
            return fact.reads


def traits(condition: Condition) -> frozenset[str]:
    """The traits of products that the condition asks for (segments.facts.traits)."""
    match condition:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return frozenset().union(*map(traits, parts))
        case Opposite(part=part):
            return traits(part)
        case Occurrences(source=source, since=since):
            return frozenset({source.trait, since.trait if since else ""}) - {""}
        case Test(fact=fact) | Known(fact=fact) | Distance(fact=fact):
            return frozenset({fact.trait}) - {""}
        case Fixed():
            return frozenset()
