"""The fault proxy itself: a fault test proves nothing if its proxy does not misbehave."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.kit.proxy import FaultProxy


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()


async def test_bytes_pass_both_ways(echo_port: int) -> None:
    async with FaultProxy(port=echo_port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert proxy.connections_seen == 1
        writer.close()


async def test_cut_connection_is_reset(echo_port: int) -> None:
    async with FaultProxy(port=echo_port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        await reader.readexactly(5)
        proxy.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


async def test_half_open_connection_stays_silent_until_healed(echo_port: int) -> None:
    async with FaultProxy(port=echo_port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        proxy.half_open()
        writer.write(b"hello")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.readexactly(5)
        proxy.heal()
        assert await reader.readexactly(5) == b"hello"
        writer.close()


async def test_refused_connection_is_closed_at_once(echo_port: int) -> None:
    async with FaultProxy(port=echo_port) as proxy:
        proxy.refuse()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


async def test_target_that_is_away_closes_the_client(free_port: int) -> None:
    async with FaultProxy(port=free_port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
