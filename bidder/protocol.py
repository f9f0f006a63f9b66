"""One connection of the bid port: bytes in, requests out to the handler, answers back in the order of the requests.

httptools (llhttp) does the framing and is strict: repeated or signed Content-Length, Content-Length with
Transfer-Encoding, folded headers, bare CR or LF and blanks before a colon end in its error. What it lets through is
refused here: transfer codings other than a single `chunked`, chunked HTTP/1.0, other HTTP versions, missing or repeated
Host. Time limits are looked at by the server's sweep, so that a request costs no timer.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

import httptools
import msgspec

from bidder.http import (
    CONTINUE,
    MAX_BODY_BYTES,
    NO_CONTENT,
    Refusal,
    accepts_gzip,
    bid_answer,
    content_coding,
    gunzip,
    is_json,
    method_answer,
    page_answer,
    route,
)
from core.clock import Clock

Reply = Callable[[int, bytes], None]
Page = Callable[[], tuple[int, str, bytes]]  # status, content type, content

# Each connection costs about 5 kB and a file descriptor. An exchange keeps tens to hundreds of them to one bidder
# process; the common limit of 65,536 descriptors stays far away.
MAX_CONNECTIONS = 8192

# Requests of one connection that wait for their answers. An exchange that pipelines sends a few; beyond this reading
# stops, so a fast peer is slowed down by TCP instead of filling the queue.
MAX_PIPELINED = 64

# Input is parsed in slices of this size, since the parser cannot be stopped inside one: with requests of 60 bytes a
# slice can overshoot MAX_PIPELINED by 270 at most. Most requests fit whole.
SLICE_BYTES = 16 * 1024

# Request line and headers. Real ones have 300-800 bytes; proxies and cookies add a few kB.
MAX_HEAD_BYTES = 16 * 1024

# Bytes on the wire of one message. Chunked framing adds 5 bytes a chunk; a body in chunks of one byte has six times its
# size. More than that is chunk extensions, which nobody needs.
MAX_WIRE_BYTES = MAX_HEAD_BYTES + SLICE_BYTES + 6 * MAX_BODY_BYTES

# Answers not yet taken by the peer. Above it neither reading nor answering more makes sense.
MAX_UNSENT_BYTES = 256 * 1024

# Exchanges hold idle connections for a minute and longer (spec: openrtb T9); below 60 s we would close on them first.
IDLE_TIMEOUT_S = 75.0

# A request that needs longer than this to arrive has missed every tmax long ago.
RECEIVE_TIMEOUT_S = 5.0

# A peer that takes nothing of its answers for this long is gone.
SEND_TIMEOUT_S = 10.0

# The handler answers within tmax. If it never does, that is a fault of ours, and the peer should not wait for it.
ANSWER_TIMEOUT_S = 5.0

# After our last answer we wait for the peer's end, since closing with unread input resets the connection and can
# destroy that answer on its way (RFC 9112, 9.6).
LINGER_S = 1.0

# The fields that are read; all others are passed over. `content-enconding` is the misspelling of the OpenRTB text itself
# (2.6, 2.4), which some exchanges copied.
_FIELDS = {
    name: b"content-encoding" if name == b"content-enconding" else name
    for name in (
        b"accept-encoding", b"authorization", b"connection", b"content-enconding", b"content-encoding",
        b"content-length", b"content-type", b"expect", b"host", b"transfer-encoding", b"upgrade",
    )
}  # fmt: skip

_PAGE_METHODS = (b"GET", b"HEAD")


class BidHandler(Protocol):
    """What decides about bid requests."""

    def submit(self, exchange_key: str, body: bytes, arrival: float, reply: Reply, authorization: bytes) -> None:
        """Take one request, called in the turn of the event loop in which its last byte was read.

        `body` is decompressed; `arrival` is Clock.monotonic() of its first byte; `authorization` is the header's value,
        b"" without one. Call `reply(status, body)` exactly once, now or later, with 200 and JSON, or with 204, 400, 401
        or 404 and b"". The handler batches by itself.
        """
        ...


class BidLimits(msgspec.Struct, frozen=True):
    """The limits that a deployment or a test may want to change; reasons are with the defaults above. Seconds."""

    connections: int = MAX_CONNECTIONS
    pipelined: int = MAX_PIPELINED
    idle_timeout_s: float = IDLE_TIMEOUT_S
    receive_timeout_s: float = RECEIVE_TIMEOUT_S
    send_timeout_s: float = SEND_TIMEOUT_S
    answer_timeout_s: float = ANSWER_TIMEOUT_S
    linger_s: float = LINGER_S

    @property
    def shortest_timeout_s(self) -> float:
        """What the sweep's interval has to follow."""
        return min(
            self.idle_timeout_s, self.receive_timeout_s, self.send_timeout_s, self.answer_timeout_s, self.linger_s
        )


