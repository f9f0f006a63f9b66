"""The bid port: a listening socket, the connections it accepted, their time limits, and the way down.

aiohttp costs 80-88 us of CPU a request, more than a whole bid; bidder.door.connection on httptools a fraction of it
(docs/bid-port.md has the figures). Several processes share one port by SO_REUSEPORT: the kernel spreads connections.
"""

import asyncio
from collections.abc import Iterable, Mapping

from bidder.door.connection import BidProtocol
from bidder.door.limits import BidLimits
from bidder.door.port import BidCounters, BidHandler, MaySee, Page, Port, Reply
from core.clock import Clock
from core.network.proxies import NO_PROXIES, Proxies

__all__ = ["BidCounters", "BidHandler", "BidLimits", "BidServer", "Page", "Reply"]

# A full accept queue drops SYNs, and a dropped SYN costs its exchange a second. Linux caps this at net.core.somaxconn.
BACKLOG = 4096

# How often time limits are looked at. All of them are seconds long; a timer a request would cost 1 us each instead.
SWEEP_INTERVAL_S = 0.5

# On the way down an idle connection stays this long: a busy exchange sends its next request within it, and gets the
# answer with `Connection: close` instead of a reset.
DRAIN_GRACE_S = 1.0

# What is not answered by now has outlived every tmax many times.
DRAIN_TIMEOUT_S = 5.0

_DRAIN_POLL_S = 0.02


class BidServer:
    """Serves `handler` on one port of this process, from `start()` to `drain()`. Lives on one event loop.

    `pages` are small GET resources by path (`/healthz`, `/readyz`, `/metrics`), asked anew for each request.
    Those in `private` answer 403 unless `may_see` says otherwise of the peer.
    """

    def __init__(
        self,
        handler: BidHandler,
        *,
        clock: Clock,
        pages: Mapping[str, Page] | None = None,
        private: Iterable[str] = (),
        may_see: MaySee = lambda _peer, _forwarded: False,
        limits: BidLimits | None = None,
        proxies: Proxies = NO_PROXIES,
    ) -> None:
        """`proxies` are those whose word about the client's address counts."""
        limits = limits or BidLimits()
        self._port = Port(handler, clock, dict(pages or {}), limits, frozenset(private), may_see, proxies)
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def counters(self) -> BidCounters:
        """Plain totals since the start, for telemetry to read when it is asked."""
        return self._port.counters

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._port.connections)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that were bound; the port is the real one when 0 was asked for."""
        if self._server is None:
            raise RuntimeError("the bid server is not started: call start() first")
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def start(self, host: str, port: int, *, backlog: int = BACKLOG) -> None:
        """Bind and accept. Raises OSError when the address cannot be bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: BidProtocol(self._port), host, port, reuse_address=True, reuse_port=True, backlog=backlog
        )
        self._sweeper = loop.create_task(self._sweep(), name="bid-port-sweep")

    async def drain(self, *, grace_s: float = DRAIN_GRACE_S, timeout_s: float = DRAIN_TIMEOUT_S) -> None:
        """Stop accepting, answer what is in flight with `Connection: close`, close. Returns within `timeout_s`.

        A connection in the kernel's accept queue that this process has not taken yet is lost with the socket; with
        SO_REUSEPORT, take the process out of the load balancer first where that matters.
        """
        if self._server is None:
            return
        self._server.close()
        self._port.draining = True
        loop = asyncio.get_running_loop()
        start = loop.time()
        while self._port.connections and loop.time() < start + timeout_s:
            if loop.time() >= start + grace_s:
                for connection in tuple(self._port.connections):
                    connection.close_if_idle()
            await asyncio.sleep(_DRAIN_POLL_S)
        self.abort()

    def abort(self) -> None:
        """Close everything at once, answered or not."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self._port.connections):
            connection.abort()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(SWEEP_INTERVAL_S, self._port.limits.shortest_timeout_s / 2))
            now = self._port.monotonic()
            for connection in tuple(self._port.connections):
                connection.check_time_limits(now)
