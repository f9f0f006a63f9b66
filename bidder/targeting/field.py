"""What a targeting field is: one value, from which the index, the matcher and all that speaks of targeting follow.

A field names what it reads of a request (`reads`), and its functions are given exactly that, so what is remembered by
what was read can never depend on anything else. A new field is one entry in bidder/targeting/fields.py, its members in
core.model.Targeting and its reason in core.reasons (CONTRIBUTING.md, "A new targeting field").
"""

import enum
import functools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from core.reasons import NoBid

Read = str | Callable[[Any], Hashable]
"""A path of members, any of which may be missing (None is read then), or a function of what the path starts from.

Fields of a request start from its `Auction`, those of an impression from its `Impression`.
"""

Applies = Callable[[Mapping[Hashable, object], Any], Iterable[Hashable]]
"""Of the values that line items name, those that apply to what was read; also others, which are then not found."""

# The largest domain lists in use (to deny made-for-advertising sites) have 20,000 lines.
MAX_LIST = 20_000

# Longest detail of an explanation: a line.
MAX_SHOWN_CHARS = 200


class Part(enum.Enum):
    """Parts of a request whose values repeat together: those fields of a part that are targeted share one look-up.

    A field is alone in its part where nearly every request has another value for it.
    """

    EXCHANGE = "the exchange, and what the publisher blocks"
    PLACE = "place"
    POINT = "point on the map"
    DEVICE = "device"
    INVENTORY = "site, app or screen"
    PAGE = "path of the page"
    WORDS = "words of the page"
    IMPRESSION = "impression"


def one(value: str | int | None) -> tuple[str | int, ...]:
    """A single value to look up; none for a missing one."""
    return () if value is None else (value,)


def itself(value: Hashable) -> Hashable:
    """The normal form of what is written in one way only."""
    return value


def shown(*read: object) -> str:
    """What a request said, as a person reads it."""
    parts = [part for value in read for part in (value if isinstance(value, tuple) else (value,))]
    return ", ".join(str(part) for part in parts if part is not None)


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One targeting field.

    Line items name values in the members `allow` and `deny` of their targeting, or by their ads (`ads`, a member of
    bidder.targeting.index.Ads). A line item without any is not restricted, except where it `must_offer`: sizes. What
    was read, in the order of `reads`, is given to one of three functions: `values` makes the values to look up of it,
    `matches` says whether it fits a pattern that line items name, `finds` picks from all that they name. `deny_values`
    is the reading for denied values where it is wider.
    """

    name: str
    part: Part
    reads: tuple[Read, ...]
    reason: NoBid
    about: str  # a line for docs/targeting.md and the API's description
    allow: str = ""
    deny: str = ""
    ads: str = ""
    must_offer: bool = False
    values: Callable[..., Iterable[Hashable]] = one
    deny_values: Callable[..., Iterable[Hashable]] | None = None
    matches: Callable[..., bool] | None = None
    finds: Callable[..., Iterable[Hashable]] | None = None
    normal: Callable[[Any], Hashable] = itself  # of a value that a line item names
    parsed: Callable[[str], Hashable] | None = None  # of a bid modifier's value, where targeting has a document for it
    shown: Callable[..., str] = shown
    item: Any = str  # the API's type of one value
    most: int = MAX_LIST  # values in a list
    refers: str = ""  # the kind of object whose ids the values are

    def __reduce__(self) -> tuple[Callable[[str], "Field"], tuple[str]]:
        """Pickle a field as its name: both processes know the table."""
        return _field_of_the_table, (self.name,)

    @property
    def allows(self) -> Applies:
        """How allowed values are found."""
        if self.finds is not None:
            return Finds(self.finds)
        return Patterns(self.matches) if self.matches is not None else Values(self.values)

    @property
    def denies(self) -> Applies:
        """How denied values are found."""
        return Patterns(self.matches) if self.matches is not None else Values(self.deny_values or self.values)

    def of_modifier(self, value: int | str) -> Hashable:
        """A bid modifier's value in the form that is looked up. Raises ValueError for a text that `parsed` refuses."""
        return self.normal(value) if self.parsed is None else self.parsed(str(value))

    def detail(self, read: tuple[Any, ...]) -> str:
        """What the request said, cut to a line, for explanations."""
        return self.shown(*read)[:MAX_SHOWN_CHARS]


