"""The limits of a bid port.

Every limit is a named constant with its reason; those that a deployment may want to change are fields of `BidLimits`.
"""

import msgspec

from bidder.door.http import MAX_BODY_BYTES

# Each connection costs about 5 kB and a file descriptor. An exchange keeps tens to hundreds of them to one bidder
# process; the common limit of 65,536 descriptors stays far away.
MAX_CONNECTIONS = 8192

# Requests of one connection that wait for their answers. An exchange that pipelines sends a few; beyond this reading
# stops, so a fast peer is slowed down by TCP instead of filling the queue.
MAX_PIPELINED = 64

# Input is parsed in slices of this size, since the parser cannot be stopped inside one: with requests of 60 bytes a
# slice can overshoot MAX_PIPELINED by 270 at most. Most requests fit whole.
SLICE_BYTES = 16 * 1024

# Bytes of answers that the peer has not taken yet. Above it neither reading nor answering more makes sense.
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
        """The shortest of the timeouts: limits must be looked at more often than that."""
        return min(
            self.idle_timeout_s, self.receive_timeout_s, self.send_timeout_s, self.answer_timeout_s, self.linger_s
        )
