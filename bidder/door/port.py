"""What the connections of a bid port share: the handler behind it, its pages, the counters, who is connected."""

from collections.abc import Callable, Mapping
from typing import Protocol

from bidder.door.limits import BidLimits
from core.clock import Clock
from core.network.proxies import NO_PROXIES, Proxies

Reply = Callable[[int, bytes], None]
Page = Callable[[], tuple[int, str, bytes]]  # status, content type, content
MaySee = Callable[[str | None, bool], bool]
"""Whether a peer (its address; whether a proxy speaks for it) may read the private pages."""


class Sender:
    """The sender of the requests with one head: made once for all that repeat it over their connection."""

    __slots__ = ("address", "authorization", "fields")

    def __init__(
        self, authorization: bytes = b"", address: str = "", fields: Mapping[bytes, bytes] | None = None
    ) -> None:
        self.authorization = authorization  # the header's value, b"" without one
        self.address = address  # of the client, also behind a trusted proxy; "" where nobody can tell
        self.fields = fields or {}  # headers whose names begin with x-, in lower case


STRANGER = Sender()
"""A sender that says nothing of itself."""


class BidHandler(Protocol):
    """What decides about bid requests."""

    def submit(self, exchange_key: str, body: bytes, arrival: float, reply: Reply, sender: Sender) -> None:
        """Take one request, called in the turn of the event loop in which its last byte was read.

        `body` is decompressed; `arrival` is Clock.monotonic() of its first byte. Call `reply(status, body)` exactly
        once, now or later, with 200 and JSON, with 204 and b"", or with 400, 401, 403, 404 or 429 and a short text,
        which only peers on this machine are shown. The handler batches.
        """
        ...


class Connection(Protocol):
    """What the port asks of one of its connections."""

    def close_if_idle(self) -> None:
        """Close unless a request is under way, in or out."""
        ...

    def abort(self) -> None:
        """Close at once; what is unsent is lost."""
        ...

    def check_time_limits(self, now: float) -> None:
        """End the connection if the peer, or the handler, has let it wait too long. `now`: Clock.monotonic()."""
        ...


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
        "connections", "counters", "draining", "handler", "limits", "may_see", "monotonic", "pages", "private",
        "proxies",
    )  # fmt: skip

    def __init__(
        self,
        handler: BidHandler,
        clock: Clock,
        pages: dict[str, Page],
        limits: BidLimits,
        private: frozenset[str] = frozenset(),
        may_see: MaySee = lambda _peer, _forwarded: False,
        proxies: Proxies = NO_PROXIES,
    ) -> None:
        self.handler = handler
        self.monotonic = clock.monotonic
        self.pages = pages
        self.private = private
        self.may_see = may_see
        self.proxies = proxies
        self.limits = limits
        self.counters = BidCounters()
        self.connections: set[Connection] = set()
        self.draining = False
