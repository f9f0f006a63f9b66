"""Bid handlers and raw HTTP for the tests of the bid port."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

import msgspec
import pytest
import uvloop

from bidder.door.port import BidHandler, Reply, Sender
from bidder.door.server import BidLimits, BidServer
from core.clock import SystemClock


class RecordingHandler:
    """Keeps its requests, and answers when told to; with `answer` set, at once."""

    def __init__(self, answer: tuple[int, bytes] | None = None) -> None:
        self.answer = answer
        self.requests: list[tuple[str, bytes, float, bytes]] = []
        self.replies: list[Reply] = []
        self.senders: list[Sender] = []

    def submit(self, exchange_key: str, body: bytes, arrival: float, reply: Reply, sender: Sender) -> None:
        self.senders.append(sender)
        self.requests.append((exchange_key, body, arrival, sender.authorization))
        self.replies.append(reply)
        if self.answer is not None:
            reply(*self.answer)

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body, _, _ in self.requests]


class EchoHandler:
    """Stands in for the bidder: its answer follows from the request alone.

    JSON with `id` and `imp` is answered with 200 and its id (204 when the number of impressions is odd), any other body
    with 400; unknown exchanges with 404; `closed` wants a bearer token. Answers come in the next turn of the event
    loop, those of one turn in reverse order.
    """

    def __init__(self) -> None:
        self._batch: list[tuple[Reply, int, bytes]] = []

    def submit(self, exchange_key: str, body: bytes, arrival: float, reply: Reply, sender: Sender) -> None:
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._run)
        self._batch.append((reply, *decide(exchange_key, body, sender.authorization)))

    def _run(self) -> None:
        batch, self._batch = self._batch, []
        for reply, status, answer in reversed(batch):
            reply(status, answer)


def decide(exchange_key: str, body: bytes, authorization: bytes) -> tuple[int, bytes]:
    """The echo's rule, also used by the oracle."""
    if exchange_key == "closed" and authorization != b"Bearer secret":
        return 401, b""
    if exchange_key not in ("demo", "closed"):
        return 404, b""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return 400, b""
    if not isinstance(request, dict) or not request.get("id") or not isinstance(request.get("imp"), list):
        return 400, b""
    if len(request["imp"]) % 2:
        return 204, b""
    return 200, msgspec.json.encode({"id": request["id"], "seatbid": [], "ext": {"length": len(body) * "x"}})


class Answer(msgspec.Struct, frozen=True):
    """One HTTP answer, taken apart; field names in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes


def post(
    body: bytes,
    *,
    path: str = "/openrtb2/demo",
    headers: Sequence[tuple[str, str]] = (),
    method: str = "POST",
    version: str = "1.1",
) -> bytes:
    """A request with Host and Content-Length."""
    head = f"{method} {path} HTTP/{version}\r\nHost: bid.example\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers)
    return head.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def chunked(
    parts: Sequence[bytes], *, headers: Sequence[tuple[str, str]] = (), trailer: bytes = b"", extension: bytes = b""
) -> bytes:
    """A chunked request."""
    head = "POST /openrtb2/demo HTTP/1.1\r\nHost: bid.example\r\nTransfer-Encoding: chunked\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers)
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)
    return head.encode() + b"\r\n" + chunks + b"0\r\n" + trailer + b"\r\n"


def parse_answers(data: bytes, *, methods: Sequence[str] = ()) -> list[Answer]:
    """All answers in `data`; it must end with the last one. `methods`: of the requests, for HEAD has no body."""
    answers: list[Answer] = []
    while data:
        head, separator, data = data.partition(b"\r\n\r\n")
        assert separator, f"an answer ends within its head: {head!r}"
        first, *lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.[01] (\d{3}) .*", first)
        assert match is not None, first
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(match[1])
        length = int(fields.get("content-length", "0"))
        final = sum(answer.status != 100 for answer in answers)
        if final < len(methods) and methods[final] == "HEAD":
            length = 0
        assert status in (100, 204) or "content-length" in fields
        assert len(data) >= length, "an answer ends within its body"
        answers.append(Answer(status=status, fields=fields, body=data[:length]))
        data = data[length:]
    return answers


async def exchange(port: int, data: bytes, *, end: bool = True) -> bytes:
    """Send the data, end our side, and return all that comes until the server ends its side."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if end:
        writer.write_eof()
    received = await reader.read()
    writer.close()
    return received


@contextlib.asynccontextmanager
async def serving(handler: BidHandler, limits: BidLimits | None = None) -> AsyncIterator[BidServer]:
    """A bid server on a port of its own."""
    pages = {"/healthz": lambda: (200, "text/plain", b"ok")}
    server = BidServer(handler, clock=SystemClock(), pages=pages, limits=limits)
    await server.start("127.0.0.1", 0)
    try:
        yield server
    finally:
        server.abort()


def on_both_loops(test: Callable[[], Coroutine[None, None, None]]) -> Callable[..., None]:
    """Run an async test on uvloop, which production uses, and on asyncio's own loop, for systems without uvloop."""

    @pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
    def on_loop(run: Callable[[Coroutine[None, None, None]], None]) -> None:
        run(test())

    on_loop.__doc__ = test.__doc__
    return on_loop


async def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; TimeoutError when it does not within 10 s."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError("the condition does not come true")
