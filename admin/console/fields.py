"""A field of a form: how a document's value becomes text in an input, and text from the form becomes the document's.

The API judges values; here only what a browser's text means is decided, so that a form refuses nothing by rules of its
own.
"""

import datetime
import json
import re
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import msgspec

from admin.console.modifiers import modifiers_of, modifiers_text, with_lines
from core.errors import Fault
from core.ids import MAX_ID
from core.model import Format

InputKind = Literal[
    "text",
    "prose",
    "number",
    "money",
    "moment",
    "choice",
    "flag",
    "one",
    "many",
    "boxes",
    "list",
    "numbers",
    "caps",
    "json",
    "modifiers",
    "secret",
]

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_CAP = re.compile(rf"([0-9]{{1,9}})\s*/\s*([0-9]{{1,8}})\s*([smhd])(?:\s+({'|'.join(Format)}))?")


def N_(message: str) -> str:
    """Marks a text for translation where it is declared; it is translated where it is shown."""
    return message


UTC: Final = "UTC"


class Writing(NamedTuple):
    """How a person's values stand in inputs: in which time zone, with which mark before decimals."""

    zone: str = UTC
    point: str = "."


PLAIN: Final = Writing()


class FormField(msgspec.Struct, frozen=True):
    """One input. `path` leads to the value in the API's document; `kind` of an object that it names is `of`."""

    path: str
    label: str
    kind: InputKind = "text"
    hint: str = ""
    choices: tuple[str, ...] = ()
    meanings: tuple[str, ...] = ()
    """What each of the choices means, for boxes."""
    of: str = ""
    fixed: bool = False
    """Set when the object is made, not changed later."""
    required: bool = False

    @property
    def pointer(self) -> str:
        """The JSON pointer of the value, as faults of the API name it."""
        return "/" + self.path.replace(".", "/")


def value_at(document: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value at a dotted path; None where a part is missing."""
    value: Any = document
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def input_text(field: FormField, value: Any, writing: Writing = PLAIN) -> str:  # noqa: ANN401 - any JSON value
    """The value as the text of its input."""
    if value is None:
        return ""
    match field.kind:
        case "money":
            return str(value["amount"]).replace(".", writing.point)
        case "moment":
            moment = datetime.datetime.fromisoformat(value).astimezone(zoneinfo.ZoneInfo(writing.zone))
            return moment.strftime("%Y-%m-%dT%H:%M")
        case "list" | "numbers" | "boxes":
            return "\n".join(str(item) for item in value)
        case "caps":
            return ", ".join(map(_cap_text, value))
        case "modifiers":
            return modifiers_text(value)
        case "json":
            return json.dumps(value, indent=1, ensure_ascii=False)
        case "flag":
            return "1" if value else ""
        case _:
            return str(value)


def document_of(
    fields: Iterable[FormField], sent: Iterable[tuple[str, str]], kept: Mapping[str, Any], zone: str = UTC
) -> tuple[dict[str, Any], list[Fault]]:
    """The merge patch that a sent form means, with faults of texts that mean nothing. Moments are told in `zone`.

    `kept` is the document as the form showed it: fields that say the same are left out of the patch, and so are those
    that were not sent. A box that is not ticked is sent as the empty text, by a hidden input of its name before it.
    """
    patch: dict[str, Any] = {}
    faults: list[Fault] = []
    texts: dict[str, list[str]] = {}
    fields = list(fields)
    for name, text in with_rows_joined(fields, sent):
        texts.setdefault(name, []).append(text)
    for field in fields:
        given = texts.get(field.path)
        if given is None:
            continue
        try:
            value = _meaning(field, given, zone)
        except ValueError as error:
            faults.append(Fault(field.pointer, "type", str(error)))
            continue
        if not _alike(field, value, value_at(kept, field.path), zone):
            _put(patch, field.path, value)
    return patch, faults


def with_rows_joined(fields: Iterable[FormField], sent: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """A sent form in which every field is one text: those that are rows of inputs are put together."""
    joined = list(sent)
    for field in fields:
        if field.kind == "modifiers":
            joined = with_lines(field.path, joined)
    return joined


def _meaning(field: FormField, given: list[str], zone: str) -> Any:  # noqa: ANN401 - any JSON value
    if field.kind == "many":
        return [int(one) for one in given if one.isascii() and one.isdigit() and len(one) < 19]
    if field.kind == "boxes":
        return [one for one in given if one]
    text = given[-1]
    if field.kind == "moment":
        return _moment(text.strip(), zone) if text.strip() else None
    return _READERS.get(field.kind, str)(text if field.kind == "prose" else text.strip())


def amount_text(text: str) -> str:
    """A decimal number as the API takes it; people also write 1 234,56. Raises ValueError."""
    plain = re.sub(r"[\s\u00a0\u202f]", "", text)
    if "," in plain and "." not in plain:
        plain = plain.replace(",", ".")
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", plain):
        raise ValueError("write an amount like 12.50")
    return plain


def id_of(text: str) -> int | None:
    """The id that a text names; None for anything that is none."""
    # "²" is a digit for str.isdigit, and int() refuses numbers of more than 4,300 digits.
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if is_number and 1 <= int(text) <= MAX_ID else None


def json_value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """A JSON text, read as the API reads a body. Raises ValueError."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"this is not JSON: {error}") from None


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("write a whole number")
    return int(text)


def _moment(text: str, zone: str) -> str:
    """A time of the API. An hour that the clocks go through twice is the first of the two."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zoneinfo.ZoneInfo(zone))).astimezone(datetime.UTC)
        return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    except (ValueError, OverflowError):
        raise ValueError("write a date and time like 2026-11-30 18:00") from None


def _split(text: str) -> list[str]:
    return [one.strip() for one in re.split(r"[,\n]", text) if one.strip()]


def _cap(text: str) -> dict[str, Any]:
    found = _CAP.fullmatch(text)
    if not found:
        raise ValueError(
            "write caps like 12/1d, 3/1h video: impressions, then days, hours, minutes or seconds; then banner, "
            "native, video or audio where one format alone counts"
        )
    impressions, count, unit, of_format = found.groups()
    return {"impressions": int(impressions), "window_s": int(count) * _UNITS[unit], "format": of_format}


def _cap_text(cap: Mapping[str, Any]) -> str:
    text = f"{cap['impressions']}/{_window(cap['window_s'])}"
    return f"{text} {cap['format']}" if cap.get("format") else text


def _window(seconds: int) -> str:
    unit = next(unit for unit, length in reversed(_UNITS.items()) if seconds % length == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def _json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    return json_value(text) if text else None


def _alike(field: FormField, value: Any, kept: Any, zone: str) -> bool:  # noqa: ANN401 - any JSON value
    if field.kind == "money" and value and kept:
        return Decimal(value["amount"]) == Decimal(kept["amount"])
    if field.kind == "secret":
        return value in ("", "***")
    writing = Writing(zone)
    return input_text(field, value, writing) == input_text(field, kept, writing)


def _put(patch: dict[str, Any], path: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
    *outer, last = path.split(".")
    for part in outer:
        patch = patch.setdefault(part, {})
    patch[last] = value


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "flag": bool,
    "prose": lambda text: text.replace("\r\n", "\n"),
    "choice": lambda text: text or None,
    "number": lambda text: _whole(text) if text else None,
    "one": lambda text: _whole(text) if text else None,
    "money": lambda text: {"amount": amount_text(text)} if text else None,
    "list": _split,
    "numbers": lambda text: [_whole(one) for one in _split(text)],
    "caps": lambda text: [_cap(one) for one in _split(text)],
    "json": _json,
    "modifiers": modifiers_of,
}
