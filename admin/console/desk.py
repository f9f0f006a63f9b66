"""What pages read and change, through the operations of the API and with its checks, for the caller who looks."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import sqlalchemy as sa

from admin.access.principal import Forbidden, Principal
from admin.api import requests
from admin.api.checks import allow_write
from admin.api.listing import parse_query
from admin.api.operations import Operations, Reply, Write
from admin.api.reading import Reader
from admin.api.resource import Resource
from admin.store.catalogue import CatalogueWriter
from admin.store.tables import change_log
from admin.validation.convert import represent
from core.errors import ConflictError, NotFoundError
from core.model import Status

# The number of objects that a select offers; beyond it a list is searched first.
MAX_CHOICES = 500


class Step(msgspec.Struct, frozen=True):
    """An object to be made together with others: its kind, and its document from those made before it, by kind."""

    name: str
    document: Callable[[Mapping[str, Mapping[str, Any]]], Mapping[str, Any]]


class Desk:
    """Objects of every kind, as the API has them."""

    def __init__(self, reader: Reader, operations: Operations, resources: Sequence[Resource]) -> None:
        self.reader = reader
        self._operations = operations
        self._resources = {resource.name: resource for resource in resources}

    def resource(self, name: str) -> Resource:
        """The resource of a kind. Raises NotFoundError."""
        if name not in self._resources:
            raise NotFoundError(f"there is no page '{name[:40]}'", hint="go back to the overview")
        return self._resources[name]

    def may_write(self, caller: Principal, name: str) -> bool:
        """Whether the caller may change objects of the kind at all."""
        resource = self.resource(name)
        return caller.may(resource.write_scope, everywhere=resource.everywhere)

    def may_create(self, caller: Principal, name: str) -> bool:
        """Whether the caller may make objects of the kind: nobody makes an advertiser whom only some are shown."""
        try:
            allow_write(caller, self.resource(name), creating=True)
        except Forbidden:
            return False
        return True

    async def page(self, caller: Principal, name: str, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """A page of a list, as `GET /v1/{name}` answers it. Raises Forbidden, InputError."""
        resource = self._readable(caller, name)
        return await self.reader.page(caller, resource, parse_query(resource, list(query)))

    async def read(self, caller: Principal, name: str, object_id: int) -> dict[str, Any]:
        """One object with its warnings. Raises Forbidden, NotFoundError."""
        return await self.reader.read(caller, self._readable(caller, name), object_id)

    async def choices(self, caller: Principal, name: str, advertiser_id: int | None = None) -> list[tuple[int, str]]:
        """(id, name) of what a select offers: what is not archived, of one advertiser where that is given."""
        found = await self.listed(caller, name, advertiser_id)
        return [(item["id"], item.get("name") or str(item["id"])) for item in found]

    async def listed(self, caller: Principal, name: str, advertiser_id: int | None = None) -> list[dict[str, Any]]:
        """The objects that a select offers."""
        query = [("limit", str(MAX_CHOICES)), ("sort", "name"), ("status", "active"), ("status", "paused")]
        if advertiser_id is not None:
            query.append(("advertiser_id", str(advertiser_id)))
        items: list[dict[str, Any]] = (await self.page(caller, name, query))["items"]
        return items

    async def create(self, caller: Principal, name: str, raw: Mapping[str, Any]) -> dict[str, Any]:
        """A new object, as `POST /v1/{name}`. Raises Forbidden, InputError."""
        resource = self.resource(name)
        allow_write(caller, resource, creating=True)
        context = await resource.hooks.before(caller, raw)

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.create(writer, caller, resource, raw, context)

        return (await self._operations.run(caller, Write(), work, requests.render)).body

    async def create_together(self, caller: Principal, steps: Sequence[Step], *, dry_run: bool) -> list[dict[str, Any]]:
        """Several objects in one transaction: all of them or none. A dry run leaves nothing.

        Raises Forbidden, InputError.
        """
        made: dict[str, dict[str, Any]] = {}
        for step in steps:
            allow_write(caller, self.resource(step.name), creating=True)

        async def work(writer: CatalogueWriter) -> Reply:
            reply = Reply(HTTPStatus.NO_CONTENT, {})
            for step in steps:
                resource, raw = self.resource(step.name), step.document(made)
                context = await resource.hooks.before(caller, raw)
                reply = await self._operations.create(writer, caller, resource, raw, context)
                made[step.name] = reply.body
            return reply

        is_kept = False
        try:
            await self._operations.run(caller, Write(dry_run=dry_run), work, requests.render)
            is_kept = not dry_run
        finally:
            if not is_kept and "advertisers" in made:
                self.reader.forget_currency(made["advertisers"]["id"])
        return list(made.values())

    async def patch(
        self, caller: Principal, name: str, object_id: int, patch: Mapping[str, Any], version: int | None
    ) -> dict[str, Any]:
        """A changed object, as `PATCH /v1/{name}/{id}`. Raises Forbidden, InputError, NotFoundError, ConflictError."""
        resource = self.resource(name)
        allow_write(caller, resource)
        context = await resource.hooks.before(caller, patch)

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.patch(writer, caller, resource, object_id, patch, version, context)

        return (await self._operations.run(caller, Write(), work, requests.render)).body

    async def patch_many(self, caller: Principal, name: str, ids: Sequence[int], patch: Mapping[str, Any]) -> None:
        """One change of several objects: all of them or none. Raises Forbidden, InputError, NotFoundError."""
        resource = self.resource(name)
        allow_write(caller, resource)
        context = await resource.hooks.before(caller, patch)

        async def work(writer: CatalogueWriter) -> Reply:
            reply = Reply(HTTPStatus.NO_CONTENT, {})
            for object_id in ids:
                reply = await self._operations.patch(writer, caller, resource, object_id, patch, None, context)
            return reply

        await self._operations.run(caller, Write(), work, requests.render)

    async def set_status(self, caller: Principal, name: str, ids: Sequence[int], status: Status) -> None:
        """Pause, resume or archive several objects: all of them or none."""
        resource = self.resource(name)
        allow_write(caller, resource)

        async def work(writer: CatalogueWriter) -> Reply:
            reply = Reply(HTTPStatus.NO_CONTENT, {})
            for object_id in ids:
                reply = await self._operations.set_status(writer, caller, resource, object_id, status, None)
            return reply

        await self._operations.run(caller, Write(), work, requests.render)

    async def copy(self, caller: Principal, name: str, object_id: int) -> dict[str, Any]:
        """A paused copy of an object."""
        resource = self.resource(name)
        allow_write(caller, resource, creating=True)
        context = await resource.hooks.before(caller, {})

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.copy(writer, caller, resource, object_id, {}, context)

        return (await self._operations.run(caller, Write(), work, requests.render)).body

    async def undo(self, caller: Principal, name: str, object_id: int) -> dict[str, Any]:
        """Takes back the last change of an object. Raises ConflictError where there is none that can be taken back."""
        resource = self.resource(name)
        allow_write(caller, resource)
        async with self.reader.store.database.read() as connection:
            stored = await self.reader.require(connection, caller, resource.kind, object_id)
            await self.reader.load_currencies(connection, [stored.value])
            table = change_log
            of_object = (table.c.kind == name, table.c.object_id == object_id)
            last = await connection.scalar(sa.select(sa.func.max(table.c.id)).where(*of_object))
            transaction = sa.select(table.c.transaction_id).where(table.c.id == last).scalar_subquery()
            rows = (
                await connection.execute(sa.select(table).where(*of_object, table.c.transaction_id == transaction))
            ).all()
        fields = {row.field: row.old_value for row in rows}
        before = _with_values(stored.value, fields)
        shown = self.reader.document(resource.kind, stored.value, stored.created_ms, stored.updated_ms)
        currency = stored.value.currency if name == "advertisers" else _currency_of(shown)
        patch = {field: value for field, value in represent(before, currency).items() if value != shown.get(field)}
        if "status" in patch and len(patch) == 1:
            await self.set_status(caller, name, [object_id], Status(patch["status"]))
            return await self.read(caller, name, object_id)
        return await self.patch(caller, name, object_id, patch, stored.value.version)

    def _readable(self, caller: Principal, name: str) -> Resource:
        resource = self.resource(name)
        caller.require(resource.read_scope, everywhere=resource.read_scope.value == "admin")
        return resource


def _with_values(value: Any, fields: Mapping[str, str | None]) -> Any:  # noqa: ANN401 - a domain struct
    """The struct with fields of the change log (JSON texts, `targeting.countries` for nested ones) put back."""
    if "" in fields or not fields:
        raise ConflictError("there is no change to take back", hint="the last entry of the change log made the object")
    if fields.get("status") == '"archived"' or value.status is Status.ARCHIVED:
        raise ConflictError("archiving cannot be taken back", hint="copy the object to use it again")
    plain = msgspec.to_builtins(value)
    for field, text in fields.items():
        try:
            before = None if text is None else msgspec.json.decode(text)
        except msgspec.DecodeError:
            hint = "the change log keeps long texts in part only: edit the field by hand"
            raise ConflictError(f"the earlier value of '{field}' is not known whole", hint=hint) from None
        holder, _, inner = field.partition(".")
        if not inner:
            plain[holder] = before
        else:
            plain[holder] = {**(plain.get(holder) or {}), inner: before}
    return msgspec.convert(plain, type(value))


def _currency_of(shown: Mapping[str, Any]) -> str:
    """The currency of an object's amounts; "PLN" where it has none, which then names nothing."""
    for value in shown.values():
        if isinstance(value, dict):
            found = value.get("currency") or _currency_of(value)
            if found:
                return str(found)
    return ""
