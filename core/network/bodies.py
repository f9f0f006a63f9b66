"""Bodies of requests to the aiohttp ports: bounded in size, in time and in the work of inflating them; answers to ours.

The ports are started without aiohttp's own decompression (`auto_decompress=False`), which would inflate a body on the
event loop before anybody knows who sent it, and makes an error of its own out of one that is not what it says.
"""

import asyncio
import zlib
from collections.abc import Collection
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from core.errors import GroszError

GZIP: Final = ("gzip", "x-gzip", "deflate")

# A gzip body may be several members one after the other; programs that append write a handful. Each costs a new state.
MAX_MEMBERS: Final = 64

_BODY: Final = web.RequestKey("grosz_body", bytes)


class BodyRefused(GroszError):
    """A body is not read. `status` is the HTTP status of the answer, `closes` whether the connection ends with it."""

    def __init__(self, status: int, message: str, *, hint: str = "", closes: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.closes = closes


class BodyTooSlow(TimeoutError):
    """The sender of a body was too slow: core.network.gate sets this on the body's stream."""


UNREADABLE: Final = (BodyTooSlow, web.RequestPayloadError, HttpProcessingError)
"""What reading the stream of a body raises when its sender is slow or cuts it: never a fault of ours."""


def refused(error: BaseException) -> BodyRefused:
    """The refusal to answer with for one of the UNREADABLE errors."""
    if isinstance(error, BodyTooSlow):
        return BodyRefused(408, "the body came too slowly", closes=True)
    return BodyRefused(400, "the body is not whole", closes=True)


async def read_body(request: web.Request, max_bytes: int, *, codings: Collection[str] = GZIP) -> bytes:
    """The body without its Content-Encoding, `max_bytes` at most before and after. May be called again.

    Raises BodyRefused: 400 for a body that is cut or not in its coding, 408 for one that came too slowly, 413 for one
    that is too large, 415 for a coding that is not in `codings`.
    """
    if _BODY in request:
        return request[_BODY]
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity", *codings):
        hint = "send the body as it is" + (", or with gzip" if "gzip" in codings else "")
        raise BodyRefused(415, "this Content-Encoding is not taken here", hint=hint, closes=True)
    body = await _received(request, max_bytes)
    if coding in GZIP:  # not on the event loop: a few bytes may inflate to all that is allowed
        body = await asyncio.to_thread(inflate, body, coding, max_bytes)
    request[_BODY] = body
    return body


async def _received(request: web.Request, max_bytes: int) -> bytes:
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        while part := await request.content.readany():
            size += len(part)
            if size > max_bytes:
                raise _too_large(max_bytes)
            parts.append(part)
    except (*UNREADABLE, ConnectionError) as error:
        raise refused(error) from None
    return b"".join(parts)


async def read_answer(content: aiohttp.StreamReader, most: int) -> bytes:
    """The first `most` bytes of what a server answers, in however many pieces it comes.

    aiohttp's own `read(most)` returns with the first piece: an answer of several was cut anywhere.
    """
    parts: list[bytes] = []
    size = 0
    while size < most and (part := await content.read(most - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def inflate(body: bytes, coding: str, max_bytes: int) -> bytes:
    """The content of a gzip or deflate body. Raises BodyRefused: 400 for another one, 413 for more than `max_bytes`."""
    out = b""
    for _ in range(MAX_MEMBERS):
        state = zlib.decompressobj(_window_bits(body, coding))
        try:
            out += state.decompress(body, max_bytes + 1 - len(out))
        except zlib.error:
            raise BodyRefused(400, f"the body is not {coding}", closes=True) from None
        if len(out) > max_bytes:
            raise _too_large(max_bytes)
        if not state.eof:
            raise BodyRefused(400, f"the body is not whole {coding}", closes=True)
        body = state.unused_data
        if not body:
            return out
        if coding == "deflate":
            break
    raise BodyRefused(400, f"something follows the {coding} body", closes=True)


def _window_bits(body: bytes, coding: str) -> int:
    """`deflate` is zlib's format by the specification and bare deflate from several clients (RFC 9110, 8.4.1.2)."""
    if coding != "deflate":
        return 16 + zlib.MAX_WBITS
    has_header = len(body) >= 2 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def _too_large(max_bytes: int) -> BodyRefused:
    return BodyRefused(413, "the body is too large", hint=f"at most {max_bytes} bytes", closes=True)
