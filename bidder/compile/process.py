"""The child process in which a bidder compiles: in its own it would hold up requests for seconds (docs/performance.md).

What comes back is unpacked in steps, between which the event loop serves requests.
"""

import asyncio
import concurrent.futures
import os
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import numpy as np

from bidder.compile.compiler import CatalogueCompiler
from bidder.targeting.compiled import Compiled
from bidder.targeting.overlay import Overlay
from core.collector import building_what_lives_long
from core.errors import UnavailableError
from core.pools import background_pool

CHILD_NICENESS = 5
_TRACKER_FILTER = "ignore:resource_tracker:UserWarning"

Result = TypeVar("Result")

_in_child = CatalogueCompiler()


def hold(snapshot: bytes, changes: Sequence[bytes]) -> None:
    """`CatalogueCompiler.hold`, in the child."""
    with building_what_lives_long():
        _in_child.hold(snapshot, changes)


def compile_whole(snapshot: bytes, changes: Sequence[bytes]) -> list[bytes]:
    """`CatalogueCompiler.whole`, in the child: the parts of what it compiles."""
    with building_what_lives_long():
        return _in_child.whole(snapshot, changes).packed()


def compile_overlay(changes: Sequence[bytes]) -> tuple[int, bytes, list[bytes]]:
    """`CatalogueCompiler.overlay`, in the child: the base's version, int64 ids that are replaced, parts of the rest."""
    with building_what_lives_long():
        overlay = _in_child.overlay(changes)
    return overlay.base_version, overlay.replaced.tobytes(), overlay.compiled.packed()


class Compiler:
    """Compiles in a child process, which is started again if it dies.

    All methods raise CatalogueError for what cannot be compiled, and UnavailableError if the child died: the next call
    must then compile a whole catalogue.
    """

    def __init__(self) -> None:
        self._executor: concurrent.futures.ProcessPoolExecutor | None = None

    async def first(self, snapshot: bytes, changes: Sequence[bytes]) -> Compiled:
        """Compile in this process: nothing is served yet, and a child takes a second to start.

        The child is started afterwards and decodes the same, so that the first change does not wait for it.
        """
        with building_what_lives_long():
            compiled = CatalogueCompiler().whole(snapshot, changes)
        self._child().submit(hold, snapshot, tuple(changes))
        return compiled

    async def whole(self, snapshot: bytes, changes: Sequence[bytes]) -> Compiled:
        """Compile a published catalogue."""
        parts = await self._run(compile_whole, snapshot, tuple(changes))
        return await in_steps(Compiled.unpack(parts))

    async def overlay(self, changes: Sequence[bytes]) -> Overlay:
        """Compile what differs from the whole catalogue compiled last; see `CatalogueCompiler.overlay`."""
        base_version, replaced, parts = await self._run(compile_overlay, tuple(changes))
        return Overlay(base_version, np.frombuffer(replaced, dtype=np.int64), await in_steps(Compiled.unpack(parts)))

    async def close(self) -> None:
        """End the child."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _child(self) -> concurrent.futures.ProcessPoolExecutor:
        if self._executor is None:
            _silence_tracker()
            self._executor = background_pool(CHILD_NICENESS)
        return self._executor

    async def _run(self, function: Callable[..., Result], *arguments: object) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._child(), function, *arguments)
        except concurrent.futures.process.BrokenProcessPool as error:
            self._executor = None
            raise UnavailableError("the compiling process died", hint="it is started again") from error


def _silence_tracker() -> None:
    """Suppress the warning of leaked semaphores with which multiprocessing's tracker cleans up after a killed bidder.

    Cleaning up is the tracker's job, and the supervisor's log says that the bidder ended. The tracker is a process of
    its own, which takes its filters from the environment.
    """
    filters = [one for one in os.environ.get("PYTHONWARNINGS", "").split(",") if one]
    if _TRACKER_FILTER not in filters:
        os.environ["PYTHONWARNINGS"] = ",".join([*filters, _TRACKER_FILTER])


async def in_steps(work: Generator[None, None, Result]) -> Result:
    """The result of a generator, serving requests between its steps."""
    with building_what_lives_long():
        while True:
            try:
                next(work)
            except StopIteration as end:
                result: Result = end.value
                return result
            await asyncio.sleep(0)
