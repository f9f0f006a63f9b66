"""A bidder whose every answer and delay the test decides, on a real socket."""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType

Reply = Callable[[bytes], bytes]
"""Makes the whole answer, head included, from a request's body; if it is empty the test answers later, over `held`."""

NO_BID = b"HTTP/1.1 204 No Content\r\n\r\n"


def json_answer(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


class _Connection(asyncio.Protocol):
    def __init__(self, bidder: "FakeBidder") -> None:
        self._bidder = bidder
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._bidder.transports.append(transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            start = head.lower().find(b"content-length:")
            size = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self._buffer) < end + 4 + size:
                return
            body = self._buffer[end + 4 : end + 4 + size]
            self._buffer = self._buffer[end + 4 + size :]
            self._bidder.heads.append(head)
            answer = self._bidder.reply(body)
            if answer:
                self._transport.write(answer)
            else:
                self._bidder.held.append(self._transport)


class FakeBidder:
    """Listens on loopback as an asynchronous context manager; keeps the heads of all requests."""

    def __init__(self, reply: Reply = lambda _: NO_BID) -> None:
        self.reply = reply
        self.heads: list[bytes] = []
        self.transports: list[asyncio.Transport] = []
        self.held: deque[asyncio.Transport] = deque()  # waiting for an answer, in the order of requests
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "FakeBidder":
        self._server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            for transport in self.transports:
                transport.abort()
            await self._server.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; only the test's timeout ends it otherwise."""
    while not condition():  # noqa: ASYNC110  # a test waits for sockets, not for an event of its own
        await asyncio.sleep(0.001)
