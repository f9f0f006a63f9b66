"""Reads an input into its type and reports all of its faults at once, each with its JSON pointer.

msgspec stops at the first fault, in C. So a good input takes one fast pass, and only a bad one is walked in Python,
field by field, until every leaf has been tried alone.
"""

import difflib
import enum
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, Union

import msgspec

from core.errors import Fault, InputError

T = TypeVar("T")

# An input with thousands of faults (a wrong file) is not made clearer by listing them all.
MAX_FAULTS = 200
MAX_MEMBERS_NAMED = 6
_LISTS = (list, tuple)
# What msgspec puts before the place of a fault that lies deeper than the value it was given.
_WHERE = " - at `"
# msgspec names half of the types as Python does; who writes JSON knows these.
_JSON_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_TYPE_NAME = re.compile(r"(?<=[`| ])(?:" + "|".join(_JSON_TYPES) + r")(?=[`| ])")
# How msgspec words what is too long, short, large or small.
_BOUND = re.compile(r"Expected `(?P<type>\w+)` (?P<length>of length )?(?P<sign>[<>]=?) (?P<bound>\S+)")


def decode(value: object, wanted: type[T], pointer: str = "", *, strict: bool = True) -> T:
    """`value` (parsed JSON) as `wanted`. Raises InputError with every fault, pointers relative to `pointer`.

    `strict` False also reads numbers and booleans from texts, as query strings have them.
    """
    try:
        return msgspec.convert(value, wanted, strict=strict)
    except msgspec.ValidationError:
        found = faults_of(value, wanted, pointer, strict=strict)
        raise InputError("the input is not valid", faults=found) from None


def faults_of(value: object, wanted: Any, pointer: str = "", *, strict: bool = True) -> list[Fault]:  # noqa: ANN401
    """All faults of `value` read as `wanted`, a type expression; empty when there is none."""
    found: list[Fault] = []
    _Walk(found.append, strict).walk(value, wanted, pointer)
    return found[:MAX_FAULTS]


