"""What can be done with an object of any kind: create, read, list, patch, archive, pause, resume, copy.

Each write is one transaction that reads what it decides on, so a version that matched still matches at the commit. The
HTTP side (admin.api.handlers) only parses and words; the command line calls the same methods.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from admin.access.principal import Forbidden, Principal
from admin.api.checks import META, allow_finance, allow_write, check_outside, without_meta
from admin.api.problem import Stale
from admin.api.reading import Reader
from admin.api.resource import Resource
from admin.api.schemas import system_fields
from admin.store import tables
from admin.store.catalogue import CatalogueStore, CatalogueWriter, Stored, objects_by_id
from admin.store.idempotency import KeptAnswer, find_answer, keep_answer
from admin.store.kinds import KIND_BY_NAME, ObjectKind
from admin.validation.convert import merge_patch
from admin.validation.intake import build
from admin.validation.rules import check_change
from core.errors import ConflictError, InputError
from core.model import Status


class Reply(msgspec.Struct):
    """The outcome of an operation: an HTTP status and a JSON body; `value` is the object, when there is one."""

    status: int
    body: dict[str, Any]
    value: Any = None
    replayed: KeptAnswer | None = None
    catalogue_version: int = 0


class Write(msgspec.Struct, frozen=True):
    """How a write is asked for."""

    dry_run: bool = False
    idempotency_key: str = ""
    request_digest: bytes = b""
    expected_version: int | None = None


class _Rollback(Exception):
    """Not an error: ends a transaction that must leave nothing."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


Render = Callable[[Reply], tuple[dict[str, str], bytes]]
Work = Callable[[CatalogueWriter], Awaitable[Reply]]


