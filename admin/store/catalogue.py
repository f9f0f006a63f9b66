"""Catalogue objects: read, write with version check and change log, and read what changed since a revision."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.store import tables
from admin.store.changes import Actor, ChangeWriter
from admin.store.database import Database
from admin.store.kinds import KIND_BY_NAME, KINDS, ObjectKind, Reference, columns_of
from admin.store.model import ApiKey, Conversion, Scope, Webhook
from admin.validation.convert import HIDDEN
from core.clock import Clock
from core.errors import ConflictError, NotFoundError
from core.model import Approval, Catalogue, ConversionRule, EventKey, Status, WebhookTarget
from core.money import format_micros
from segments.facts.event import Kind

CATALOGUE = "catalogue"
NEVER_MS = 2**62
# SQLite takes 32,766 parameters in a statement, PostgreSQL 32,767: look-ups by id go in parts.
IDS_PER_QUERY = 10_000
# Objects that are written before other requests get their turn: encoding these takes some 20 ms.
INSERTED_AT_ONCE = 250


class Stored(msgspec.Struct, frozen=True):
    """An object as stored."""

    value: Any
    created_ms: int
    updated_ms: int


ARCHIVED_MEMBERS = {"advertisers": "archived_advertisers", "exchanges": "archived_exchanges"}
"""Kinds whose archived objects are published too, and where: their last bids are still to be billed."""


class Changed(msgspec.Struct, frozen=True):
    """Changed objects by kind name and id, and whole what is small; `expires_ms` is when the next event key ends."""

    version: int
    objects: dict[str, dict[int, Any]]
    rates: dict[str, int]
    webhooks: tuple[WebhookTarget, ...]
    event_keys: tuple[EventKey, ...]
    expires_ms: int
    conversions: tuple[ConversionRule, ...] = ()
    approvals: tuple[Approval, ...] = ()

    def catalogue(self, published_ms: int, members: Mapping[str, Any]) -> Catalogue:
        """A catalogue of what is whole here and of the given `members`, tuples of objects by their names."""
        return Catalogue(
            version=self.version,
            published_ms=published_ms,
            fx_rates=self.rates,
            webhooks=self.webhooks,
            event_keys=self.event_keys,
            conversions=self.conversions,
            **members,
        )


class CatalogueWriter:
    """What can be done inside one write transaction. Made by CatalogueStore.write, never alone."""

    def __init__(self, connection: AsyncConnection, actor: Actor, now_ms: int, revision: int) -> None:
        self.connection = connection
        self.revision = revision
        self.now_ms = now_ms
        self._changes = ChangeWriter(connection, actor, now_ms, secrets.token_hex(8))

    async def reserve_ids(self, kind: ObjectKind, count: int) -> range:
        """`count` fresh ids, in order; ids are never used again, not even after a rollback of the object's creation."""
        first = await _bump(self.connection, kind.name, count) - count
        if first + count > kind.max_id:
            raise ConflictError(f"no more ids for {kind.name}: they go up to {kind.max_id}")
        return range(first + 1, first + count + 1)

    async def insert(self, kind: ObjectKind, values: Sequence[Any], action: str = "create") -> None:
        """New objects, with ids from reserve_ids. Each gives one change-log row with the whole document."""
        for start in range(0, len(values), INSERTED_AT_ONCE):
            await self._insert(kind, values[start : start + INSERTED_AT_ONCE], action)

    async def _insert(self, kind: ObjectKind, values: Sequence[Any], action: str) -> None:
        times = {"revision": self.revision, "created_ms": self.now_ms, "updated_ms": self.now_ms}
        await self.connection.execute(sa.insert(kind.table), [columns_of(kind, value) | times for value in values])
        whole = [{"id": value.id, "document": msgspec.json.encode(value)} for value in values]
        await self.connection.execute(sa.insert(tables.DOCUMENTS[kind.table.name]), whole)
        await self._write_references(kind, values)
        await self._changes.created(kind, values, action)

    async def update(self, kind: ObjectKind, old: Any, new: Any, action: str = "update") -> None:  # noqa: ANN401 - a domain struct
        """`new` in place of `old`. Raises ConflictError when the row is no longer at `old.version`."""
        statement = (
            sa.update(kind.table)
            .where(kind.table.c.id == old.id, kind.table.c.version == old.version)
            .values(columns_of(kind, new) | {"revision": self.revision, "updated_ms": self.now_ms})
        )
        result = await self.connection.execute(statement)
        if result.rowcount != 1:
            raise ConflictError(
                f"{kind.title} {old.id} was changed by somebody else", hint="read it again and repeat your change"
            )
        whole, references = tables.DOCUMENTS[kind.table.name], tables.object_references
        encoded = msgspec.json.encode(new)
        await self.connection.execute(sa.update(whole).where(whole.c.id == old.id).values(document=encoded))
        await self.connection.execute(
            sa.delete(references).where(references.c.source_kind == kind.code, references.c.source_id == old.id)
        )
        await self._write_references(kind, [new])
        await self._changes.updated(kind, old, new, action)

    async def upsert(self, kind: ObjectKind, values: Sequence[Any]) -> tuple[int, int]:
        """Insert or update objects with given ids, for imports: (created, changed). Unchanged ones stay as they are."""
        present = await objects_by_id(self.connection, kind, [value.id for value in values])
        fresh = [msgspec.structs.replace(value, version=1) for value in values if value.id not in present]
        await self.insert(kind, fresh, "import")
        changed = 0
        for value in values:
            if value.id not in present:
                continue
            old = present[value.id].value
            new = msgspec.structs.replace(value, version=old.version + 1)
            if msgspec.structs.replace(value, version=old.version) != old:
                await self.update(kind, old, new, "import")
                changed += 1
        await _at_least(self.connection, kind.name, max((value.id for value in values), default=0))
        return len(fresh), changed

    async def note_secret(self, kind: ObjectKind, object_id: int, field: str) -> None:
        """Note in the change log that a secret which is kept apart was changed."""
        await self._changes.account(kind.name, object_id, "update", field, HIDDEN, HIDDEN)

    async def note_approval(
        self, creative_id: int, advertiser_id: int, exchange_id: int, old: str | None, new: str
    ) -> None:
        """Note in the change log that an exchange says something else of a creative."""
        field = f"approvals.{exchange_id}"
        await self._changes.account("creatives", creative_id, "review", field, old, new, advertiser_id=advertiser_id)

    async def set_rates(self, rates: Mapping[str, int]) -> None:
        """Replaces the exchange rates: micros of the base currency (PLN) for one unit."""
        await self.connection.execute(sa.delete(tables.fx_rates))
        if rates:
            rows = [{"currency": currency, "rate_micros": rate} for currency, rate in rates.items()]
            await self.connection.execute(sa.insert(tables.fx_rates), rows)

    async def note_rate(self, currency: str, old: int | None, new: int | None) -> None:
        """Note in the change log that the rate of a currency has moved (micros of the base for one unit)."""
        texts = [None if rate is None else format_micros(rate) for rate in (old, new)]
        await self._changes.account("fx-rates", 0, "update", currency, *texts)

    async def _write_references(self, kind: ObjectKind, values: Iterable[Any]) -> None:
        codes = {name: target.code for name, target in KIND_BY_NAME.items()}
        rows = {
            (kind.code, value.id, codes[target_kind], target_id)
            for value in values
            for _, target_kind, target_id in kind.references(value)
            if target_kind != "advertisers"  # the advertiser_id column says it
        }
        if rows:
            # Straight to the driver: a line item has twenty of these, and building statements for them took longer
            # than writing them (3.5 against 1.3 s for 10,000 line items).
            await self.connection.exec_driver_sql(self._insert_reference, sorted(rows))

    @property
    def _insert_reference(self) -> str:
        marks = "?, ?, ?, ?" if self.connection.dialect.name == "sqlite" else "$1, $2, $3, $4"
        columns = "source_kind, source_id, target_kind, target_id"
        return f"INSERT INTO object_references ({columns}) VALUES ({marks})"  # noqa: S608 - constants


