"""The checked rule: facts resolved, types right, operators reduced to ranges. What windows are computed from."""

import msgspec

from segments.rules.happenings import Source
from segments.rules.patterns import Patterns
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
    """The fact's moment lies `low` to `high` seconds (both included; None: no end) behind now, or ahead of it."""

    fact: Fact
    low: int
    high: int | None
    ahead: bool


class Occurrences(msgspec.Struct, frozen=True, kw_only=True):
    """The number (or, `weighted`, the value in micros) of matching events lies in `least`..`most`, both included.

    An event counts if its age is `low` to `high` seconds (None: any age) and, with `since`, if it is not earlier than
    that fact's moment; without such a moment none counts.
    """

    source: Source
    patterns: Patterns
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
