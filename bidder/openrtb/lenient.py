"""Reads a request whose members are of the wrong type, after the typed decode refused it.

Live traffic breaks types in a few ways (docs/openrtb.md), and none of them says that the request is worthless.
So each declared member has a reader that takes any JSON value and gives the declared type, or `None` for "as if
absent". The readers are made once, from the annotations in `types`: a new member there needs no code here.

What limits us fails closed. A privacy flag that is present but cannot be read counts as set; such a floor becomes one
that no price reaches, such a list of who may bid one that nobody is on, such a list of who may not one that all are
on. A player or banner whose own limits cannot be read is not offered.
"""

import types as python_types
import typing
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from bidder.openrtb.enums import EVERYBODY, UNKNOWN_TAXONOMY
from bidder.openrtb.tolerance import Tolerances

Reader = Callable[[object, Tolerances], Any]

# No number that means anything is longer; bounds the work that a text of digits can cause.
MAX_NUMBER_CHARS = 32
INT_BOUND = 2**31
NUMBER_BOUND = 1e15

# A flag of these names that cannot be read is read as 1.
PRIVACY_FLAGS = frozenset({"gdpr", "coppa", "lmt", "dnt", "gpc", "s22580"})
# What stands for a privacy text or section list that cannot be read; no valid value, so the consent stage refuses it.
UNREADABLE_TEXT = "unreadable"
UNREADABLE_SECTION = 0
PRIVACY_TEXTS = frozenset({"consent", "us_privacy", "gpp"})

# Limits of other kinds that are there and cannot be read: what is read instead keeps us from bidding.
LIMIT_NUMBERS = frozenset({"bidfloor", "mincpmpersec", "multiplier"})
UNREADABLE_NUMBER = NUMBER_BOUND  # no floor in reach, no impression that could be billed
LIMIT_TEXTS = frozenset({"bidfloorcur", "country"})  # no exchange rate; no country, which counts as one with GDPR
LIMIT_FLAGS = frozenset({"secure", "private_auction"})  # read as 1
LIMIT_LISTS = frozenset({"wseat", "wadomain", "cur", "acat", "wlang", "wlangb"})
NOBODY = "unreadable"  # is the name of no seat, no domain, no currency, no category and no language
DENYING_LISTS = frozenset({"bseat", "badv", "bcat"})
# Limits of one format, by the names of their structs: where one cannot be read, the format is not offered, or the deal.
SPOILING: dict[str, tuple[str, ...]] = {
    "Banner": ("btype", "battr"),
    "Video": ("battr", "minduration", "maxduration", "rqddurs", "linearity", "durfloors"),
    "Audio": ("battr", "minduration", "maxduration", "rqddurs", "durfloors"),
    "Native": ("battr",),
    "Deal": ("durfloors",),
}
UNREADABLE_FLAG = -1  # not "no", and not the "yes" of a sender either, which contradicts the "no" of another place
UNREADABLE_REQUIREMENT = 3  # `dsarequired`: the strictest that there is
# Objects that limit us, by the names of their structs: what stands for one that is something else.
LIMIT_OBJECTS: dict[str, dict[str, Any]] = {
    "Regs": {"gdpr": 1, "coppa": 1},
    "RegsExt": {"gdpr": UNREADABLE_FLAG, "gpp_sid": (UNREADABLE_SECTION,)},  # each counts where `regs` itself lacks it
    "Dsa": {"dsarequired": UNREADABLE_REQUIREMENT},
    "Pmp": {"private_auction": 1},
    "Quantity": {"multiplier": UNREADABLE_NUMBER},
}
UNKNOWN_AUCTION = 0  # `at`: counts as first price (docs/money.md)

TRUE_WORDS = frozenset({"true", "yes", "y", "on"})
FALSE_WORDS = frozenset({"false", "no", "n", "off"})


def _number_of_text(text: str) -> float | None:
    text = text.strip()
    if not text or len(text) > MAX_NUMBER_CHARS or not text.isascii() or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:  # not a number: the caller drops the member and counts it
        return None


def read_number(value: object, tolerances: Tolerances) -> float | None:
    """A finite number, from a number or a text of one."""
    if isinstance(value, str):
        value = _number_of_text(value)
        tolerances.loose_number += 1
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -NUMBER_BOUND <= value <= NUMBER_BOUND:
        return float(value)
    tolerances.dropped += 1
    return None


def read_int(value: object, tolerances: Tolerances) -> int | None:
    """A 32-bit integer, from a number (cut towards zero), a text of one or a boolean."""
    if isinstance(value, int) and not isinstance(value, bool):
        if -INT_BOUND <= value < INT_BOUND:
            return value
        tolerances.dropped += 1
        return None
    tolerances.loose_number += 1
    number = _number_of_text(value) if isinstance(value, str) else value
    if isinstance(number, (bool, float)) and -INT_BOUND <= number < INT_BOUND:  # comparisons with NaN are false
        return int(number)
    tolerances.dropped += 1
    return None


