"""The document of a line item's targeting, made of the table of targeting fields."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bidder.targeting.field import Field
from bidder.targeting.fields import FIELDS, SPECIAL
from core.model import Targeting

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