class CatalogueStore:
    """The catalogue in SQL. Every write goes through `write`, which logs it and raises the catalogue version."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._clock = clock

    @contextlib.asynccontextmanager
    async def write(self, actor: Actor) -> AsyncIterator[CatalogueWriter]:
        """One atomic change by `actor`, under one new catalogue version."""
        async with self.database.write() as connection:
            revision = await _bump(connection, CATALOGUE, 1)
            yield CatalogueWriter(connection, actor, self._clock.now_ms(), revision)

    async def get(self, kind: ObjectKind, object_id: int) -> Stored:
        """Raises NotFoundError."""
        async with self.database.read() as connection:
            found = await objects_by_id(connection, kind, [object_id])
        if object_id not in found:
            raise NotFoundError(f"there is no {kind.title} {object_id}")
        return found[object_id]

    async def version(self) -> int:
        """The catalogue version: the revision of the newest committed change, 0 before the first."""
        async with self.database.read() as connection:
            return await _counter(connection, CATALOGUE)

    async def raise_version(self, beyond: int) -> int:
        """Lifts the version above `beyond` (what Redis already has from an older database); returns the version."""
        async with self.database.write() as connection:
            current = await _bump(connection, CATALOGUE, 0)
            return current if current > beyond else await _bump(connection, CATALOGUE, beyond + 1 - current)

    async def is_empty(self) -> bool:
        async with self.database.read() as connection:
            found = await connection.scalar(sa.select(tables.advertisers.c.id).limit(1))
            return found is None

    async def changed_since(self, revision: int) -> Changed:
        """What is new after `revision`: one consistent read."""
        changed: dict[str, dict[int, Any]] = {}
        async with self.database.read() as connection:
            version = await _counter(connection, CATALOGUE)
            for kind in KINDS:
                if not kind.member:
                    continue
                statement = (
                    tables.documents(kind.table).where(kind.table.c.revision > revision).order_by(kind.table.c.id)
                )
                decoder = msgspec.json.Decoder(kind.domain)
                rows: list[Any] = [decoder.decode(row) for row in await connection.scalars(statement)]
                changed[kind.name] = {row.id: row for row in rows}
            keys, expires_ms = await _event_keys(connection, self._clock.now_ms())
            hooks, conversions = await _webhooks(connection), await _conversions(connection)
            approvals = await approvals_since(connection, revision)
            return Changed(version, changed, await rates(connection), hooks, keys, expires_ms, conversions, approvals)

    async def catalogue(self, published_ms: int) -> Catalogue:
        """Everything that is not archived, as one value. For tools; the publisher keeps its own copy up to date."""
        found = await self.changed_since(-1)
        objects = found.objects
        members = {
            kind.member: tuple(value for value in objects[kind.name].values() if value.status is not Status.ARCHIVED)
            for kind in KINDS
            if kind.member
        }
        members |= {
            member: tuple(value for value in objects[name].values() if value.status is Status.ARCHIVED)
            for name, member in ARCHIVED_MEMBERS.items()
        }
        members["approvals"] = found.approvals
        return found.catalogue(published_ms, members)


async def rates(connection: AsyncConnection) -> dict[str, int]:
    """Exchange rates: micros of PLN for one unit of each currency."""
    rows = await connection.execute(sa.select(tables.fx_rates).order_by(tables.fx_rates.c.currency))
    return {row.currency: row.rate_micros for row in rows}


async def approvals_since(connection: AsyncConnection, revision: int) -> tuple[Approval, ...]:
    """What exchanges say of creatives, where that or the creative has changed after `revision`; by ids of creatives.

    An approval of an earlier version of the creative does not count.
    """
    table, creatives = tables.approvals, tables.creatives
    new = sa.union(
        sa.select(table.c.creative_id).where(table.c.revision > revision),
        sa.select(creatives.c.id).where(creatives.c.revision > revision),
    )
    statement = (
        sa.select(
            table.c.creative_id, table.c.exchange_id, table.c.state, creatives.c.version, table.c.creative_version
        )
        .join(creatives, creatives.c.id == table.c.creative_id)
        .where(table.c.creative_id.in_(new))
        .order_by(table.c.creative_id, table.c.exchange_id)
    )
    decided: dict[int, dict[str, list[int]]] = {}
    for row in await connection.execute(statement):
        states = decided.setdefault(row.creative_id, {"approved": [], "rejected": []})
        if row.version == row.creative_version and row.state in states:
            states[row.state].append(row.exchange_id)
    return tuple(
        Approval(id=number, approved=tuple(states["approved"]), rejected=tuple(states["rejected"]))
        for number, states in decided.items()
    )


async def agreed_recipients(
    connection: AsyncConnection, hooks: Iterable[Webhook], *, to_all: bool = True
) -> frozenset[tuple[int, str]]:
    """The (advertiser, address) of webhooks by mail whose owner has agreed: to that advertiser's mails, or to all.

    Without `to_all` only an agreement to that advertiser's mails counts, which is all that a person of the advertiser
    may know of an address.
    """
    table, wanted = tables.mail_recipients, {(hook.advertiser_id, hook.mail) for hook in hooks}
    chosen = sa.select(table.c.advertiser_id, table.c.address).where(
        table.c.address.in_(sorted({address for _, address in wanted})), table.c.confirmed_ms.is_not(None)
    )
    known = {(row.advertiser_id, row.address) for row in await connection.execute(chosen)}
    return frozenset(one for one in wanted if one in known or (to_all and (0, one[1]) in known))


async def _webhooks(connection: AsyncConnection) -> tuple[WebhookTarget, ...]:
    table = tables.webhooks
    statement = tables.documents(table).where(table.c.status == Status.ACTIVE.value).order_by(table.c.id)
    decoder = msgspec.json.Decoder(Webhook)
    found = [decoder.decode(document) for document in await connection.scalars(statement)]
    return tuple(WebhookTarget(hook.id, hook.advertiser_id, hook.url, hook.secret) for hook in found)


async def _conversions(connection: AsyncConnection) -> tuple[ConversionRule, ...]:
    table = tables.conversions
    statement = tables.documents(table).where(table.c.status == Status.ACTIVE.value).order_by(table.c.id)
    decoder = msgspec.json.Decoder(Conversion)
    found = [decoder.decode(document) for document in await connection.scalars(statement)]
    return tuple(
        ConversionRule(
            each.advertiser_id, each.event, each.click_window_s, each.view_window_s, each.default_value_micros
        )
        for each in found
    )


async def purchase_conversions(connection: AsyncConnection, advertisers: Iterable[int]) -> dict[int, int]:
    """The id of the conversion about purchases that counts, by advertiser: the first of the active ones."""
    table = tables.conversions
    statement = (
        sa.select(table.c.advertiser_id, sa.func.min(table.c.id).label("first"))
        .where(
            table.c.advertiser_id.in_(sorted(set(advertisers))),
            table.c.status == Status.ACTIVE.value,
            table.c.event == Kind.PURCHASE.value,
        )
        .group_by(table.c.advertiser_id)
    )
    return {row.advertiser_id: row.first for row in await connection.execute(statement)}


async def _event_keys(connection: AsyncConnection, now_ms: int) -> tuple[tuple[EventKey, ...], int]:
    """The keys that may send shop events (scope trade or admin), and when the next of them ends."""
    table, private = tables.api_keys, tables.api_key_secrets
    statement = (
        tables.documents(table, private.c.digest)
        .join(private, private.c.api_key_id == table.c.id)
        .where(
            table.c.status == Status.ACTIVE.value,
            sa.or_(table.c.expires_ms.is_(None), table.c.expires_ms > now_ms),
        )
        .order_by(table.c.id)
    )
    found, ends = [], [NEVER_MS]
    for row in await connection.execute(statement):
        key = msgspec.json.decode(row.document, type=ApiKey)
        if {Scope.TRADE, Scope.ADMIN}.intersection(key.scopes):
            found.append(EventKey(row.digest, key.advertiser_ids or None))
            ends.append(key.expires_ms or NEVER_MS)
    return tuple(found), min(ends)


async def objects_by_id(connection: AsyncConnection, kind: ObjectKind, ids: Sequence[int]) -> dict[int, Stored]:
    """The objects that exist among `ids`."""
    found: dict[int, Stored] = {}
    table = kind.table
    decoder = msgspec.json.Decoder(kind.domain)
    for start in range(0, len(ids), IDS_PER_QUERY):
        part = list(ids[start : start + IDS_PER_QUERY])
        statement = tables.documents(table, table.c.id, table.c.created_ms, table.c.updated_ms).where(
            table.c.id.in_(part)
        )
        for row in await connection.execute(statement):
            found[row.id] = Stored(decoder.decode(row.document), row.created_ms, row.updated_ms)
    return found


async def owners_of(connection: AsyncConnection, references: Iterable[Reference]) -> dict[tuple[str, int], int | None]:
    """For each (kind, id) that exists and is not archived: its advertiser (None if it has none)."""
    wanted: dict[str, set[int]] = {}
    for _, kind_name, target in references:
        wanted.setdefault(kind_name, set()).add(target)
    found: dict[tuple[str, int], int | None] = {}
    for kind_name, targets in wanted.items():
        table = KIND_BY_NAME[kind_name].table
        owner = table.c.advertiser_id if "advertiser_id" in table.c else sa.null()
        ids = sorted(targets)
        for start in range(0, len(ids), IDS_PER_QUERY):
            statement = sa.select(table.c.id, owner.label("owner")).where(
                table.c.id.in_(ids[start : start + IDS_PER_QUERY]), table.c.status != Status.ARCHIVED.value
            )
            found |= {(kind_name, row.id): row.owner for row in await connection.execute(statement)}
    return found


async def _counter(connection: AsyncConnection, name: str) -> int:
    value = await connection.scalar(sa.select(tables.counters.c.value).where(tables.counters.c.name == name))
    return int(value or 0)


async def _bump(connection: AsyncConnection, name: str, by: int) -> int:
    statement = (
        sa.update(tables.counters)
        .where(tables.counters.c.name == name)
        .values(value=tables.counters.c.value + by)
        .returning(tables.counters.c.value)
    )
    return int((await connection.execute(statement)).scalar_one())


async def _at_least(connection: AsyncConnection, name: str, value: int) -> None:
    await connection.execute(
        sa.update(tables.counters)
        .where(tables.counters.c.name == name, tables.counters.c.value < value)
        .values(value=value)
    )
