"""The bid port when its peers misbehave."""

import asyncio
import contextlib
import gzip
import random
import socket
import struct

import msgspec

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

BID = b'{"id":"a","imp":[{},{}]}'
NO_BID = b'{"id":"a","imp":[{}]}'
LIMITS = BidLimits(connections=50, idle_timeout_s=30, receive_timeout_s=0.4, send_timeout_s=0.4, linger_s=0.3)


async def still_serves(server: BidServer) -> None:
    (answer,) = parse_answers(await exchange(server.address[1], post(NO_BID)))
    assert answer.status == 204


@on_both_loops
async def test_a_slow_sender_is_cut_off_and_others_are_not() -> None:
    async with serving(EchoHandler(), LIMITS) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        received = asyncio.create_task(reader.read())
        for byte in post(BID):
            if received.done():
                break
            with contextlib.suppress(ConnectionError):
                writer.write(bytes([byte]))
            await still_serves(server)
            await asyncio.sleep(0.02)
        (answer,) = parse_answers(await received)
        assert (answer.status, answer.fields["connection"]) == (408, "close")
        assert server.counters.timeouts == {"receive": 1}
        writer.close()


@on_both_loops
async def test_a_reset_in_the_middle_of_a_request_or_an_answer_is_forgotten() -> None:
    async with serving(EchoHandler(), LIMITS) as server:
        for data in (post(BID)[:50], post(BID), post(BID) * 100):
            connection = socket.create_connection(server.address)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(data)
            await asyncio.sleep(0.01)
            connection.close()
            await still_serves(server)
        await until(lambda: server.connections == 0)


@on_both_loops
async def test_a_half_closed_peer_gets_all_its_answers() -> None:
    async with serving(EchoHandler(), LIMITS) as server:
        answers = parse_answers(await exchange(server.address[1], post(BID) * 50 + post(BID)[:30], end=True))
        assert [answer.status for answer in answers] == [200] * 50


@on_both_loops
async def test_a_peer_that_never_reads_is_stopped_and_dropped() -> None:
    handler = RecordingHandler((200, b"x" * 50_000))
    server = BidServer(handler, clock=SystemClock(), limits=LIMITS)
    await server.start("127.0.0.1", 0)
    connection = socket.create_connection(server.address)
    connection.setblocking(False)
    sent = 0
    while not server.counters.timeouts:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            sent += connection.send(post(BID) * 100)
        await asyncio.sleep(0.005)
    assert server.counters.timeouts == {"send": 1}
    assert len(handler.requests) * 50_000 < 64 * 1024 * 1024  # kernel buffers, and not what we were sent
    connection.close()
    server.abort()


@on_both_loops
async def test_connections_up_to_the_cap_are_served_and_one_more_is_turned_away() -> None:
    async with serving(EchoHandler(), LIMITS) as server:
        connections = [await asyncio.open_connection(*server.address) for _ in range(LIMITS.connections)]
        await until(lambda: server.connections == LIMITS.connections)
        (refused,) = parse_answers(await exchange(server.address[1], b"", end=False))
        assert (refused.status, refused.fields["retry-after"]) == (503, "1")
        for reader, writer in connections:
            writer.write(post(NO_BID))
            assert b" 204 " in await reader.readuntil(b"\r\n\r\n")
            writer.close()
        await until(lambda: server.connections == 0)
        await still_serves(server)


@on_both_loops
async def test_an_error_answer_survives_what_the_peer_goes_on_sending() -> None:
    """Closing with unread input would reset the connection and take the answer with it."""
    # Longer than other tests keep the processor: it waits for the peer's end no longer than it must.
    async with serving(EchoHandler(), msgspec.structs.replace(LIMITS, linger_s=20.0, send_timeout_s=20.0)) as server:
        oversized = post(b"x" * 5_000_000)
        (answer,) = parse_answers(await exchange(server.address[1], oversized, end=False))
        assert (answer.status, answer.fields["connection"]) == (413, "close")


@on_both_loops
async def test_a_zip_bomb_is_refused_and_the_connection_lives_on() -> None:
    async with serving(EchoHandler(), LIMITS) as server:
        bomb = gzip.compress(bytes(100_000_000))
        data = post(bomb, headers=[("Content-Encoding", "gzip")]) + post(NO_BID)
        assert len(bomb) < 256 * 1024
        assert [answer.status for answer in parse_answers(await exchange(server.address[1], data))] == [413, 204]


@on_both_loops
async def test_random_bytes_never_disturb_the_others() -> None:
    async with serving(EchoHandler(), LIMITS) as server:
        chance = random.Random(7)
        whole = post(BID)
        for _ in range(100):
            damaged = bytearray(whole)
            for _ in range(chance.randint(1, 5)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            answers = parse_answers(await exchange(server.address[1], bytes(damaged) + whole))
            assert all(answer.status in (200, 204, 400, 404, 405, 408, 413, 415, 417, 501, 505) for answer in answers)
        await still_serves(server)


@on_both_loops
async def test_a_handler_that_never_answers_does_not_hold_its_peer() -> None:
    server = BidServer(RecordingHandler(), clock=SystemClock(), limits=BidLimits(answer_timeout_s=0.2))
    await server.start("127.0.0.1", 0)
    with contextlib.suppress(ConnectionResetError):
        assert await exchange(server.address[1], post(BID), end=False) == b""
    assert server.counters.timeouts == {"answer": 1}
    server.abort()
