"""Catalogue files: everything that is configured, as one JSON document to keep, move and edit.

    {"format": "grosz-catalogue/1", "fx_rates": {"USD": "3.64"},
     "exchanges": [{"id": 1, "key": "demo"}], "advertisers": [...], ..., "line_items": [...]}

The objects are the API's documents with their `id`. An import creates and changes the objects that the file names, as
one transaction, and touches no other; references may point into the file or into the store.
"""

import codecs
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.rates.reference import ReferenceRates
from admin.rates.store import replace_rates
from admin.store import tables
from admin.store.catalogue import CatalogueStore, objects_by_id, owners_of, rates
from admin.store.changes import Actor
from admin.store.kinds import ADVERTISERS, KINDS, ObjectKind
from admin.validation.convert import represent
from admin.validation.decode import MAX_FAULTS
from admin.validation.intake import as_object, build
from admin.validation.rules import check_references, prefixed
from core.errors import CatalogueError, Fault, InputError
from core.model import Status
from core.moments import utc_day
from core.money import MoneyError, format_micros, parse_decimal

FORMAT = "grosz-catalogue/1"

META_FIELDS = ("id", "version", "created_at", "updated_at")


class Imported(msgspec.Struct, frozen=True):
    """What an import did."""

    created: int
    changed: int
    unchanged: int


class Parsed(msgspec.Struct, frozen=True):
    """A file whose objects are valid each by itself: (pointer, object) by kind name."""

    objects: dict[str, list[tuple[str, Any]]]
    fx_rates: dict[str, int] | None


def member(kind: ObjectKind) -> str:
    """The kind's name in a file: `line_items`."""
    return kind.name.replace("-", "_")


def parse(body: bytes, currencies: Mapping[int, str]) -> Parsed:
    """Reads a file; `currencies` are those of the advertisers in the store. Raises CatalogueError with all faults."""
    try:
        document = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, RecursionError) as error:
        raise CatalogueError("the file is not JSON", hint=str(error)) from None
    faults: list[Fault] = []
    if not isinstance(document, dict):
        raise CatalogueError("the file is not a catalogue", faults=[Fault("", "type", "expected an object")])
    faults += _check_members(document)
    known = dict(currencies) | _currencies_in(document)
    objects = {kind.name: _parse_kind(kind, document.get(member(kind), []), known, faults) for kind in KINDS}
    fx_rates = _parse_rates(document["fx_rates"], faults) if "fx_rates" in document else None
    if faults:
        raise CatalogueError(f"the catalogue has {len(faults)} faults", faults=faults[:MAX_FAULTS])
    return Parsed(objects, fx_rates)


def _check_members(document: Mapping[str, Any]) -> list[Fault]:
    allowed = ("format", "fx_rates", *(member(kind) for kind in KINDS))
    faults = [
        Fault(f"/{key}", "unknown_field", f"there is no '{key}' in a catalogue", "", allowed)
        for key in document
        if key not in allowed
    ]
    if document.get("format") != FORMAT:
        faults.append(Fault("/format", "not_allowed", "the format is missing or not known", "", (FORMAT,)))
    return faults


def _currencies_in(document: Mapping[str, Any]) -> dict[int, str]:
    rows = document.get(member(ADVERTISERS), [])
    return {
        row["id"]: row.get("currency", "PLN")
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and isinstance(row.get("id"), int) and isinstance(row.get("currency", "PLN"), str)
    }


def _parse_kind(
    kind: ObjectKind, rows: object, currencies: Mapping[int, str], faults: list[Fault]
) -> list[tuple[str, Any]]:
    base = f"/{member(kind)}"
    if not isinstance(rows, list):
        faults.append(Fault(base, "type", "expected a list"))
        return []
    parsed: list[tuple[str, Any]] = []
    seen: set[int] = set()
    for position, row in enumerate(rows):
        pointer = f"{base}/{position}"
        try:
            content = dict(as_object(row, pointer))
            object_id = content.get("id")
            if isinstance(object_id, bool) or not isinstance(object_id, int) or not 1 <= object_id <= kind.max_id:
                text = f"every {kind.title} of a file has an id from 1 to {kind.max_id}"
                faults.append(Fault(f"{pointer}/id", "required", text))
                object_id = kind.max_id
            elif object_id in seen:
                faults.append(Fault(f"{pointer}/id", "duplicate", f"the id {object_id} occurs twice"))
            seen.add(object_id)
            for name in META_FIELDS:
                content.pop(name, None)
            parsed.append((pointer, build(kind, content, currencies.get, pointer=pointer, id=object_id, version=1)))
        except InputError as error:
            faults += error.faults
    return parsed


