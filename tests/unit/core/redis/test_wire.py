"""The wire without a network: what it writes, whom it gives replies to."""

import asyncio

import pytest

from core.clock import ManualClock
from core.errors import UnavailableError
from core.redis.wire import STALL_TIMEOUT_S, Wire


class Recorder(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
async def wire(clock: ManualClock) -> Wire:
    made = Wire(clock.monotonic)
    made.connection_made(Recorder())
    return made


def written(wire: Wire) -> list[bytes]:
    assert isinstance(wire._transport, Recorder)
    return wire._transport.writes


async def test_all_batches_of_one_turn_leave_in_one_write(wire: Wire) -> None:
    futures = [wire.send([("ECHO", number)], 1.0) for number in range(3)]
    assert written(wire) == []
    await asyncio.sleep(0)
    assert written(wire) == [b"".join(b"*2\r\n$4\r\nECHO\r\n$1\r\n%d\r\n" % number for number in range(3))]
    wire.data_received(b"$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n")
    assert [future.result() for future in futures] == [[b"0"], [b"1"], [b"2"]]
    assert wire.in_flight == 0


async def test_replies_cut_anywhere_are_put_together(wire: Wire) -> None:
    future = wire.send([("GET", "a"), ("HGETALL", "b")], 1.0)
    for byte in b"$2\r\nxy\r\n*2\r\n$1\r\nf\r\n$-1\r\n":
        assert not future.done()
        wire.data_received(bytes([byte]))
    assert future.result() == [b"xy", [b"f", None]]


async def test_a_late_reply_is_thrown_away(wire: Wire, clock: ManualClock) -> None:
    late = wire.send([("ECHO", "late")], 0.5)
    on_time = wire.send([("ECHO", "mine")], 5.0)
    clock.advance(0.6)
    wire._expire()
    with pytest.raises(UnavailableError, match="deadline"):
        await late
    assert not on_time.done()
    assert wire.in_flight == 2
    wire.data_received(b"$4\r\nlate\r\n$4\r\nmine\r\n")
    assert on_time.result() == [b"mine"]
    assert wire.in_flight == 0


async def test_no_time_left_sends_nothing(wire: Wire, clock: ManualClock) -> None:
    clock.advance(1.0)
    with pytest.raises(UnavailableError):
        await wire.send([("PING",)], 1.0)
    assert written(wire) == []
    assert wire.in_flight == 0


async def test_a_silent_server_is_given_up(wire: Wire, clock: ManualClock) -> None:
    first, second = wire.send([("PING",)], 0.5), wire.send([("PING",)], 60.0)
    clock.advance(STALL_TIMEOUT_S + 0.1)
    wire._expire()
    assert wire.closed
    for future in (first, second):
        with pytest.raises(UnavailableError):
            await future
    assert wire.lost.result() == "the server has stopped answering"


@pytest.mark.parametrize("answer", [b"+PONG\r\n+PONG\r\n", b"?what\r\n", b"HTTP/1.1 400 Bad Request\r\n"])
async def test_a_reply_that_nobody_asked_for_ends_the_connection(wire: Wire, answer: bytes) -> None:
    future = wire.send([("PING",)], 1.0)
    wire.data_received(answer)
    assert wire.closed
    (outcome,) = await asyncio.gather(future, return_exceptions=True)
    assert outcome == [b"PONG"] or isinstance(outcome, UnavailableError)
    assert isinstance(wire._transport, Recorder)
    assert wire._transport.aborted


async def test_the_end_of_the_connection_fails_what_is_pending_once(wire: Wire) -> None:
    future = wire.send([("PING",)], 1.0)
    wire.connection_lost(ConnectionResetError("reset by peer"))
    wire.connection_lost(None)
    with pytest.raises(UnavailableError, match="reset by peer"):
        await future
    await asyncio.sleep(0)
    assert written(wire) == []
