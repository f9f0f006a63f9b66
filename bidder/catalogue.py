"""How a bidder compiles the published catalogue: in a child process, swapped in by reference.

Compiling happens in a child process since it holds the interpreter for seconds at 100,000 line items, and a bidder that
compiles in a thread of its own misses its deadlines (docs/performance.md).
"""

import asyncio
import concurrent.futures
import gc
import logging
import multiprocessing
import os
from collections.abc import Sequence

from bidder.artefact import Model
from bidder.counting import TakenCounts
from bidder.funnel import FunnelWriter
from bidder.handler import BidderHandler
from bidder.published import decode_published
from bidder.snapshot import Compiled, Snapshot
from core.clock import Clock
from core.errors import CatalogueError, UnavailableError
from core.processes import end_with_parent
from pacing.leases import LeaseBook

CHILD_NICENESS = 5

_log = logging.getLogger("grosz.bidder.catalogue")


def compile_bytes(snapshot: bytes, changes: Sequence[bytes] = ()) -> Compiled:
    """Decode and compile: what the child process runs. Raises CatalogueError for whatever cannot be compiled."""
    try:
        return Compiled(decode_published(snapshot, changes))
    except CatalogueError:
        raise
    except Exception as error:
        # What the publisher should have refused: it must not end the bidding on the catalogue before it.
        raise CatalogueError(
            f"the published catalogue cannot be compiled: {type(error).__name__}: {error}", hint="publish another one"
        ) from error


def prepare_child(parent: int) -> None:
    """What the child process does first: end with its parent, and leave the processor to those who answer requests."""
    end_with_parent(parent)
    os.nice(CHILD_NICENESS)


def warm_up() -> None:
    """Nothing, in the child: it has imported this module then, which takes longer than to compile a small catalogue."""


def compile_parts(snapshot: bytes, changes: Sequence[bytes]) -> list[bytes]:
    """`compile_bytes` for another process, which takes the parts one by one."""
    return compile_bytes(snapshot, changes).packed()


class Compiler:
    """Compiles in a child process, which is started again if it dies.

    The very first catalogue is compiled in this process: nothing is served yet, and starting a child takes a second. It
    is started then, so that the first change does not wait for it.
    """

    def __init__(self) -> None:
        self._executor: concurrent.futures.ProcessPoolExecutor | None = None

    @staticmethod
    def _start() -> concurrent.futures.ProcessPoolExecutor:
        # A pool's child does not notice that its parent was killed; it would wait for work for ever.
        executor = concurrent.futures.ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=prepare_child, initargs=(os.getpid(),)
        )
        executor.submit(warm_up)
        return executor

    async def compile(self, snapshot: bytes, changes: Sequence[bytes]) -> Compiled:
        """Compile what is published. Raises CatalogueError when it cannot be, UnavailableError if the child died."""
        if self._executor is None:
            compiled = compile_bytes(snapshot, changes)
            self._executor = self._start()
            return compiled
        try:
            loop = asyncio.get_running_loop()
            parts = await loop.run_in_executor(self._executor, compile_parts, snapshot, tuple(changes))
        except concurrent.futures.process.BrokenProcessPool as error:
            self._executor = self._start()
            raise UnavailableError("the compiling process died", hint="it is started again") from error
        return await _unpack(parts)

    async def close(self) -> None:
        """End the child."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)


async def _unpack(parts: list[bytes]) -> Compiled:
    gc.disable()  # until `take` has frozen what comes
    unpacking = Compiled.unpack(parts)
    while True:
        try:
            next(unpacking)
        except StopIteration as end:
            compiled: Compiled = end.value
            return compiled
        await asyncio.sleep(0)


class BidCatalogue:
    """Makes snapshots of catalogues and keeps the current one live."""

    def __init__(
        self,
        compiler: Compiler,
        model: Model,
        book: LeaseBook,
        handler: BidderHandler,
        funnel: FunnelWriter,
        track_url: str,
        clock: Clock,
    ) -> None:
        self._compiler = compiler
        self._model = model
        self._book = book
        self._handler = handler
        self._funnel = funnel
        self._track_url = track_url
        self._clock = clock
        self._published: tuple[bytes, tuple[bytes, ...]] = (b"", ())

    async def take_changes(self, changes: Sequence[bytes]) -> int:
        """Compile all of it again; see `following.CatalogueTaker`."""
        snapshot, before = self._published
        return await self.take(snapshot, (*before, *changes))

    async def take(self, snapshot: bytes, changes: Sequence[bytes]) -> int:
        """Compile and swap in; the version that is served from now on."""
        begun = self._clock.monotonic()
        try:
            compiled = await self._compiler.compile(snapshot, changes)
            ready = self._clock.monotonic()
            version, left = self._install(compiled)
        finally:
            gc.enable()
        self._published = (snapshot, tuple(changes))
        done = self._clock.monotonic()
        _log.info("catalogue %d: compiled in %.2f s, swapped in %.3f s", version, ready - begun, done - ready)
        if left is not None:
            await self._funnel.add(left)
        return version

    def _install(self, compiled: Compiled) -> tuple[int, TakenCounts | None]:
        # Nothing from `bind` to `install` may fail or await: the book's arrays and the snapshot change as one.
        snapshot = Snapshot(compiled, self._model, self._book, self._track_url)
        self._book.bind(compiled.index.pools)
        snapshot.live.refresh(self._clock.now_ms(), self._book)
        left = self._funnel.follow(snapshot.counts)
        self._handler.install(snapshot)
        # The snapshot lives until the next one: without this every full collection walks all of it. No collection
        # first, which would walk it once, for half a second at 100,000 line items; a snapshot is in no cycle, so it is
        # freed by its last reference.
        gc.freeze()
        return compiled.index.version, left

    async def refresh(self, interval_s: float) -> None:
        """Recompute what the clock and the leases decide, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            snapshot = self._handler.snapshot
            if snapshot is not None:
                snapshot.live.refresh(self._clock.now_ms(), self._book)
