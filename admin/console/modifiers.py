"""Bid modifiers in a form: a row each, with a field, its values and a percentage."""

import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bidder.targeting.fields import FIELD_BY_NAME
from bidder.targeting.modifiers import may_modify

PARTS: Final = ("field", "values", "percent")

LABELS: Final[Mapping[str, str]] = {
    name: field.allow.replace("_", " ").capitalize() for name, field in FIELD_BY_NAME.items() if may_modify(field)
}
"""What each field is called where its values are chosen, by name."""


def modifiers_text(value: Iterable[Mapping[str, Any]]) -> str:
    """A line a modifier, its parts with tabs between: what a form's rows are made of."""
    return "\n".join(
        f"{one['field']}\t{_between(one['field']).join(map(str, one['values']))}\t{one['factor_percent']}"
        for one in value
    )


def modifiers_of(text: str) -> list[dict[str, Any]]:
    """The modifiers of such lines; rows without field and values are none. Raises ValueError."""
    rows = [[*line.split("\t"), "", ""][:3] for line in text.split("\n")]
    return [
        _modifier(name.strip(), values, percent) for name, values, percent in rows if name.strip() or values.strip()
    ]


def with_lines(path: str, sent: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """A sent form with the rows of `path` as one text of lines; as it is where it has no such rows."""
    columns = [[text for name, text in sent if name == f"{path}.{part}"] for part in PARTS]
    if not columns[0]:
        return list(sent)
    rows = [[re.sub(r"\s+", " ", one).strip() for one in row] for row in zip(*columns, strict=False)]
    text = "\n".join("\t".join(row) for row in rows if any(row))
    names = {f"{path}.{part}" for part in PARTS}
    return [*((name, one) for name, one in sent if name not in names), (path, text)]


def _between(name: str) -> str:
    return "; " if name == "radius" else ", "  # a circle has commas of its own


def _modifier(name: str, values: str, percent: str) -> dict[str, Any]:
    found = [one.strip() for one in values.split(_between(name).strip()) if one.strip()]
    if not name or not found:
        raise ValueError("a modifier names a field and at least one value of it")
    if not re.fullmatch(r"[0-9]{1,5}\s*%?", percent.strip()):
        raise ValueError("write the factor as a percentage: 150 bids half as much again")
    is_number = name in LABELS and int in typing.get_args(FIELD_BY_NAME[name].item)
    return {
        "field": name,
        "values": [int(one) if is_number and re.fullmatch("[0-9]{1,10}", one) else one for one in found],
        "factor_percent": int(percent.strip().rstrip("%")),
    }
