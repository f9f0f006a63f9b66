"""Where a request begins and ends in the bytes of a connection, and whether it may be read at all.

httptools (llhttp) does the framing and is strict: repeated or signed Content-Length, Content-Length with
Transfer-Encoding, folded headers, bare CR or LF and blanks before a colon end in its error. What it lets through is
refused here: transfer codings other than a single `chunked`, chunked HTTP/1.0, other HTTP versions, missing or repeated
Host, endless heads, endless chunk extensions.

An exchange sends the same head over a connection again and again, only the digits of Content-Length differ. A head that
the parser has approved once is therefore recognised by comparing bytes, and what was understood of it is used again.
"""

import re
from typing import Protocol

import httptools

from bidder.door.http import MAX_BODY_BYTES, HttpRefusal, Route, accepts_gzip, content_coding, is_json, route
from bidder.door.limits import SLICE_BYTES
from bidder.door.port import Sender

# Request line and headers. Real ones have 300-800 bytes; proxies and cookies add a few kB. Counted by slices, so that
# up to SLICE_BYTES more may pass.
MAX_HEAD_BYTES = 16 * 1024

# Bytes on the wire for each byte of a body. Chunked framing adds 5 bytes a chunk, so a body in chunks of one byte has
# six times its size. More than that is chunk extensions, which nobody needs.
MAX_WIRE_FACTOR = 6

# Heads that differ every time (a trace id in them) are not worth remembering: stop after so many in a row.
MAX_FRUITLESS_HEADS = 8

# Digits of a Content-Length that are read by comparing; the parser deals with longer ones.
MAX_LENGTH_DIGITS = 7

# The fields that are read; all others are passed over. `content-enconding` is the misspelling of the OpenRTB text
# itself (2.6, section 2.4), which some exchanges copied.
_FIELDS = {
    name: name
    for name in (
        b"accept-encoding", b"authorization", b"content-encoding", b"content-length", b"content-type", b"expect",
        b"forwarded", b"host", b"transfer-encoding", b"upgrade",
    )
} | {
    b"content-enconding": b"content-encoding",  # the specification's own misspelling (OpenRTB 2.6, section 2.5)
    b"x-forwarded-for": b"forwarded",
    b"x-real-ip": b"forwarded",
    b"via": b"forwarded",
}  # fmt: skip

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]+)\r\n", re.IGNORECASE)


class Head:
    """What was understood of a request's first line and fields."""

    __slots__ = ("fields", "forwarded", "gzipped", "gzips", "keeps_alive", "method", "refusal", "route", "sender")

    def __init__(
        self,
        method: bytes,
        target: Route,
        *,
        keeps_alive: bool,
        fields: dict[bytes, bytes] | None = None,
        forwarded: bool = False,
    ) -> None:
        self.method = method
        self.route = target
        self.keeps_alive = keeps_alive
        self.fields = fields or {}
        self.sender: Sender | None = None  # made by the connection, which knows the peer
        self.forwarded = forwarded  # a proxy speaks for somebody else
        self.refusal = 0  # the status to answer with; 0: the handler may see it
        self.gzipped = False  # the body is
        self.gzips = False  # the answer may be


class Sink(Protocol):
    """What is told about requests."""

    def request_complete(self, head: Head, body: bytes | bytearray) -> None:
        """A request was read to its end; the body is as it was sent, without chunks."""
        ...

    def continue_expected(self) -> None:
        """The peer waits for `100 Continue` before it sends the content."""
        ...


