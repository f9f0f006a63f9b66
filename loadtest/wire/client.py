"""An HTTP/1.1 client that is never the bottleneck: raw protocol, keep-alive, one request at a time on a connection.

A generator that costs as much as the server it measures measures itself. This client writes prebuilt bytes and parses
only what it needs of an answer: status, length, and the head as bytes, where a caller wants a header.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

Tag = TypeVar("Tag")

# No OpenRTB answer comes near it; a peer that sends more is broken and may not fill our memory.
MAX_ANSWER_BYTES = 8 * 1024 * 1024

# A refused connection is tried again after this long, so that a bidder that restarts is not flooded.
RECONNECT_S = 0.1

# An answer's head is its status, its length and little else, so the same few thousand come again and again: to read one
# costs 2 us, to find a known one 0.1.
_KNOWN_HEADS = 8_192

HeadFacts = tuple[int, int, bool]
"""The facts of an answer's head: status, bytes of the body (-1: chunked), whether the connection stays open."""

STATUS_NO_ANSWER = 0
"""Status of a request whose connection ended, or whose patience ran out, before a whole answer came."""


class Target(NamedTuple):
    """Where a URL points to. `path` includes the query."""

    host: str
    port: int
    path: str
    tls: bool

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Split an http(s) URL. Raises ValueError if it is not one."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"'{url}' is not an http URL: write it as http://127.0.0.1:8080/openrtb2/demo")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    tls = parts.scheme == "https"
    return Target(parts.hostname, parts.port or (443 if tls else 80), path, tls)


