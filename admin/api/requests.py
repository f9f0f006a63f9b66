"""What every handler needs of a request: its body, its conditions, its caller; and how answers are written."""

import codecs
import hashlib
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from admin.access.principal import Principal
from admin.api.operations import Reply, Write
from admin.api.problem import JSON, ApiError, twice
from admin.validation.intake import as_object
from core.errors import Fault, InputError
from core.ids import MAX_ID
from core.network.bodies import read_body

PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("principal", Principal)
"""Who sent the request; set by the authentication middleware."""

CONTENT_TYPES = ("application/json", "application/merge-patch+json")

# Ten thousand line items with rich targeting are about 20 MB; nothing else is near a megabyte.
MAX_BODY_BYTES = 32 * 1024 * 1024
# The body of a client that has not logged in yet has an address and a password. It is not decompressed.
MAX_STRANGERS_BYTES = 64 * 1024

# Idempotency keys are UUIDs or the like; longer ones are a mistake.
MAX_KEY_CHARS = 255


async def read_json(request: web.Request, *, optional: bool = False, of_stranger: bool = False) -> object:
    """The parsed body. Raises ApiError for another content type, malformed JSON; BodyRefused for too much of it."""
    if not request.can_read_body or request.content_length == 0:
        if optional:
            return {}
        raise ApiError(HTTPStatus.BAD_REQUEST, "the request has no body", hint="send a JSON object")
    if request.content_type not in CONTENT_TYPES:
        hint = "send Content-Type: application/json"
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "cannot read this content type", hint=hint)
    body = await read_body(request, MAX_STRANGERS_BYTES, codings=()) if of_stranger else await whole_body(request)
    try:
        return msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None


async def whole_body(request: web.Request) -> bytes:
    """The bytes of an authenticated caller's body, decompressed. Raises BodyRefused."""
    return await read_body(request, MAX_BODY_BYTES)


async def read_object(request: web.Request, *, optional: bool = False) -> dict[str, Any]:
    """The body as a JSON object. Raises ApiError or InputError."""
    return dict(as_object(await read_json(request, optional=optional), ""))


def object_id_of(request: web.Request) -> int:
    """The id in the path; one that cannot be an id is not found."""
    text = request.match_info["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= MAX_ID):
        raise ApiError(HTTPStatus.NOT_FOUND, f"there is no object '{text[:20]}'", hint="ids are positive numbers")
    return int(text)


def expected_version(request: web.Request) -> int | None:
    """The version in If-Match, as ETag or bare; None without one or with `*`. Raises ApiError when it is neither."""
    text = request.headers.get("If-Match")
    if text is None or text.strip() == "*":
        return None
    bare = text.strip().removeprefix("W/").strip('"')
    if not (bare.isascii() and bare.isdigit() and len(bare) <= 18):
        raise ApiError(HTTPStatus.BAD_REQUEST, "If-Match is not a version", hint='send the ETag, for example "3"')
    return int(bare)


async def write_of(request: web.Request) -> Write:
    """How the write is asked for: dry run, idempotency key, expected version."""
    reject_unknown(request, ("dry_run",))
    text = request.query.get("dry_run", "false")
    if text not in ("true", "false"):
        fault = Fault("dry_run", "type", "expected true or false", "", ("true", "false"))
        raise InputError("the query is not valid", faults=[fault])
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= MAX_KEY_CHARS and key.isprintable() and key.isascii()):
        hint = f"1 to {MAX_KEY_CHARS} printable ASCII characters"
        raise ApiError(HTTPStatus.BAD_REQUEST, "the Idempotency-Key is not usable", hint=hint)
    seal = hashlib.sha256(f"{request.method} {request.rel_url}\n".encode())
    if key:
        seal.update(await whole_body(request))
    return Write(text == "true", key or "", seal.digest(), expected_version(request))


def reject_unknown(request: web.Request, allowed: tuple[str, ...]) -> None:
    """Raises InputError for query parameters that mean nothing here: a misspelt dry_run must not write."""
    faults = [
        Fault(name, "unknown_parameter", f"there is no parameter '{name}'", "", allowed)
        for name in dict.fromkeys(request.query)
        if name not in allowed
    ]
    faults += [twice(name) for name in allowed if len(request.query.getall(name, ())) > 1]
    if faults:
        raise InputError("the query is not valid", faults=faults)


def render(reply: Reply, location: str = "") -> tuple[dict[str, str], bytes]:
    """Headers and body of an answer, as they are sent and kept for repetition."""
    headers = {}
    if reply.value is not None:
        headers["ETag"] = f'"{reply.value.version}"'
    if reply.status == HTTPStatus.CREATED and location:
        headers["Location"] = f"{location}/{reply.value.id}"
    return headers, msgspec.json.encode(reply.body)


def respond(reply: Reply, write: Write, location: str = "") -> web.Response:
    """The HTTP answer to a write. `Grosz-Catalogue-Version` is the version under which bidders will have it."""
    if reply.replayed is not None:
        kept = reply.replayed
        headers = kept.headers | {"Idempotency-Replayed": "true"}
        return web.Response(status=kept.status, body=kept.body, content_type=JSON, headers=headers)
    headers, body = render(reply, "" if write.dry_run else location)
    if write.dry_run:
        headers = {"Dry-Run": "true"}
        return web.Response(status=HTTPStatus.OK, body=body, content_type=JSON, headers=headers)
    if reply.catalogue_version:
        headers["Grosz-Catalogue-Version"] = str(reply.catalogue_version)
    return web.Response(status=reply.status, body=body, content_type=JSON, headers=headers)


def respond_json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=JSON, headers=headers)


def query_values(request: web.Request) -> dict[str, str]:
    """The query string as an object. Raises InputError for what an object cannot hold: repeats, NUL, null."""
    values: dict[str, str] = {}
    faults = []
    for name, text in request.query.items():
        if name in values:
            faults.append(twice(name))
        elif "\x00" in text or text.lower() == "null":
            faults.append(Fault(name, "type", f"'{text}' is no value", "leave the parameter out"))
        values[name] = text
    if faults:
        raise InputError("the query is not valid", faults=faults)
    return values