def read_flag(value: object, tolerances: Tolerances) -> int | None:
    """0, 1 or another integer the sender put there, from an integer, a boolean, or a text of either."""
    if isinstance(value, int) and not isinstance(value, bool) and -INT_BOUND <= value < INT_BOUND:
        return value
    tolerances.loose_flag += 1
    if isinstance(value, str):
        word = value.strip().lower()
        if word in TRUE_WORDS or word in FALSE_WORDS:
            return int(word in TRUE_WORDS)
        value = _number_of_text(word)
    if isinstance(value, (bool, float)) and value in (0, 1):
        return int(value)
    tolerances.dropped += 1
    return None


def read_privacy_flag(value: object, tolerances: Tolerances) -> int | None:
    """As `read_flag`, but what cannot be read is 1."""
    flag = read_flag(value, tolerances)
    if flag is None:
        tolerances.unreadable_privacy += 1
        return 1
    return flag


def read_limit(value: object, tolerances: Tolerances) -> float:
    """As `read_number`, but what cannot be read is beyond every number."""
    number = read_number(value, tolerances)
    return UNREADABLE_NUMBER if number is None else number


def read_limit_flag(value: object, tolerances: Tolerances) -> int:
    """As `read_flag`, but what cannot be read is 1."""
    flag = read_flag(value, tolerances)
    return 1 if flag is None else flag


def read_auction_type(value: object, tolerances: Tolerances) -> int:
    """As `read_int`, but what cannot be read is a type of auction that nobody knows."""
    number = read_int(value, tolerances)
    return UNKNOWN_AUCTION if number is None else number


def read_taxonomy(value: object, tolerances: Tolerances) -> int:
    """As `read_int`, but what cannot be read is a taxonomy that nobody knows."""
    number = read_int(value, tolerances)
    return UNKNOWN_TAXONOMY if number is None else number


def read_limit_text(value: object, tolerances: Tolerances) -> str:
    """As `read_text`, but what cannot be read is a text that names nothing."""
    text = read_text(value, tolerances)
    return UNREADABLE_TEXT if text is None else text


def read_text(value: object, tolerances: Tolerances) -> str | None:
    """A text, from a text, a number, or an array that holds nothing but one of them."""
    if isinstance(value, list) and len(value) == 1:
        tolerances.array_for_scalar += 1
        value = value[0]
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        tolerances.number_for_text += 1
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    tolerances.dropped += 1
    return None


def read_privacy_text(value: object, tolerances: Tolerances) -> str | None:
    """As `read_text`, but what cannot be read is a text that no format allows."""
    text = read_text(value, tolerances)
    if text is None:
        tolerances.unreadable_privacy += 1
        return UNREADABLE_TEXT
    return text


def read_keywords(value: object, tolerances: Tolerances) -> str | None:
    """Comma-separated words, also from an array of them."""
    if not isinstance(value, list):
        return read_text(value, tolerances)
    tolerances.array_for_scalar += 1
    words = (read_text(item, tolerances) for item in value)
    return ",".join(word for word in words if word is not None)


def read_text_or_object(value: object, tolerances: Tolerances) -> str | dict[str, Any] | None:
    """`native.request`, which is a text or an object; its content is checked where it is parsed."""
    if isinstance(value, (str, dict)):
        return value
    tolerances.dropped += 1
    return None


def read_any_array(value: object, tolerances: Tolerances) -> list[Any] | None:
    """An array of anything."""
    if isinstance(value, list):
        return value
    tolerances.dropped += 1
    return None


def read_as_sent(value: object, _tolerances: Tolerances) -> msgspec.Raw:
    """Anything, as JSON, which is decoded where it is needed."""
    return msgspec.Raw(msgspec.json.encode(value))


def _array_reader(read_item: Reader) -> Reader:
    def read_array(value: object, tolerances: Tolerances) -> tuple[Any, ...] | None:
        if not isinstance(value, list):
            tolerances.scalar_for_array += 1
            value = _listed(value, splits=read_item in (read_text, read_int))
        items = (read_item(item, tolerances) for item in value if item is not None)
        return tuple(item for item in items if item is not None)

    return read_array


def _listed(value: object, *, splits: bool) -> list[object]:
    """The array that was meant: by its only value, by values between commas, or by an object with indices as names.

    PHP writes a list that something was taken out of as `{"0": "IAB25", "2": "IAB26"}`.
    """
    if isinstance(value, dict) and value and all(name.isdecimal() for name in value):
        return list(value.values())
    if splits and isinstance(value, str):
        return [part for each in value.split(",") if (part := each.strip())] or [value]
    return [value]


def _limit_list_reader(read_array: Reader) -> Reader:
    def read_list(value: object, tolerances: Tolerances) -> tuple[str, ...]:
        names: tuple[str, ...] = read_array(value, tolerances)
        # An empty list says nothing; one of which nothing can be read says that there is a limit.
        return names if names or value == [] else (NOBODY,)

    return read_list


def _denying_list_reader(read_array: Reader) -> Reader:
    def read_list(value: object, tolerances: Tolerances) -> tuple[str, ...]:
        if says_nothing(value):
            return ()
        if isinstance(value, list):
            value = [each for each in value if not says_nothing(each)]
        dropped = tolerances.dropped
        names: tuple[str, ...] = read_array(value, tolerances)
        return (*names, EVERYBODY) if tolerances.dropped > dropped else names

    return read_list


