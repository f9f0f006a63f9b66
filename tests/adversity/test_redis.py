"""The bid path's Redis client when the network and the server misbehave."""

import asyncio
import os
import signal

import pytest

from core.clock import SystemClock
from core.errors import UnavailableError
from core.redis.client import BACKOFF_FIRST_S, BACKOFF_LAST_S, PipelinedRedis, backoff_s
from core.redis.embedded import EmbeddedServer
from core.redis.url import parse_redis_url
from tests.kit.proxy import FaultProxy

CLOCK = SystemClock()


def soon(seconds: float = 10.0) -> float:
    return CLOCK.monotonic() + seconds


def proxy_of(url: str) -> FaultProxy:
    return FaultProxy(unix_socket=parse_redis_url(url).path)


async def until_answered(client: PipelinedRedis) -> None:
    """Call until a call succeeds; the test's own timeout ends it otherwise."""
    while True:
        try:
            assert await client.batch([("ECHO", "back")], soon(0.5)) == [b"back"]
        except UnavailableError:
            await asyncio.sleep(0.005)
        else:
            return


async def test_a_slow_network_ends_calls_at_their_deadline_and_never_crosses_replies(valkey: str) -> None:
    async with proxy_of(valkey) as proxy:
        client = await PipelinedRedis.open(f"redis://127.0.0.1:{proxy.port}", clock=CLOCK)
        proxy.delay_s = 0.2
        with pytest.raises(UnavailableError, match="deadline"):
            await client.batch([("ECHO", "late")] * 3, soon(0.02))
        assert client.in_flight == 3
        proxy.delay_s = 0.0
        assert await client.batch([("ECHO", "mine")], soon()) == [b"mine"]
        assert client.in_flight == 0
        assert client.reconnects == 0
        await client.close()


async def test_a_cut_connection_fails_what_is_pending_and_comes_back(valkey: str) -> None:
    async with proxy_of(valkey) as proxy:
        client = await PipelinedRedis.open(f"redis://127.0.0.1:{proxy.port}", clock=CLOCK, jitter=lambda: 0.0)
        proxy.delay_s = 0.2
        pending = asyncio.gather(*(client.batch([("ECHO", n)], soon()) for n in range(5)), return_exceptions=True)
        await asyncio.sleep(0.01)
        proxy.cut()
        assert all(isinstance(outcome, UnavailableError) for outcome in await pending)
        with pytest.raises(UnavailableError):  # at once: nothing waits for the reconnection
            await client.batch([("PING",)], soon())
        proxy.delay_s = 0.0
        await until_answered(client)
        assert client.reconnects == 1
        await client.close()


async def test_a_reply_cut_in_the_middle_reaches_nobody(valkey: str) -> None:
    async def half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(b"+PONG\r\n")
        if await reader.readline():
            writer.write(b"$1000\r\nonly a part")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(half_an_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = await PipelinedRedis.open(f"redis://127.0.0.1:{port}", clock=CLOCK)
    with pytest.raises(UnavailableError):
        await client.batch([("GET", "k")], soon())
    await client.close()
    server.close()


async def test_a_peer_that_vanished_without_a_word_is_replaced(valkey: str) -> None:
    async with proxy_of(valkey) as proxy:
        client = await PipelinedRedis.open(f"redis://127.0.0.1:{proxy.port}", clock=CLOCK)
        proxy.half_open()
        with pytest.raises(UnavailableError):
            await client.batch([("PING",)], soon(0.05))
        assert proxy.connections_seen == 1
        assert client._wire is not None
        await client._wire.lost  # the stall is noticed although nobody calls any more
        proxy.heal()
        await until_answered(client)
        assert proxy.connections_seen == 2
        await client.close()


async def test_a_server_that_refuses_is_tried_again_until_it_lets_us_in(valkey: str) -> None:
    async with proxy_of(valkey) as proxy:
        proxy.refuse()
        client = await PipelinedRedis.open(
            f"redis://127.0.0.1:{proxy.port}", clock=CLOCK, required=False, jitter=lambda: 0.0
        )
        while proxy.connections_seen < 3:
            with pytest.raises(UnavailableError):
                await client.batch([("PING",)], soon())
            await asyncio.sleep(0.005)
        proxy.heal()
        await until_answered(client)
        await client.close()


async def test_a_killed_server_is_found_again_with_its_data(valkey: str, valkey_server: EmbeddedServer) -> None:
    client = await PipelinedRedis.open(valkey, clock=CLOCK)
    assert await client.batch([("SET", "k", "v")], soon()) == [b"OK"]
    assert valkey_server.pid is not None
    os.kill(valkey_server.pid, signal.SIGKILL)
    assert client._wire is not None
    await client._wire.lost
    with pytest.raises(UnavailableError):
        await client.batch([("GET", "k")], soon())
    valkey_server.restart()
    await until_answered(client)
    assert await client.batch([("GET", "k")], soon()) == [b"v"]
    await client.close()


async def test_callers_beyond_the_bound_are_refused_while_the_server_is_silent(valkey: str) -> None:
    async with proxy_of(valkey) as proxy:
        client = await PipelinedRedis.open(f"redis://127.0.0.1:{proxy.port}", clock=CLOCK, max_in_flight=100)
        proxy.half_open()
        calls = [client.batch([("PING",)] * 10, soon(0.05)) for _ in range(50)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum("in flight" in str(outcome) for outcome in outcomes) == 40
        assert client.in_flight == 100
        await client.close()


def test_pauses_grow_to_their_bound() -> None:
    pauses = [backoff_s(failures) for failures in range(40)]
    assert pauses[0] == BACKOFF_FIRST_S
    assert pauses[-1] == BACKOFF_LAST_S
    assert pauses == sorted(pauses)
