"""Requests that take long to look at: one after the other, in slices, so that the event loop serves others, too."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from bidder.door.batching import Waiting
from bidder.request.auction import Auction

# So many requests wait here at most; further ones are shed. One takes up to some 50 ms of work.
MAX_WAITING = 32


class LargeRequests:
    """Prepares requests by `prepare`, a step a turn of the event loop, and hands each to `ready`, in their order.

    `is_late` ends the preparation of one that has no time left; it is handed on all the same, to be answered.
    """

    __slots__ = ("_is_late", "_prepare", "_queue", "_ready", "_task", "steps")

    def __init__(
        self,
        prepare: Callable[[Auction], Iterator[None]],
        ready: Callable[[Waiting], None],
        is_late: Callable[[Auction], bool],
    ) -> None:
        self._prepare = prepare
        self._ready = ready
        self._is_late = is_late
        self._queue: deque[Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self.steps = 0
        """Turns of the event loop that preparations have taken so far."""

    @property
    def is_full(self) -> bool:
        """Whether no more requests should be added."""
        return len(self._queue) >= MAX_WAITING

    def add(self, waiting: Waiting) -> None:
        """Queue a request."""
        self._queue.append(waiting)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._queue:
            waiting = self._queue.popleft()
            auction, _reply = waiting
            for _step in self._prepare(auction):
                self.steps += 1
                await asyncio.sleep(0)
                if self._is_late(auction):
                    break
            self._ready(waiting)
            await asyncio.sleep(0)

    async def drain(self) -> None:
        """Return when everything that was added has been handed on."""
        if self._task is not None:
            await self._task
