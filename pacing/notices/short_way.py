"""The short way for notices: plain GETs of exchanges and pixels, answered without a web framework.

Of the CPU that a settled notice costs, aiohttp's request, response and tasks were almost half (100 of 240 us on a busy
machine). So a connection is read here first. A whole, plain GET of a notice or of the pixel is answered from here;
anything else (another path, a body, a request in parts, a header that asks for something) goes, with its connection and
the bytes as they came, to the full server, which then keeps it. Nothing is parsed here that two readers could
understand differently.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Final, cast

from core.clock import Clock
from core.network.gate import Gate
from core.query import query_values
from pacing.notices.notices import NoticeDesk, NoticeEvent, NoticeReport, NoticeResult
from pacing.notices.web import PIXEL, RETRY_AFTER

# Connections without a request for this long are closed; exchanges keep theirs for a minute.
IDLE_TIMEOUT_S: Final = 75.0
_SWEEP_S: Final = 5.0

# Notices of one connection that may wait for their settlement; one that pipelines more goes to the full server.
MAX_PIPELINED: Final = 32

_EVENTS: Final = {
    b"/n/win/": NoticeEvent.WIN,
    b"/n/bill/": NoticeEvent.BILL,
    b"/n/loss/": NoticeEvent.LOSS,
    b"/t/imp/": NoticeEvent.IMPRESSION,
}

# One request: a path of ours with characters that need no decoding, and header lines of visible characters.
_REQUEST: Final = re.compile(
    rb"GET (/n/win/|/n/bill/|/n/loss/|/t/imp/)([A-Za-z0-9_-]{1,300})(?:\?([!-\"$-~]{0,1024}))? HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]{1,64}+:[ \t!-~]{0,4096}+\r\n){1,64}+)\r\n"
)
# Headers that ask for what only the full server does: a body, the end of the connection, another protocol.
_ASKING: Final = re.compile(
    rb"(?:^|\n)(?:content-length|transfer-encoding|upgrade|expect|http2-settings"
    rb"|connection(?!:[ \t]*keep-alive[ \t]*\r)):",
    re.IGNORECASE,
)
_HOST: Final = re.compile(rb"(?:^|\n)host:", re.IGNORECASE)

_REASONS: Final = {
    400: b"Bad Request", 403: b"Forbidden", 410: b"Gone", 503: b"Service Unavailable",
}  # fmt: skip
_PIXEL_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n%b"
    % (len(PIXEL), PIXEL)
)


class NoticePort:
    """What the short-way connections of one tracker process share."""

    def __init__(self, desk: NoticeDesk, clock: Clock) -> None:
        self.desk = desk
        self.monotonic = clock.monotonic
        self.connections: set[NoticeConnection] = set()

    def connection(self, gate: Gate, full: Callable[[], asyncio.Protocol]) -> "NoticeConnection":
        """The protocol for a new connection, which `gate` counts; `full` makes the full server's protocol."""
        return NoticeConnection(self, gate, full)

    async def sweep(self) -> None:
        """Close idle connections until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            earliest = self.monotonic() - IDLE_TIMEOUT_S
            for connection in tuple(self.connections):
                connection.close_if_idle(earliest)

    async def drain(self) -> None:
        """Close each connection once it owes no answer; the notices that are settled are answered first."""
        while self.connections:
            for connection in tuple(self.connections):
                connection.close_if_idle(self.monotonic())
            await asyncio.sleep(0.01)


class NoticeConnection(asyncio.Protocol):
    """One connection until it is handed to the full server. Answers leave in the order of the requests."""

    __slots__ = ("_answered", "_answers", "_asked", "_full", "_gate", "_heard_at", "_port", "_rest", "_transport")

    def __init__(self, port: NoticePort, gate: Gate, full: Callable[[], asyncio.Protocol]) -> None:
        self._port = port
        self._gate = gate
        self._full = full
        self._asked = self._answered = 0  # requests and answers so far
        self._answers: dict[int, bytes] = {}  # answers that wait for an earlier one, by the number of their request
        self._rest = b""  # bytes for the full server, which gets them once no answer is owed
        self._heard_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods, not by inheritance
        self._heard_at = self._port.monotonic()
        if self._gate.admit(transport):
            self._port.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._port.connections.discard(self)
        self._gate.release(self._transport)

    def pause_writing(self) -> None:
        """Tens of kilobytes of our short answers are unread, so the peer is no exchange: end the connection."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._port.monotonic()
        if self._rest:  # the loop may deliver bytes that it had read before it was told to pause
            self._rest += data
            return
        at = 0
        while at < len(data):
            found = _REQUEST.match(data, at)
            if found is None or not _is_plain(found[4]) or self.owes >= MAX_PIPELINED:
                self._rest = data[at:]
                self._transport.pause_reading()
                break
            at = found.end()
            report = _report(found)
            self._asked += 1
            self._port.desk.submit(report, partial(self._answer, self._asked, report.event))
        if self._rest and not self.owes:
            self._hand_over()

    def close_if_idle(self, earliest: float) -> None:
        """Close unless an answer is owed or something came after `earliest` (monotonic seconds)."""
        if not self.owes and self._heard_at <= earliest:
            self._transport.close()

    @property
    def owes(self) -> int:
        """Requests without an answer yet."""
        return self._asked - self._answered

    def _answer(self, number: int, event: NoticeEvent, result: NoticeResult) -> None:
        if number <= self._answered or number in self._answers:
            return  # answered already
        self._answers[number] = _encode(event, result)
        while (answer := self._answers.pop(self._answered + 1, None)) is not None:
            self._answered += 1
            if not self._transport.is_closing():
                self._transport.write(answer)
        if self._rest and not self.owes:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let the full server go on with the connection from the first request that is no plain notice."""
        if self._transport.is_closing():
            return
        self._port.connections.discard(self)
        protocol, rest, self._rest = self._full(), self._rest, b""
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        self._transport.resume_reading()
        protocol.data_received(rest)


def _is_plain(headers: bytes) -> bool:
    return _ASKING.search(headers) is None and len(_HOST.findall(headers)) == 1


def _report(found: re.Match[bytes]) -> NoticeReport:
    event, token, query = _EVENTS[found[1]], found[2].decode("ascii"), found[3]
    if not query:
        return NoticeReport(event, token)
    values = query_values(query.decode("ascii"))
    return NoticeReport(
        event, token, values.get("p"), values.get("c"), values.get("r"), values.get("m"), values.get("q")
    )


def _encode(event: NoticeEvent, result: NoticeResult) -> bytes:
    status = result.status
    if event is NoticeEvent.IMPRESSION and status in (200, 204):
        return _PIXEL_ANSWER
    if status == 204:
        return b"HTTP/1.1 204 No Content\r\n\r\n"
    retry = b"Retry-After: %b\r\n" % RETRY_AFTER.encode() if status == 503 else b""
    return b"HTTP/1.1 %d %b\r\n%bContent-Length: 0\r\n\r\n" % (status, _REASONS[status], retry)
