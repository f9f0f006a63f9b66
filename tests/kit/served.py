"""A fake bidder in a thread of its own, for command lines that run their own event loop."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kit.fake_bidder import FakeBidder, Reply


@contextmanager
def served(reply: Reply) -> Iterator[FakeBidder]:
    """Serve until the block ends."""
    bidder = FakeBidder(reply)
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with bidder:
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield bidder
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
