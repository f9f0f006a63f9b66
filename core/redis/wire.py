"""One connection to a Redis server that pipelines by itself: what is queued in one turn of the event loop is one write.

redis-py costs 105-130 us of CPU a look-up, this 4-8 us: no task, lock or future a command, no timer a call. RESP2 only,
so there are no push messages and replies come strictly in order. Each batch owns the next `size` replies, whether
somebody still waits for them or not: that is what keeps a late reply from reaching another caller.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

import hiredis

from core.errors import UnavailableError

Argument = bytes | str | int
Command = tuple[Argument, ...]

# A server that owes a reply and has sent nothing for this long is gone without a FIN: a fresh connection is worth more
# than waiting for TCP to notice. A slow Lua script stays far below it.
STALL_TIMEOUT_S = 2.0

# Event loops count whole milliseconds; a timer rounded down would fire early and spin.
TIMER_GRAIN_S = 0.001

_NOT_YET = object()

# hiredis's own annotation says that a command has one argument.
_pack = cast(Callable[[Command], bytes], hiredis.pack_command)


class Batch:
    """The commands of one call: the future of its caller, and the replies as they come."""

    __slots__ = ("deadline", "future", "replies", "sent_at", "size")

    def __init__(self, future: asyncio.Future[list[object]], size: int, sent_at: float, deadline: float) -> None:
        self.future = future
        self.size = size
        self.sent_at = sent_at
        self.deadline = deadline
        self.replies: list[object] = []


class Wire(asyncio.Protocol):
    """One connection, from `connection_made` to `connection_lost`. It is never reopened: its owner makes another."""

    __slots__ = (
        "_flush_scheduled", "_gets", "_heard_at", "_loop", "_lost", "_monotonic", "_outgoing", "_pending", "_reader",
        "_timer", "_timer_at", "_transport", "closed", "in_flight",
    )  # fmt: skip

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._loop = asyncio.get_running_loop()
        self._monotonic = monotonic
        self._reader = hiredis.Reader(notEnoughData=_NOT_YET)
        self._gets = self._reader.gets
        self._pending: deque[Batch] = deque()
        self._outgoing: list[bytes] = []
        self._flush_scheduled = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._heard_at = monotonic()
        self._lost: asyncio.Future[str] = self._loop.create_future()
        self.in_flight = 0  # commands whose replies are still to come, waited for or not
        self.closed = False

    @property
    def lost(self) -> asyncio.Future[str]:
        """A future that ends with the connection; its result is the reason."""
        return self._lost

    def send(self, commands: Sequence[Command], deadline: float) -> asyncio.Future[list[object]]:
        """Queue the commands for this turn's write; the future has their replies, or UnavailableError.

        `deadline` is in seconds of the clock. Raises UnavailableError, with nothing sent, when it has passed, and
        TypeError for an argument that is not bytes, str or int.
        """
        now = self._monotonic()
        if deadline <= now:
            raise UnavailableError("no time was left for Redis")
        # Packed before anything is queued: an argument of a wrong type must not leave half a batch behind.
        self._outgoing += list(map(_pack, commands))
        future: asyncio.Future[list[object]] = self._loop.create_future()
        size = len(commands)
        self._pending.append(Batch(future, size, now, deadline))
        self.in_flight += size
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)
        if self._timer is None or deadline < self._timer_at:
            self._arm(deadline)
        return future

    def close(self, reason: str) -> None:
        """End the connection; everything pending fails with `reason`."""
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.closed:  # given up while the connection was being made
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the connection ended ({exc})" if exc else "the server closed the connection")

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._monotonic()
        pending = self._pending
        gets = self._gets
        try:
            self._reader.feed(data)
            reply = gets()
            while reply is not _NOT_YET:
                batch = pending[0]
                replies = batch.replies
                replies.append(reply)
                if len(replies) == batch.size:
                    pending.popleft()
                    self.in_flight -= batch.size
                    if not batch.future.done():  # otherwise its caller has given up, and the replies are dropped
                        batch.future.set_result(replies)
                reply = gets()
        except (hiredis.ProtocolError, IndexError) as error:
            self.close(f"the server does not speak RESP2 as expected ({error})")

    def _flush(self) -> None:
        self._flush_scheduled = False
        outgoing, self._outgoing = self._outgoing, []
        if self._transport is not None and not self.closed:
            self._transport.write(b"".join(outgoing))

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_later(max(deadline - self._monotonic(), 0.0) + TIMER_GRAIN_S, self._expire)

    def _expire(self) -> None:
        """Called by the connection's only timer: fail the calls that are due, then arm it for the next deadline."""
        self._timer = None
        now = self._monotonic()
        following: float | None = None
        for batch in self._pending:
            if batch.future.done():
                continue
            if batch.deadline <= now:
                batch.future.set_exception(UnavailableError("Redis did not answer before the deadline"))
            elif following is None or batch.deadline < following:
                following = batch.deadline
        if self._pending and now - max(self._heard_at, self._pending[0].sent_at) > STALL_TIMEOUT_S:
            self.close("the server has stopped answering")
        elif following is not None:
            self._arm(following)
        elif self._pending:
            self._arm(now + STALL_TIMEOUT_S)  # no caller waits any more, but a stalled connection must be noticed

    def _end(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for batch in self._pending:
            if not batch.future.done():
                batch.future.set_exception(UnavailableError(f"Redis is not available: {reason}"))
        self._pending.clear()
        self._outgoing.clear()
        self.in_flight = 0
        if not self._lost.done():
            self._lost.set_result(reason)
