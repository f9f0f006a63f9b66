"""One run of a feed: read it whole, judge it, write it beside the products in force, swap.

Nothing that is in force is touched before the feed has been read to its end and found good, so a feed that breaks off,
shrinks or cannot be read costs nothing but its own row in the report.
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from core.clock import Clock
from core.errors import ConflictError, UnavailableError
from creatives.feeds.faults import FaultLog, FeedError
from creatives.feeds.fetching import FeedFetcher, Validators
from creatives.feeds.reading import FeedReader, ReadOptions
from creatives.feeds.runs import Run, RunOutcome, RunProgress, RunStore
from creatives.feeds.spill import Spill
from creatives.feeds.unpacking import CHUNK_BYTES
from creatives.product import FeedProduct
from creatives.products.codec import TABLE_VERSION, TableHead, TablePacker, block_count, is_group
from creatives.products.store import CHUNK, LOCK_S, Lock, ProductStore

log = logging.getLogger(__name__)

# What the dictionary and the prefixes are learned from; 4,096 products are about 2 MB.
SAMPLE: Final = 4_096
# Rows between two looks at the clock; 5 ms of reading.
ROWS_A_TURN: Final = 100
PROGRESS_S: Final = 1.0
# A feed with fewer products than this share of the last good run is taken for broken.
MIN_SHARE_PERCENT: Final = 50
VERSION_RANDOM_BITS: Final = 10

Progressing = Callable[[str, int, int, int], Awaitable[None]]
"""It is called now and then with the stage, rows, products and percent."""


class FeedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be loaded."""

    feed_id: int
    advertiser_id: int
    url: str
    options: ReadOptions = ReadOptions()
    validators: Validators = Validators()  # of the version in force; empty: load even if unchanged
    force: bool = False
    allow_private: bool = False
    directory: str = ""  # for temporary files; '': the system's


