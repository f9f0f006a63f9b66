"""Two ways to the same objects: the admin API of a running installation, or its database on this machine."""

import http
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from admin.access.passwords import Passwords
from admin.access.principal import command_line
from admin.api.app import resources, uncounted
from admin.api.listing import parse_query
from admin.api.operations import Operations, Reply, Work, Write
from admin.api.problem import Problem
from admin.api.reading import Reader
from admin.api.requests import render
from admin.api.resource import Resource
from admin.store.catalogue import CatalogueStore, CatalogueWriter
from core.clock import SystemClock
from core.errors import AccessError, ConflictError, Fault, GroszError, InputError, NotFoundError, UnavailableError
from core.model import Status

Json = dict[str, Any]
Answer = TypeVar("Answer")

TIMEOUT_S = 30.0
# A large feed or catalogue is read and loaded, and every row of a ledger added up, before the answer.
LONG_TIMEOUT_S = 1_800.0

STATUSES = {"pause": Status.PAUSED, "resume": Status.ACTIVE, "archive": Status.ARCHIVED}


class Objects(Protocol):
    """What the commands do with the objects of one kind. Failures are GroszErrors with hints."""

    async def page(self, query: Sequence[tuple[str, str]]) -> Json: ...

    async def show(self, object_id: int) -> Json: ...

    async def create(self, document: Mapping[str, Any], *, dry_run: bool) -> Json: ...

    async def update(self, object_id: int, patch: Mapping[str, Any], *, dry_run: bool) -> Json: ...

    async def set_status(self, object_id: int, action: str) -> Json: ...

    async def copy(self, object_id: int, changes: Mapping[str, Any]) -> Json: ...


class HttpObjects:
    """Over the API of a running admin role."""

    def __init__(self, url: str, key: str, name: str) -> None:
        self._base = f"{url.rstrip('/')}/v1/{name}"
        self._key = key

    async def page(self, query: Sequence[tuple[str, str]]) -> Json:
        return self._call("GET", f"?{urllib.parse.urlencode(query)}")

    async def show(self, object_id: int) -> Json:
        return self._call("GET", f"/{object_id}")

    async def create(self, document: Mapping[str, Any], *, dry_run: bool) -> Json:
        return self._call("POST", "?dry_run=true" if dry_run else "", document)

    async def update(self, object_id: int, patch: Mapping[str, Any], *, dry_run: bool) -> Json:
        return self._call("PATCH", f"/{object_id}" + ("?dry_run=true" if dry_run else ""), patch)

    async def set_status(self, object_id: int, action: str) -> Json:
        return self._call("POST", f"/{object_id}/{action}")

    async def copy(self, object_id: int, changes: Mapping[str, Any]) -> Json:
        return self._call("POST", f"/{object_id}/copy", changes)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        return call_api(method, self._base + path, self._key, body)


def call_api(
    method: str,
    url: str,
    key: str,
    body: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    long: bool = False,
) -> Json:
    """One call of the admin API, with a JSON body or a file's content; `long` where the answer takes a while.

    Raises the error that its problem document tells of, UnavailableError without one.
    """
    if not url.lower().startswith(("http://", "https://")) or not url.isprintable() or " " in url:
        hint = "write it like http://127.0.0.1:8082 (--url, GROSZ_ADMIN_URL)"
        raise InputError("the address of the admin API is no address of a web server", hint=hint)
    if not key.isascii() or not key.isprintable():
        raise InputError("the API key has characters that no key has", hint="copy it again (--key, GROSZ_API_KEY)")
    data = None if body is None else msgspec.json.encode(body)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    if file is not None:
        with file.open("rb") as opened:
            size = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
            request = urllib.request.Request(url, opened, headers | size, method=method)  # noqa: S310 - the user's URL
            return _answer_of(request, LONG_TIMEOUT_S)
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - as above
    return _answer_of(request, LONG_TIMEOUT_S if long else TIMEOUT_S)


class ApiAccess:
    """The admin API of a running installation, asked for structs. Failures are GroszErrors with hints."""

    def __init__(self, url: str, key: str) -> None:
        self._base = f"{url.rstrip('/')}/v1"
        self._key = key

    def _call(
        self,
        method: str,
        path: str,
        wanted: type[Answer],
        body: msgspec.Struct | Json | None = None,
        *,
        file: Path | None = None,
        long: bool = False,
    ) -> Answer:
        sent = None if body is None else msgspec.to_builtins(body)
        return msgspec.convert(call_api(method, self._base + path, self._key, sent, file=file, long=long), wanted)