def request_head(target: Target, method: str, headers: tuple[tuple[str, str], ...], length: int | None) -> bytes:
    """Head of a request as bytes, with Content-Length when `length` is given."""
    lines = [f"{method} {target.path} HTTP/1.1", f"Host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def header_value(head: bytes, name: bytes) -> bytes | None:
    """Value of a header (given in lower case) in an answer's head; None when absent."""
    start = head.lower().find(b"\r\n" + name + b":")
    if start < 0:
        return None
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


class Connection(asyncio.Protocol, Generic[Tag]):
    """One keep-alive connection with at most one request outstanding."""

    __slots__ = ("_buffer", "_need", "_pool", "sent_at", "served", "tag", "transport")

    def __init__(self, pool: "Pool[Tag]") -> None:
        self._pool = pool
        self._buffer = b""
        self._need = 0
        self.transport: asyncio.Transport  # set by connection_made, before which nobody has this object
        self.tag: Tag | None = None
        self.sent_at = 0.0
        self.served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, and does not inherit them

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            if len(data) < self._need:
                self._buffer = data
                return
            self._buffer = b""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._keep(data, 0)
            return
        head = data[:end]
        facts = self._pool.heads.get(head)
        if facts is None:
            try:
                facts = self._pool.learn(head)
            except ValueError:
                self.abort()  # not HTTP: the request is reported as unanswered
                return
        status, size, keep = facts
        if size < 0:
            self._chunked(head, status, keep, data[end + 4 :], data)
            return
        total = end + 4 + size
        if len(data) < total:
            self._keep(data, total)
            return
        if len(data) > total:
            self._buffer, self._need = data[total:], 0
        self._complete(status, head, data[end + 4 : total], keep)

    def _keep(self, data: bytes, need: int) -> None:
        if max(len(data), need) > MAX_ANSWER_BYTES:
            self.abort()
            return
        self._buffer, self._need = data, need

    def _chunked(self, head: bytes, status: int, keep: bool, rest: bytes, data: bytes) -> None:
        """Answers of other servers may be chunked; ours are not, so this is not on the fast path."""
        try:
            body = _dechunk(rest)
        except ValueError:
            self.abort()
            return
        if body is None:
            self._keep(data, 0)
            return
        self._complete(status, head, body, keep)

    def _complete(self, status: int, head: bytes, body: bytes, keep: bool) -> None:
        if status < 200:
            if self._buffer:
                self.data_received(b"")
            return
        tag, self.tag = self.tag, None
        self.served += 1
        if tag is None or self._buffer:
            self._buffer = b""
            self._pool.unsolicited += 1
            self.abort()
        if not keep:
            self.transport.close()
        if tag is not None:
            self._pool.answered(self, tag, status, head, body, keep)

    def abort(self) -> None:
        """Drop the connection at once; an outstanding request counts as unanswered."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # whatever the cause, the request has no answer
        self._pool.lost(self)


def _read_head(head: bytes) -> HeadFacts:
    """The facts of a head. Raises ValueError when it is not one of HTTP/1."""
    if not head.startswith(b"HTTP/1."):
        raise ValueError("not HTTP")
    status = int(head[9:12])
    keep = head[5:8] != b"1.0" and (header_value(head, b"connection") or b"").lower() != b"close"
    return status, _body_size(head), keep


def _body_size(head: bytes) -> int:
    """Bytes of the body that follows a head; -1 when chunked. Raises ValueError when it is not a number."""
    length = header_value(head, b"content-length")
    if length is None:
        return -1 if (header_value(head, b"transfer-encoding") or b"").lower() == b"chunked" else 0
    size = int(length)
    if size < 0 or size > MAX_ANSWER_BYTES:
        raise ValueError("impossible Content-Length")
    return size


def _dechunk(data: bytes) -> bytes | None:
    """Body of a chunked answer, or None while it is not complete."""
    parts: list[bytes] = []
    position = 0
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            return None
        size = int(data[position:end].split(b";", 1)[0], 16)
        position = end + 2
        if size == 0:
            return b"".join(parts) if data.endswith(b"\r\n\r\n") or data[position : position + 2] == b"\r\n" else None
        if len(data) < position + size + 2:
            return None
        parts.append(data[position : position + size])
        position += size + 2


class Pool(Generic[Tag]):
    """Up to `size` connections to one target, and the requests that wait for one.

    `on_answer(tag, status, head, body)` is called once for every submitted request, with status 0 when there is no
    answer. No submitted request is ever forgotten.
    """

    def __init__(
        self,
        target: Target,
        size: int,
        on_answer: Callable[[Tag, int, bytes, bytes], None],
        monotonic: Callable[[], float],
        *,
        patience_s: float = 5.0,
        requests_per_connection: int = 0,
    ) -> None:
        self._target = target
        self._size = size
        self._on_answer = on_answer
        self._monotonic = monotonic
        self._patience_s = patience_s
        self._churn = requests_per_connection  # 0: connections live as long as the server lets them
        self._idle: list[Connection[Tag]] = []
        self._all: set[Connection[Tag]] = set()
        self._waiting: deque[tuple[Tag, bytes]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._context = ssl.create_default_context() if target.tls else None
        self._closing = False
        self.heads: dict[bytes, HeadFacts] = {}
        self.connect_errors = 0
        self.reconnects = 0
        self.unsolicited = 0

    def learn(self, head: bytes) -> HeadFacts:
        """Read an answer's head, and remember it. Raises ValueError when it is none."""
        if len(self.heads) >= _KNOWN_HEADS:
            self.heads.clear()
        facts = self.heads[head] = _read_head(head)
        return facts

    async def open(self) -> None:
        """Connect all. Raises OSError when the target refuses the first connection."""
        await self._connect()
        await asyncio.gather(*(self._connect() for _ in range(self._size - 1)))

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self), self._target.host, self._target.port, ssl=self._context
        )
        self._all.add(connection)
        self._offer(connection)

    async def _reconnect(self) -> None:
        while not self._closing:
            try:
                await self._connect()
            except OSError:
                self.connect_errors += 1
                await asyncio.sleep(RECONNECT_S)
            else:
                self.reconnects += 1
                return

    def submit(self, tag: Tag, data: bytes, now: float | None = None) -> None:
        """Send at once if a connection is free, otherwise as soon as one is. The caller may give the time as `now`."""
        if self._idle:
            connection = self._idle.pop()
            connection.tag = tag
            connection.sent_at = self._monotonic() if now is None else now
            connection.transport.write(data)
        else:
            self._waiting.append((tag, data))

    def _offer(self, connection: Connection[Tag]) -> None:
        self._idle.append(connection)
        if self._waiting:
            self.submit(*self._waiting.popleft())

    def answered(
        self, connection: Connection[Tag], tag: Tag, status: int, head: bytes, body: bytes, keep: bool
    ) -> None:
        """Called by a connection with its complete answer."""
        transport = connection.transport
        if keep and not transport.is_closing():
            if self._churn and connection.served >= self._churn:
                transport.close()
            else:
                self._offer(connection)
        self._on_answer(tag, status, head, body)

    def lost(self, connection: Connection[Tag]) -> None:
        """Called by a connection that has ended; opens another in its place."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        tag, connection.tag = connection.tag, None
        if not self._closing:
            task = asyncio.get_running_loop().create_task(self._reconnect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        if tag is not None:
            self._on_answer(tag, STATUS_NO_ANSWER, b"", b"")

    def sweep(self) -> None:
        """Give up on requests that have been out longer than the patience. Call it now and then."""
        limit = self._monotonic() - self._patience_s
        for connection in tuple(self._all):
            if connection.tag is not None and connection.sent_at < limit:
                connection.abort()

    @property
    def idle(self) -> bool:
        """Whether a connection is free."""
        return bool(self._idle)

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiting)

    @property
    def outstanding(self) -> int:
        """Requests that have no answer yet, sent or waiting."""
        return len(self._waiting) + sum(connection.tag is not None for connection in self._all)

    def drop_waiting(self) -> int:
        """Report everything that waits as unanswered (at the end of a run); returns how many."""
        dropped, self._waiting = self._waiting, deque()
        for tag, _ in dropped:
            self._on_answer(tag, STATUS_NO_ANSWER, b"", b"")
        return len(dropped)

    async def close(self) -> None:
        """Close everything; what is outstanding is reported as unanswered."""
        self._closing = True
        for task in tuple(self._connecting):
            task.cancel()
        self.drop_waiting()
        for connection in tuple(self._all):
            connection.abort()
        while self._all:  # noqa: ASYNC110  # aborted transports report within a turn or two of the loop
            await asyncio.sleep(0)  # aborted transports report within a turn or two of the loop