class FeedLoader:
    """Loads feeds into the product store."""

    def __init__(self, store: ProductStore, clock: Clock, *, fetcher: FeedFetcher | None = None) -> None:
        self._store = store
        self._runs = RunStore(store)
        self._clock = clock
        self._fetcher = fetcher

    async def load(self, job: FeedJob) -> Run:
        """Fetch and load; the run is recorded. Raises ConflictError when the feed is being loaded already."""
        async with self._held(job) as lock:
            run = self._start(job)
            try:
                await self._progress(job, run, "fetching", 0, 0, 0)
                fetcher = self._fetcher or FeedFetcher(
                    allow_private=job.allow_private, directory=Path(job.directory) if job.directory else None
                )
                fetched = await fetcher.fetch(job.url, job.validators)
                run.etag, run.last_modified = fetched.validators.etag, fetched.validators.last_modified
                if fetched.file is None:
                    run.outcome = RunOutcome.UNCHANGED
                else:
                    with fetched.file as file:
                        moment = min(fetched.modified_ms or run.started_ms, run.started_ms)
                        await self._load(job, lock, run, file, fetched.size, fetched.charset, moment)
            except FeedError as error:
                _refuse(run, error, RunOutcome.FAILED if not run.rows else RunOutcome.REFUSED)
            return await self._finish(run)

    async def load_file(self, job: FeedJob, file: IO[bytes], size: int, as_of_ms: int = 0) -> Run:
        """Load an uploaded or local file that shows the moment `as_of_ms` (0: now); the run is recorded."""
        async with self._held(job) as lock:
            run = self._start(job)
            try:
                await self._load(job, lock, run, file, size, "", as_of_ms or run.started_ms)
            except FeedError as error:
                _refuse(run, error, RunOutcome.REFUSED)
            return await self._finish(run)

    def _start(self, job: FeedJob) -> Run:
        now_ms = self._clock.now_ms()
        return Run(
            feed_id=job.feed_id, advertiser_id=job.advertiser_id, outcome=RunOutcome.FAILED, started_ms=now_ms,
        )  # fmt: skip

    async def _finish(self, run: Run) -> Run:
        head = (await self._store.heads(run.advertiser_id)).get(run.feed_id)
        run.products = head.products if head else 0
        run.finished_ms = self._clock.now_ms()
        await self._runs.record(run)
        return run

    @contextlib.asynccontextmanager
    async def _held(self, job: FeedJob) -> AsyncIterator[Lock]:
        """Hold the feed's lock and renew it while the body runs. Raises ConflictError when another loader has it."""
        lock = await self._store.lock(job.advertiser_id, job.feed_id)
        if lock is None:
            raise ConflictError(
                f"feed {job.feed_id} is being loaded",
                hint="wait for it, or see `grosz feed show`",
                code="feed_is_loading",
            )
        keeper = asyncio.create_task(self._keep(lock))
        try:
            yield lock
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            try:
                await self._store.unlock(lock)
            except UnavailableError as error:
                log.warning("the lock of feed %d runs out by itself: %s", job.feed_id, error.message)

    async def _keep(self, lock: Lock) -> None:
        while True:
            await asyncio.sleep(LOCK_S / 4)
            try:
                await self._store.renew(lock)
            except UnavailableError as error:  # the swap looks at the lock itself
                log.warning("the lock of feed %d is not renewed: %s", lock.feed_id, error.message)

    async def _progress(self, job: FeedJob, run: Run, stage: str, rows: int, products: int, percent: int) -> None:
        progress = RunProgress(
            stage=stage, started_ms=run.started_ms, rows=rows, products=products, percent=min(100, percent)
        )
        await self._runs.show_progress(job.advertiser_id, job.feed_id, progress)

    async def _load(
        self, job: FeedJob, lock: Lock, run: Run, file: IO[bytes], size: int, charset: str, as_of_ms: int
    ) -> None:
        before = (await self._store.heads(job.advertiser_id)).get(job.feed_id)

        async def progress(stage: str, rows: int, products: int, percent: int) -> None:
            await self._progress(job, run, stage, rows, products, percent)

        directory = Path(job.directory) if job.directory else None
        with Spill(directory) as spill:
            expected = before.products if before else size // 500
            packer = await read_feed(job.options, run, file, size, charset, spill, expected, progress)
            blocks = block_count(spill.distinct)
            check_size(spill.products, before.products if before else 0, force=job.force)
            version = next_version(run.started_ms, before.version if before else 0)
            try:
                await self._write(lock, version, packer, spill, progress)
            except BaseException:
                with contextlib.suppress(UnavailableError):
                    await self._store.discard(lock, version)
                raise
            head = TableHead(
                TABLE_VERSION, job.feed_id, version, as_of_ms, spill.products, blocks,
                packer.prefixes.texts, packer.dictionary,
            )  # fmt: skip
            await self._store.swap(lock, head)
        await self._store.forget_told(job.advertiser_id)
        run.outcome, run.version, run.as_of_ms = RunOutcome.LOADED, version, as_of_ms

    async def _write(self, lock: Lock, version: int, packer: TablePacker, spill: Spill, progress: Progressing) -> None:
        written = 0
        for part in _batched(((number, packer.block(rows)) for number, rows in spill.blocks()), CHUNK):
            await self._store.write_blocks(lock, version, part)
            written += len(part)
            if written % (CHUNK * 16) == 0:
                await progress("writing", spill.rows, spill.products, 100 * written // block_count(spill.distinct))


async def read_feed(
    options: ReadOptions,
    run: Run,
    file: IO[bytes],
    size: int,
    charset: str,
    spill: Spill,
    expected: int,
    progress: Progressing,
) -> TablePacker:
    """Read a feed to its end into `spill`; what was found is noted in `run`. Raises FeedError."""
    faults = FaultLog()
    reader = FeedReader(options, faults, charset)
    products = reader.products(iter(lambda: file.read(CHUNK_BYTES), b""))
    try:
        sample = list(itertools.islice(products, SAMPLE))
        packer = TablePacker.learn(sample, max(expected, len(sample)))
        loop = asyncio.get_running_loop()
        shown = 0.0
        for number, product in enumerate(itertools.chain(sample, products)):
            spill.add_product(product, packer.row(product), reader.line)
            if number % ROWS_A_TURN == 0:
                await asyncio.sleep(0)
                if loop.time() - shown >= PROGRESS_S:
                    shown = loop.time()
                    await progress("reading", reader.rows, spill.rows, 100 * reader.packed_bytes // max(1, size))
        _ = spill.distinct  # counts, and finds repeated ids
        for line, product_id in spill.repeated:
            faults.add("repeated_id", "id", line, product_id, product_id)
        faults.count("repeated_id", "id", spill.rows - spill.products - len(spill.repeated))
        await progress("writing", reader.rows, spill.products, 0)
        if not spill.rows:
            raise FeedError("no_good_row", "no row of the feed is a product", hint="see its faults")
    finally:
        run.rows, run.form, run.packing, run.bytes = reader.rows, reader.form, reader.packing, reader.packed_bytes
        run.encoding, run.encoding_guessed = reader.encoding, reader.encoding_guessed
        run.rows_refused = reader.rows - spill.rows
        run.faults, run.faults_total = faults.table(), faults.total
    run.read, run.repeated = spill.products, spill.rows - spill.products
    return packer


def next_version(now_ms: int, before: int) -> int:
    """A version after `before`; random bits tell it from that of a loader that began in the same millisecond."""
    moment = max(now_ms, (before >> VERSION_RANDOM_BITS) + 1)
    return moment << VERSION_RANDOM_BITS | secrets.randbits(VERSION_RANDOM_BITS)


def check_size(products: int, before: int, *, force: bool) -> None:
    """Raises FeedError for a feed that has lost more than half of its products, unless that is wanted."""
    if products * 100 < before * MIN_SHARE_PERCENT and not force:
        text = f"the feed has {products} products, less than half of the {before} before"
        raise FeedError("shrunk", text, hint="if that is right, load it with --force")


def _refuse(run: Run, error: FeedError, outcome: RunOutcome) -> None:
    run.outcome, run.code, run.message, run.line = outcome, error.code, error.message, error.line
    run.hint = error.hint


def _batched(blocks: Iterable[tuple[int, bytes]], size: int) -> Iterator[list[tuple[int, bytes]]]:
    iterator = iter(blocks)
    while part := list(itertools.islice(iterator, size)):
        yield part


async def nobody_watches(_stage: str, _rows: int, _products: int, _percent: int) -> None:
    """Progress that is not shown."""


async def check_feed(
    options: ReadOptions, file: IO[bytes], size: int, charset: str = ""
) -> tuple[Run, list[FeedProduct]]:
    """Read a feed without loading it: its run, and some of its products."""
    run = Run(feed_id=0, advertiser_id=0, outcome=RunOutcome.REFUSED)
    shown: list[FeedProduct] = []
    with Spill() as spill:
        try:
            packer = await read_feed(options, run, file, size, charset, spill, 0, nobody_watches)
            run.outcome = RunOutcome.LOADED
            reader = packer.reader()
            for _, rows in itertools.islice(spill.blocks(), 1):
                shown = [reader.row(row.row) for row in rows if not is_group(row.id)][:5]
        except FeedError as error:
            _refuse(run, error, RunOutcome.REFUSED)
    return run, shown