class Framing:
    """The requests of one connection, one after the other. `reading`: the last byte fed was inside a request."""

    __slots__ = (
        "_after_length", "_before_length", "_body", "_fields", "_fruitless", "_head", "_in_body", "_known_head",
        "_max_body", "_missing", "_parser", "_received", "_sink", "_upgrades", "_url", "reading",
    )  # fmt: skip

    def __init__(self, sink: Sink, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._sink = sink
        self._max_body = max_body_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._received = 0  # bytes since the last request's end, give or take a slice
        self._head: Head
        self._url: bytes
        self._body: bytes | bytearray
        self._fields: dict[bytes, bytes]
        self._known_head: Head | None = None  # its bytes are `_before_length`, digits, `_after_length`
        self._before_length = self._after_length = b""
        self._fruitless = 0
        self._missing = 0  # bytes of a body behind a known head that are still to come
        self.reading = False
        self._begin()

    def end(self) -> None:
        """Stop reading: let go of what refers back, so that the last reference frees the connection.

        The garbage collector would otherwise do that, but gc.freeze() exempts all objects that exist when a catalogue
        comes (core.collector).
        """
        del self._parser, self._sink

    def feed(self, data: bytes) -> None:
        """Read on; `data` has at most SLICE_BYTES. Raises HttpRefusal when no later byte can be made sense of."""
        if self._missing:
            data = self._feed_missing(data)
        while data and self._known_head is not None and not self.reading:
            rest = self._feed_known(self._known_head, data)
            if rest is None:
                break
            data = rest
        if data:
            self._feed_unknown(data)

    # -- heads seen before -------------------------------------------------------------------------------------------

    def _feed_known(self, head: Head, data: bytes) -> bytes | None:
        """Take one request with the known head from `data`. Returns what follows it, or None for another head."""
        before = self._before_length
        if not data.startswith(before):
            return None
        end = data.find(b"\r", len(before), len(before) + MAX_LENGTH_DIGITS + 1)
        digits = data[len(before) : end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._after_length, end):
            return None
        length = int(digits)
        if length > self._max_body:
            return None
        start = end + len(self._after_length)
        end = start + length
        self._fruitless = 0
        if end > len(data):
            self._head = head
            self._body = bytearray(data[start:])
            self._missing = end - len(data)
            self.reading = True
            return b""
        self._sink.request_complete(head, data[start:end])
        return data[end:]

    def _feed_missing(self, data: bytes) -> bytes:
        body = self._body
        assert isinstance(body, bytearray)  # noqa: S101 - tells the type checker what _feed_known has set
        body += data[: self._missing]
        rest = data[self._missing :]
        self._missing -= len(data) - len(rest)
        if not self._missing:
            self.reading = False
            self._body = b""
            self._sink.request_complete(self._head, body)
        return rest

    def _learn(self, data: bytes) -> None:
        """Remember the head of `data`, which the parser has just read, if `data` is one ordinary bid request."""
        if not data.startswith(b"POST "):
            return
        head = self._head
        if not head.route.exchange or head.refusal or not head.keeps_alive:
            return
        head_end = data.find(b"\r\n\r\n") + 4
        found = _CONTENT_LENGTH.search(data, 0, head_end - 2)
        if found is None or head_end + int(found[1]) != len(data):
            return
        self._known_head = head
        self._before_length = data[: found.start(1)]
        self._after_length = data[found.end(1) : head_end]
        self._fruitless += 1

    # -- heads seen for the first time -------------------------------------------------------------------------------

    def _feed_unknown(self, data: bytes) -> None:
        whole = not self.reading
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ or error) from None
        except httptools.HttpParserError:
            raise HttpRefusal(400) from None
        if whole and not self.reading and self._fruitless < MAX_FRUITLESS_HEADS:
            self._learn(data)
        self._received += len(data)
        if self._received > MAX_HEAD_BYTES + SLICE_BYTES:
            if not self._in_body:
                raise HttpRefusal(431)
            if self._received > MAX_HEAD_BYTES + SLICE_BYTES + MAX_WIRE_FACTOR * self._max_body:
                raise HttpRefusal(413)

    def _begin(self) -> None:
        self._url = b""
        self._body = b""
        self._fields = {}
        self._in_body = False
        self._upgrades = False

    def _decline_upgrade(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 (RFC 9110, 7.8): some clients offer h2c with their first request.

        The parser has ended that message at its head, so a fresh one gets the head again without the offer.
        """
        if not self._upgrades:
            raise HttpRefusal(400)  # the parser saw an offer where on_headers_complete saw none
        fields = [b"%s: %s\r\n" % field for field in self._fields.items() if field[0] != b"upgrade"]
        fields.append(b"connection: keep-alive\r\n" if self._head.keeps_alive else b"connection: close\r\n")
        head = b"%s %s HTTP/1.1\r\n%s\r\n" % (self._head.method, self._url, b"".join(fields))
        self._parser = httptools.HttpRequestParser(self)
        self._begin()
        self._feed_unknown(head)
        if rest:
            self._feed_unknown(rest)

    def on_message_begin(self) -> None:
        """The parser calls this at the first byte of a method, and the other on_* below at their places."""
        self.reading = True

    def on_url(self, part: bytes) -> None:
        """A URL may come in parts."""
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A repeated field is joined as a list (RFC 9110, 5.2): one that frames a message is refused for that later."""
        lower = name.lower()
        field = _FIELDS.get(lower)
        if self._in_body:  # fields after a chunked body say nothing that is used
            return
        fields = self._fields
        if lower.startswith(b"x-"):  # one of these may be an exchange's secret
            fields[lower] = fields[lower] + b", " + value if lower in fields else value
        if field is None:
            return
        fields[field] = fields[field] + b", " + value if field in fields else value

    def on_headers_complete(self) -> None:
        """Judge all that is known before the content: refuse at once what must not or need not be read."""
        fields = self._fields
        parser = self._parser
        self._head = head = Head(
            parser.get_method(),
            route(self._url),
            keeps_alive=parser.should_keep_alive(),
            fields=fields,
            forwarded=b"forwarded" in fields,
        )
        if head.method == b"CONNECT":
            raise HttpRefusal(501)  # what follows would be a tunnel, not requests
        if b"upgrade" in fields and parser.should_upgrade():
            self._upgrades = True
            return
        self._in_body = True
        version = parser.get_http_version()
        if version != "1.1":
            self._admit_old(version)
        elif b"host" not in fields or b"," in fields[b"host"]:
            head.refusal = 400
        if b"transfer-encoding" in fields:
            if fields[b"transfer-encoding"].strip().lower() != b"chunked":
                raise HttpRefusal(501)
        elif b"content-length" in fields and int(fields[b"content-length"]) > self._max_body:
            raise HttpRefusal(413)
        if head.method == b"POST":
            self._negotiate(head, fields)
        if b"expect" in fields and version == "1.1":
            self._expect(head, fields)

    def _admit_old(self, version: str) -> None:
        if version != "1.0":
            raise HttpRefusal(505)
        if b"transfer-encoding" in self._fields:
            raise HttpRefusal(400)  # a proxy of that age does not know chunks: the two of us would frame it differently
        self._head.keeps_alive = False

    def _negotiate(self, head: Head, fields: dict[bytes, bytes]) -> None:
        if b"content-type" in fields and not is_json(fields[b"content-type"]):
            head.refusal = head.refusal or 415
        if b"content-encoding" in fields:
            coding = content_coding(fields[b"content-encoding"])
            if coding is None:
                head.refusal = head.refusal or 415
            head.gzipped = bool(coding)
        if b"accept-encoding" in fields:
            head.gzips = accepts_gzip(fields[b"accept-encoding"])

    def _expect(self, head: Head, fields: dict[bytes, bytes]) -> None:
        if fields[b"expect"].strip().lower() != b"100-continue":
            raise HttpRefusal(417)
        if head.refusal:  # nobody can tell whether the content still comes after a final answer (RFC 9110, 10.1.1)
            raise HttpRefusal(head.refusal)
        self._fruitless = MAX_FRUITLESS_HEADS  # each of its requests needs its own `100 Continue`
        self._known_head = None
        if int(fields.get(b"content-length", b"1")):
            self._sink.continue_expected()

    def on_body(self, part: bytes) -> None:
        """Add a part of the body; usually there is one, which is kept as it is."""
        if not self._body:
            self._body = part
            return
        if len(self._body) + len(part) > self._max_body:
            raise HttpRefusal(413)
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += part

    def on_message_complete(self) -> None:
        """Hand the request over and begin the next one."""
        if self._upgrades:
            return
        self._sink.request_complete(self._head, self._body)
        self._received = 0
        self.reading = False
        self._begin()
