"""The durable log between tracker and worker: one Redis Stream a partition of users.

An event is acknowledged when its XADD has been answered; how durable that is, is the server's `appendfsync` (docs/
events.md). A partition that its worker cannot keep up with refuses new events instead of dropping old ones.
"""

import zlib
from collections.abc import Sequence
from typing import Final

from core.clock import Clock
from core.keys import event_stream
from segments.facts.event import Event, pack_event
from segments.profiles.metrics import IntakeMetrics
from segments.profiles.reading import Command, Pipeline
from segments.profiles.scripts import Script, run

# More than there will ever be workers, since the number can be changed only while all streams are drained.
PARTITIONS: Final = 16

# Entries a partition: 50 s at 2,000 events/s while its worker stalls, about 30 MB; all sixteen full take 480 MB.
MAX_BACKLOG: Final = 100_000

APPEND_TIMEOUT_S: Final = 2.0

FIELD: Final = b"e"

# All or nothing for one call, so that a batch's events of one user keep their order and are refused together.
_APPEND: Final = Script(
    """
    if redis.call('XLEN', KEYS[1]) + #ARGV - 1 > tonumber(ARGV[1]) then return 0 end
    for i = 2, #ARGV do redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end
    return 1
    """
)


def partition_of(user_id: str, partitions: int = PARTITIONS) -> int:
    """The partition that orders all events of a user."""
    return zlib.crc32(user_id.encode()) % partitions


class EventLog:
    """Appends events; the tracker's side of the log."""

    __slots__ = ("_clock", "_max_backlog", "_metrics", "_partitions", "_redis")

    def __init__(
        self,
        redis: Pipeline,
        clock: Clock,
        metrics: IntakeMetrics,
        *,
        partitions: int = PARTITIONS,
        max_backlog: int = MAX_BACKLOG,
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._metrics = metrics
        self._partitions = partitions
        self._max_backlog = max_backlog

    async def append(self, events: Sequence[Event]) -> list[bool]:
        """Whether each event is now durable (True) or its partition is full (False); order per user is kept.

        Raises UnavailableError when Redis does not answer: then nothing is known to be stored.
        """
        grouped: dict[int, list[int]] = {}
        for at, event in enumerate(events):
            grouped.setdefault(partition_of(event.user_id, self._partitions), []).append(at)
        calls: list[Command] = [
            _APPEND.call([event_stream(partition)], [self._max_backlog, *(pack_event(events[at]) for at in positions)])
            for partition, positions in grouped.items()
        ]
        stored = [False] * len(events)
        replies = await run(self._redis, _APPEND, calls, self._clock.monotonic() + APPEND_TIMEOUT_S)
        for reply, positions in zip(replies, grouped.values(), strict=True):
            if reply == 1:
                self._metrics.accepted.inc(len(positions))
                for at in positions:
                    stored[at] = True
            else:
                self._metrics.refused.inc(len(positions))
        return stored
