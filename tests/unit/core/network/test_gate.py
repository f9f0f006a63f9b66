"""Connections beyond the caps, and requests that do not end in time, are ended; the others do not notice."""

import asyncio
import resource
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aiohttp import web

from core.network import gate as gates
from core.network.bodies import BodyRefused, read_body
from core.network.gate import Caps, Gate, fitted, raise_handle_limit
from core.network.proxies import Proxies


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class Port:
    """An aiohttp application behind a gate, on a real socket."""

    def __init__(self, caps: Caps, proxies: Proxies) -> None:
        self.clock = Clock()
        self.refused: list[str] = []
        self.gate = Gate(caps, proxies, self.clock, self.refused.append)
        self.number = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        async def echo(request: web.Request) -> web.Response:
            try:
                return web.Response(body=await read_body(request, 1_000_000))
            except BodyRefused as error:
                return web.Response(status=error.status)

        async def deaf(_request: web.Request) -> web.Response:
            await asyncio.sleep(60)
            return web.Response()

        app = web.Application(middlewares=[self.gate.middleware])
        app.add_routes([web.post("/", echo), web.get("/", echo), web.post("/deaf", deaf)])
        self.runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=0.1)
        await self.runner.setup()
        inner = self.runner.server
        assert inner is not None
        self.server = await asyncio.get_running_loop().create_server(
            lambda: self.gate.watch(cast(asyncio.Protocol, inner())), "127.0.0.1", 0
        )
        self.number = self.server.sockets[0].getsockname()[1]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        opened = await asyncio.open_connection("127.0.0.1", self.number)
        self.writers.append(opened[1])
        return opened

    async def stop(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)
        self.server.close()
        await self.runner.cleanup()

    def sweep(self) -> None:
        for watched in tuple(self.gate._watched.values()):
            watched.check(self.clock.now)


@pytest.fixture
async def port(request: pytest.FixtureRequest) -> AsyncIterator[Port]:
    caps, proxies = getattr(request, "param", (Caps(), Proxies()))
    port = Port(caps, proxies)
    await port.start()
    yield port
    await port.stop()


async def answered(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readuntil(b"\r\n")


async def closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(5):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


async def noticed(port: Port, connections: int) -> None:
    async with asyncio.timeout(5):
        while port.gate.connections != connections:  # noqa: ASYNC110 - a gate tells nobody
            await asyncio.sleep(0.01)


async def read() -> None:
    """Until the port has read what was sent: turns of the loop, for time passes without any on a busy machine."""
    for _ in range(50):
        await asyncio.sleep(0.001)


REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("port", "reason"),
    [((Caps(2, 100), Proxies()), "connections"), ((Caps(100, 2), Proxies()), "address")],
    indirect=["port"],
)
async def test_a_connection_beyond_a_cap_is_closed_and_a_later_one_is_not(port: Port, reason: str) -> None:
    first, second = await port.connect(), await port.connect()
    await noticed(port, 2)
    reader, _ = await port.connect()
    assert await closed(reader)
    assert port.refused == [reason]
    for reader, writer in (first, second):
        writer.write(REQUEST)
        assert await answered(reader) == b"HTTP/1.1 200 OK\r\n"
        writer.close()
    await noticed(port, 0)
    reader, writer = await port.connect()
    writer.write(REQUEST)
    assert await answered(reader) == b"HTTP/1.1 200 OK\r\n"
    assert port.gate._by_address == {"127.0.0.1": 1}
    writer.close()
    await noticed(port, 0)
    assert port.gate._by_address == {}


@pytest.mark.parametrize("port", [(Caps(100, 2), Proxies(["127.0.0.0/8"]))], indirect=True)
async def test_a_trusted_proxy_may_bring_any_number(port: Port) -> None:
    opened = [await port.connect() for _ in range(5)]
    await noticed(port, 5)
    for _, writer in opened:
        writer.close()


@pytest.mark.parametrize("half", [b"GE", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: 1"])
async def test_half_a_head_ends_the_connection_after_its_time(port: Port, half: bytes) -> None:
    _, writer = await port.connect()
    writer.write(half)
    await noticed(port, 1)
    await read()
    port.clock.now += gates.HEAD_TIMEOUT_S - 1
    port.sweep()
    assert port.gate.connections == 1
    writer.write(b"T")  # a byte now and then buys no time
    await read()
    port.clock.now += 2
    port.sweep()
    await noticed(port, 0)
    assert port.refused == ["slow_head"]


async def test_an_idle_connection_between_requests_stays(port: Port) -> None:
    reader, writer = await port.connect()
    for _ in range(3):
        writer.write(REQUEST)
        assert await answered(reader) == b"HTTP/1.1 200 OK\r\n"
        await reader.readuntil(b"\r\n\r\n")
        port.clock.now += gates.HEAD_TIMEOUT_S + 1
        port.sweep()
        assert port.gate.connections == 1
    writer.close()


async def test_half_a_body_is_answered_with_408(port: Port) -> None:
    reader, writer = await port.connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    await noticed(port, 1)
    await read()
    port.clock.now += gates.BODY_TIMEOUT_S + 1
    port.sweep()
    assert await answered(reader) == b"HTTP/1.1 408 Request Timeout\r\n"
    assert port.refused == ["slow_body"]


async def test_a_large_body_may_take_longer(port: Port) -> None:
    reader, writer = await port.connect()
    body = bytes(500_000)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
    await read()
    writer.write(body[:-1])
    await writer.drain()
    await read()
    port.clock.now += gates.BODY_TIMEOUT_S + len(body) / gates.BODY_BYTES_PER_S - 1
    port.sweep()
    writer.write(body[-1:])
    assert await answered(reader) == b"HTTP/1.1 200 OK\r\n"


async def test_a_handler_that_does_not_read_holds_no_connection_for_a_slow_body(port: Port) -> None:
    _, writer = await port.connect()
    writer.write(b"POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    await noticed(port, 1)
    await read()
    port.clock.now += gates.BODY_TIMEOUT_S + 1
    port.sweep()
    port.clock.now += 10
    port.sweep()
    await noticed(port, 0)


def test_caps_fit_into_the_handles_that_there_are() -> None:
    assert fitted(Caps(4_096, 512), 65_536) == Caps(4_096, 512)
    assert fitted(Caps(4_096, 512), 1_024) == Caps(896, 448)
    assert fitted(Caps(4_096, 512), 64) == Caps(16, 8)


def test_the_limit_of_handles_is_raised_to_what_is_allowed() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        raised = raise_handle_limit()
        assert raised == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert raised > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