def says_nothing(value: object) -> bool:
    """Whether a member is there and empty, as templates and PHP print one that is not set."""
    return value is None or value in ("", [], {})


def _privacy_sections_reader(read_array: Reader) -> Reader:
    def read_sections(value: object, tolerances: Tolerances) -> tuple[int, ...]:
        if isinstance(value, str):  # "2" is in the corpus; lists as text are separated so
            value = list(value.replace("_", ",").split(","))
        elif isinstance(value, dict):
            tolerances.scalar_for_array += 1
            value = _listed(value, splits=False)
        sections: tuple[int, ...] = read_array(value, tolerances)
        if len(sections) == (len(value) if isinstance(value, list) else 1):
            return sections
        tolerances.unreadable_privacy += 1
        return (*sections, UNREADABLE_SECTION)

    return read_sections


def read_requirement(value: object, tolerances: Tolerances) -> int:
    """As `read_int`, but what cannot be read asks for everything."""
    number = read_int(value, tolerances)
    return UNREADABLE_REQUIREMENT if number is None else number


def _struct_reader(struct: type[msgspec.Struct]) -> Reader:
    readers = compile_readers(struct)
    unreadable = LIMIT_OBJECTS.get(struct.__name__)
    spoiling = {name: readers[name] for name in SPOILING.get(struct.__name__, ())}

    def read_struct(value: object, tolerances: Tolerances) -> object:
        if isinstance(value, list):
            if not value:
                tolerances.empty_array_for_object += 1
                return None
            tolerances.array_for_scalar += 1
            value = value[0]
        if not isinstance(value, dict):
            tolerances.dropped += 1
            return None if unreadable is None else struct(**unreadable)
        if any(_is_lost(value.get(name), reader) for name, reader in spoiling.items()):
            tolerances.dropped += 1
            return None
        return struct(**read_members(value, readers, tolerances))

    return read_struct


def _is_lost(value: object, reader: Reader) -> bool:
    """Whether a member says something of which its reader drops a part."""
    if says_nothing(value):
        return False
    tried = Tolerances()
    reader(value, tried)
    return tried.dropped > 0


def read_members(value: dict[str, Any], readers: dict[str, Reader], tolerances: Tolerances) -> dict[str, Any]:
    """The declared members of an object, each in its declared type; members that are absent or null are left out."""
    members = {}
    for name, reader in readers.items():
        raw = value.get(name)
        if raw is not None:
            members[name] = reader(raw, tolerances)
    return members


def compile_readers(struct: type[msgspec.Struct]) -> dict[str, Reader]:
    """A reader for each member of `struct`, by name."""
    hints = typing.get_type_hints(struct, include_extras=True)
    return {name: _reader_of(name, hints[name]) for name in struct.__struct_fields__}


_SCALAR_READERS: dict[frozenset[Any], Reader] = {
    frozenset({int}): read_int,
    frozenset({float}): read_number,
    frozenset({int, bool}): read_flag,
    frozenset({str}): read_text,
    frozenset({str, int}): read_text,
    frozenset({str, int, bool}): read_flag,  # gpc: the text "1" is a flag
    frozenset({str, dict}): read_text_or_object,
    frozenset({list}): read_any_array,
    frozenset({msgspec.Raw}): read_as_sent,
}


_LIMIT_READERS: dict[tuple[str, Reader], Reader] = {
    **{(name, read_number): read_limit for name in LIMIT_NUMBERS},
    **{(name, read_flag): read_limit_flag for name in LIMIT_FLAGS},
    **{(name, read_text): read_limit_text for name in LIMIT_TEXTS},
    ("at", read_int): read_auction_type,
    ("cattax", read_int): read_taxonomy,
    ("dsarequired", read_int): read_requirement,
}


def _reader_of(name: str, hint: object) -> Reader:
    members = _union_members(hint)
    if len(members) == 1:
        (only,) = members
        if typing.get_origin(only) is tuple:
            array = _array_reader(_reader_of("", typing.get_args(only)[0]))
            if name in LIMIT_LISTS:
                return _limit_list_reader(array)
            if name in DENYING_LISTS:
                return _denying_list_reader(array)
            return _privacy_sections_reader(array) if name == "gpp_sid" else array
        if isinstance(only, type) and issubclass(only, msgspec.Struct):
            return _struct_reader(only)
    reader = _SCALAR_READERS[frozenset(typing.get_origin(member) or member for member in members)]
    limit = _LIMIT_READERS.get((name, reader))
    if limit is not None:
        return limit
    if name in PRIVACY_FLAGS and reader is read_flag:
        return read_privacy_flag
    if name in PRIVACY_TEXTS and reader is read_text:
        return read_privacy_text
    return read_keywords if name == "keywords" else reader


def _union_members(hint: object) -> list[Any]:
    """The alternatives of an annotation, without None and without constraints."""
    if typing.get_origin(hint) is Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (typing.Union, python_types.UnionType):
        return [member for part in typing.get_args(hint) if part is not type(None) for member in _union_members(part)]
    return [hint]
