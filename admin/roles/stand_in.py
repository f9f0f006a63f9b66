"""Answers on the bid port while no bidder process lives: an exchange that is refused connections may drop the seat.

The supervisor holds the port without listening on it. Between the end of the only bidder process and the start of the
next one it listens itself and says "no bid" to everything; it steps aside as soon as a bidder is ready.
"""

import asyncio
import logging

from bidder.door.port import Reply, Sender
from bidder.door.server import BidServer
from core.clock import SystemClock

# Requests that come on connections of the stand-in after a bidder is ready get their answer with `Connection: close`;
# an exchange sends its next request on one within this.
_GRACE_S = 1.0

_AGAIN_S = 0.1

log = logging.getLogger("grosz.supervisor")


class _NoBids:
    """A bid handler that bids on nothing."""

    def submit(self, exchange_key: str, body: bytes, arrival: float, reply: Reply, sender: Sender) -> None:  # noqa: ARG002
        reply(204, b"")


class StandIn:
    """Listens on host and port between `cover` and `step_aside`; both may be called at any time, again and again."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._wanted = False
        self._server: BidServer | None = None
        self._changing: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    def cover(self) -> None:
        """Answer from now on."""
        self._want(True)

    def step_aside(self) -> None:
        """Answer no new connections any more."""
        self._want(False)

    async def close(self) -> None:
        """End; connections that are open are closed."""
        self._wanted = False
        tasks = [*self._leaving, *([self._changing] if self._changing is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            self._server.abort()
            self._server = None

    def _want(self, wanted: bool) -> None:
        self._wanted = wanted
        if self._changing is None or self._changing.done():
            self._changing = asyncio.get_running_loop().create_task(self._change(), name="bid port stand-in")

    async def _change(self) -> None:
        while self._wanted != (self._server is not None):
            if self._wanted:
                server = BidServer(_NoBids(), clock=SystemClock(), pages=_PAGES)
                try:
                    await server.start(self._host, self._port)
                except OSError as error:
                    log.warning("nobody answers bid requests", extra={"fields": {"error": str(error)}})
                    await asyncio.sleep(_AGAIN_S)
                    continue
                self._server = server
                log.warning("no bidder process is left: bid requests are answered without a bid")
            elif self._server is not None:
                leaving = asyncio.create_task(self._server.drain(grace_s=_GRACE_S), name="bid port stand-in leaves")
                self._server = None
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)


_PAGES = {
    "/healthz": lambda: (200, "text/plain", b"alive\n"),
    "/readyz": lambda: (503, "text/plain", b"no bidder process is running\n"),
}
