"""What is checked of a write before it is saved, beyond the document itself: scopes, references, unique values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.access.principal import Principal
from admin.api.resource import Resource
from admin.store.catalogue import owners_of
from admin.store.kinds import ObjectKind
from admin.store.model import Scope
from admin.validation.rules import check_references
from core.errors import Fault, InputError

META = ("id", "version", "created_at", "updated_at", "warnings")

# Fields that must be unique among all objects of the kind, archived ones too.
UNIQUE = {"exchanges": ("key",), "users": ("email",)}


async def check_outside(
    connection: AsyncConnection,
    principal: Principal,
    kind: ObjectKind,
    values: Sequence[Any],
    known: Sequence[Iterable[tuple[str, str, int]]],
    among: Sequence[Any] = (),
) -> list[list[Fault]]:
    """Faults of each object that need a look at others: what it names, and what must be unique.

    `known` are references that each object had before: they stay allowed when what they name is archived since.
    """
    references = [reference for value in values for reference in kind.references(value)]
    owners = await owners_of(connection, references)
    seen = {
        target: owner
        for target, owner in owners.items()
        if principal.sees(target[1] if target[0] == "advertisers" else owner)
    }
    faults: list[list[Fault]] = []
    for value, before in zip(values, known, strict=True):
        kept = {(target_kind, target) for _, target_kind, target in before}
        allowed = seen | {target: getattr(value, "advertiser_id", None) for target in kept}
        found = check_references(kind, value, allowed)
        if kind.tenant and value.advertiser_id is None and principal.advertiser_ids is not None:
            found.append(Fault("/advertiser_id", "required", "choose one of your advertisers"))
        faults.append(found)
    # The positions of objects whose uniqueness may be told: of an advertiser that the caller may not know of, nothing
    # is said to exist.
    told = [not kind.tenant or principal.sees(value.advertiser_id) for value in values]
    shared = await _shared_ids(connection, principal, kind, values)
    for column in ("external_id", *UNIQUE.get(kind.name, ())):
        for position, pointer in await _taken(connection, kind, values, column, among):
            if told[position] and position not in shared:
                faults[position].append(Fault(pointer, "taken", f"another {kind.title} has this {column}"))
    for position in shared:
        hint = "ask an administrator"
        faults[position].append(Fault("/external_id", "forbidden", "only callers for all advertisers set it", hint))
    return faults


async def _shared_ids(
    connection: AsyncConnection, principal: Principal, kind: ObjectKind, values: Sequence[Any]
) -> set[int]:
    """Indexes in `values` of the objects whose external id the caller may not set.

    Those of advertisers are unique among all of them: "taken" would tell a restricted caller which ones others have.
    """
    if kind.tenant or principal.advertiser_ids is None:
        return set()
    table = kind.table
    ids = [value.id for value in values]
    rows = await connection.execute(sa.select(table.c.id, table.c.external_id).where(table.c.id.in_(ids)))
    before = {row.id: row.external_id for row in rows}
    return {at for at, value in enumerate(values) if value.external_id != before.get(value.id, "")}


async def _taken(
    connection: AsyncConnection, kind: ObjectKind, values: Sequence[Any], column: str, among: Sequence[Any]
) -> list[tuple[int, str]]:
    """(index in `values`, pointer) of each object whose `column` another object, stored or before it here, has already.

    Objects of `among` count as stored.
    """
    wanted = {getattr(value, column) for value in values} - {""}
    if not wanted:
        return []
    table = kind.table
    scoped = kind.tenant and column == "external_id"
    holders: dict[tuple[Any, str], int] = {}
    for start in range(0, len(wanted), 5_000):
        part = sorted(wanted)[start : start + 5_000]
        owner = table.c.advertiser_id if scoped else sa.literal(0)
        rows = await connection.execute(
            sa.select(table.c.id, owner.label("owner"), table.c[column].label("text")).where(table.c[column].in_(part))
        )
        holders |= {(row.owner, row.text): row.id for row in rows}
    for value in among:
        holders.setdefault((value.advertiser_id if scoped else 0, getattr(value, column)), value.id)
    taken = []
    for position, value in enumerate(values):
        text = getattr(value, column)
        key = (value.advertiser_id if scoped else 0, text)
        if text and holders.setdefault(key, value.id) != value.id:
            taken.append((position, f"/{column}"))
    return taken


def allow_write(principal: Principal, resource: Resource, *, creating: bool = False) -> None:
    """Raises Forbidden when the caller may not write the resource at all."""
    everywhere = resource.everywhere or (creating and resource.create_everywhere)
    principal.require(resource.write_scope, everywhere=everywhere)


def allow_finance(
    principal: Principal, resource: Resource, raw: Mapping[str, Any], shown: Mapping[str, Any] | None = None
) -> None:
    """Raises Forbidden when the input sets a field of money to something else than `shown`, without the right to.

    The right is the finance scope for all advertisers: whoever acts for one shop must not lend it money.
    """
    before = shown or {}
    if any(raw.get(name) != before.get(name) for name in resource.finance_fields if name in raw):
        principal.require(Scope.FINANCE, everywhere=True)


def without_meta(shown: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The patch without the fields that are not the caller's; they may be there unchanged (read, edit, send back)."""
    faults = [
        Fault(f"/{name}", "read_only", f"'{name}' cannot be set")
        for name in META
        if name in patch and name != "warnings" and patch[name] != shown.get(name)
    ]
    if faults:
        raise InputError("the input is not valid", faults=faults)
    return {name: value for name, value in patch.items() if name not in META}
