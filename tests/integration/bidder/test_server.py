"""The bid port over real sockets."""

import asyncio
import contextlib
import subprocess
import sys

import pytest

from bidder.door.server import BidLimits, BidServer
from core.clock import SystemClock
from tests.kit.bid_port import (
    EchoHandler,
    RecordingHandler,
    exchange,
    on_both_loops,
    parse_answers,
    post,
    serving,
    until,
)
from tests.kit.fixtures import find_free_port

BID = b'{"id":"a","imp":[{},{}]}'
NO_BID = b'{"id":"a","imp":[{}]}'


@on_both_loops
async def test_pipelined_requests_are_answered_in_order_although_replies_come_in_reverse() -> None:
    async with serving(EchoHandler()) as server:
        bodies = [b'{"id":"%d","imp":[%s]}' % (n, b",".join([b"{}"] * (1 + n % 2))) for n in range(200)]
        answers = parse_answers(await exchange(server.address[1], b"".join(map(post, bodies))))
        assert [answer.status for answer in answers] == [204 if n % 2 == 0 else 200 for n in range(200)]
        assert [answer.body.split(b",")[0] for answer in answers[1::2]] == [b'{"id":"%d"' % n for n in range(1, 200, 2)]
        assert server.counters.requests == 200


@on_both_loops
async def test_a_connection_is_kept_and_its_end_is_noticed() -> None:
    async with serving(EchoHandler()) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        for body in (BID, NO_BID, b"nonsense", BID):
            writer.write(post(body))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"connection" not in head
            if b" 200 " in head:
                await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r")[0]))
        assert server.connections == 1
        writer.close()
        await writer.wait_closed()
        await until(lambda: server.connections == 0)


@on_both_loops
async def test_several_servers_share_one_port() -> None:
    async with serving(EchoHandler()) as server:
        second = BidServer(EchoHandler(), clock=SystemClock())
        await second.start(*server.address)
        assert second.address == server.address
        for _ in range(40):
            await exchange(server.address[1], post(BID))
        assert server.counters.requests + second.counters.requests == 40
        second.abort()


@on_both_loops
async def test_a_taken_port_is_an_error() -> None:
    port = find_free_port()
    blocker = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    other = BidServer(EchoHandler(), clock=SystemClock())
    with pytest.raises(OSError, match="address already in use"):
        await other.start("127.0.0.1", port)
    blocker.close()


@on_both_loops
async def test_draining_answers_what_is_in_flight_and_closes() -> None:
    handler = RecordingHandler()
    draining = BidServer(handler, clock=SystemClock())
    await draining.start("127.0.0.1", 0)
    port = draining.address[1]
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    (idle_reader, _), (busy_reader, busy_writer), (late_reader, late_writer) = connections
    busy_writer.write(post(BID))
    await until(lambda: len(handler.replies) == 1)
    drained = asyncio.create_task(draining.drain(grace_s=2, timeout_s=20))
    await asyncio.sleep(0.05)
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)
    late_writer.write(post(NO_BID))
    await until(lambda: len(handler.replies) == 2)
    for reply in handler.replies:
        reply(204, b"")
    for reader in (busy_reader, late_reader):
        (answer,) = parse_answers(await reader.read())
        assert (answer.status, answer.fields["connection"]) == (204, "close")
    assert await idle_reader.read() == b""
    for _, writer in connections:
        writer.close()
    await drained
    assert draining.connections == 0


@on_both_loops
async def test_draining_does_not_wait_for_ever() -> None:
    server = BidServer(RecordingHandler(), clock=SystemClock())
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(post(BID))
    await until(lambda: server.counters.requests == 1)
    await server.drain(grace_s=0.0, timeout_s=0.1)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()


@on_both_loops
async def test_limits_are_looked_at_while_the_server_runs() -> None:
    limits = BidLimits(idle_timeout_s=0.2, receive_timeout_s=0.1)
    server = BidServer(EchoHandler(), clock=SystemClock(), limits=limits)
    await server.start("127.0.0.1", 0)
    assert await exchange(server.address[1], b"", end=False) == b""
    (answer,) = parse_answers(await exchange(server.address[1], post(BID)[:40], end=False))
    assert answer.status == 408
    assert server.counters.timeouts == {"idle": 1, "receive": 1}
    server.abort()


@on_both_loops
async def test_an_address_is_known_only_after_the_start() -> None:
    with pytest.raises(RuntimeError, match="start"):
        _ = BidServer(EchoHandler(), clock=SystemClock()).address
    await BidServer(EchoHandler(), clock=SystemClock()).drain()


def test_the_bid_port_needs_no_web_framework() -> None:
    """aiohttp costs 0.3 s and 20 MB of a process that never uses it."""
    code = "import sys, bidder.door.server; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
