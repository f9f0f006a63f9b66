"""Where a request begins and ends in the bytes of a connection, and whether it may be read at all.

httptools (llhttp) does the framing and is strict: repeated or signed Content-Length, Content-Length with
Transfer-Encoding, folded headers, bare CR or LF and blanks before a colon end in its error. What it lets through is
refused here: transfer codings other than a single `chunked`, chunked HTTP/1.0, other HTTP versions, missing or repeated
Host, endless heads, endless chunk extensions.
"""

from typing import Protocol

import httptools

from bidder.http import MAX_BODY_BYTES, Refusal, accepts_gzip, content_coding, is_json
from bidder.port import SLICE_BYTES

# Request line and headers. Real ones have 300-800 bytes; proxies and cookies add a few kB. Counted by slices, so that
# up to SLICE_BYTES more may pass.
MAX_HEAD_BYTES = 16 * 1024

# Bytes on the wire for each byte of a body. Chunked framing adds 5 bytes a chunk, so a body in chunks of one byte has
# six times its size. More than that is chunk extensions, which nobody needs.
MAX_WIRE_FACTOR = 6

# The fields that are read; all others are passed over. `content-enconding` is the misspelling of the OpenRTB text
# itself (2.6, section 2.4), which some exchanges copied.
_FIELDS = {
    name: b"content-encoding" if name == b"content-enconding" else name
    for name in (
        b"accept-encoding", b"authorization", b"content-enconding", b"content-encoding", b"content-length",
        b"content-type", b"expect", b"host", b"transfer-encoding", b"upgrade",
    )
}  # fmt: skip


class Sink(Protocol):
    """Who is told about requests."""

    def request_complete(self, request: "Framing") -> None:
        """A request was read to its end; its parts are the attributes of `request` until this returns."""
        ...

    def continue_expected(self) -> None:
        """The peer waits for `100 Continue` before it sends the content."""
        ...


class Framing:
    """The requests of one connection, one after the other.

    Attributes of the request being read: `url`, `method`, `body` (as sent), `refusal` (the status to answer with, 0
    when the handler may see it), `gzipped` (the body is gzip), `gzips` (the answer may be), `keeps_alive`.
    """

    __slots__ = (
        "_fields", "_in_body", "_max_body", "_parser", "_received", "_sink", "_upgrades", "body", "gzipped", "gzips",
        "keeps_alive", "method", "refusal", "url",
    )  # fmt: skip

    def __init__(self, sink: Sink, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._sink = sink
        self._max_body = max_body_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._received = 0  # bytes since the last request's end, give or take a slice
        self.method = b""
        self.refusal = 0
        self.gzips = self.gzipped = False
        self.keeps_alive = True
        self._begin()

    @property
    def authorization(self) -> bytes:
        """Value of the Authorization field, b"" without one."""
        return self._fields.get(b"authorization", b"")

    def feed(self, data: bytes) -> None:
        """Read on; `data` has at most SLICE_BYTES. Raises Refusal when no later byte can be made sense of."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ or error) from None
        except httptools.HttpParserError:
            raise Refusal(400) from None
        self._received += len(data)
        if self._received > MAX_HEAD_BYTES + SLICE_BYTES:
            if not self._in_body:
                raise Refusal(431)
            if self._received > MAX_HEAD_BYTES + SLICE_BYTES + MAX_WIRE_FACTOR * self._max_body:
                raise Refusal(413)

    def _begin(self) -> None:
        self.url = b""
        self.body: bytes | bytearray = b""
        self._fields: dict[bytes, bytes] = {}
        self._in_body = False
        self._upgrades = False

    def _decline_upgrade(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 (RFC 9110, 7.8): some clients offer h2c with their first request.

        The parser has ended that message at its head, so a fresh one gets the head again without the offer.
        """
        if not self._upgrades:
            raise Refusal(405)  # CONNECT: there is no tunnel here
        fields = [b"%s: %s\r\n" % field for field in self._fields.items() if field[0] != b"upgrade"]
        fields.append(b"connection: keep-alive\r\n" if self.keeps_alive else b"connection: close\r\n")
        head = b"%s %s HTTP/1.1\r\n%s\r\n" % (self._parser.get_method(), self.url, b"".join(fields))
        self._parser = httptools.HttpRequestParser(self)
        self._begin()
        self.feed(head)
        if rest:
            self.feed(rest)

    def on_url(self, part: bytes) -> None:
        """Called by the parser, as all on_* below. A URL may come in parts."""
        self.url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A repeated field is joined as a list (RFC 9110, 5.2), which none of those that frame a message survives."""
        field = _FIELDS.get(name.lower())
        if field is None or self._in_body:  # fields after a chunked body say nothing that is used
            return
        fields = self._fields
        fields[field] = fields[field] + b", " + value if field in fields else value

    def on_headers_complete(self) -> None:
        """Everything that can be known before the content: refuse at once what must not or need not be read."""
        fields = self._fields
        parser = self._parser
        self.keeps_alive = parser.should_keep_alive()
        if b"upgrade" in fields and parser.should_upgrade():
            self._upgrades = True
            return
        self._in_body = True
        self.refusal = 0
        self.gzips = self.gzipped = False
        self.method = parser.get_method()
        version = parser.get_http_version()
        if version != "1.1":
            self._admit_old(version)
        elif b"host" not in fields or b"," in fields[b"host"]:
            self.refusal = 400
        if b"transfer-encoding" in fields:
            if fields[b"transfer-encoding"].strip().lower() != b"chunked":
                raise Refusal(501)
        elif b"content-length" in fields and int(fields[b"content-length"]) > self._max_body:
            raise Refusal(413)
        if self.method == b"POST":
            self._negotiate(fields)
        if b"expect" in fields and version == "1.1":
            self._expect(fields)

    def _admit_old(self, version: str) -> None:
        if version != "1.0":
            raise Refusal(505)
        if b"transfer-encoding" in self._fields:
            raise Refusal(400)  # a proxy of that age does not know chunks: the two of us would frame it differently
        self.keeps_alive = False

    def _negotiate(self, fields: dict[bytes, bytes]) -> None:
        if b"content-type" in fields and not is_json(fields[b"content-type"]):
            self.refusal = self.refusal or 415
        if b"content-encoding" in fields:
            coding = content_coding(fields[b"content-encoding"])
            if coding is None:
                self.refusal = self.refusal or 415
            self.gzipped = bool(coding)
        if b"accept-encoding" in fields:
            self.gzips = accepts_gzip(fields[b"accept-encoding"])

    def _expect(self, fields: dict[bytes, bytes]) -> None:
        if fields[b"expect"].strip().lower() != b"100-continue":
            raise Refusal(417)
        if self.refusal:  # nobody can tell whether the content still comes after a final answer (RFC 9110, 10.1.1)
            raise Refusal(self.refusal)
        if int(fields.get(b"content-length", b"1")):
            self._sink.continue_expected()

    def on_body(self, part: bytes) -> None:
        """Mostly one part, which is kept as it is."""
        if not self.body:
            self.body = part
            return
        if len(self.body) + len(part) > self._max_body:
            raise Refusal(413)
        if isinstance(self.body, bytes):
            self.body = bytearray(self.body)
        self.body += part

    def on_message_complete(self) -> None:
        """Hand the request over and begin the next one."""
        if self._upgrades:
            return
        self._sink.request_complete(self)
        self._received = 0
        self._begin()
