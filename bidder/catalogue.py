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
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import zstandard

from bidder.snapshot import Compiled
from core import keys
from core.clock import Clock
from core.errors import CatalogueError, UnavailableError
from core.model import Catalogue

FORMAT = b"C1"
"""First bytes of an encoded catalogue; changes when older processes could not read it."""

# 3 is zstandard's default: 100,000 line items shrink tenfold in under half a second.
COMPRESSION_LEVEL = 3
MAX_CATALOGUE_BYTES = 1024 * 1024 * 1024

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
    """Decode and compile: what the child process runs."""
    return Compiled(decode_catalogue(data))


class CatalogueSource(Protocol):
    """Where the published catalogue lies; redis-py's client in production."""

    def get(self, name: str) -> Awaitable[bytes | None]: ...


class CatalogueWatcher:
    """Polls for a new version, compiles it and hands it to `install`; `install` runs on the event loop."""

    def __init__(
        self,
        source: CatalogueSource,
        install: Callable[[Compiled], Awaitable[None]],
        *,
        clock: Clock,
        poll_s: float,
    ) -> None:
        self._source = source
        self._install = install
        self._clock = clock
        self._poll_s = poll_s
        self._version = -1
        self._refused = -1
        self._alive_ms = 0
        self._executor = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    @property
    def version(self) -> int:
        """The installed version; -1 before the first."""
        return self._version

    @property
    def age_s(self) -> float:
        """Seconds since a publisher last said that the installed version is the current one."""
        return (self._clock.now_ms() - self._alive_ms) / 1000

    async def run(self) -> None:
        """Follow until cancelled. A catalogue that does not compile is reported once, and the old one stays."""
        try:
            while True:
                try:
                    await self.follow()
                except (CatalogueError, UnavailableError, OSError) as error:
                    _log.warning("catalogue is not followed: %s", error)
                except concurrent.futures.process.BrokenProcessPool:
                    _log.warning("the compiling process died; starting another")
                    self._executor = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
                await asyncio.sleep(self._poll_s)
        finally:
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def follow(self) -> None:
        """One poll: install the published version if it is new."""
        raw = await self._source.get(keys.CATALOGUE_VERSION)
        if raw is None:
            return
        version = int(raw)
        if version != self._version and version != self._refused:
            data = await self._source.get(keys.CATALOGUE_SNAPSHOT)
            if data is None:
                return
            await self._compile(data, version)
        if version == self._version:
            alive = await self._source.get(keys.CATALOGUE_ALIVE)
            self._alive_ms = int(alive) if alive else 0

    async def _compile(self, data: bytes, version: int) -> None:
        try:
            compiled = await asyncio.get_running_loop().run_in_executor(self._executor, compile_bytes, data)
        except CatalogueError:
            self._refused = version
            raise
        await self._install(compiled)
        self._version = compiled.index.version
        # The snapshot lives until the next one: without this every full collection walks all of it (40 ms at 100,000).
        gc.collect()
        gc.freeze()
        _log.info("catalogue version %d is installed: %d line items", self._version, compiled.index.count)
