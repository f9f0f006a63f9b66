"""Work in threads, one after the other: for what two threads must not use at once, such as a DuckDB connection."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class ThreadTurns:
    """A thread's turn ends with its work, also where whoever waits for it has gone: nothing ends a thread."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, in a thread, when all before it are done."""
        async with self._turn:
            running = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(running)
            finally:
                if not running.done():
                    await asyncio.wait([running])