class Operations:
    """All operations over one store."""

    def __init__(self, store: CatalogueStore, reader: Reader, committed: Callable[[], None]) -> None:
        self._store = store
        self._reader = reader
        self._committed = committed

    async def run(self, principal: Principal, write: Write, work: Work, render: Render) -> Reply:
        """Do `work` in one transaction. A repeated idempotency key gets the kept answer; a dry run is rolled back."""
        try:
            async with self._store.write(principal.actor) as writer:
                reply = await self._run_inside(principal, write, work, render, writer)
        except _Rollback as stopped:
            return stopped.reply
        reply.catalogue_version = writer.revision
        self._committed()
        return reply

    async def _run_inside(
        self, principal: Principal, write: Write, work: Work, render: Render, writer: CatalogueWriter
    ) -> Reply:
        key = write.idempotency_key
        if key:
            kept = await find_answer(writer.connection, principal.key, key, writer.now_ms)
            if kept is not None and kept.request_digest != write.request_digest:
                raise InputError(
                    "this Idempotency-Key was used for another request", hint="make a new key for every request"
                )
            if kept is not None:
                raise _Rollback(Reply(kept.status, {}, None, kept))
        reply = await work(writer)
        if write.dry_run:
            raise _Rollback(reply)
        if key:
            headers, body = render(reply)
            answer = KeptAnswer(write.request_digest, reply.status, headers, body)
            await keep_answer(writer.connection, principal.key, key, writer.now_ms, answer)
        return reply

    async def create(
        self,
        writer: CatalogueWriter,
        principal: Principal,
        resource: Resource,
        raw: Mapping[str, Any],
        context: Any,  # noqa: ANN401
    ) -> Reply:
        """A new object from a document."""
        allow_write(principal, resource, creating=True)
        values = await self.build_new(writer, principal, resource, [raw], [context])
        failure = values[0]
        if isinstance(failure, InputError):
            raise failure
        await writer.insert(resource.kind, values)
        return await self._saved(writer, resource, values[0], 201, context)

    async def build_new(
        self,
        writer: CatalogueWriter,
        principal: Principal,
        resource: Resource,
        raws: Sequence[Mapping[str, Any]],
        contexts: Sequence[Any],
        among: Sequence[Any] = (),
    ) -> list[Any]:
        """For each document the object to insert, or the GroszError that refuses it.

        `among` are objects of the same request that are not inserted yet, for what must be unique.
        """
        kind = resource.kind
        await self._reader.load_currencies_of(writer.connection, [raw.get("advertiser_id") for raw in raws])
        ids = await writer.reserve_ids(kind, len(raws))
        currency_of = self._reader.visible_currency(principal)
        built: list[Any] = []
        for object_id, raw, context in zip(ids, raws, contexts, strict=True):
            identity = resource.hooks.identity(context)
            try:
                allow_finance(principal, resource, raw)
                built.append(build(kind, raw, currency_of, id=object_id, version=1, **identity))
            except (InputError, Forbidden) as error:
                built.append(error)
        good = [value for value in built if not isinstance(value, Exception)]
        faults = await check_outside(writer.connection, principal, kind, good, [()] * len(good), among)
        refused = {value.id: found for value, found in zip(good, faults, strict=True) if found}
        return [
            InputError("the input is not valid", faults=refused[value.id])
            if not isinstance(value, Exception) and value.id in refused
            else value
            for value in built
        ]

    async def patch(
        self,
        writer: CatalogueWriter,
        principal: Principal,
        resource: Resource,
        object_id: int,
        patch: Mapping[str, Any],
        expected_version: int | None,
        context: Any,  # noqa: ANN401 - what the resource's hook made
    ) -> Reply:
        """A JSON merge patch. Nothing is written when nothing differs."""
        kind = resource.kind
        allow_write(principal, resource)
        stored = await self.require_writable(writer, principal, resource, object_id, expected_version)
        old = stored.value
        await self._reader.load_currencies(writer.connection, [old])
        shown = self._reader.document(kind, old, stored.created_ms, stored.updated_ms)
        changes = without_meta(shown, patch)
        allow_finance(principal, resource, changes, shown)
        current = {name: value for name, value in shown.items() if name not in META}
        kept = {name: getattr(old, name) for name in system_fields(kind)}
        merged = merge_patch({name: current[name] for name in current if name not in kept}, changes)
        new = build(
            kind,
            merged,
            self._reader.visible_currency(principal),
            previous=old,
            id=old.id,
            version=old.version + 1,
            **kept,
        )
        faults = check_change(kind, old, new)
        faults += (await check_outside(writer.connection, principal, kind, [new], [kind.references(old)]))[0]
        if faults:
            raise InputError("the input is not valid", faults=faults)
        if msgspec.structs.replace(new, version=old.version) != old:
            await writer.update(kind, old, new)
        else:
            new = old
        return await self._saved(writer, resource, new, 200, context)

    async def set_status(
        self,
        writer: CatalogueWriter,
        principal: Principal,
        resource: Resource,
        object_id: int,
        status: Status,
        expected_version: int | None,
    ) -> Reply:
        """Pause, resume or archive. Archiving takes along what cannot live without the object."""
        allow_write(principal, resource)
        kind = resource.kind
        stored = await self.require_writable(writer, principal, resource, object_id, expected_version, status)
        old = stored.value
        new = old
        if old.status is not status:
            new = msgspec.structs.replace(old, status=status, version=old.version + 1)
            await writer.update(kind, old, new, _ACTIONS[status])
            if status is Status.ARCHIVED:
                await self._archive_children(writer, kind, old)
        return await self._saved(writer, resource, new, 200, None)

    async def copy(
        self,
        writer: CatalogueWriter,
        principal: Principal,
        resource: Resource,
        object_id: int,
        changes: Mapping[str, Any],
        context: Any,  # noqa: ANN401 - what the resource's hook made
    ) -> Reply:
        """A new, paused object like another one, with `changes` as a merge patch on top."""
        kind = resource.kind
        allow_write(principal, resource, creating=True)
        stored = await self._reader.require(writer.connection, principal, kind, object_id)
        await self._reader.load_currencies(writer.connection, [stored.value])
        shown = self._reader.document(kind, stored.value, stored.created_ms, stored.updated_ms)
        template = {name: value for name, value in shown.items() if name not in META} | {
            "status": "paused",
            "external_id": "",
        }
        if template.get("name"):
            template["name"] = f"{template['name'][:248]} (copy)"
        identity = resource.hooks.identity(context)
        template = {name: template[name] for name in template if name not in system_fields(kind)}
        merged = merge_patch(template, without_meta({}, changes))
        allow_finance(principal, resource, merged)
        (new_id,) = await writer.reserve_ids(kind, 1)
        await self._reader.load_currencies_of(writer.connection, [merged.get("advertiser_id")])
        value = build(
            kind,
            merged,
            self._reader.visible_currency(principal),
            previous=stored.value,
            id=new_id,
            version=1,
            **identity,
        )
        faults = (await check_outside(writer.connection, principal, kind, [value], [()]))[0]
        if faults:
            raise InputError("the input is not valid", faults=faults)
        await writer.insert(kind, [value], "copy")
        return await self._saved(writer, resource, value, 201, context)

    async def require_writable(
        self,
        writer: CatalogueWriter,
        principal: Principal,
        resource: Resource,
        object_id: int,
        expected_version: int | None,
        status: Status | None = None,
    ) -> Stored:
        """The object, if it may be changed: visible, the caller's own, at the expected version, not archived."""
        kind = resource.kind
        stored = await self._reader.require(writer.connection, principal, kind, object_id)
        value = stored.value
        resource.hooks.guard(principal, value)
        if kind.tenant and value.advertiser_id is None and principal.advertiser_ids is not None:
            raise Forbidden(f"this {kind.title} belongs to no advertiser", hint="ask an administrator")
        if expected_version is not None and value.version != expected_version:
            raise Stale(
                f"{kind.title} {object_id} is at version {value.version}, you expected {expected_version}",
                hint="read it again and repeat your change",
            )
        if value.status is Status.ARCHIVED and status is not Status.ARCHIVED:
            raise ConflictError(f"{kind.title} {object_id} is archived", hint="copy it to use it again")
        return stored

    async def _saved(self, writer: CatalogueWriter, resource: Resource, value: Any, status: int, context: Any) -> Reply:  # noqa: ANN401
        extra = await resource.hooks.after(writer, value, context)
        stored = (await objects_by_id(writer.connection, resource.kind, [value.id]))[value.id]
        body = await self._reader.show(writer.connection, resource, stored)
        return Reply(status, body | extra, value)

    async def _archive_children(self, writer: CatalogueWriter, kind: ObjectKind, parent: Any) -> None:  # noqa: ANN401
        for name, child in KIND_BY_NAME.items():
            if kind.name == "advertisers" and child.tenant:
                condition = child.table.c.advertiser_id == parent.id
            elif kind.name == "campaigns" and name == "line-items":
                condition = child.table.c.campaign_id == parent.id
            else:
                continue
            statement = tables.documents(child.table).where(condition, child.table.c.status != Status.ARCHIVED.value)
            for document in (await writer.connection.scalars(statement)).all():
                old: Any = msgspec.json.decode(document, type=child.domain)
                new = msgspec.structs.replace(old, status=Status.ARCHIVED, version=old.version + 1)
                await writer.update(child, old, new, "archive")


_ACTIONS = {Status.ARCHIVED: "archive", Status.PAUSED: "pause", Status.ACTIVE: "resume"}
