"""Between the documents people write and the domain model the rooms share.

The rule is by name, so that no field can be forgotten: a domain field `x_micros` is the document's amount `x` (`spend`
where the domain says just `micros`), `start_ms`, `end_ms` and `expires_ms` are moments without the suffix, tuples are
lists, the rest is alike. A document's null where the domain has no null means the domain's default.
"""

import datetime
import functools
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from admin.validation.fields import Amount, Price
from core.money import format_micros, parse_decimal

T = TypeVar("T", bound=msgspec.Struct)

MOMENTS = frozenset({"start_ms", "end_ms", "expires_ms"})
SECRETS = frozenset(
    {"encryption_key", "integrity_key", "bearer_token", "header_secret", "review_token", "secret", "secret_url"}
)
"""Fields that can be written and never read back."""

HIDDEN = "***"


class _Step(msgspec.Struct, frozen=True):
    domain_name: str
    document_name: str
    action: str  # same, amount, moment, struct, structs, list
    nested: type[msgspec.Struct] | None
    nullable: bool
    default: Any


def document_field(domain_name: str) -> str:
    """The document's name of a domain field: `max_cpm_micros` is `max_cpm`."""
    if domain_name == "micros":
        return "spend"
    if domain_name in MOMENTS:
        return domain_name.removesuffix("_ms")
    return domain_name.removesuffix("_micros")


def _struct_of(wanted: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401 - type expressions have no type
    for option in (wanted, *typing.get_args(wanted)):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


@functools.cache
def _plan(domain: type[msgspec.Struct]) -> tuple[_Step, ...]:
    steps = []
    for field in msgspec.structs.fields(domain):
        nested = _struct_of(field.type)
        if field.name.endswith("micros"):
            action = "amount"
        elif field.name in MOMENTS:
            action = "moment"
        elif typing.get_origin(field.type) is tuple:
            action = "structs" if nested else "list"
        else:
            action = "struct" if nested else "same"
        nullable = type(None) in typing.get_args(field.type)
        steps.append(_Step(field.name, document_field(field.name), action, nested, nullable, field.default))
    return tuple(steps)


def to_domain(document: msgspec.Struct, domain: type[T], **identity: object) -> T:
    """The domain value of a document; `identity` gives the fields a document does not have (id, version, status)."""
    values: dict[str, Any] = {}
    for step in _plan(domain):
        if step.domain_name in identity:
            values[step.domain_name] = identity[step.domain_name]
        elif hasattr(document, step.document_name):
            value = getattr(document, step.document_name)
            if value is not None:
                values[step.domain_name] = _inward(value, step)
            elif step.nullable:
                values[step.domain_name] = None
    return msgspec.convert(values, domain)


def _inward(value: Any, step: _Step) -> Any:  # noqa: ANN401 - the step says which
    match step.action:
        case "amount":
            return parse_decimal(value.amount)
        case "moment":
            return round(value.timestamp() * 1000)
        case "struct" if step.nested:
            return to_domain(value, step.nested)
        case "structs" if step.nested:
            return tuple(to_domain(item, step.nested) for item in value)
        case "list":
            return tuple(value)
        case _:
            return value


def represent(value: msgspec.Struct, currency: str, *, reveal: bool = False) -> dict[str, Any]:
    """The JSON form of a domain value, amounts in `currency`. Secrets are hidden unless `reveal`."""
    out: dict[str, Any] = {}
    for step in _plan(type(value)):
        field = getattr(value, step.domain_name)
        if step.domain_name in SECRETS and field and not reveal:
            field = HIDDEN
        out[step.document_name] = None if field is None else _outward(field, step.action, currency)
    return out


def _outward(value: Any, action: str, currency: str) -> Any:  # noqa: ANN401 - the action says which
    match action:
        case "amount":
            return {"amount": format_micros(value), "currency": currency}
        case "moment":
            moment = datetime.datetime.fromtimestamp(value / 1000, datetime.UTC)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case "struct":
            return represent(value, currency)
        case "structs":
            return [represent(item, currency) for item in value]
        case "list":
            return list(value)
        case _:
            return value


def amounts_in(document: object, pointer: str = "") -> list[tuple[str, str]]:
    """(pointer, currency) of every amount of a parsed document that names its currency."""
    found: list[tuple[str, str]] = []
    if isinstance(document, Amount | Price):
        if document.currency is not None:
            found.append((f"{pointer}/currency", document.currency))
    elif isinstance(document, msgspec.Struct):
        for field in document.__struct_fields__:
            found += amounts_in(getattr(document, field), f"{pointer}/{field}")
    return found


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """JSON merge patch (RFC 7396): null removes a member, objects merge, everything else replaces."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            inner = merged.get(key)
            merged[key] = merge_patch(inner if isinstance(inner, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged
