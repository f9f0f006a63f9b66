"""HTTP of the bid port without any connection: which URL means what, which bodies are read, how answers look as bytes.

Kept apart from bidder.door.connection, so that every rule here is a function of its arguments.
"""

import zlib
from functools import lru_cache
from typing import NamedTuple

# The largest request of the recorded corpus is 9 kB, video pods with supply chains and eids reach 60 kB. 256 KiB leaves
# room for both and bounds what one connection can make us hold, before and after decompression.
MAX_BODY_BYTES = 256 * 1024

# Below this the gzip header, the checksum and 20 us of CPU cost more than the bytes saved are worth (docs/bid-port.md).
MIN_GZIP_BYTES = 1024

# Level 1: markup shrinks to within 10 % of level 6 in a third of the time.
GZIP_LEVEL = 1

# Distinct URLs and header values of a bid port are a handful; the bound stops a stranger from filling memory with them.
MEMO_SIZE = 512

# `Exchange.key` is a short word. Anything longer is a 404 without asking the catalogue.
MAX_EXCHANGE_KEY_CHARS = 64

_GZIP_WINDOW = 31  # zlib's notation: 15 bits of window, gzip header and trailer
_BID_PREFIX = b"/openrtb2/"
_KEY_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")

REASONS = {
    200: b"OK",
    204: b"No Content",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    403: b"Forbidden",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    429: b"Too Many Requests",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_VERSION = b"x-openrtb-version: 2.6\r\n"
_CLOSE = b"connection: close\r\n"
_JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + _VERSION

# 9 of 10 answers are this one. No Content-Length: a 204 may not have one (RFC 9110, 8.6).
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n" + _VERSION + b"\r\n"

# What a status must say beside its number (RFC 9110: 11.6.1 for 401, 15.5.16 for 415, 10.2.3 for 503).
_STATUS_FIELDS = {
    401: b"www-authenticate: Bearer\r\n",
    415: b"accept: application/json\r\naccept-encoding: gzip\r\n",
    429: b"retry-after: 1\r\n",
    503: b"retry-after: 1\r\n",
}


# What a refusal by the port itself says to a peer on this machine, where the handler has not said more.
EXPLANATIONS = {
    400: b"not a request that can be read: POST JSON to /openrtb2/{exchange}, see docs/bid-port.md\n",
    401: b"the exchange has a bearer token: send Authorization: Bearer ...\n",
    404: b"no such address, or no active exchange with this key: POST to /openrtb2/{exchange}\n",
    408: b"the request did not come whole in time\n",
    413: b"the body is larger than bid.max_body_bytes\n",
    415: b"this content type or coding is not taken: send application/json, plain or gzip\n",
    431: b"the header is too large\n",
    503: b"too many connections: bid.max_connections\n",
}


class HttpRefusal(Exception):
    """A request whose end cannot be told, or is not worth waiting for: answer with `status`, then close.

    An exception, since it has to come out of the parser's nested callbacks.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Route(NamedTuple):
    """What a URL stands for: a bid request of `exchange`, or a page at `path`. Neither: 404."""

    exchange: str = ""
    path: str = ""


@lru_cache(maxsize=MEMO_SIZE)
def route(url: bytes) -> Route:
    """The route of a request target in origin or absolute form; the query string does not matter."""
    path = url.partition(b"?")[0].partition(b"#")[0]
    if not path.startswith(b"/"):
        scheme, separator, rest = path.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            return Route()
        path = b"/" + rest.partition(b"/")[2]
    if not path.startswith(_BID_PREFIX):
        return Route(path=path.decode("latin-1"))
    key = path[len(_BID_PREFIX) :]
    if not 0 < len(key) <= MAX_EXCHANGE_KEY_CHARS or not _KEY_BYTES.issuperset(key):
        return Route()
    return Route(exchange=key.decode("ascii"))


@lru_cache(maxsize=MEMO_SIZE)
def is_json(content_type: bytes) -> bool:
    """Whether a Content-Type announces JSON; parameters such as `charset` do not matter (OpenRTB 2.6 section 2.3)."""
    media_type = content_type.partition(b";")[0].strip().lower()
    return media_type in (b"", b"application/json", b"text/json") or (
        media_type.startswith(b"application/") and media_type.endswith(b"+json")
    )


@lru_cache(maxsize=MEMO_SIZE)
def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether an Accept-Encoding asks for gzip by name; `*` is not taken as asking (docs/openrtb.md, T7)."""
    for offer in accept_encoding.lower().split(b","):
        coding, _, parameters = offer.partition(b";")
        if coding.strip() in (b"gzip", b"x-gzip"):
            return not _is_zero_quality(parameters)
    return False


def _is_zero_quality(parameters: bytes) -> bool:
    name, _, value = parameters.replace(b" ", b"").partition(b"=")
    return name == b"q" and value.strip(b"0") in (b"", b".")


@lru_cache(maxsize=MEMO_SIZE)
def content_coding(content_encoding: bytes) -> bool | None:
    """True: the body is gzip. False: it is plain. None: a coding that is not read here (415)."""
    coding = content_encoding.strip().lower()
    if coding in (b"gzip", b"x-gzip"):
        return True
    return False if coding in (b"", b"identity") else None


def gunzip(body: bytes | bytearray, limit: int = MAX_BODY_BYTES) -> bytes | None:
    """The decompressed body, or None when it is not whole and valid gzip. Several members are joined (RFC 1952, 2.2).

    Raises HttpRefusal(413) past `limit` bytes, having held no more than one above it: a bomb costs what its first
    256 KiB cost.
    """
    parts: list[bytes] = []
    room = limit
    rest = bytes(body)
    while rest:
        decompressor = zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = decompressor.decompress(rest, room + 1)
        except zlib.error:
            return None
        if len(part) > room:
            raise HttpRefusal(413)
        if not decompressor.eof:
            return None
        parts.append(part)
        room -= len(part)
        rest = decompressor.unused_data
    return b"".join(parts) if parts else None


def bid_answer(status: int, body: bytes, *, closes: bool, gzips: bool) -> bytes:
    """The bytes of an answer to a bid request; statuses other than 200 have no content (OpenRTB 2.6 section 2.1)."""
    if status != 200:
        return _EMPTY_CLOSING[status] if closes else _EMPTY[status]
    coding = b""
    if gzips and len(body) >= MIN_GZIP_BYTES:
        body = zlib.compress(body, GZIP_LEVEL, _GZIP_WINDOW)
        coding = b"content-encoding: gzip\r\n"
    if closes:
        coding += _CLOSE
    return b"%s%scontent-length: %d\r\n\r\n%s" % (_JSON_HEAD, coding, len(body), body)


def error_answer(status: int, text: bytes, *, closes: bool) -> bytes:
    """A refusal with words, for a person who tries the port from this machine; exchanges get no words."""
    return b"HTTP/1.1 %d %s\r\n%s%scontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n%s" % (
        status,
        REASONS[status],
        _STATUS_FIELDS.get(status, b""),
        _CLOSE if closes else b"",
        len(text),
        text,
    )


def page_answer(status: int, content_type: str, body: bytes, *, closes: bool, head: bool) -> bytes:
    """The bytes of an answer to a page (health, metrics); `head`: the same without the content."""
    return b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\n%scontent-length: %d\r\n\r\n%s" % (
        status,
        REASONS.get(status, b"Status"),
        content_type.encode("latin-1"),
        _CLOSE if closes else b"",
        len(body),
        b"" if head else body,
    )


def method_answer(allowed: bytes, *, closes: bool) -> bytes:
    """405, naming the methods that the URL has."""
    return b"HTTP/1.1 405 %s\r\nallow: %s\r\n%scontent-length: 0\r\n\r\n" % (
        REASONS[405],
        allowed,
        _CLOSE if closes else b"",
    )


def _empty_answer(status: int, *, closes: bool) -> bytes:
    close = _CLOSE if closes else b""
    if status == 204:
        return b"HTTP/1.1 204 %s\r\n%s%s\r\n" % (REASONS[204], _VERSION, close)
    return b"HTTP/1.1 %d %s\r\n%s%scontent-length: 0\r\n\r\n" % (
        status,
        REASONS[status],
        _STATUS_FIELDS.get(status, b""),
        close,
    )


_EMPTY = {status: _empty_answer(status, closes=False) for status in REASONS if status != 200}
_EMPTY_CLOSING = {status: _empty_answer(status, closes=True) for status in REASONS if status != 200}
