"""The document of a line item's targeting, made of the table of targeting fields."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bidder.targeting.field import Field
from bidder.targeting.fields import FIELD_BY_NAME, FIELDS, SPECIAL
from bidder.targeting.modifiers import may_modify
from bidder.targeting.shapes import TEXT
from core.errors import Fault
from core.ids import MAX_ID
from core.model import BidModifier, Targeting

_DOCUMENTATION = (
    "Which impressions may be bid on: every non-empty field restricts, values inside a field are alternatives."
)


def targeting_document(
    fields: Sequence[Field] = FIELDS, targeting: type[Targeting] = Targeting
) -> type[msgspec.Struct]:
    """The document's type: the members of `targeting`, in their order."""
    described = {member: (item, most, about) for member, item, most, about in _members(fields)}
    made = msgspec.defstruct(
        "TargetingDocument",
        [(name, _list_of(*described[name]), []) for name in targeting.__struct_fields__],
        forbid_unknown_fields=True,
    )
    made.__doc__ = _DOCUMENTATION
    return made


def _members(fields: Iterable[Field]) -> Iterator[tuple[str, Any, int, str]]:
    for field in fields:
        if field.allow:
            yield field.allow, field.item, field.most, field.about
        if field.deny:
            yield field.deny, field.item, field.most, f"none of these: {field.about}"
    for special in SPECIAL:
        yield special.member, special.item, special.most, special.about


def _list_of(item: Any, most: int, about: str) -> Any:  # noqa: ANN401 - type expressions have no type
    text = about.replace("`", "'")
    return Annotated[list[item], Meta(max_length=most, description=text[0].upper() + text[1:] + ".")]


REFERENCES: tuple[tuple[str, str], ...] = (
    *((field.allow, field.refers) for field in FIELDS if field.refers),
    *((special.member, special.refers) for special in SPECIAL if special.refers),
)
"""Members of targeting whose values are ids, and the kind of object that they name."""

MODIFYING: tuple[str, ...] = tuple(field.name for field in FIELDS if may_modify(field))
"""Names of fields that bid modifiers may name."""

MODIFIED_KINDS: dict[str, str] = {field.name: field.refers for field in FIELDS if field.refers}
"""Fields whose values are ids, and the kind of object that they name."""


class BidModifierDocument(msgspec.Struct, forbid_unknown_fields=True):
    """Bids are so many per cent where a targeting field has one of the values (docs/targeting.md, "Bid modifiers")."""

    field: Annotated[
        str,
        Meta(description="A targeting field.", examples=["device_type"], extra_json_schema={"enum": list(MODIFYING)}),
    ]
    values: Annotated[
        list[Annotated[int, Meta(ge=0, le=MAX_ID)] | Annotated[str, Meta(min_length=1, max_length=512, pattern=TEXT)]],
        Meta(
            min_length=1,
            max_length=1_000,
            description="As targeting writes them; a circle is 'latitude,longitude,kilometres'.",
        ),
    ]
    factor_percent: Annotated[
        int, Meta(ge=10, le=1_000, description="150 bids half as much again. All that apply are multiplied.")
    ] = 100


def check_modifier(modifier: BidModifier, pointer: str) -> Iterator[Fault]:
    """What a bid modifier names must be a field, and its values such as the field's targeting takes."""
    if modifier.field not in MODIFYING:
        hint = "name a field of docs/targeting.md"
        yield Fault(f"{pointer}/field", "not_allowed", f"there is no field '{modifier.field[:64]}'", hint, MODIFYING)
        return
    field = FIELD_BY_NAME[modifier.field]
    for position, value in enumerate(modifier.values):
        try:
            normal = field.of_modifier(value)
            msgspec.convert(msgspec.to_builtins(normal) if field.parsed is not None else value, field.item)
        except (ValueError, AttributeError) as error:
            detail = f"not a value of {field.name}: {_first_line(error)}"
            yield Fault(f"{pointer}/values/{position}", "type", detail, field.about)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
