"""A feed's run in a process of its own."""

import asyncio
import os
from pathlib import Path

import msgspec

from core.clock import SystemClock
from core.config import RedisSettings
from creatives.children import connected, in_child
from creatives.feeds.loading import FeedJob, FeedLoader
from creatives.feeds.runs import Run
from creatives.products.store import ProductStore


class LoadInChild:
    """Loads each feed in a child process of its own."""

    def __init__(self, redis: RedisSettings) -> None:
        self._redis = redis

    async def load(self, job: FeedJob, file: Path | None = None, as_of_ms: int = 0) -> Run:
        """Fetch and load, or load a file. Raises ConflictError when the feed is being loaded already."""
        blob = await in_child(load_feed, self._redis, job, str(file) if file else "", as_of_ms)
        return msgspec.json.decode(blob, type=Run)


def load_feed(redis: RedisSettings, job: FeedJob, file: str, as_of_ms: int) -> bytes:
    """What the child process executes: one run of a feed; returns the `Run` as JSON."""
    return msgspec.json.encode(asyncio.run(run_once(redis, job, file, as_of_ms)))


async def run_once(redis: RedisSettings, job: FeedJob, file: str = "", as_of_ms: int = 0) -> Run:
    """One run of a feed, over a connection to Redis that is opened for it; without `file` the feed is fetched."""
    clock = SystemClock()
    async with connected(redis, clock) as connection:
        loader = FeedLoader(ProductStore(connection, clock), clock)
        if not file:
            return await loader.load(job)
        with open(file, "rb") as opened:  # noqa: ASYNC230 - nothing else waits for this process's loop
            return await loader.load_file(job, opened, os.fstat(opened.fileno()).st_size, as_of_ms)