class BidCounters:
    """Totals since the start. Plain integers: they are counted on the hot path and read when metrics are asked for."""

    __slots__ = (
        "connections_accepted", "connections_refused", "handler_faults", "refusals", "replies_abandoned",
        "replies_repeated", "requests", "timeouts",
    )  # fmt: skip

    def __init__(self) -> None:
        self.connections_accepted = 0
        self.connections_refused = 0  # above the cap
        self.requests = 0  # handed to the handler
        self.refusals: dict[int, int] = {}  # by status: answered here, never seen by the handler
        self.timeouts: dict[str, int] = {}  # by limit: idle, receive, send, answer
        self.handler_faults = 0  # submit() raised; answered 204
        self.replies_abandoned = 0  # the peer was gone
        self.replies_repeated = 0  # a second reply to one request, dropped

    def refuse(self, status: int) -> None:
        self.refusals[status] = self.refusals.get(status, 0) + 1

    def time_out(self, limit: str) -> None:
        self.timeouts[limit] = self.timeouts.get(limit, 0) + 1


class Port:
    """What the connections of one bid port share."""

    __slots__ = ("connections", "counters", "draining", "handler", "limits", "monotonic", "pages")

    def __init__(self, handler: BidHandler, clock: Clock, pages: dict[str, Page], limits: BidLimits) -> None:
        self.handler = handler
        self.monotonic = clock.monotonic
        self.pages = pages
        self.limits = limits
        self.counters = BidCounters()
        self.connections: set[BidProtocol] = set()
        self.draining = False


class _Slot:
    """The place of one answer in its connection's order."""

    __slots__ = ("answer", "arrival", "closes", "gzips", "protocol")

    def __init__(self, protocol: "BidProtocol", arrival: float, closes: bool, gzips: bool) -> None:
        self.protocol = protocol
        self.arrival = arrival
        self.closes = closes
        self.gzips = gzips
        self.answer: bytes | None = None

    def reply(self, status: int, body: bytes = b"") -> None:
        """Answer; the second call for one request is counted and dropped."""
        protocol = self.protocol
        if self.answer is not None:
            protocol.port.counters.replies_repeated += 1
            return
        if protocol.port.draining and protocol.is_last(self):
            self.closes = True
        if status == 204 and not self.closes:
            self.answer = NO_CONTENT
        else:
            self.answer = bid_answer(status, body, closes=self.closes, gzips=self.gzips)
        protocol.answered(self)


