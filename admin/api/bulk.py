"""Many operations in one request: a result for each, all creations in one statement.

Without `atomic` what is right is saved and what is wrong is told; with it nothing is saved unless all is right.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from admin.access.principal import Principal
from admin.api.checks import allow_write
from admin.api.operations import Operations, Reply
from admin.api.problem import problem_of, status_of
from admin.api.resource import Resource
from admin.store.catalogue import CatalogueWriter
from admin.validation.fields import Id
from core.errors import Fault, GroszError, InputError
from core.model import Status

# 10,000 line items are validated and written in some seconds; longer requests belong into several.
MAX_OPERATIONS = 10_000
# Objects validated before other requests get their turn: about 20 ms.
SLICE = 100


class BulkOperation(msgspec.Struct, forbid_unknown_fields=True):
    """One operation: `create` takes `document`; the others take `id`, optionally the expected `version`."""

    action: Literal["create", "patch", "archive", "pause", "resume"]
    document: dict[str, Any] | None = None
    id: Id | None = None
    version: Id | None = None
    patch: dict[str, Any] | None = None


class BulkRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A list of operations on one kind of object."""

    operations: Annotated[list[BulkOperation], Meta(min_length=1, max_length=MAX_OPERATIONS)]
    atomic: bool = False


_STATUSES = {"archive": Status.ARCHIVED, "pause": Status.PAUSED, "resume": Status.ACTIVE}


class _Refused(InputError):
    """An atomic request with a fault. It carries the results out of the transaction, which it rolls back."""


class Bulk:
    """Runs bulk requests over the operations."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def run(
        self, writer: CatalogueWriter, principal: Principal, resource: Resource, request: BulkRequest
    ) -> Reply:
        """The results in the order of the operations. Raises InputError when the request is atomic and one fails."""
        allow_write(principal, resource)
        results: list[dict[str, Any] | None] = [None] * len(request.operations)
        creations = [position for position, one in enumerate(request.operations) if one.action == "create"]
        await self._create(writer, principal, resource, request.operations, creations, results)
        for position, one in enumerate(request.operations):
            if one.action != "create":
                results[position] = await self._change(writer, principal, resource, one)
        done = [result or {} for result in results]
        for position, result in enumerate(done):
            result["index"] = position
        failed = [result for result in done if result["status"] >= 400]
        if failed and request.atomic:
            raise _Refused("nothing was saved: one of the operations failed", faults=_faults(failed))
        body = {"results": done, "succeeded": len(done) - len(failed), "failed": len(failed)}
        return Reply(200, body)

    async def _create(
        self,
        writer: CatalogueWriter,
        principal: Principal,
        resource: Resource,
        operations: Sequence[BulkOperation],
        creations: Sequence[int],
        results: list[dict[str, Any] | None],
    ) -> None:
        if not creations:
            return
        allow_write(principal, resource, creating=True)
        good: list[Any] = []
        for start in range(0, len(creations), SLICE):
            part = creations[start : start + SLICE]
            raws: list[Mapping[str, Any]] = [operations[position].document or {} for position in part]
            built = await self._operations.build_new(writer, principal, resource, raws, [None] * len(raws), among=good)
            for position, value in zip(part, built, strict=True):
                if isinstance(value, GroszError):
                    results[position] = failure(value)
                else:
                    good.append(value)
                    results[position] = {"status": 201, "id": value.id, "version": 1}
            await asyncio.sleep(0)
        await writer.insert(resource.kind, good)

    async def _change(
        self, writer: CatalogueWriter, principal: Principal, resource: Resource, one: BulkOperation
    ) -> dict[str, Any]:
        try:
            if one.id is None:
                raise InputError("the input is not valid", faults=[Fault("/id", "required", "'id' is missing")])
            if one.action == "patch":
                reply = await self._operations.patch(
                    writer, principal, resource, one.id, one.patch or {}, one.version, None
                )
            else:
                status = _STATUSES[one.action]
                reply = await self._operations.set_status(writer, principal, resource, one.id, status, one.version)
        except GroszError as error:
            return failure(error)
        return {"status": reply.status, "id": one.id, "version": reply.value.version}


def failure(error: GroszError) -> dict[str, Any]:
    """The result of an operation that failed."""
    return {"status": status_of(error).value, "problem": msgspec.to_builtins(problem_of(error))}


def _faults(failed: Sequence[Mapping[str, Any]]) -> list[Fault]:
    found = []
    for result in failed:
        base = f"/operations/{result['index']}"
        problem = result["problem"]
        errors = problem.get("errors") or [{"pointer": "", "code": "failed", "message": problem["detail"]}]
        found += [Fault(base + one["pointer"], one["code"], one["message"], one.get("hint", "")) for one in errors]
    return found
