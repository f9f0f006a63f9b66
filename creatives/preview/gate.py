"""The way out of the browsers that we start: a proxy that leads to the public internet and nowhere else.

Ads and pages of shops run scripts that other people wrote, in a browser inside of our network. Its every connection
goes through here, also those to this machine; only our own tracker may be anywhere, unless somebody allows more.
"""

import asyncio
import contextlib
from typing import Final

from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver

from core.network.outgoing import PublicResolver

_HEAD_S: Final = 10.0
_PORTS: Final = frozenset({80, 443})
_CHUNK: Final = 65_536
# Errors that only mean that a peer ended the connection or fell silent.
_ENDED: Final = (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


class WayOut:
    """An HTTP proxy on loopback for `CONNECT` and plain requests; `own` is the host and port of our tracker.

    With `allow_private` it leads everywhere, to any port.
    """

    def __init__(
        self, own: tuple[str, int], resolver: AbstractResolver | None = None, *, allow_private: bool = False
    ) -> None:
        self._own = own
        self._allow_private = allow_private
        self._public = PublicResolver(resolver or ThreadedResolver())
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.refused = 0
        """How many connections were refused, since they led elsewhere."""

    async def __aenter__(self) -> "WayOut":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_CHUNK)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    @property
    def port(self) -> int:
        """The port on which it listens; 0 before it was entered."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server is not None else 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(writer.close)
            with contextlib.suppress(OSError, ValueError, *_ENDED):
                await self._lead(reader, writer, stack)

    async def _lead(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stack: contextlib.AsyncExitStack
    ) -> None:
        async with asyncio.timeout(_HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ", 2)
            there = await self._connect(method, target)
        if there is None:
            self.refused += 1
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        stack.callback(there[1].close)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            there[1].write(_plain(head, target))
        await asyncio.gather(_pipe(reader, there[1]), _pipe(there[0], writer))

    async def _connect(self, method: str, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        authority = target if method == "CONNECT" else target.removeprefix("http://").partition("/")[0]
        host, _, digits = authority.rpartition(":") if ":" in authority.rpartition("]")[2] else (authority, "", "80")
        host, port = host.strip("[]"), int(digits)
        if self._allow_private or (host, port) == self._own:
            return await asyncio.open_connection(host, port)
        if port not in _PORTS:
            return None
        # We connect to the address that was judged: a second look-up of the name could give another one.
        (found, *_) = await self._public.resolve(host, port)
        return await asyncio.open_connection(found["host"], port)


def _plain(head: bytes, target: str) -> bytes:
    """The head of a proxied request as a server takes it: with a path alone, and for a single answer."""
    path = "/" + target.removeprefix("http://").partition("/")[2]
    first, _, rest = head.partition(b"\r\n")
    method, _, version = first.split(b" ", 2)
    kept = [line for line in rest.split(b"\r\n") if not line.lower().startswith((b"proxy-", b"connection:"))]
    return b" ".join((method, path.encode(), version)) + b"\r\nConnection: close\r\n" + b"\r\n".join(kept)


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()
    finally:
        sink.close()