def escape(key: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


class _Walk:
    def __init__(self, report: Callable[[Fault], None], strict: bool) -> None:
        self._report = report
        self._strict = strict

    def walk(self, value: object, wanted: Any, pointer: str) -> None:  # noqa: ANN401 - a type expression
        bare, optional = unwrapped(wanted)
        if optional and value is None:
            return
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and isinstance(value, Mapping):
            self._walk_struct(value, bare, pointer)
        elif typing.get_origin(bare) in _LISTS and isinstance(value, list):
            self._length(value, wanted, pointer)
            for position, item in enumerate(value):
                self.walk(item, typing.get_args(bare)[0], f"{pointer}/{position}")
        elif typing.get_origin(bare) is dict and isinstance(value, Mapping):
            self._walk_dict(value, wanted, typing.get_args(bare), pointer)
        elif fault := self._leaf(value, wanted, pointer):
            self._report(fault)

    def _walk_struct(self, value: Mapping[str, object], wanted: type, pointer: str) -> None:
        known = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
        for key in value:
            if key not in known:
                text, hint = f"there is no field '{key}'", _nearest(str(key), known)
                self._report(Fault(f"{pointer}/{escape(str(key))}", "unknown_field", text, hint, tuple(known)))
        for name, field in known.items():
            if name in value:
                self.walk(value[name], field.type, f"{pointer}/{name}")
            elif field.required:
                self._report(Fault(f"{pointer}/{name}", "required", f"'{name}' is missing"))

    def _walk_dict(
        self,
        value: Mapping[str, object],
        wanted: Any,  # noqa: ANN401 - a type expression
        key_and_item: tuple[Any, Any],
        pointer: str,
    ) -> None:
        self._length(value, wanted, pointer)
        for key, item in value.items():
            inner = f"{pointer}/{escape(str(key))}"
            if fault := self._leaf(key, key_and_item[0], inner):
                self._report(fault)
            self.walk(item, key_and_item[1], inner)

    def _length(self, value: object, wanted: Any, pointer: str) -> None:  # noqa: ANN401 - a type expression
        """Reports that a list or object has too few or too many entries; faults of the entries are theirs."""
        message = self._message(value, wanted)
        if message and _WHERE not in message and (fault := _worded(message, value, wanted, pointer)).code == "length":
            self._report(fault)

    def _leaf(self, value: object, wanted: Any, pointer: str) -> Fault | None:  # noqa: ANN401 - a type expression
        message = self._message(value, wanted)
        return _worded(message.split(_WHERE)[0], value, wanted, pointer) if message else None

    def _message(self, value: object, wanted: Any) -> str:  # noqa: ANN401 - a type expression
        """How msgspec words the first fault of `value`; empty when there is none."""
        try:
            msgspec.convert(value, wanted, strict=self._strict)
        except msgspec.ValidationError as error:
            return str(error)
        return ""


def unwrapped(wanted: Any) -> tuple[Any, bool]:  # noqa: ANN401 - as above
    """The type without annotations, None and what a member left out reads as, and whether None was allowed."""
    optional = False
    while True:
        origin = typing.get_origin(wanted)
        if origin is Annotated:
            wanted = typing.get_args(wanted)[0]
        elif origin in (Union, types.UnionType):
            options = typing.get_args(wanted)
            rest = [option for option in options if option not in (type(None), msgspec.UnsetType)]
            optional |= type(None) in options
            if len(rest) != 1:
                return wanted, optional
            wanted = rest[0]
        else:
            return wanted, optional


def _worded(message: str, value: object, wanted: Any, pointer: str) -> Fault:  # noqa: ANN401 - a type expression
    allowed = _allowed(wanted)
    if message.startswith("Invalid enum value"):
        return Fault(pointer, "not_allowed", f"{_show(value)} is not one of the allowed values", "", allowed)
    if "matching regex" in message:
        return Fault(pointer, "pattern", f"{_show(value)} has the wrong form", _hint(wanted))
    if found := _BOUND.fullmatch(message):
        return _out_of_bounds(pointer, found, wanted)
    hint = _hint(wanted) or _members(wanted, pointer)
    text = _TYPE_NAME.sub(lambda name: _JSON_TYPES[name[0]], message[0].lower() + message[1:])
    return Fault(pointer, "type", text, hint, allowed)


def _out_of_bounds(pointer: str, found: re.Match[str], wanted: Any) -> Fault:  # noqa: ANN401 - a type expression
    is_least, bound = found["sign"][0] == ">", found["bound"]
    if not found["length"]:
        text = f"the least is {bound}" if is_least else f"the most is {bound}"
        return Fault(pointer, "range", text, _hint(wanted))
    if found["type"] == "str":
        text = f"at least {bound} characters are needed" if is_least else f"at most {bound} characters are allowed"
    else:
        text = f"at least {bound} entries are needed" if is_least else f"at most {bound} entries are allowed"
    return Fault(pointer, "length", text)


def _members(wanted: Any, pointer: str) -> str:  # noqa: ANN401 - a type expression
    """A hint for a single value where an object belongs: the members to set."""
    bare, _ = unwrapped(wanted)
    if not (isinstance(bare, type) and issubclass(bare, msgspec.Struct)):
        return ""
    names = [field.encode_name for field in msgspec.structs.fields(bare)]
    return f"set its members: {', '.join(f'{pointer}/{name}' for name in names[:MAX_MEMBERS_NAMED])}"


def _show(value: object) -> str:
    """A value as its sender wrote it: a text in single quotes, as everywhere in messages, anything else as JSON."""
    text = f"'{value}'" if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text)
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(wanted: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    bare, _ = unwrapped(wanted)
    if typing.get_origin(bare) is typing.Literal:
        return tuple(str(option) for option in typing.get_args(bare))
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return tuple(str(option.value) for option in bare)
    return ()


def _hint(wanted: Any) -> str:  # noqa: ANN401 - as above
    for part in _metas(wanted):
        if part.description or part.examples:
            example = f"for example {_show(part.examples[0])}" if part.examples else ""
            return " ".join(filter(None, (part.description, example)))
    return ""


def _metas(wanted: Any) -> list[msgspec.Meta]:  # noqa: ANN401 - as above
    found: list[msgspec.Meta] = []
    if typing.get_origin(wanted) is Annotated:
        found += [part for part in wanted.__metadata__ if isinstance(part, msgspec.Meta)]
    for option in typing.get_args(wanted):
        if typing.get_origin(option) is Annotated:
            found += _metas(option)
    return found


def _nearest(key: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean '{close[0]}'?" if close else ""
