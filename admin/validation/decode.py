"""Reads an input into its type and reports all of its faults at once, each with its JSON pointer.

msgspec stops at the first fault, in C. So a good input takes one fast pass, and only a bad one is walked in Python,
field by field, until every leaf has been tried alone.
"""

import difflib
import enum
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, Union

import msgspec

from core.errors import Fault, InputError

T = TypeVar("T")

# An input with thousands of faults (a wrong file) is not made clearer by listing them all.
MAX_FAULTS = 200


def decode(value: object, wanted: type[T], pointer: str = "") -> T:
    """`value` (parsed JSON) as `wanted`. Raises InputError with every fault, pointers relative to `pointer`."""
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        found = faults_of(value, wanted, pointer)
        raise InputError("the input is not valid", faults=found) from None


def faults_of(value: object, wanted: Any, pointer: str = "") -> list[Fault]:  # noqa: ANN401 - type expressions have no type
    """All faults of `value` read as `wanted`; empty when there is none."""
    found: list[Fault] = []
    _walk(value, wanted, pointer, found.append)
    return found[:MAX_FAULTS]


def escape(key: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _walk(value: object, wanted: Any, pointer: str, report: Callable[[Fault], None]) -> None:  # noqa: ANN401 - as above
    bare, options = _strip(wanted)
    if options and value is None:
        return
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and isinstance(value, Mapping):
        _walk_struct(value, bare, pointer, report)
    elif typing.get_origin(bare) is list and isinstance(value, list):
        (item_type,) = typing.get_args(bare)
        if (fault := _leaf(value, wanted, pointer)) and fault.code == "length":
            report(fault)
        for position, item in enumerate(value):
            _walk(item, item_type, f"{pointer}/{position}", report)
    elif fault := _leaf(value, wanted, pointer):
        report(fault)


def _walk_struct(value: Mapping[str, object], wanted: type, pointer: str, report: Callable[[Fault], None]) -> None:
    known = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
    for key in value:
        if key not in known:
            report(
                Fault(
                    f"{pointer}/{escape(str(key))}",
                    "unknown_field",
                    f"there is no field '{key}'",
                    _nearest(str(key), known),
                    tuple(known),
                )
            )
    for name, field in known.items():
        if name in value:
            _walk(value[name], field.type, f"{pointer}/{name}", report)
        elif field.required:
            report(Fault(f"{pointer}/{name}", "required", f"'{name}' is missing"))


def _strip(wanted: Any) -> tuple[Any, bool]:  # noqa: ANN401 - as above
    """The type without annotations and without None, and whether None was allowed."""
    optional = False
    while True:
        origin = typing.get_origin(wanted)
        if origin is Annotated:
            wanted = typing.get_args(wanted)[0]
        elif origin in (Union, types.UnionType) and type(None) in typing.get_args(wanted):
            rest = [option for option in typing.get_args(wanted) if option is not type(None)]
            optional = True
            if len(rest) != 1:
                return wanted, True
            wanted = rest[0]
        else:
            return wanted, optional


def _leaf(value: object, wanted: Any, pointer: str) -> Fault | None:  # noqa: ANN401 - as above
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        message = str(error).split(" - at `")[0]
    else:
        return None
    allowed = _allowed(wanted)
    if message.startswith("Invalid enum value"):
        return Fault(pointer, "not_allowed", f"{_show(value)} is not one of the allowed values", "", allowed)
    if "matching regex" in message:
        return Fault(pointer, "pattern", f"{_show(value)} has the wrong form", _hint(wanted))
    if "of length" in message:
        return Fault(pointer, "length", message[0].lower() + message[1:], _hint(wanted))
    if " >" in message or " <" in message:
        return Fault(pointer, "range", message[0].lower() + message[1:], _hint(wanted))
    return Fault(pointer, "type", message[0].lower() + message[1:], _hint(wanted), allowed)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(wanted: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    bare, _ = _strip(wanted)
    if typing.get_origin(bare) is typing.Literal:
        return tuple(str(option) for option in typing.get_args(bare))
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return tuple(str(option.value) for option in bare)
    return ()


def _hint(wanted: Any) -> str:  # noqa: ANN401 - as above
    for part in _metas(wanted):
        if part.description or part.examples:
            example = f"for example {part.examples[0]!r}" if part.examples else ""
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