class BidProtocol(asyncio.Protocol):
    """States: reading; finishing (`_last`: no request is read any more, answers are still owed); lingering
    (`_lingers_since`: everything is written, input is thrown away until the peer's end)."""

    __slots__ = (
        "_arrival", "_body", "_corked", "_fields", "_flush_scheduled", "_gzipped", "_gzips", "_held", "_idle_since",
        "_in_body", "_keeps_alive", "_last", "_lingers_since", "_loop", "_now", "_parser", "_paused", "_peer_ended", "_queue", "_received",
        "_refusal", "_starved_since", "_transport", "_upgrades", "_url", "port",
    )  # fmt: skip

    def __init__(self, port: Port) -> None:
        self.port = port
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[_Slot] = deque()
        self._now = self._arrival = self._idle_since = port.monotonic()
        self._received = 0  # bytes since the last message's end, give or take a slice
        self._held = b""  # input that waits for room in the queue
        self._corked = self._flush_scheduled = self._paused = self._peer_ended = self._last = False
        self._lingers_since: float | None = None
        self._starved_since: float | None = None  # the peer takes no answers
        self._begin_message()

    # -- transport ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port.counters.connections_accepted += 1
        if len(self.port.connections) >= self.port.limits.connections:
            self.port.counters.connections_refused += 1
            self._last = True
            self._transport.write(bid_answer(503, b"", closes=True, gzips=False))
            self._transport.close()
            return
        self.port.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended changes nothing
        self.port.connections.discard(self)
        self.port.counters.replies_abandoned += len(self._queue)
        self._queue.clear()
        self._held = b""
        self._last = True

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        self._now = now = self.port.monotonic()
        if not self._url:
            self._arrival = now
        if self._held or len(self._queue) >= self.port.limits.pipelined:
            self._held += data  # at most what was on its way when reading was paused
            return
        self._corked = True
        if len(data) <= SLICE_BYTES:
            self._feed(data)
        else:
            self._feed_slices(data)
        self._corked = False
        if self._queue:
            self._flush()

    def eof_received(self) -> bool:
        self._peer_ended = True
        self._end_if_done()
        return True  # answers that are owed are still sent; the transport is closed after them

    def pause_writing(self) -> None:
        self._starved_since = self.port.monotonic()
        self._pause()

    def resume_writing(self) -> None:
        self._starved_since = None
        self._resume()

    # -- parsing -----------------------------------------------------------------------------------------------------

    def _begin_message(self) -> None:
        self._url = b""
        self._fields: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""
        self._in_body = False
        self._upgrades = False

    def _feed_slices(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE_BYTES):
            if self._last:
                return
            if len(self._queue) >= self.port.limits.pipelined:
                self._held = data[start:]
                self._pause()
                return
            self._feed(data[start : start + SLICE_BYTES])

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            # After a closing request, the parser calls whatever follows an error; it is not answered (RFC 9112, 9.6).
            if not self._last:
                cause = error.__context__
                self._refuse_and_close(cause.status if isinstance(cause, Refusal) else 400)
            return
        self._received += len(data)
        if self._received > MAX_HEAD_BYTES + SLICE_BYTES:
            self._check_size()
        if len(self._queue) >= self.port.limits.pipelined:
            self._pause()

    def _check_size(self) -> None:
        if not self._in_body:
            self._refuse_and_close(431)
        elif self._received > MAX_WIRE_BYTES:
            self._refuse_and_close(413)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 (RFC 9110, 7.8): some clients offer h2c with their first request.

        The parser has ended that message at its headers, so a fresh one gets the head again without the offer.
        """
        if not self._upgrades:
            self._refuse_and_close(405)  # CONNECT
            return
        connection = b"close" if not self._keeps_alive else b"keep-alive"
        kept = {name: value for name, value in self._fields.items() if name not in (b"upgrade", b"connection")}
        lines = [b"%s: %s\r\n" % field for field in kept.items()]
        head = b"%s %s HTTP/1.1\r\nconnection: %s\r\n%s\r\n" % (
            self._parser.get_method(), self._url, connection, b"".join(lines),
        )  # fmt: skip
        self._parser = httptools.HttpRequestParser(self)
        self._begin_message()
        self._feed(head)
        if rest and not self._last:
            self._feed(rest)

    def on_url(self, part: bytes) -> None:
        """Called by the parser, as all on_* below; a URL may come in parts."""
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        field = _FIELDS.get(name.lower())
        if field is None or self._in_body:  # fields after a chunked body say nothing that we use
            return
        fields = self._fields
        fields[field] = fields[field] + b", " + value if field in fields else value

    def on_headers_complete(self) -> None:
        self._refusal = 0
        self._gzips = self._gzipped = False
        fields = self._fields
        parser = self._parser
        self._keeps_alive = parser.should_keep_alive()
        if b"upgrade" in fields and parser.should_upgrade():
            self._upgrades = True
            return
        self._in_body = True
        version = parser.get_http_version()
        if version != "1.1":
            self._admit_old_version(version)
        elif b"host" not in fields or b"," in fields[b"host"]:
            self._refusal = 400
        if b"transfer-encoding" in fields:
            if version != "1.1" or fields[b"transfer-encoding"].strip().lower() != b"chunked":
                raise Refusal(501 if version == "1.1" else 400)
        elif int(fields.get(b"content-length", b"0")) > MAX_BODY_BYTES:
            raise Refusal(413)
        if parser.get_method() == b"POST":
            self._negotiate(fields)
        if b"expect" in fields and version == "1.1":
            self._expect(fields[b"expect"])

    def _admit_old_version(self, version: str) -> None:
        if version != "1.0":
            raise Refusal(505)
        self._keeps_alive = False

    def _negotiate(self, fields: dict[bytes, bytes]) -> None:
        if b"content-type" in fields and not is_json(fields[b"content-type"]):
            self._refusal = self._refusal or 415
        if b"content-encoding" in fields:
            coding = content_coding(fields[b"content-encoding"])
            if coding is None:
                self._refusal = self._refusal or 415
            self._gzipped = bool(coding)
        if b"accept-encoding" in fields:
            self._gzips = accepts_gzip(fields[b"accept-encoding"])

    def _expect(self, expectation: bytes) -> None:
        if expectation.strip().lower() != b"100-continue":
            raise Refusal(417)
        if self._refusal:  # nobody can tell whether the body still comes after a final answer (RFC 9110, 10.1.1)
            raise Refusal(self._refusal)
        if int(self._fields.get(b"content-length", b"1")):
            self._append(CONTINUE)
            if len(self._queue) == 1:
                self._flush()

    def on_body(self, part: bytes) -> None:
        if not self._body:
            self._body = part
            return
        if len(self._body) + len(part) > MAX_BODY_BYTES:
            raise Refusal(413)
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += part

    def on_message_complete(self) -> None:
        if self._upgrades or self._last:
            return
        url, body, authorization = self._url, self._body, self._fields.get(b"authorization", b"")
        self._begin_message()
        self._received = 0
        arrival, self._arrival = self._arrival, self._now
        self._idle_since = self._now
        if not self._keeps_alive:
            self._last = True
        exchange, path = route(url)
        if not exchange or self._refusal or self._parser.get_method() != b"POST":
            self._answer_here(exchange, path)
            return
        if self._gzipped:
            body = self._decompress(body)
            if self._refusal:
                self._refuse(self._refusal)
                return
        slot = _Slot(self, arrival, not self._keeps_alive, self._gzips)
        self._queue.append(slot)
        self.port.counters.requests += 1
        try:
            self.port.handler.submit(exchange, bytes(body), arrival, slot.reply, authorization)
        except Exception as fault:  # noqa: BLE001 - the handler's fault must not look like a fault of the peer's HTTP
            self._report(fault, slot)

    def _decompress(self, body: bytes | bytearray) -> bytes:
        try:
            plain = gunzip(body)
        except Refusal as refusal:
            self._refusal = refusal.status
            return b""
        if plain is None:
            self._refusal = 400
        return plain or b""

    def _report(self, fault: Exception, slot: _Slot) -> None:
        self.port.counters.handler_faults += 1
        self._loop.call_exception_handler({"message": "the bid handler raised; answered 204", "exception": fault})
        if slot.answer is None:
            slot.reply(204)

    # -- answering ---------------------------------------------------------------------------------------------------

    def is_last(self, slot: _Slot) -> bool:
        """Whether no request came after the slot's."""
        return bool(self._queue) and self._queue[-1] is slot

    def answered(self, slot: _Slot) -> None:
        """Send the slot's answer as soon as all before it are sent; answers that are due together leave together."""
        if slot.closes:
            self._last = True
        queue = self._queue
        if not queue or queue[0] is not slot or self._corked:
            return
        if len(queue) == 1:
            self._flush()
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _append(self, answer: bytes, *, closes: bool = False) -> None:
        slot = _Slot(self, self._now, closes, False)
        slot.answer = answer
        self._queue.append(slot)

    def _answer_here(self, exchange: str, path: str) -> None:
        """Whatever is not a bid request: pages, wrong URLs and methods, refusals whose body was read to its end."""
        method = self._parser.get_method()
        page = self.port.pages.get(path)
        closes = not self._keeps_alive
        if self._refusal == 400 or (not exchange and page is None):
            self._refuse(self._refusal if self._refusal == 400 else 404)
        elif exchange and method == b"POST":
            self._refuse(self._refusal)
        elif page is None or method not in _PAGE_METHODS:
            self.port.counters.refuse(405)
            self._append(method_answer(b"POST" if page is None else b"GET, HEAD", closes=closes), closes=closes)
        else:
            status, content_type, content = page()
            head = method == b"HEAD"
            self._append(page_answer(status, content_type, content, closes=closes, head=head), closes=closes)

    def _refuse(self, status: int) -> None:
        self.port.counters.refuse(status)
        closes = not self._keeps_alive
        self._append(bid_answer(status, b"", closes=closes, gzips=False), closes=closes)

    def _refuse_and_close(self, status: int) -> None:
        self.port.counters.refuse(status)
        self._append(bid_answer(status, b"", closes=True, gzips=False), closes=True)
        self._last = True
        self._held = b""
        if not self._corked:
            self._flush()

    def _flush(self) -> None:
        self._flush_scheduled = False
        queue = self._queue
        parts: list[bytes] = []
        closes = False
        while queue and not closes:
            slot = queue[0]
            if slot.answer is None:
                break
            parts.append(slot.answer)
            closes = slot.closes
            queue.popleft()
        if not parts or self._transport.is_closing():
            return
        self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
        if closes:
            self._linger()
        elif self._peer_ended or self._paused:
            self._resume()
            self._end_if_done()

    # -- slowing down and ending -------------------------------------------------------------------------------------

    def _pause(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        """Read on, unless the queue is still full, the peer takes no answers, or a turn of its own is due for `_held`."""
        if self._starved_since is not None or len(self._queue) >= self.port.limits.pipelined:
            return
        if self._held and not self._last:
            self._loop.call_soon(self._feed_held)
        elif self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _feed_held(self) -> None:
        if not self._held or self._corked or len(self._queue) >= self.port.limits.pipelined:
            return
        held, self._held = self._held, b""
        self._corked = True
        self._feed_slices(held)
        self._corked = False
        self._flush()
        if not self._held:
            self._resume()

    def _linger(self) -> None:
        self._last = True
        self._queue.clear()
        self._held = b""
        if self._peer_ended:
            self._transport.close()
            return
        self._lingers_since = self.port.monotonic()
        self._transport.write_eof()
        self._starved_since = None
        self._resume()

    def _end_if_done(self) -> None:
        if self._peer_ended and not self._queue and not self._held:
            self._transport.close()

    def close_if_idle(self) -> None:
        """Close unless a request is under way, in or out."""
        if not self._queue and not self._url and not self._held and self._lingers_since is None:
            self._last = True
            self._transport.close()

    def abort(self) -> None:
        """Close at once; what is unsent is lost."""
        self._last = True
        self._transport.abort()

    def check_time_limits(self, now: float) -> None:
        """End the connection if the peer, or the handler, has let it wait too long. `now`: Clock.monotonic()."""
        limits = self.port.limits
        if self._lingers_since is not None:
            if now - self._lingers_since > limits.linger_s:
                self.abort()
        elif self._starved_since is not None:
            if now - self._starved_since > limits.send_timeout_s:
                self.port.counters.time_out("send")
                self.abort()
        elif self._queue:
            if now - self._queue[0].arrival > limits.answer_timeout_s:
                self.port.counters.time_out("answer")
                self.abort()
        elif self._url:
            if now - self._arrival > limits.receive_timeout_s:
                self.port.counters.time_out("receive")
                self._refuse_and_close(408)
        elif now - self._idle_since > limits.idle_timeout_s:
            self.port.counters.time_out("idle")
            self.close_if_idle()
