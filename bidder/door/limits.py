"""What the connections of a bid port share: the handler behind it, the limits, the counters.

Every limit is a named constant with its reason; those that a deployment may want to change are fields of `BidLimits`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from bidder.door.http import MAX_BODY_BYTES
from core.clock import Clock

if TYPE_CHECKING:
    from bidder.door.connection import BidProtocol

Reply = Callable[[int, bytes], None]
Page = Callable[[], tuple[int, str, bytes]]  # status, content type, content
MaySee = Callable[[str | None, bool], bool]
"""Whether a peer (its address; whether a proxy speaks for it) may read the private pages."""

# Each connection costs about 5 kB and a file descriptor. An exchange keeps tens to hundreds of them to one bidder
# process; the common limit of 65,536 descriptors stays far away.
MAX_CONNECTIONS = 8192

# Requests of one connection that wait for their answers. An exchange that pipelines sends a few; beyond this reading
# stops, so a fast peer is slowed down by TCP instead of filling the queue.
MAX_PIPELINED = 64

# Input is parsed in slices of this size, since the parser cannot be stopped inside one: with requests of 60 bytes a
# slice can overshoot MAX_PIPELINED by 270 at most. Most requests fit whole.
SLICE_BYTES = 16 * 1024

# Answers not yet taken by the peer. Above it neither reading nor answering more makes sense.
MAX_UNSENT_BYTES = 256 * 1024

# Exchanges hold idle connections for a minute and longer (OpenRTB 2.6, 2.1); below 60 s we would close on them first.
IDLE_TIMEOUT_S = 75.0

# A request that needs longer than this to arrive has missed every tmax long ago.
RECEIVE_TIMEOUT_S = 5.0

# A peer that takes nothing of its answers for this long is gone.
SEND_TIMEOUT_S = 10.0

# The handler answers within tmax. If it never does, that is a fault of ours, and the peer should not wait for it.
ANSWER_TIMEOUT_S = 5.0

# After our last answer we wait for the peer's end, since closing with unread input resets the connection and can
# destroy that answer on its way (RFC 9112, 9.6).
LINGER_S = 1.0


class BidHandler(Protocol):
    """What decides about bid requests."""

    def submit(self, exchange_key: str, body: bytes, arrival: float, reply: Reply, authorization: bytes) -> None:
        """Take one request, called in the turn of the event loop in which its last byte was read.

        `body` is decompressed; `arrival` is Clock.monotonic() of its first byte; `authorization` is the header's value,
        b"" without one. Call `reply(status, body)` exactly once, now or later, with 200 and JSON, or with 204, 400, 401
        or 404 and b"". The handler batches by itself.
        """
        ...


class BidLimits(msgspec.Struct, frozen=True):
    """The limits that a deployment or a test may want to change; reasons are with the defaults. Times in seconds."""

    connections: int = MAX_CONNECTIONS
    pipelined: int = MAX_PIPELINED
    body_bytes: int = MAX_BODY_BYTES
    idle_timeout_s: float = IDLE_TIMEOUT_S
    receive_timeout_s: float = RECEIVE_TIMEOUT_S
    send_timeout_s: float = SEND_TIMEOUT_S
    answer_timeout_s: float = ANSWER_TIMEOUT_S
    linger_s: float = LINGER_S

    @property
    def shortest_timeout_s(self) -> float:
        """What the interval of looking at the limits has to follow."""
        return min(
            self.idle_timeout_s, self.receive_timeout_s, self.send_timeout_s, self.answer_timeout_s, self.linger_s
        )


class BidCounters:
    """Totals since the start. Plain integers: they are counted on the hot path and read when metrics are asked for."""

    __slots__ = (
        "connections_accepted", "connections_refused", "handler_faults", "refusals", "replies_abandoned",
        "replies_repeated", "requests", "timeouts",
    )  # fmt: skip

    def __init__(self) -> None:
        self.connections_accepted = 0
        self.connections_refused = 0  # above the cap
        self.requests = 0  # handed to the handler
        self.refusals: dict[int, int] = {}  # by status: answered by the port, never seen by the handler
        self.timeouts: dict[str, int] = {}  # by limit: idle, receive, send, answer
        self.handler_faults = 0  # submit() raised; answered 204
        self.replies_abandoned = 0  # the peer was gone
        self.replies_repeated = 0  # a second reply to one request, dropped

    def refuse(self, status: int) -> None:
        """Count an answer that the port gave by itself."""
        self.refusals[status] = self.refusals.get(status, 0) + 1

    def time_out(self, limit: str) -> None:
        """Count a connection that was ended by a time limit."""
        self.timeouts[limit] = self.timeouts.get(limit, 0) + 1


class Port:
    """The state that all connections of one bid port see."""

    __slots__ = (
        "connections", "counters", "draining", "handler", "limits", "may_see", "monotonic", "pages", "private"
    )  # fmt: skip

    def __init__(
        self,
        handler: BidHandler,
        clock: Clock,
        pages: dict[str, Page],
        limits: BidLimits,
        private: frozenset[str] = frozenset(),
        may_see: MaySee = lambda _peer, _forwarded: False,
    ) -> None:
        self.handler = handler
        self.monotonic = clock.monotonic
        self.pages = pages
        self.private = private
        self.may_see = may_see
        self.limits = limits
        self.counters = BidCounters()
        self.connections: set[BidProtocol] = set()
        self.draining = False
