"""One connection of the bid port: requests out to the handler, answers back in the order of the requests.

Answers come from the handler whenever it likes; each has its place in a queue. Time limits are looked at by the sweep
of the server, so that a request costs no timer. Answers that are due in one turn of the event loop leave in one write.
"""

import asyncio
import ipaddress
import socket
from collections import deque
from typing import cast

from bidder.door.framing import Framing, Head
from bidder.door.http import (
    CONTINUE,
    EXPLANATIONS,
    NO_CONTENT,
    HttpRefusal,
    bid_answer,
    error_answer,
    gunzip,
    method_answer,
    page_answer,
)
from bidder.door.limits import MAX_UNSENT_BYTES, SLICE_BYTES
from bidder.door.port import Port, Sender

_PAGE_METHODS = (b"GET", b"HEAD")


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
        elif status >= 400:
            self.answer = protocol.refusal(status, body, closes=self.closes)
        else:
            self.answer = bid_answer(status, body, closes=self.closes, gzips=self.gzips)
        protocol.answered(self)


class BidProtocol(asyncio.Protocol):
    """States: reading; finishing (`_last`: no request is read any more, answers are still owed); lingering
    (`_lingers_since`: everything is written, input is thrown away until the peer's end).
    """

    __slots__ = (
        "_arrival", "_corked", "_flush_scheduled", "_framing", "_held", "_held_since", "_idle_since", "_last",
        "_lingers_since", "_loop", "_now", "_paused", "_peer_ended", "_proxied", "_queue", "_starved_since",
        "_transport", "port",
    )  # fmt: skip

    def __init__(self, port: Port) -> None:
        self.port = port
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._framing = Framing(self, port.limits.body_bytes)
        self._queue: deque[_Slot] = deque()
        self._proxied = False  # a proxy speaks for somebody else
        self._now = port.monotonic()
        self._arrival = self._now  # of the first byte of the request being read
        self._idle_since = self._now
        self._held = b""  # input that waits for room in the queue
        self._held_since = self._now
        self._corked = self._flush_scheduled = self._paused = self._peer_ended = self._last = False
        self._lingers_since: float | None = None
        self._starved_since: float | None = None  # the peer takes no answers

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
        self._framing.end()

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        self._now = now = self.port.monotonic()
        if not self._framing.reading:
            self._arrival = now
        if self._held or len(self._queue) >= self.port.limits.pipelined:
            self._hold(data)  # at most what was on its way when reading was paused
            return
        self._corked = True
        if len(data) <= SLICE_BYTES:
            self._feed(data)
        else:
            self._feed_slices(data)
        self._corked = False
        if self._queue and self._queue[0].answer is not None:  # most answers come later
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

    # -- reading -----------------------------------------------------------------------------------------------------

    def _feed_slices(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE_BYTES):
            if self._last:
                return
            if len(self._queue) >= self.port.limits.pipelined:
                self._hold(data[start:])
                return
            self._feed(data[start : start + SLICE_BYTES])

    def _feed(self, data: bytes) -> None:
        try:
            self._framing.feed(data)
        except HttpRefusal as refusal:
            # What follows a closing request is an error to the parser, and is not answered (RFC 9112, 9.6).
            if not self._last:
                self._refuse_and_close(refusal.status)
            return
        if len(self._queue) >= self.port.limits.pipelined:
            self._pause()

    def _hold(self, data: bytes) -> None:
        if not self._held:
            self._held_since = self._now
        self._held += data
        self._pause()

    def continue_expected(self) -> None:
        """Called by the framing: the `100 Continue` takes its turn behind the answers that are still owed."""
        self._append(CONTINUE)
        if len(self._queue) == 1:
            self._flush()

    def request_complete(self, head: Head, body: bytes | bytearray) -> None:
        """Called by the framing: hand a bid request to the handler, answer everything else."""
        if self._last:
            return
        arrival, self._arrival = self._arrival, self._now
        self._idle_since = self._now
        if not head.keeps_alive:
            self._last = True
        exchange = head.route.exchange
        if not exchange or head.refusal or head.method != b"POST":
            self._answer_here(head)
            return
        if head.forwarded:
            self._proxied = True
        plain = self._decompress(head, body) if head.gzipped else bytes(body)
        if plain is None:
            return
        slot = _Slot(self, arrival, not head.keeps_alive, head.gzips)
        self._queue.append(slot)
        self.port.counters.requests += 1
        try:
            self.port.handler.submit(exchange, plain, arrival, slot.reply, head.sender or self._sender(head))
        except Exception as fault:  # the handler's fault must not look like a fault of the peer's HTTP
            self._report(fault, slot)

    def _sender(self, head: Head) -> Sender:
        """The sender of requests with this head; remembered in the head."""
        fields = head.fields
        chain = fields.get(b"x-forwarded-for", b"").decode("latin-1")
        address = self.port.proxies.client_of(self._peer(), [chain] if chain else [])
        secrets = {name: value for name, value in fields.items() if name.startswith(b"x-")}
        head.sender = sender = Sender(fields.get(b"authorization", b""), address, secrets)
        return sender

    def _decompress(self, head: Head, body: bytes | bytearray) -> bytes | None:
        try:
            plain = gunzip(body, self.port.limits.body_bytes)
        except HttpRefusal as refusal:
            self._refuse(head, refusal.status)
            return None
        if plain is None:
            self._refuse(head, 400)
        return plain

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
            if slot.closes or self._paused or self._peer_ended:
                self._flush()
                return
            queue.clear()
            if slot.answer is not None and not self._transport.is_closing():
                self._transport.write(slot.answer)
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _append(self, answer: bytes, *, closes: bool = False) -> None:
        slot = _Slot(self, self._now, closes, False)
        slot.answer = answer
        self._queue.append(slot)

    def _answer_here(self, head: Head) -> None:
        """Answer what is not a bid request: pages, wrong URLs and methods, refusals whose body was read to its end."""
        exchange, path = head.route
        page = self.port.pages.get(path)
        closes = not head.keeps_alive
        if page is not None and path in self.port.private and not self.port.may_see(self._peer(), head.forwarded):
            self._refuse(head, 403)
            return
        if head.refusal == 400:
            self._refuse(head, 400)
        elif not exchange and page is None:
            self._refuse(head, 404)
        elif exchange and head.method == b"POST":
            self._refuse(head, head.refusal)
        elif page is None or head.method not in _PAGE_METHODS:
            self.port.counters.refuse(405)
            self._append(method_answer(b"POST" if page is None else b"GET, HEAD", closes=closes), closes=closes)
        else:
            status, content_type, content = page()
            bare = head.method == b"HEAD"
            self._append(page_answer(status, content_type, content, closes=closes, head=bare), closes=closes)

    def _peer(self) -> str | None:
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else None

    def refusal(self, status: int, text: bytes = b"", *, closes: bool) -> bytes:
        """The bytes of a refusal: without content (OpenRTB 2.6 section 2.4), but with words for this machine itself."""
        words = text or EXPLANATIONS.get(status, b"")
        if words and not self._proxied and self._is_local():
            return error_answer(status, words, closes=closes)
        return bid_answer(status, b"", closes=closes, gzips=False)

    def _is_local(self) -> bool:
        """Whether the peer is on this machine."""
        try:
            return ipaddress.ip_address(self._peer() or "").is_loopback
        except ValueError:
            return False

    def _refuse(self, head: Head, status: int) -> None:
        self.port.counters.refuse(status)
        closes = not head.keeps_alive
        self._proxied = self._proxied or head.forwarded
        self._append(self.refusal(status, closes=closes), closes=closes)

    def _refuse_and_close(self, status: int) -> None:
        self.port.counters.refuse(status)
        self._append(self.refusal(status, closes=True), closes=True)
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
        """Read on, unless the queue is still full or the peer takes no answers. What is held comes first."""
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
        self._now = self._held_since  # waiting here was part of each request's time
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
        if not self._queue and not self._framing.reading and not self._held and self._lingers_since is None:
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
            unsent = self._transport.get_write_buffer_size()
            if now - self._lingers_since > (limits.send_timeout_s if unsent else limits.linger_s):
                self.abort()
        elif self._starved_since is not None:
            if now - self._starved_since > limits.send_timeout_s:
                self.port.counters.time_out("send")
                self.abort()
        elif self._queue:
            if now - self._queue[0].arrival > limits.answer_timeout_s:
                self.port.counters.time_out("answer")
                self.abort()
        elif self._framing.reading:
            if now - self._arrival > limits.receive_timeout_s:
                self.port.counters.time_out("receive")
                self._refuse_and_close(408)
        elif now - self._idle_since > limits.idle_timeout_s:
            self.port.counters.time_out("idle")
            self.close_if_idle()
