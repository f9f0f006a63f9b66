"""Whatever the delays, time-outs and cancellations: a caller gets its own replies or an error, never another's."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.errors import UnavailableError
from core.redis.wire import Wire

# A call of some commands with a time limit; time passes; some bytes of the answers arrive; a caller gives up.
CALL = st.tuples(st.just("call"), st.integers(1, 4), st.floats(0.01, 2.0))
WAIT = st.tuples(st.just("wait"), st.just(0), st.floats(0.0, 1.5))
ARRIVE = st.tuples(st.just("arrive"), st.integers(1, 60), st.just(0.0))
CANCEL = st.tuples(st.just("cancel"), st.integers(0, 30), st.just(0.0))


class Silent(asyncio.Transport):
    """Takes everything and does nothing: the test plays the server."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def abort(self) -> None:
        pass


async def play(steps: Sequence[tuple[str, int, float]]) -> None:
    clock = ManualClock()
    wire = Wire(clock.monotonic)
    wire.connection_made(Silent())
    calls: list[tuple[list[bytes], asyncio.Future[list[object]]]] = []
    answers = b""
    for number, (kind, amount, seconds) in enumerate(steps):
        if wire.closed:
            break
        if kind == "call":
            words = [b"%d-%d" % (number, position) for position in range(amount)]
            calls.append((words, wire.send([(b"ECHO", word) for word in words], clock.monotonic() + seconds)))
            answers += b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        elif kind == "wait":
            clock.advance(seconds)
            wire._expire()
        elif kind == "arrive":
            wire.data_received(answers[:amount])
            answers = answers[amount:]
        elif calls:
            calls[amount % len(calls)][1].cancel()
        await asyncio.sleep(0)
    if answers and not wire.closed:
        wire.data_received(answers)
    wire.close("the end")
    for words, future in calls:
        assert future.done()
        if not future.cancelled():
            error = future.exception()
            assert isinstance(error, UnavailableError) if error is not None else future.result() == words


@given(st.lists(st.one_of(CALL, WAIT, ARRIVE, CANCEL), max_size=60))
@settings(max_examples=150, deadline=None)
def test_replies_are_never_crossed(steps: list[tuple[str, int, float]]) -> None:
    asyncio.run(play(steps))