def names_of(url: str, key: str, field: str) -> dict[int, str]:
    """What objects are called, by number: all pages of a list, archived ones too."""
    found: dict[int, str] = {}
    for status in ("active", "paused", "archived"):
        cursor = ""
        while True:
            page = call_api("GET", f"{url}?status={status}&limit=500&fields=id,{field}{cursor}", key)
            found |= {one["id"]: one[field] for one in page["items"]}
            if page["next"] is None:
                break
            cursor = f"&cursor={urllib.parse.quote(str(page['next']))}"
    return found


def _answer_of(request: urllib.request.Request, timeout_s: float) -> Json:
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310 - as above
            if response.status == http.HTTPStatus.NO_CONTENT:
                return {}
            answer: Json = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        raise _error_of(error.code, _body_of(error)) from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # or something answers that is not this API
        hint = "check GROSZ_ADMIN_URL, or use --data DIR on the machine of the database"
        raise UnavailableError(f"the admin API does not answer: {error}", hint=hint) from None


class StoreObjects:
    """Over the database itself, with all rights: whoever can read the data directory has them anyway."""

    def __init__(self, store: CatalogueStore, name: str) -> None:
        self._resource: Resource = next(one for one in resources(Passwords()) if one.name == name)
        self._reader = Reader(store, SystemClock(), uncounted)
        self._operations = Operations(store, self._reader, _nobody_to_wake)

    async def page(self, query: Sequence[tuple[str, str]]) -> Json:
        return await self._reader.page(command_line(), self._resource, parse_query(self._resource, query))

    async def show(self, object_id: int) -> Json:
        shown: Json = msgspec.to_builtins(await self._reader.read(command_line(), self._resource, object_id))
        return shown

    async def create(self, document: Mapping[str, Any], *, dry_run: bool) -> Json:
        context = await self._resource.hooks.before(command_line(), document)

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.create(writer, command_line(), self._resource, document, context)

        return await self._run(work, dry_run=dry_run)

    async def update(self, object_id: int, patch: Mapping[str, Any], *, dry_run: bool) -> Json:
        context = await self._resource.hooks.before(command_line(), patch)

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.patch(writer, command_line(), self._resource, object_id, patch, None, context)

        return await self._run(work, dry_run=dry_run)

    async def set_status(self, object_id: int, action: str) -> Json:
        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.set_status(
                writer, command_line(), self._resource, object_id, STATUSES[action], None
            )

        return await self._run(work)

    async def copy(self, object_id: int, changes: Mapping[str, Any]) -> Json:
        context = await self._resource.hooks.before(command_line(), changes)

        async def work(writer: CatalogueWriter) -> Reply:
            return await self._operations.copy(writer, command_line(), self._resource, object_id, changes, context)

        return await self._run(work)

    async def _run(self, work: Work, *, dry_run: bool = False) -> Json:
        reply = await self._operations.run(command_line(), Write(dry_run=dry_run), work, render)
        shown: Json = msgspec.to_builtins(reply.body)
        return shown


def _nobody_to_wake() -> None:
    """Do nothing: a running admin role sees the new version in the database by itself within a fraction of a second."""


def _body_of(error: urllib.error.HTTPError) -> bytes:
    """What came with an error; empty where the connection broke before all of it had come."""
    try:
        return error.read()
    except (OSError, http.client.HTTPException):
        return b""


def _error_of(status: int, body: bytes) -> GroszError:
    """The error that a problem document tells of."""
    kinds: dict[int, type[GroszError]] = {401: AccessError, 403: AccessError, 404: NotFoundError, 409: ConflictError}
    kind = kinds.get(status, UnavailableError if status >= 500 or status == 429 else InputError)
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return kind(f"the admin API answered {status}")
    faults = [
        Fault(one.pointer, one.code, one.message, one.hint, tuple(one.allowed), one.parts) for one in problem.errors
    ]
    return kind(problem.detail, hint=problem.hint, faults=faults, code=problem.code)
