"""When screened requests leave for their look-up: at once, or as one batch with those that come a moment later.

A batch waits only while another one's look-up is under way or while the process is busy, never longer than HOLD_S.
Under load turns of the event loop get longer, batches larger and the cost of a request smaller, which is what carries
the bid path through bursts.
"""

import asyncio
from collections.abc import Callable

from bidder.decision.snapshot import Snapshot
from bidder.door.port import Reply
from bidder.request.auction import Auction

Waiting = tuple[Auction, Reply]
"""A request that is under way, and the function that takes its answer."""

# A batch is cut here: past it the numpy pass no longer gets cheaper per request, and the first answers only wait.
MAX_BATCH = 64

# Requests that come while a look-up is under way leave together after it: under load that makes one batch of what would
# be several small ones. Never later than this, in seconds, so that a slow Redis does not hold them up.
HOLD_S = 0.002

# A batch that waits because the process is busy leaves with so many requests.
ENOUGH = 32


class Batches:
    """Gathers the requests of one snapshot and hands them to `send`, in batches of at most MAX_BATCH."""

    __slots__ = ("_held", "_held_for", "_is_busy", "_looking_up", "_send", "_timer")

    def __init__(self, send: Callable[[list[Waiting], Snapshot], None], is_busy: Callable[[], bool]) -> None:
        self._send = send
        self._is_busy = is_busy
        self._held: list[Waiting] = []  # screened against `_held_for`
        self._held_for: Snapshot | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looking_up = 0  # batches whose profiles are on their way

    def add(self, wanted: list[Waiting], snapshot: Snapshot) -> None:
        """Add screened requests to the next batch; it leaves at once unless a look-up is under way or we are busy."""
        if self._held and (snapshot is not self._held_for or len(self._held) + len(wanted) > MAX_BATCH):
            self.leave()
        self._held += wanted
        self._held_for = snapshot
        if len(self._held) >= ENOUGH or not (self._looking_up or self._is_busy()):
            self.leave()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HOLD_S, self.leave)

    def leave(self) -> None:
        """Send off the batch that is held, if there is one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._held = self._held, []
        if batch and self._held_for is not None:
            self._looking_up += 1
            self._send(batch, self._held_for)

    def send_apart(self, batch: list[Waiting], snapshot: Snapshot) -> None:
        """Send a batch of its own at once."""
        self._looking_up += 1
        self._send(batch, snapshot)

    def looked_up(self) -> None:
        """The look-up of a batch that was sent has ended, however it ended. To be called once for each."""
        self._looking_up -= 1
        if not (self._looking_up or self._is_busy()):
            self.leave()
