"""How bidders follow the catalogue: published as a whole in Redis, compiled in a child process, swapped by reference.

The publisher (admin) writes `catalogue:snapshot` and raises `catalogue:version`; every process polls the version, a few
bytes, several times a second. Compiling happens in a child process since it holds the interpreter for seconds at
100,000 line items, and a bidder that compiles in a thread of its own misses its deadlines (docs/performance.md).
"""

import asyncio
import concurrent.futures
import gc
import logging
import multiprocessing
import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import msgspec
import zstandard
from redis.exceptions import RedisError

from bidder.artefact import Model
from bidder.counting import TakenCounts
from bidder.funnel import FunnelWriter
from bidder.handler import BidderHandler
from bidder.snapshot import Compiled, Snapshot
from core import keys
from core.clock import Clock
from core.errors import CatalogueError, UnavailableError
from core.model import Catalogue
from core.processes import end_with_parent
from pacing.leases import LeaseBook

FORMAT = b"C1"
"""First bytes of an encoded catalogue; changes when older processes could not read it."""

# 3 is zstandard's default: 100,000 line items shrink tenfold in under half a second.
COMPRESSION_LEVEL = 3
MAX_CATALOGUE_BYTES = 1024 * 1024 * 1024

# A catalogue that cannot be installed is tried again after this, in case that it was the machine's fault, and so is
# what the log says of it: the old one ages meanwhile.
RETRY_REFUSED_S = 60.0

CHILD_NICENESS = 5

# While there is no catalogue yet nothing else can be done: a process that starts asks more often.
FIRST_POLL_S = 0.025

_log = logging.getLogger("grosz.bidder.catalogue")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Catalogue)


def encode_catalogue(catalogue: Catalogue) -> bytes:
    """Bytes to publish."""
    return FORMAT + zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(_encoder.encode(catalogue))


def decode_catalogue(data: bytes) -> Catalogue:
    """The inverse. Raises CatalogueError for bytes of another format or damaged ones."""
    if not data.startswith(FORMAT):
        raise CatalogueError(
            "the published catalogue is of another format", hint="run admin and bidders of the same version"
        )
    try:
        return _decoder.decode(
            zstandard.ZstdDecompressor().decompress(data[len(FORMAT) :], max_output_size=MAX_CATALOGUE_BYTES)
        )
    except (msgspec.DecodeError, zstandard.ZstdError) as error:
        raise CatalogueError(f"the published catalogue cannot be read: {error}", hint="publish it again") from error


def compile_bytes(data: bytes) -> Compiled:
    """Decode and compile: what the child process runs. Raises CatalogueError for whatever cannot be compiled."""
    try:
        return Compiled(decode_catalogue(data))
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


def compile_parts(data: bytes) -> list[bytes]:
    """`compile_bytes` for another process, which takes the parts one by one."""
    return compile_bytes(data).packed()


class CatalogueSource(Protocol):
    """Where the published catalogue lies; redis-py's client in production."""

    def get(self, name: str) -> Awaitable[bytes | str | None]: ...


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

    async def compile(self, data: bytes) -> Compiled:
        """Compile an encoded catalogue. Raises CatalogueError when it cannot be, UnavailableError if the child died."""
        if self._executor is None:
            compiled = compile_bytes(data)
            self._executor = self._start()
            return compiled
        try:
            parts = await asyncio.get_running_loop().run_in_executor(self._executor, compile_parts, data)
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

    async def take(self, data: bytes) -> int:
        """Compile and swap in; the version that is served from now on."""
        begun = self._clock.monotonic()
        try:
            compiled = await self._compiler.compile(data)
            ready = self._clock.monotonic()
            version, left = self._install(compiled)
        finally:
            gc.enable()
        done = self._clock.monotonic()
        _log.info("catalogue %d: compiled in %.2f s, swapped in %.3f s", version, ready - begun, done - ready)
        if left is not None:
            await self._funnel.add(left)
        return version

    def _install(self, compiled: Compiled) -> tuple[int, TakenCounts | None]:
        # Nothing from `bind` to `install` may fail or await: the book's arrays and the snapshot change as one.
        snapshot = Snapshot(compiled, self._model, self._book, self._track_url)
        self._book.bind(compiled.pools)
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


class Refusal(NamedTuple):
    """A published version that cannot be installed, and why."""

    version: int
    text: str


class CatalogueWatcher:
    """Polls for a new version and hands its bytes to `take`, which installs them and says which version it has then."""

    def __init__(
        self, source: CatalogueSource, take: Callable[[bytes], Awaitable[int]], *, clock: Clock, poll_s: float
    ) -> None:
        self._source = source
        self._take = take
        self._clock = clock
        self._poll_s = poll_s
        self._version = -1
        self._refusal: Refusal | None = None
        self._refused_at = 0.0
        self._alive_ms = 0

    @property
    def version(self) -> int:
        """The installed version; -1 before the first."""
        return self._version

    @property
    def refusal(self) -> "Refusal | None":
        """What is published and cannot be installed, until something later can."""
        return self._refusal

    @property
    def age_s(self) -> float:
        """Seconds since a publisher last said that the installed version is the current one."""
        return (self._clock.now_ms() - self._alive_ms) / 1000

    async def run(self) -> None:
        """Follow until cancelled. A catalogue that cannot be installed is reported, and the old one stays."""
        while True:
            try:
                await self.follow()
            except CatalogueError as error:
                refused = self._refusal.version if self._refusal else 0
                _log.error("catalogue %d cannot be installed; %d stays and ages: %s", refused, self._version, error)
            except (UnavailableError, RedisError, OSError) as error:
                _log.warning("the catalogue is not followed: %s", error)
            await asyncio.sleep(self._poll_s if self._version >= 0 else min(FIRST_POLL_S, self._poll_s))

    async def follow(self) -> None:
        """One poll: install the published version if it is new."""
        raw = await self._source.get(keys.CATALOGUE_VERSION)
        if raw is None:
            return
        version = int(raw)
        if version != self._version and not self._has_refused(version):
            data = await self._source.get(keys.CATALOGUE_SNAPSHOT)
            if isinstance(data, bytes):
                await self._install(data, version)
        if version == self._version:
            alive = await self._source.get(keys.CATALOGUE_ALIVE)
            self._alive_ms = int(alive) if alive else 0

    def _has_refused(self, version: int) -> bool:
        """Whether it was refused just now: asking again four times a second would fail as often."""
        is_recent = self._clock.monotonic() - self._refused_at < RETRY_REFUSED_S
        return self._refusal is not None and self._refusal.version == version and is_recent

    async def _install(self, data: bytes, version: int) -> None:
        try:
            self._version = await self._take(data)
        except CatalogueError as error:
            self._refusal, self._refused_at = Refusal(version, str(error)), self._clock.monotonic()
            raise
        self._refusal = None
        _log.info("catalogue version %d is installed", self._version)


class CatalogueFollower:
    """The published catalogue as values, for the roles that need no index. `current` is None before the first."""

    def __init__(self) -> None:
        self.current: Catalogue | None = None
        self._listeners: list[Callable[[Catalogue], None]] = []

    def listen(self, listener: Callable[[Catalogue], None]) -> None:
        """Call `listener` with each catalogue, in the order of registration."""
        self._listeners.append(listener)

    async def take(self, data: bytes) -> int:
        """See `CatalogueWatcher`."""
        catalogue = decode_catalogue(data)
        self.current = catalogue
        for listener in self._listeners:
            listener(catalogue)
        return catalogue.version
