"""Lists: filters and sort on every documented field, cursor paging, optional total, chosen fields.

The cursor holds the sort value and id of the last row, so a page is one index range however deep it lies, and objects
created meanwhile neither repeat nor shift the pages.
"""

import base64
import binascii
import datetime
import enum
import functools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from admin.access.principal import Principal
from admin.api.problem import twice
from admin.api.resource import Resource
from admin.store.hints import Unindexed
from admin.store.kinds import KIND_BY_NAME, ObjectKind
from admin.store.tables import SEARCH, folded, object_references
from admin.validation.convert import document_field
from admin.validation.fields import AMOUNT
from core.errors import Fault, InputError
from core.model import Budget, Status
from core.money import parse_decimal

DEFAULT_LIMIT = 50
# A page of 500 line items is about half a megabyte; more is what exports are for.
MAX_LIMIT = 500
INT64 = 2**63 - 1

_NOT_LISTED = frozenset({"revision", SEARCH})
UNLISTED = {
    "html": "a whole ad",
    "frame_url": "an address with macros",
    "privacy_url": "one page for many ads",
    "encoding": "says how a feed is read",
    "image_url": "may be a whole image",
    "item_element": "says how a feed is read",
    "mail": "webhooks are few, and read whole",
    "mapping": "says how a feed is read",
    "price_currency": "says how a feed is read",
    "admits_uncategorised": "exchanges are few, and read whole",
    "deal_floor_else_impression": "exchanges are few, and read whole",
    "review": "exchanges are few, and read whole",
    "review_url": "exchanges are few, and read whole",
    "last_used_at": "changes without a change of the object",
    "warnings": "made for each answer",
}
"""Fields of one value that lists can neither be filtered nor sorted by, and why. So are secrets, which nobody reads."""
_MOMENTS = {"created_ms": "created_at", "updated_ms": "updated_at"}
_PLAIN = ("limit", "cursor", "total", "sort", "fields", "q", "updated_after", "created_after")

Column = sa.Column[Any]


class ListedField(msgspec.Struct, frozen=True):
    """A field that can be filtered and sorted by: its API name, column, and how its text is read."""

    name: str
    column: Column
    kind: str  # text, integer, amount, moment, boolean
    allowed: tuple[str, ...] = ()
    """The values of a text that is one of a few."""

    @property
    def has_range(self) -> bool:
        return self.kind in ("integer", "amount", "moment")


# Columns in which few rows have the same value. In any other column all rows may have the same one, and looking up
# 100,000 rows by an index takes 30 ms where a scan takes 10.
_NAMING = frozenset({"id", "name", "key", "email", "prefix"})


class Condition(msgspec.Struct, frozen=True):
    """A condition on one column of a list's rows, in the forms that statements need."""

    column: Column
    make: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]
    """The condition on the column wherever it is read from."""
    is_range: bool = False
    """Whether the rows that fit lie together in the column's order."""
    is_one: bool = True
    """Whether they have given values: not from one to another."""
    by_index: sa.ColumnElement[bool] | None = None
    """The same by an index of another table."""

    def tested(self) -> sa.ColumnElement[bool]:
        """The condition as a test of rows that something else finds: SQLite does not look it up in an index."""
        return self.make(Unindexed(self.column))

    def sought(self) -> sa.ColumnElement[bool]:
        """The condition as a way to find rows: by an index where few rows have its values, otherwise as `tested`."""
        if self.by_index is not None:
            return self.by_index
        names = self.column.name in _NAMING or self.column.name.endswith("_id")
        return self.make(self.column) if names and self.is_one else self.tested()


class Query(msgspec.Struct):
    """A parsed list request."""

    conditions: list[Condition]
    sort: ListedField
    descending: bool
    limit: int
    total: bool
    fields: tuple[str, ...]
    after: tuple[Any, int] | None

    @property
    def sort_text(self) -> str:
        return ("-" if self.descending else "") + self.sort.name


@functools.cache
def fields_of(kind: ObjectKind) -> dict[str, ListedField]:
    """Every filterable field of a kind by its API name."""
    types = {field.name: field.type for field in msgspec.structs.fields(kind.domain)}
    budgets = {name for name, wanted in types.items() if wanted is Budget}
    found = {}
    for column in kind.table.columns:
        if column.name not in _NOT_LISTED:
            allowed = _values_of(types.get(column.name))
            field = ListedField(_api_name(column.name, budgets), column, _kind_of(column), allowed)
            found[field.name] = field
    return found


def _values_of(wanted: Any) -> tuple[str, ...]:  # noqa: ANN401 - a type expression
    is_enum = isinstance(wanted, type) and issubclass(wanted, enum.Enum)
    return tuple(str(option.value) for option in wanted) if is_enum else ()


def _api_name(column: str, budgets: set[str]) -> str:
    if column in _MOMENTS:
        return _MOMENTS[column]
    field, _, part = column.rpartition("_")
    if field in budgets:
        return f"{field}.{document_field(part)}"
    return document_field(column)


