"""`--set FIELD=VALUE` and `--file`: from what somebody types to a document of the API.

The fields' types decide how a text is read, so that `targeting.countries=POL,DEU` is a list, `name=[new]` a text and
`daily_budget=50` is refused with the name that was meant. A plain date is a day of the advertiser's time zone.
"""

import codecs
import datetime
import re
import typing
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from admin.validation.decode import unwrapped
from core.errors import Fault, InputError

Json = dict[str, Any]

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
MAX_FIELDS_NAMED: Final = 6


def pair(text: str, example: str = "status=active") -> tuple[str, str]:
    """FIELD and VALUE. Raises InputError for a text without an equals sign, or whose bytes are no UTF-8."""
    if not text.isascii() and text != (readable := text.encode("utf-8", "replace").decode()):
        hint = "set the terminal to UTF-8, or write the fields into --file"
        raise InputError(f"'{readable}' is not UTF-8", hint=hint)
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise InputError(f"'{text}' is not FIELD=VALUE", hint=f"for example {example}")
    return name.strip(), value


def read_document(
    wanted: type[msgspec.Struct], assignments: Sequence[str], file: bytes | None, example: str = "name=Autumn"
) -> Json:
    """The document of `file` with the assignments over it. Raises InputError with every fault of the assignments.

    What does not fit its type stays as it was typed: the check of the whole document says why, beside all other faults.
    """
    document: Json = _decoded(file) if file is not None else {}
    faults: list[Fault] = []
    for text in assignments:
        name, value = pair(text, example)
        try:
            _place(document, name, value_of(name, value, type_at(wanted, name)))
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError("the input is not valid", faults=faults)
    return document


def _decoded(file: bytes) -> Json:
    try:
        return msgspec.json.decode(file.removeprefix(codecs.BOM_UTF8), type=Json)
    except msgspec.DecodeError as error:
        raise InputError("the file is not a JSON object", hint=str(error)) from None
    except RecursionError:
        raise InputError("the file is not a JSON object", hint="it is nested too deeply") from None


def _place(document: Json, name: str, value: object) -> None:
    *parents, last = name.split(".")
    place = document
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise InputError("", faults=[Fault(name, "type", "lies inside of a value that is no object")])
        place = inner
    place[last] = value


def type_at(wanted: type[msgspec.Struct], name: str) -> Any:  # noqa: ANN401 - a type expression
    """The type of a field, nested by dots; Any where there is no such field, as the document's check will report."""
    found: Any = wanted
    for step in name.split("."):
        bare, _ = unwrapped(found)
        if not (isinstance(bare, type) and issubclass(bare, msgspec.Struct)):
            return Any
        types = {field.encode_name: field.type for field in msgspec.structs.fields(bare)}
        if step not in types:
            return Any
        found = types[step]
    return found


def value_of(name: str, text: str, wanted: Any) -> Any:  # noqa: ANN401 - a type expression, and its value
    """The value that a text stands for in a field; nothing in a field that may have none is none.

    Raises InputError where only another name, or JSON, can be meant.
    """
    bare, optional = unwrapped(wanted)
    if text == "null" or (optional and not text):
        return None
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return _json(name, text) if text[:1] == "{" else _refuse_struct(name, text, bare)
    origin = typing.get_origin(bare)
    if origin is list:
        return _json(name, text) if text[:1] == "[" else _listed(name, text, bare)
    if origin is dict or (bare is Any and text[:1] in ("[", "{")):
        return _json(name, text)
    return _scalar(text, wanted)


def _json(name: str, text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InputError("", faults=[Fault(name, "json", f"is not JSON: {error}")]) from None
    except RecursionError:
        raise InputError("", faults=[Fault(name, "json", "is nested too deeply")]) from None


def _refuse_struct(name: str, text: str, wanted: type[msgspec.Struct]) -> object:
    """Refuse a single value for a field that has fields of its own; the fault names the one that takes the value."""
    fields = [field.encode_name for field in msgspec.structs.fields(wanted)]
    if "amount" in fields:
        hint = f"write --set {name}.amount={text}"
    elif "spend" in fields:
        hint = f"write --set {name}.spend.amount={text}, or {name}.impressions"
    else:
        hint = f"set its fields: {', '.join(f'{name}.{field}' for field in fields[:MAX_FIELDS_NAMED])}"
    raise InputError("", faults=[Fault(name, "type", "has fields of its own", hint)])


def _listed(name: str, text: str, wanted: Any) -> list[Any]:  # noqa: ANN401 - a type expression
    (item,) = typing.get_args(wanted)
    bare, _ = unwrapped(item)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        fields = ", ".join(f'"{field.encode_name}": ...' for field in msgspec.structs.fields(bare) if field.required)
        raise InputError("", faults=[Fault(name, "type", "is a list of objects", f"write {name}='[{{{fields}}}]'")])
    return [_scalar(part.strip(), item) for part in text.split(",") if part.strip()]


def _scalar(text: str, wanted: Any) -> Any:  # noqa: ANN401 - a type expression
    if wanted is Any:
        return text
    try:
        value = msgspec.convert(text, wanted, strict=False)
    except msgspec.ValidationError:
        return text
    return text if isinstance(value, datetime.datetime) else msgspec.to_builtins(value)


def plain_dates(wanted: type[msgspec.Struct], document: Mapping[str, Any]) -> list[str]:
    """Names of the document's moments that are given as a date alone."""
    moments = [
        field.encode_name for field in msgspec.structs.fields(wanted) if unwrapped(field.type)[0] is datetime.datetime
    ]
    return [name for name in moments if is_day(document.get(name))]


def is_day(value: object) -> bool:
    """Whether it is written as a date: 2026-12-01."""
    return isinstance(value, str) and _DAY.fullmatch(value) is not None


def moment_of(name: str, day: str, zone: zoneinfo.ZoneInfo) -> str:
    """The moment of a plain date: its midnight, or the next one if it includes the day (`end`, `expires`, `*.max`)."""
    field, _, bound = name.partition(".")
    try:
        date = datetime.date.fromisoformat(day)
        if bound == "max" or (field in ("end", "expires") and bound != "min"):
            date += datetime.timedelta(days=1)
    except (ValueError, OverflowError):
        raise InputError("the input is not valid", faults=[Fault(name, "date", f"{day} is no day")]) from None
    return datetime.datetime.combine(date, datetime.time(), zone).isoformat()
