"""Work in threads that is waited for whatever becomes of its caller, and that is done one after the other."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def to_its_end(work: Callable[..., T], *arguments: object) -> T:
    """The result of `work` in a thread. Where the caller is cancelled meanwhile, the thread is waited for.

    A thread cannot be cancelled: left alone it would go on beside what is done next, and change the same things.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


class ThreadTurns:
    """One thread at a time: for what two threads must not use at once, such as a DuckDB connection.

    A turn ends with its work, also where whoever waits for it has gone.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, in a thread, when all before it are done."""
        async with self._turn:
            return await to_its_end(work)