def _kind_of(column: Column) -> str:
    if isinstance(column.type, sa.Boolean):
        return "boolean"
    if isinstance(column.type, sa.Text):
        return "text"
    if column.name.endswith("micros"):
        return "amount"
    is_moment = column.name in _MOMENTS or document_field(column.name) != column.name
    return "moment" if is_moment else "integer"


def reference_filters(resource: Resource) -> dict[str, str]:
    """Query parameter -> kind of the objects it names: `creative_id` -> `creatives`."""
    return {f"{name.removesuffix('s').replace('-', '_')}_id": name for name in resource.filters}


def parse_query(resource: Resource, pairs: Sequence[tuple[str, str]]) -> Query:
    """A list request from its query string. Raises InputError with every fault, unknown parameters included."""
    parser = _QueryParser(resource, pairs)
    query = parser.parse()
    if parser.faults:
        raise InputError("the query is not valid", faults=parser.faults)
    return query


class _QueryParser:
    def __init__(self, resource: Resource, pairs: Sequence[tuple[str, str]]) -> None:
        self._resource = resource
        self._fields = fields_of(resource.kind)
        self._pairs = pairs
        self._plain: dict[str, str] = {}
        self.faults: list[Fault] = []

    def parse(self) -> Query:
        wanted: dict[str, list[str]] = {}
        for name, text in self._pairs:
            if "\x00" in text:
                self._fault(name, "type", "the value has a NUL character")
            elif name in self._plain:
                self.faults.append(twice(name))
            elif name in _PLAIN:
                self._plain[name] = text
            else:
                wanted.setdefault(name, []).append(text)
        conditions = [condition for name, texts in wanted.items() for condition in self._condition(name, texts)]
        conditions += self._plain_conditions()
        table = self._resource.kind.table
        if "status" not in wanted:
            conditions.append(Condition(table.c.status, lambda status: status != Status.ARCHIVED.value, is_one=False))
        sort, descending = self._sort()
        query = Query(conditions, sort, descending, self._limit(), self._boolean("total"), self._chosen(), None)
        query.after = self._cursor(query)
        return query

    def _fault(self, name: str, code: str, message: str, hint: str = "", allowed: Sequence[str] = ()) -> None:
        self.faults.append(Fault(name, code, message, hint, tuple(allowed)))

    def _condition(self, name: str, texts: list[str]) -> list[Condition]:
        references = reference_filters(self._resource)
        if name in references:
            return self._reference(name, references[name], texts)
        base, _, end = name.rpartition(".")
        if end in ("min", "max") and base in self._fields and self._fields[base].has_range:
            field = self._fields[base]
            value = self._value(name, field, texts[-1])
            return [] if value is None else [_bound(field.column, operator.ge if end == "min" else operator.le, value)]
        if name not in self._fields:
            allowed = sorted({*self._fields, *references, *_PLAIN})
            self._fault(name, "unknown_parameter", f"there is no parameter '{name}'", "", allowed)
            return []
        field = self._fields[name]
        values = [value for text in texts if (value := self._value(name, field, text)) is not None]
        if len(values) == 1:
            return [Condition(field.column, lambda column: column == sa.literal(values[0], field.column.type), True)]
        return [Condition(field.column, lambda column: column.in_(values))]

    def _reference(self, name: str, kind: str, texts: list[str]) -> list[Condition]:
        ids = [value for text in texts if (value := self._integer(name, text)) is not None]
        table, object_id = object_references, self._resource.kind.table.c.id
        naming = sa.select(table.c.source_id).where(
            table.c.source_kind == self._resource.kind.code,
            table.c.target_kind == KIND_BY_NAME[kind].code,
            table.c.target_id.in_(ids),
        )
        return [
            Condition(
                object_id, lambda row: naming.where(table.c.source_id == row).exists(), by_index=object_id.in_(naming)
            )
        ]

    def _plain_conditions(self) -> list[Condition]:
        table = self._resource.kind.table
        found: list[Condition] = []
        for name, column in (("updated_after", table.c.updated_ms), ("created_after", table.c.created_ms)):
            if name in self._plain and (value := self._moment(name, self._plain[name])) is not None:
                found.append(_bound(column, operator.gt, value))
        if text := self._plain.get("q"):
            part = folded(text)
            found.append(Condition(table.c[SEARCH], lambda searched: searched.contains(part, autoescape=True)))
        return found

    def _value(self, name: str, field: ListedField, text: str) -> Any:  # noqa: ANN401 - the field's kind says which
        match field.kind:
            case "text":
                return self._one_of(name, field.allowed, text) if field.allowed else text
            case "integer":
                return self._integer(name, text)
            case "moment":
                return self._moment(name, text)
            case "amount":
                return self._amount(name, text)
            case _:
                return self._flag(name, text)

    def _one_of(self, name: str, allowed: tuple[str, ...], text: str) -> str | None:
        if text in allowed:
            return text
        self._fault(name, "not_allowed", "this is not one of the values", "", allowed)
        return None

    def _integer(self, name: str, text: str) -> int | None:
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 19 and int(digits) <= INT64:
            return int(text)
        self._fault(name, "type", "expected a whole number")
        return None

    def _amount(self, name: str, text: str) -> int | None:
        if re.search(AMOUNT, text):
            return parse_decimal(text)
        self._fault(name, "type", "expected a decimal number", "for example 12.50")
        return None

    def _moment(self, name: str, text: str) -> int | None:
        try:
            # A plus sign that was not percent-encoded arrives as a space.
            moment = msgspec.convert(text.replace(" ", "+"), datetime.datetime)
        except msgspec.ValidationError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self._fault(name, "type", "expected a time with an offset", "for example 2026-11-01T00:00:00Z")
            return None
        return round(moment.timestamp() * 1000)

    def _flag(self, name: str, text: str) -> bool | None:
        if text in ("true", "false"):
            return text == "true"
        self._fault(name, "type", "expected true or false", "", ("true", "false"))
        return None

    def _boolean(self, name: str) -> bool:
        return name in self._plain and self._flag(name, self._plain[name]) is True

    def _limit(self) -> int:
        if "limit" not in self._plain:
            return DEFAULT_LIMIT
        value = self._integer("limit", self._plain["limit"])
        if value is not None and not 1 <= value <= MAX_LIMIT:
            self._fault("limit", "range", f"the limit lies between 1 and {MAX_LIMIT}")
        return value or DEFAULT_LIMIT

    def _sort(self) -> tuple[ListedField, bool]:
        text = self._plain.get("sort", "id")
        name = text.removeprefix("-")
        if name not in self._fields:
            self._fault(
                "sort", "not_allowed", f"cannot sort by '{name}'", "a minus sorts downwards", sorted(self._fields)
            )
            name = "id"
        return self._fields[name], text.startswith("-")

    def _chosen(self) -> tuple[str, ...]:
        if "fields" not in self._plain:
            return ()
        known = {document_field(name) for name in self._resource.kind.domain.__struct_fields__}
        known |= {"created_at", "updated_at"}
        chosen = tuple(self._plain["fields"].split(","))
        for name in chosen or ("",):
            if name not in known:
                self._fault("fields", "not_allowed", f"there is no field '{name}'", "", sorted(known))
        return chosen

    def _cursor(self, query: Query) -> tuple[Any, int] | None:
        text = self._plain.get("cursor")
        if not text:
            return None
        try:
            packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            sort, value, last_id = msgspec.msgpack.decode(packed, type=tuple[str, bool | int | str | None, int])
        except (binascii.Error, ValueError, msgspec.DecodeError):
            sort, value, last_id = "", None, 0
        if sort != query.sort_text or not 0 <= last_id <= INT64 or not _fits(query.sort, value):
            self._fault("cursor", "cursor", "the cursor is not one of this list and sort", "take it from `next`")
            return None
        return value, last_id


