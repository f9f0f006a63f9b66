"""A feed's run in a process of its own: a minute of computation and a hundred megabytes, which then go back.

The child ends with its parent, gives way to everybody who answers requests, and is told what to do over a pipe: the
addresses of feeds and of Redis have passwords in them, so they are in no argument and no environment.
"""

import asyncio
import concurrent.futures
import multiprocessing
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from core.clock import SystemClock
from core.config import RedisSettings
from core.errors import ConflictError, GroszError, UnavailableError
from core.processes import end_with_parent, give_way
from core.redis.client import Pipelined, PipelinedRedis
from core.redis.cluster import PipelinedCluster
from core.redis.url import parse_redis_url
from creatives.feeds.loading import FeedJob, FeedLoader
from creatives.feeds.runs import Run
from creatives.products.store import ProductStore

CHILD_NICENESS: Final = 10


class LoadInChild:
    """Runs feeds in children, one at a time each."""

    def __init__(self, redis: RedisSettings) -> None:
        self._redis = redis

    async def load(self, job: FeedJob, file: Path | None = None, as_of_ms: int = 0) -> Run:
        """Fetch and load, or load a file. Raises ConflictError when the feed is being loaded already."""
        # A child for each run: what Python has taken from the system for a large feed it would not give back.
        executor = concurrent.futures.ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(os.getpid(),)
        )
        try:
            work = executor.submit(_in_child, self._redis, job, str(file) if file else "", as_of_ms)
            return msgspec.json.decode(await asyncio.wrap_future(work), type=Run)
        except concurrent.futures.process.BrokenProcessPool as error:
            raise UnavailableError(f"the process that loaded feed {job.feed_id} died", hint="it is tried again") from error
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _prepare(parent: int) -> None:
    end_with_parent(parent)
    os.setsid()
    while not give_way(os.getpid(), CHILD_NICENESS):
        time.sleep(0.1)


def _in_child(redis: RedisSettings, job: FeedJob, file: str, as_of_ms: int) -> bytes:
    try:
        return msgspec.json.encode(asyncio.run(run_once(redis, job, file, as_of_ms)))
    except ConflictError:
        raise
    except GroszError as error:  # with its cause it might not travel
        raise UnavailableError(error.message, hint=error.hint) from None


async def run_once(redis: RedisSettings, job: FeedJob, file: str = "", as_of_ms: int = 0) -> Run:
    """One run over a connection of its own."""
    clock = SystemClock()
    address = parse_redis_url(redis.url, username=redis.username, password=redis.password)
    connection: Pipelined
    if redis.cluster:
        connection = await PipelinedCluster.open(address, clock=clock)
    else:
        connection = await PipelinedRedis.open(address, clock=clock)
    try:
        loader = FeedLoader(ProductStore(connection, clock), clock)
        if not file:
            return await loader.load(job)
        path = Path(file)
        with path.open("rb") as opened:
            return await loader.load_file(job, opened, path.stat().st_size, as_of_ms)
    finally:
        await connection.close()
