"""Who may hold a connection to an aiohttp port, and for how long without a request: caps and deadlines.

aiohttp alone accepts without end and waits for the rest of a request as long as its keep-alive lasts. Here connections
are counted, all of them and those of one address, before a byte is read, and a sweep ends those whose request head or
body does not arrive in time.
"""

import asyncio
import ipaddress
import resource
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, cast

import msgspec
from aiohttp import web

from core.network.bodies import BodyTooSlow
from core.network.proxies import Proxies

# From the first byte of a request's head to its last; a head is a few packets.
HEAD_TIMEOUT_S: Final = 10.0
# A body may take this long, and longer by a second for each BODY_BYTES_PER_S bytes that did arrive.
BODY_TIMEOUT_S: Final = 20.0
BODY_BYTES_PER_S: Final = 50_000
# A handler that reads the late body gets an error; if it does not read, its connection ends after this.
_ABORT_AFTER_S: Final = 5.0
_SWEEP_S: Final = 1.0
# Between requests. Exchanges keep connections for a minute; the proxy in front should close first.
KEEP_ALIVE_S: Final = 75.0

# Open handles that are not connections of the port: Redis, databases, log files, the metrics sockets.
RESERVED_HANDLES: Final = 128
# What Linux gives a process by default is 1,024, of at most 4,096 or more; a port needs one handle a connection.
WANTED_HANDLES: Final = 65_536

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Refused = Callable[[str], None]
"""Counts what was refused, by reason: `connections`, `address`, `slow_head`, `slow_body`."""


class Caps(msgspec.Struct, frozen=True):
    """Most connections of one process, and most of them from one address (an IPv6 one: from its /64)."""

    connections: int = 4_096
    per_address: int = 512


def raise_handle_limit() -> int:
    """Raise this process's limit of open handles as far as it may, to WANTED_HANDLES at most; the limit then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_HANDLES if hard == resource.RLIM_INFINITY else min(hard, WANTED_HANDLES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return most if soft == resource.RLIM_INFINITY else soft


def fitted(caps: Caps, handles: int) -> Caps:
    """The caps, lowered to what the process has handles for: no address gets more than half of them."""
    most = max(16, min(caps.connections, handles - RESERVED_HANDLES))
    return Caps(most, max(8, min(caps.per_address, most // 2)))


class Monotonic(Protocol):
    def monotonic(self) -> float: ...


class Gate:
    """The connections of one port of this process. Call everything from its event loop."""

    def __init__(self, caps: Caps, proxies: Proxies, clock: Monotonic, refused: Refused) -> None:
        self._caps = caps
        self._proxies = proxies
        self._now = clock.monotonic
        self._refused = refused
        self._by_address: dict[str, int] = {}
        self._admitted: dict[asyncio.BaseTransport, str] = {}
        self._watched: dict[asyncio.BaseTransport, _Watched] = {}

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._admitted)

    def admit(self, transport: asyncio.BaseTransport) -> bool:
        """Count a new connection. Where there is no room for it, it is closed, and the result is False."""
        address = _address_of(transport)
        if len(self._admitted) >= self._caps.connections:
            return self._turn_away(transport, "connections")
        # The connections of all clients come from a trusted proxy's address.
        limited = address and not self._proxies.trusts(address)
        key = _network_of(address) if limited else ""
        if key and self._by_address.get(key, 0) >= self._caps.per_address:
            return self._turn_away(transport, "address")
        if key:
            self._by_address[key] = self._by_address.get(key, 0) + 1
        self._admitted[transport] = key
        return True

    def release(self, transport: asyncio.BaseTransport) -> None:
        """Note that a connection has ended; without effect for one that was not admitted."""
        key = self._admitted.pop(transport, "")
        if key:
            left = self._by_address[key] - 1
            if left:
                self._by_address[key] = left
            else:
                del self._by_address[key]

    def _turn_away(self, transport: asyncio.BaseTransport, reason: str) -> bool:
        self._refused(reason)
        cast(asyncio.Transport, transport).abort()
        return False

    def watch(self, inner: asyncio.Protocol, *, admitted: bool = False) -> asyncio.Protocol:
        """A protocol that watches a connection for `inner`, which is aiohttp's; `admitted`: it is counted already."""
        return _Watched(self, inner, admitted=admitted)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Tell the sweep which connections have a whole request head; an application's outermost middleware."""
        watched = self._watched.get(request.transport) if request.transport is not None else None
        if watched is None:
            return await handler(request)
        watched.begin(request, self._now())
        try:
            return await handler(request)
        finally:
            watched.end()

    async def sweep(self) -> None:
        """End connections that are too slow, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = self._now()
            for watched in tuple(self._watched.values()):
                watched.check(now)

    def _enter(self, watched: "_Watched", transport: asyncio.BaseTransport, *, admitted: bool) -> bool:
        if not admitted and not self.admit(transport):
            return False
        self._watched[transport] = watched
        return True

    def _leave(self, transport: asyncio.BaseTransport) -> None:
        self._watched.pop(transport, None)
        self.release(transport)


class _Watched(asyncio.Protocol):
    """Passes everything between a connection and aiohttp's protocol, and notes when bytes came."""

    __slots__ = (
        "_admitted",
        "_began",
        "_bytes",
        "_entered",
        "_gate",
        "_inner",
        "_request",
        "_told",
        "_transport",
        "_waiting",
    )

    def __init__(self, gate: Gate, inner: asyncio.Protocol, *, admitted: bool) -> None:
        self._gate = gate
        self._inner = inner
        self._admitted = admitted
        self._entered = False
        self._transport: asyncio.Transport
        self._request: web.Request | None = None
        self._waiting = -1.0  # since when there are bytes of a head that is not whole yet; negative: there are none
        self._began = 0.0
        self._bytes = 0
        self._told = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._entered = self._gate._enter(self, transport, admitted=self._admitted)
        if self._entered:
            self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._entered:
            self._gate._leave(self._transport)
            self._request = None
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._entered:
            return
        self._bytes += len(data)
        if self._request is None and self._waiting < 0:
            self._waiting = self._gate._now()
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._entered else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def begin(self, request: web.Request, now: float) -> None:
        """Note that a whole head has come and its handler runs."""
        self._request, self._began, self._bytes, self._told, self._waiting = request, now, 0, False, -1.0

    def end(self) -> None:
        """Note that the handler has returned."""
        self._request = None

    def check(self, now: float) -> None:
        """If the connection is too slow, end it, or end the reading of its body with an error."""
        if self._request is None:
            if 0 <= self._waiting < now - HEAD_TIMEOUT_S:
                self._gate._refused("slow_head")
                self._transport.abort()
            return
        content = self._request.content
        late_s = now - self._began - BODY_TIMEOUT_S - self._bytes / BODY_BYTES_PER_S
        if content.is_eof() or late_s < 0:
            return
        if not self._told:
            self._told = True
            self._gate._refused("slow_body")
            content.set_exception(BodyTooSlow())
        elif late_s > _ABORT_AFTER_S:
            self._transport.abort()


def _address_of(transport: asyncio.BaseTransport) -> str:
    """The peer's address; '' where there is none (a Unix socket, a connection that is gone already)."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def _network_of(address: str) -> str:
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False))