def _bound(column: Column, compare: Callable[[Any, Any], Any], value: object) -> Condition:
    return Condition(column, lambda compared: compare(compared, sa.literal(value, column.type)), True, is_one=False)


def _fits(field: ListedField, value: object) -> bool:
    """Whether a cursor's value can be compared with the field's column."""
    if value is None:
        return True
    wanted: dict[str, type] = {"text": str, "boolean": bool}
    expected = wanted.get(field.kind, int)
    if isinstance(value, str) and "\x00" in value:  # PostgreSQL refuses a text with NUL
        return False
    return type(value) is expected and (expected is not int or abs(int(str(value))) <= INT64)


def make_cursor(query: Query, value: Any, last_id: int) -> str:  # noqa: ANN401 - the sort column's value
    """The cursor of the page that begins after (`value`, `last_id`)."""
    packed = msgspec.msgpack.encode((query.sort_text, value, last_id))
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def visible(kind: ObjectKind, principal: Principal) -> list[Condition]:
    """The condition that keeps other advertisers' objects out of every list and look-up."""
    if principal.advertiser_ids is None:
        return []
    ids = sorted(principal.advertiser_ids)
    if kind.name == "advertisers":
        return [Condition(kind.table.c.id, lambda owner: owner.in_(ids))]
    if not kind.tenant:
        return []
    (owner,) = (field for field in msgspec.structs.fields(kind.domain) if field.name == "advertiser_id")
    if owner.required:
        return [Condition(kind.table.c.advertiser_id, lambda owner: owner.in_(ids))]
    return [Condition(kind.table.c.advertiser_id, lambda owner: sa.or_(owner.in_(ids), owner.is_(None)))]


def choose(document: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """Only the chosen fields, and always the id."""
    return (
        {name: value for name, value in document.items() if name == "id" or name in fields}
        if fields
        else dict(document)
    )