def _parse_rates(raw: object, faults: list[Fault]) -> dict[str, int]:
    if not isinstance(raw, dict):
        faults.append(Fault("/fx_rates", "type", "expected an object of currency and decimal"))
        return {}
    found: dict[str, int] = {}
    for currency, rate in raw.items():
        try:
            micros = parse_decimal(rate) if isinstance(rate, str) else 0
        except MoneyError:
            micros = 0
        if micros <= 0 or len(currency) != 3 or not currency.isascii() or not currency.isupper():
            faults.append(
                Fault(
                    f"/fx_rates/{currency}",
                    "type",
                    "expected PLN for one unit, as a decimal text",
                    'for example "3.64"',
                )
            )
        found[currency] = micros
    return found


async def import_bytes(store: CatalogueStore, body: bytes, actor: Actor) -> Imported:
    """Imports a file as one transaction. Raises CatalogueError with all faults, and then has changed nothing."""
    async with store.database.read() as connection:
        rows = await connection.execute(sa.select(tables.advertisers.c.id, tables.advertisers.c.currency))
        currencies = {row.id: row.currency for row in rows}
    parsed = parse(body, currencies)
    created = changed = 0
    async with store.write(actor) as writer:
        for kind in KINDS:
            pairs = parsed.objects[kind.name]
            references = [reference for _, value in pairs for reference in kind.references(value)]
            owners = await owners_of(writer.connection, references)
            faults = [
                fault for pointer, value in pairs for fault in prefixed(check_references(kind, value, owners), pointer)
            ]
            if faults:
                raise CatalogueError("the catalogue names objects that do not exist", faults=faults[:MAX_FAULTS])
            await _refuse_archived(writer.connection, kind, pairs)
            added, updated = await writer.upsert(kind, [value for _, value in pairs])
            created, changed = created + added, changed + updated
        if parsed.fx_rates is not None and parsed.fx_rates != await rates(writer.connection):
            today = utc_day(writer.now_ms)
            await replace_rates(writer, ReferenceRates(today, parsed.fx_rates), "a catalogue file")
    total = sum(len(pairs) for pairs in parsed.objects.values())
    return Imported(created, changed, total - created - changed)


async def _refuse_archived(connection: AsyncConnection, kind: ObjectKind, pairs: Sequence[tuple[str, Any]]) -> None:
    """Refuse to bring back what was archived: its counters may have been dropped. Raises CatalogueError."""
    present = await objects_by_id(connection, kind, [value.id for _, value in pairs])
    archived = {number for number, stored in present.items() if stored.value.status is Status.ARCHIVED}
    hint = "give it an id that is not taken"
    faults = [
        Fault(f"{pointer}/id", "archived", f"{kind.title} {value.id} is archived", hint)
        for pointer, value in pairs
        if value.id in archived and value.status is not Status.ARCHIVED
    ]
    if faults:
        raise CatalogueError("the catalogue names objects that are archived", faults=faults[:MAX_FAULTS])


async def export_bytes(store: CatalogueStore, *, reveal: bool = False) -> bytes:
    """The whole catalogue without what is archived; secrets as '***' unless `reveal`."""
    document: dict[str, Any] = {"format": FORMAT}
    async with store.database.read() as connection:
        document["fx_rates"] = {currency: format_micros(rate) for currency, rate in (await rates(connection)).items()}
        currencies: dict[int, str] = {}
        for kind in KINDS:
            live = kind.table.c.status != Status.ARCHIVED.value
            decoder = msgspec.json.Decoder(kind.domain)
            rows = await connection.scalars(tables.documents(kind.table).where(live).order_by(kind.table.c.id))
            values: list[Any] = [decoder.decode(row) for row in rows]
            if kind is ADVERTISERS:
                currencies = {value.id: value.currency for value in values}
            document[member(kind)] = [
                represent(
                    value, currencies.get(getattr(value, "advertiser_id", None) or value.id, "PLN"), reveal=reveal
                )
                for value in values
            ]
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
