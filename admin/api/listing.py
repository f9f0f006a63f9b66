"""Lists: filters and sort on every documented field, cursor paging, optional total, chosen fields.

The cursor holds the sort value and id of the last row, so a page is one index range however deep it lies, and objects
created meanwhile neither repeat nor shift the pages.
"""

import base64
import binascii
import datetime
import enum
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from admin.access.principal import Principal
from admin.api.problem import twice
from admin.api.resource import Resource
from admin.store.hints import Unindexed
from admin.store.kinds import KIND_BY_NAME, Kind
from admin.store.tables import DOCUMENTS, SEARCH, folded, object_references
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
_MOMENTS = {"created_ms": "created_at", "updated_ms": "updated_at"}
_PLAIN = ("limit", "cursor", "total", "sort", "fields", "q", "updated_after", "created_after")

Column = sa.Column[Any]


class Field(msgspec.Struct, frozen=True):
    """A field that can be filtered and sorted by: its API name, column, and how its text is read."""

    name: str
    column: Column
    kind: str  # text, integer, amount, moment, boolean
    allowed: tuple[str, ...] = ()
    """The values of a text that is one of a few."""

    @property
    def has_range(self) -> bool:
        return self.kind in ("integer", "amount", "moment")


class Query(msgspec.Struct):
    """A parsed list request."""

    conditions: list[sa.ColumnElement[bool]]
    sort: Field
    descending: bool
    limit: int
    total: bool
    fields: tuple[str, ...]
    after: tuple[Any, int] | None

    @property
    def sort_text(self) -> str:
        return ("-" if self.descending else "") + self.sort.name


@functools.cache
def fields_of(kind: Kind) -> dict[str, Field]:
    """Every filterable field of a kind by its API name."""
    types = {field.name: field.type for field in msgspec.structs.fields(kind.domain)}
    budgets = {name for name, wanted in types.items() if wanted is Budget}
    found = {}
    for column in kind.table.columns:
        if column.name not in _NOT_LISTED:
            allowed = _values_of(types.get(column.name))
            field = Field(_api_name(column.name, budgets), column, _kind_of(column), allowed)
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
    parser = _Parser(resource, pairs)
    query = parser.parse()
    if parser.faults:
        raise InputError("the query is not valid", faults=parser.faults)
    return query


class _Parser:
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
            conditions.append(table.c.status != Status.ARCHIVED.value)
        sort, descending = self._sort()
        query = Query(conditions, sort, descending, self._limit(), self._boolean("total"), self._chosen(), None)
        query.after = self._cursor(query)
        return query

    def _fault(self, name: str, code: str, message: str, hint: str = "", allowed: Sequence[str] = ()) -> None:
        self.faults.append(Fault(name, code, message, hint, tuple(allowed)))

    def _condition(self, name: str, texts: list[str]) -> list[sa.ColumnElement[bool]]:
        references = reference_filters(self._resource)
        if name in references:
            return self._reference(name, references[name], texts)
        base, _, end = name.rpartition(".")
        if end in ("min", "max") and base in self._fields and self._fields[base].has_range:
            field = self._fields[base]
            value = self._value(name, field, texts[-1])
            column = Unindexed(field.column)
            return [] if value is None else [column >= value if end == "min" else column <= value]
        if name not in self._fields:
            allowed = sorted({*self._fields, *references, *_PLAIN})
            self._fault(name, "unknown_parameter", f"there is no parameter '{name}'", "", allowed)
            return []
        field = self._fields[name]
        values = [value for text in texts if (value := self._value(name, field, text)) is not None]
        # A field that is one of a few values has so many rows of each that its index is the long way round.
        return [(Unindexed(field.column) if field.allowed else field.column).in_(values)]

    def _reference(self, name: str, kind: str, texts: list[str]) -> list[sa.ColumnElement[bool]]:
        ids = [value for text in texts if (value := self._integer(name, text)) is not None]
        table = object_references
        sources = sa.select(table.c.source_id).where(
            table.c.source_kind == self._resource.kind.code,
            table.c.target_kind == KIND_BY_NAME[kind].code,
            table.c.target_id.in_(ids),
        )
        return [self._resource.kind.table.c.id.in_(sources)]

    def _plain_conditions(self) -> list[sa.ColumnElement[bool]]:
        table = self._resource.kind.table
        found: list[sa.ColumnElement[bool]] = []
        for name, column in (("updated_after", table.c.updated_ms), ("created_after", table.c.created_ms)):
            if name in self._plain and (value := self._moment(name, self._plain[name])) is not None:
                found.append(Unindexed(column) > value)
        if text := self._plain.get("q"):
            found.append(table.c[SEARCH].contains(folded(text), autoescape=True))
        return found

    def _value(self, name: str, field: Field, text: str) -> Any:  # noqa: ANN401 - the field's kind says which
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

    def _sort(self) -> tuple[Field, bool]:
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


