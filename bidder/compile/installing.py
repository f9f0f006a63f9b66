"""A bidder's catalogue: compiled in a child process, layered, and swapped in by reference.

A change is compiled as an overlay above the base (bidder.targeting.overlay). When the overlay has grown large, a second
child compiles a new base from what is published, while the first goes on with overlays: no change waits for a base.
"""

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable, Sequence

from redis.exceptions import RedisError

from bidder.compile.process import Compiler, in_steps
from bidder.decision.bids_out import BidsOut
from bidder.decision.model_file import Model
from bidder.decision.snapshot import Snapshot
from bidder.diagnosis.funnel import FunnelWriter
from bidder.door.handler import BidderHandler
from bidder.request.auction import Auction
from bidder.targeting.compiled import Compiled
from bidder.targeting.eligible_now import LiveSets
from bidder.targeting.index import Index
from bidder.targeting.match import Matcher
from bidder.targeting.memory import MemoryBudget
from bidder.targeting.overlay import layered
from bidder.targeting.quality import Quality
from core.catalogue.follower import Chain
from core.clock import Clock
from core.collector import building_what_lives_long
from core.errors import CatalogueError, UnavailableError
from core.telemetry.logs import WITHOUT_CONTENT
from creatives.products.cache import ProductCache
from pacing.budgets.leases import LeaseBook
from pacing.landscape.shading import Shading

# An overlay of more positions than this and than this part of the base is merged into a new base. Requests match an
# overlay as fast as a base; what grows is the time until a change is effective, 2.5 s for 100,000 positions.
LEAST_MERGED = 1_000
MERGED_PART = 1 / 8

MERGING = "merge the overlay"
"""Name of the asyncio task that merges the overlay."""

ReadWhole = Callable[[], Awaitable[tuple[bytes, Chain]]]
"""following.read_whole of the published catalogue."""

_log = logging.getLogger("grosz.bidder.catalogue")


