"""Types that only the API's description needs, derived from the documents: what is read back, and patches.

They cannot drift from what is accepted, because they are made of the same annotated fields.
"""

import datetime
import functools
import typing
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from admin.api.problem import FaultDocument
from admin.store.kinds import ObjectKind
from admin.validation.convert import document_field
from admin.validation.fields import Id

Moment = Annotated[datetime.datetime, Meta(tz=True)]
AnyStatus = Literal["active", "paused", "archived"]

_Fields = list[tuple[str, Any, Any]]


def system_fields(kind: ObjectKind) -> frozenset[str]:
    """Domain fields that no document has because Grosz fills them (a key's prefix)."""
    given = {"id", "version", *kind.document.__struct_fields__}
    return frozenset(name for name in kind.domain.__struct_fields__ if document_field(name) not in given)


@functools.cache
def read_type(kind: ObjectKind) -> type[msgspec.Struct]:
    """How an object is read: all of the document's fields (`fields=` may leave them out), its id, version and times."""
    fields: _Fields = [("id", Id, msgspec.NODEFAULT)]
    for field in msgspec.structs.fields(kind.document):
        if field.name == "status":
            fields.append(("status", AnyStatus | UnsetType, UNSET))
        elif field.name != "password":
            fields.append((field.name, field.type | UnsetType, UNSET))
    fields += [(name, str | UnsetType, UNSET) for name in sorted(system_fields(kind))]
    if kind.name == "api-keys":
        fields.append(("last_used_at", Moment | None | UnsetType, UNSET))
    fields += [
        ("version", Id | UnsetType, UNSET),
        ("created_at", Moment | UnsetType, UNSET),
        ("updated_at", Moment | UnsetType, UNSET),
        ("warnings", list[FaultDocument] | UnsetType, UNSET),
    ]
    return _struct(kind.domain.__name__, kind.document.__doc__, fields)


@functools.cache
def created_type(kind: ObjectKind) -> type[msgspec.Struct]:
    """What a creation answers; an API key's has its secret."""
    plain = read_type(kind)
    if kind.name != "api-keys":
        return plain
    secret = Annotated[str, Meta(description="Shown once; left out when an Idempotency-Key repeats the answer.")]
    fields: _Fields = [(field.name, field.type, field.default) for field in msgspec.structs.fields(plain)]
    return _struct("NewApiKey", plain.__doc__, [*fields, ("secret", secret | UnsetType, UNSET)])


@functools.cache
def patch_type(document: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """A merge patch of a document: every field optional; null where there is a default to go back to."""
    fields: _Fields = []
    for field in msgspec.structs.fields(document):
        wanted: Any = field.type
        if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct) and not _has_required(wanted):
            wanted = patch_type(wanted)
        fields.append((field.name, wanted | UnsetType if field.required else wanted | None | UnsetType, UNSET))
    name = document.__name__.removesuffix("Document") + "Patch"
    return _struct(name, f"Merge patch (RFC 7396) of {document.__name__}.", fields, closed=True)


@functools.cache
def page_type(kind: ObjectKind) -> type[msgspec.Struct]:
    """The envelope of a list."""
    fields: _Fields = [
        ("items", list[read_type(kind)], msgspec.NODEFAULT),  # type: ignore[misc]  # a type made at run time
        ("count", Annotated[int, Meta(ge=0)], msgspec.NODEFAULT),
        ("next", str | None, msgspec.NODEFAULT),
        ("total", Annotated[int, Meta(ge=0)] | UnsetType, UNSET),
    ]
    return _struct(f"{kind.domain.__name__}Page", "A page; `next` is the cursor of the following one.", fields)


class BulkResult(msgspec.Struct):
    """What became of one operation: an HTTP status, and the object's id and version or the problem."""

    index: int
    status: int
    id: int | UnsetType = UNSET
    version: int | UnsetType = UNSET
    problem: dict[str, Any] | UnsetType = UNSET


class BulkResults(msgspec.Struct):
    """Results in the order of the operations."""

    results: list[BulkResult]
    succeeded: int
    failed: int


def _has_required(document: type[msgspec.Struct]) -> bool:
    return any(field.required for field in msgspec.structs.fields(document))


def _struct(name: str, doc: str | None, fields: _Fields, *, closed: bool = False) -> type[msgspec.Struct]:
    typed: Any = [
        (one, kind) if default is msgspec.NODEFAULT else (one, kind, default) for one, kind, default in fields
    ]
    made = msgspec.defstruct(name, typed, kw_only=True, forbid_unknown_fields=closed)
    made.__doc__ = doc
    return made


def type_name(wanted: Any) -> str:  # noqa: ANN401 - a type
    """The component name of a type."""
    return typing.cast("str", wanted.__name__)