def _field_of_the_table(name: str) -> Field:
    from bidder.targeting.fields import FIELD_BY_NAME  # the table imports this module

    return FIELD_BY_NAME[name]


class Values:
    """Applies the values that a function makes of what was read."""

    __slots__ = ("_values_of",)

    def __init__(self, values_of: Callable[..., Iterable[Hashable]]) -> None:
        self._values_of = values_of

    def __call__(self, _named: Mapping[Hashable, object], key: tuple[Any, ...]) -> Iterable[Hashable]:
        return self._values_of(*key)


class Patterns:
    """Applies the patterns that match what was read: globs and circles, which cannot be looked up.

    Gives None, which no line item names, for each that does not: a caller that pauses after so many values then pauses
    here, too.
    """

    __slots__ = ("_matches",)

    def __init__(self, matches: Callable[..., bool]) -> None:
        self._matches = matches

    def __call__(self, named: Mapping[Hashable, object], key: tuple[Any, ...]) -> Iterable[Hashable]:
        matches = self._matches
        return (pattern if matches(pattern, *key) else None for pattern in named)


class Finds:
    """Applies what a function finds among all that is named."""

    __slots__ = ("_find",)

    def __init__(self, find: Callable[..., Iterable[Hashable]]) -> None:
        self._find = find

    def __call__(self, named: Mapping[Hashable, object], key: tuple[Any, ...]) -> Iterable[Hashable]:
        return self._find(named, *key)


class Reads:
    """Reads what several fields depend on, all at once; `shares` gives each field its part of that.

    `read` gives the key of a memo: a tuple, or the value itself where only one is read.
    """

    __slots__ = ("_count", "_places", "read")

    def __init__(self, fields: Sequence[Field]) -> None:
        together = tuple(dict.fromkeys(read for field in fields for read in field.reads))
        self._count = len(together)
        self._places = [tuple(together.index(read) for read in field.reads) for field in fields]
        self.read = reader(together)

    def shares(self, key: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - what `read` gave
        """The part of a key that belongs to each field, in their order."""
        whole = key if self._count > 1 else (key,)
        return [tuple([whole[place] for place in places]) for places in self._places]


# What `Auction` and `Impression` always have; everything else of a request may be missing.
_ALWAYS_THERE = frozenset({"exchange", "place", "request", "imp", "offer"})


def reader(reads: Sequence[Read]) -> Callable[[Any], Any]:
    """A function that reads all of `reads`: a tuple, or the value itself where there is one.

    It is compiled, since walking paths member by member costs five times as much: of `request.device.os` and
    `request.device.ua` becomes

        def read(start):
            request = start.request
            request_device = request.device
            return (
                request_device.os if request_device is not None else None,
                request_device.ua if request_device is not None else None,
            )
    """
    lines: list[str] = []
    named: set[str] = set()
    functions: dict[str, object] = {}
    values = []
    for number, read in enumerate(reads):
        if isinstance(read, str):
            values.append(_value_of(read, lines, named))
        else:
            functions[f"read_{number}"] = read
            values.append(f"read_{number}(start)")
    lines.append(f"return {values[0]}" if len(values) == 1 else f"return ({''.join(f'{value}, ' for value in values)})")
    exec("def read(start):\n " + "\n ".join(lines), functions)  # noqa: S102 - of members that our table names
    found: Callable[[Any], Any] = functions["read"]  # type: ignore[assignment]
    return found


def _value_of(path: str, lines: list[str], named: set[str]) -> str:
    """The expression for what a path leads to. A line that names the object that has it is added to `lines`, once."""
    owner, _dot, member = path.rpartition(".")
    if not owner:
        return f"start.{member}"
    name = owner.replace(".", "_")
    if name not in named:
        named.add(name)
        lines.append(f"{name} = {_value_of(owner, lines, named)}")
    return f"{name}.{member}" if owner in _ALWAYS_THERE else f"({name}.{member} if {name} is not None else None)"


@functools.cache
def read_one(field: Field) -> Callable[[Any], tuple[Any, ...]]:
    """Reads what one field depends on; for explanations, which ask for fields one by one."""
    read = reader(field.reads)
    return read if len(field.reads) > 1 else lambda start: (read(start),)