def _fits(field: Field, value: object) -> bool:
    """Whether a cursor's value can be compared with the field's column."""
    if value is None:
        return True
    wanted: dict[str, type] = {"text": str, "boolean": bool}
    expected = wanted.get(field.kind, int)
    if isinstance(value, str) and "\x00" in value:  # PostgreSQL cannot even be asked about it
        return False
    return type(value) is expected and (expected is not int or abs(int(str(value))) <= INT64)


def make_cursor(query: Query, value: Any, last_id: int) -> str:  # noqa: ANN401 - the sort column's value
    """The cursor of the page that begins after (`value`, `last_id`)."""
    packed = msgspec.msgpack.encode((query.sort_text, value, last_id))
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def visible(kind: Kind, principal: Principal) -> list[sa.ColumnElement[bool]]:
    """The condition that keeps other advertisers' objects out of every list and look-up."""
    if principal.advertiser_ids is None:
        return []
    ids = sorted(principal.advertiser_ids)
    if kind.name == "advertisers":
        return [kind.table.c.id.in_(ids)]
    if not kind.tenant:
        return []
    owner = kind.table.c.advertiser_id
    return [sa.or_(owner.in_(ids), owner.is_(None))]


def page_statement(kind: Kind, query: Query, principal: Principal) -> sa.Select[Any]:
    """One row more than the page, in order; the columns that an answer needs."""
    table, sort = kind.table, query.sort.column
    direction: Callable[[Any], Any] = sa.desc if query.descending else sa.asc

    def order(source: Any, column: Any) -> list[Any]:  # noqa: ANN401 - a table or a subquery, and its sort column
        # Rows without a value come last upwards and first downwards, in both databases.
        nulls = [direction(column.is_(None))] if sort.nullable else []
        return [*nulls, direction(column), direction(source.c.id)]

    found = sa.select(table.c.id, table.c.created_ms, table.c.updated_ms, sort.label("sort_value"))
    found = found.where(*query.conditions, *visible(kind, principal))
    if query.after is not None:
        found = found.where(_after(query, table.c.id))
    # The whole objects are looked up only for the page, after it is found.
    page = found.order_by(*order(table, sort)).limit(query.limit + 1).subquery()
    whole = DOCUMENTS[table.name]
    joined = sa.select(page, whole.c.document).select_from(page.join(whole, whole.c.id == page.c.id))
    return joined.order_by(*order(page, page.c.sort_value))


def count_statement(kind: Kind, query: Query, principal: Principal) -> sa.Select[Any]:
    """How many rows all pages have together."""
    table = kind.table
    return sa.select(sa.func.count()).select_from(table).where(*query.conditions, *visible(kind, principal))


def _after(query: Query, object_id: Column) -> sa.ColumnElement[bool]:
    assert query.after is not None  # noqa: S101 - the only caller has checked
    value, last_id = query.after
    column = query.sort.column
    past_id = object_id < last_id if query.descending else object_id > last_id
    if value is None:
        same = sa.and_(column.is_(None), past_id)
        return sa.or_(same, column.is_not(None)) if query.descending else same
    last = sa.literal(value, column.type)  # true and false too are values here, which have an order
    beyond = column < last if query.descending else column > last
    condition = sa.or_(beyond, sa.and_(column == last, past_id))
    return sa.or_(condition, column.is_(None)) if column.nullable and not query.descending else condition


def choose(document: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """Only the chosen fields, and always the id."""
    return (
        {name: value for name, value in document.items() if name == "id" or name in fields}
        if fields
        else dict(document)
    )