class BidCatalogue:
    """Makes snapshots of what is published and keeps the current one live; implements following.CatalogueTaker."""

    def __init__(
        self,
        *,
        read_whole: ReadWhole,
        model: Model,
        book: LeaseBook,
        handler: BidderHandler,
        funnel: FunnelWriter,
        track_url: str,
        clock: Clock,
        shading: Shading | None = None,
        quality: Quality | None = None,
        products: ProductCache | None = None,
    ) -> None:
        self._read_whole = read_whole
        self._model = model
        self._book = book
        self._out = BidsOut()
        self._handler = handler
        self._funnel = funnel
        self._track_url = track_url
        self._clock = clock
        self._shading = shading or Shading()
        self._quality = quality or Quality()
        self._products = products
        self._compiler = Compiler()
        self._base: Compiled | None = None
        self._installing = asyncio.Lock()
        self._merging: asyncio.Task[None] | None = None
        self._while_merging: list[bytes] = []

    @property
    def layers(self) -> tuple[int, int]:
        """Positions of the base and of the overlay above it."""
        snapshot, base = self._handler.snapshot, self._base
        if snapshot is None or base is None:
            return 0, 0
        return base.index.count, snapshot.index.count - base.index.count

    async def take(self, snapshot: bytes, changes: Sequence[bytes]) -> int:
        """Compile a whole catalogue and swap it in. Returns the version that is served from now on."""
        async with self._installing:
            begun = self._clock.monotonic()
            compile_whole = self._compiler.first if self._base is None else self._compiler.whole
            base = await compile_whole(snapshot, changes)
            await self._rehearse(base.index)
            return self._install(base, base, begun)

    async def take_changes(self, changes: Sequence[bytes]) -> int:
        """Compile what has changed as an overlay and swap it in. Returns the version that is served from now on."""
        async with self._installing:
            begun = self._clock.monotonic()
            if self._merging is not None:
                self._while_merging += changes
            version = await self._overlay(self._compiler, changes, self._base, begun)
        self._merge_if_large()
        return version

    async def _overlay(self, compiler: Compiler, changes: Sequence[bytes], base: Compiled | None, begun: float) -> int:
        if base is None:
            raise UnavailableError("there is no catalogue to change yet", hint="the whole one is compiled next")
        compiled = await in_steps(layered(base, await compiler.overlay(changes)))
        return self._install(base, compiled, begun)

    def _merge_if_large(self) -> None:
        base, overlay = self.layers
        if self._merging is None and overlay > max(LEAST_MERGED, MERGED_PART * base):
            self._while_merging = []
            self._merging = asyncio.create_task(self._merge(), name=MERGING)

    async def _merge(self) -> None:
        """Compile a new base and put what has changed meanwhile above it."""
        compiler, begun, present = Compiler(), self._clock.monotonic(), self._handler.snapshot
        before = self._base
        try:
            snapshot, chain = await self._read_whole()
            if present is not None and chain.version < present.index.version:
                # Redis is behind for a moment; the loop that follows the version would not notice that we went back.
                raise UnavailableError(
                    f"catalogue {chain.version} is older than what is served", hint="the publisher writes it again"
                )
            base = await compiler.whole(snapshot, chain.changes)
            compiled = self._clock.monotonic()
            await self._rehearse(base.index)  # seconds on a busy machine, in which changes must be taken
            async with self._installing:
                if self._base is not before:  # `_while_merging` does not lead on to what was installed meanwhile
                    raise UnavailableError("a whole catalogue came meanwhile", hint="it is the base now")
                await self._overlay(compiler, self._while_merging, base, begun)
                compiler, self._compiler = self._compiler, compiler
            tried = self._clock.monotonic()
            _log.info("a new base: compiled in %.2f s, tried in %.2f s", compiled - begun, tried - compiled)
        except (CatalogueError, UnavailableError, RedisError, OSError) as error:
            _log.warning("the overlay is not merged, which the next change tries again: %s", error)
        finally:
            self._merging = None
            await compiler.close()

    def _install(self, base: Compiled, compiled: Compiled, begun: float) -> int:
        ready = self._clock.monotonic()
        with building_what_lives_long():
            snapshot = Snapshot(
                compiled,
                self._model,
                self._book,
                self._track_url,
                self._shading,
                self._out,
                self._quality,
                self._products,
            )
        # Nothing from `bind` to `install` may fail or await: the book's arrays and the snapshot change as one.
        self._book.bind(compiled.index.pools)
        snapshot.live.refresh(self._clock.now_ms(), self._book)
        self._funnel.follow(snapshot.counts)
        self._handler.install(snapshot)
        self._base = base
        done = self._clock.monotonic()
        version = compiled.index.version
        _log.info("catalogue %d: made in %.2f s, swapped in %.3f s", version, ready - begun, done - ready)
        return version

    async def _rehearse(self, base: Index) -> None:
        """Match recent requests to fill the memos: a new base takes 1-3 ms for each first one at 100,000 line items."""
        matcher = Matcher(base, LiveSets(base), MemoryBudget(), counts_hits=False)
        for auction in tuple(self._handler.recent):
            try:
                matcher.match_context(_twin(auction))
            except Exception:
                # It could not be matched when it came either; no request may keep a catalogue from being installed.
                _log.exception("a recent request cannot be matched", extra=WITHOUT_CONTENT)
            await asyncio.sleep(0)

    async def refresh(self, interval_s: float) -> None:
        """Recompute every `interval_s` which line items the clock and the leases let bid, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            snapshot = self._handler.snapshot
            if snapshot is not None:
                snapshot.live.refresh(self._clock.now_ms(), self._book)

    async def close(self) -> None:
        """End the child processes."""
        if self._merging is not None:
            self._merging.cancel()
            await asyncio.wait([self._merging])
        await self._compiler.close()


def _twin(auction: Auction) -> Auction:
    """A copy of an auction for the matcher to write its sets of line items to, which nothing reads."""
    twin = copy.copy(auction)
    twin.impressions = [copy.copy(impression) for impression in auction.impressions]
    return twin
