"""The worker's loop that mirrors the journal's Parquet files in an S3-compatible store, where one is set."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final, TypeVar

from core import keys
from core.bucket import Bucket, BucketPlace, BucketUse
from core.clock import Clock
from core.config import JournalSettings
from core.errors import ConfigError, UnavailableError
from core.telemetry.metrics import Telemetry
from core.turns import to_its_end
from journal.archive import STATE_FILE, Archive, positions_in
from journal.manifests import FolderSnapshot, ObjectStore
from journal.mirroring import Mirror
from journal.repeating import repeat
from pacing.budgets.transitions import Transitions
from pacing.ledger.rows import stream_id_order

USE: Final = BucketUse("the store of the journal's mirror", "journal.mirror_")
FOLDER: Final = "mirroring"
"""Beside the Parquet files: links to those that are being put into the mirror, which no backup needs."""

# Clicks and orders stay in Redis until the mirror has them; while it is away, no longer than this.
TRIM_ANYWAY_MS: Final = 3_600_000
_LONGEST_PAUSE_S: Final = 60.0
_NO_FOLDER_S: Final = 0.5
# At the end of the role, which has ten seconds in all.
_LAST_PUT_S: Final = 4.0

_log = logging.getLogger("grosz.journal")
_T = TypeVar("_T")


def object_store_of(settings: JournalSettings) -> ObjectStore | None:
    """Where the journal is mirrored; None where it is not. Raises ConfigError."""
    if not settings.mirror_bucket:
        return None
    if bool(settings.mirror_access_key) != bool(settings.mirror_secret_key):
        raise ConfigError(
            "of journal.mirror_access_key and journal.mirror_secret_key only one is set",
            hint="set both, or neither where the machine itself has keys",
        )
    place = BucketPlace(
        settings.mirror_bucket, settings.mirror_endpoint, settings.mirror_region, settings.mirror_access_key,
        settings.mirror_secret_key, settings.mirror_prefix,
    )  # fmt: skip
    return Bucket(place, USE)


class MirrorFeeder:
    """Puts what the worker's folder has into the mirror, and fills the folder from it where that is empty.

    The keeper of the folder works `at_work`; a snapshot is taken while it does not.
    """

    def __init__(
        self,
        store: ObjectStore,
        archive: Archive,
        transitions: Transitions,
        clock: Clock,
        telemetry: Telemetry,
        *,
        every_s: int,
    ) -> None:
        # Imported where it is used: DuckDB is a tenth of a second and 60 MiB that other roles do without.
        from journal.snapshots import forget_links, take_snapshot

        self._links = archive.folder.parent / FOLDER
        self._take_snapshot, self._forget_links = partial(take_snapshot, archive, self._links), forget_links
        self._transitions, self._clock, self._every_s = transitions, clock, every_s
        self._mirror = Mirror(store, archive.folder, clock, telemetry, writer=socket.gethostname(), every_s=every_s)
        self._at_work = asyncio.Lock()
        self._is_putting = False
        self._trimmed: dict[str, str] = {}
        self._erased_ms = 0
        self.has_folder = False
        """Whether this worker keeps the journal's folder: of several workers one mirrors it."""
        self._failures = telemetry.counter(
            "grosz_journal_mirror_failures_total", "Failed attempts to put the journal's files into the mirror."
        ).labels()

    @property
    def clean_until_ms(self) -> int:
        """People who were erased before this moment (unix ms) are in no object of the mirror."""
        return self._mirror.clean_until_ms

    @property
    def keeps_streams(self) -> bool:
        """Whether streams of clicks and orders are trimmed here, once the mirror has them."""
        return self._clock.now_ms() - self._mirror.taken_ms < TRIM_ANYWAY_MS

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Around changes of the files: no snapshot is taken meanwhile. Raises UnavailableError.

        Before the first time, an empty folder is filled from the mirror.
        """
        if not self._mirror.is_begun:
            await _in_its_own_thread(self._mirror.begin)
        async with self._at_work:
            yield

    def note_erased(self, until_ms: int) -> None:
        """Note that people who were erased before a moment (unix ms) are in no file any more."""
        self._erased_ms = until_ms

    async def run(self) -> None:
        """Mirror until cancelled."""
        await repeat(self._next, self._failures, "the journal is not mirrored for now", _LONGEST_PAUSE_S)

    async def _next(self) -> None:
        await asyncio.sleep(self._every_s if await self.step() else _NO_FOLDER_S)

    async def step(self, *, is_last: bool = False) -> bool:
        """Put what the folder has now; False where this worker does not have it (yet). Raises UnavailableError."""
        if not self.has_folder:
            self._mirror.taken_ms = self._clock.now_ms()  # the worker that has the folder may be behind
        if not self.has_folder or not self._mirror.is_begun:
            return False
        self._is_putting = True
        await _in_its_own_thread(self._mirror.look)
        is_whole = False
        while not is_whole:
            async with self._at_work:
                snapshot = await to_its_end(self._snapshot)
            is_whole = await _in_its_own_thread(partial(self._put, snapshot, is_last))
        self._is_putting = False
        await self._trim()
        return True

    async def close(self) -> None:
        """Put what is new into the mirror, if the store is there and quick enough; otherwise the next start does."""
        try:
            if not self._is_putting:  # otherwise a thread may still be at it, or the store is away
                async with asyncio.timeout(_LAST_PUT_S):
                    await self.step(is_last=True)
        except (UnavailableError, TimeoutError) as error:
            _log.warning("the last of the journal is put into its mirror after the next start: %s", error)
        finally:
            self._mirror.end()

    def _snapshot(self) -> FolderSnapshot:
        return self._take_snapshot(self._mirror.mirrored, self._erased_ms)

    def _put(self, snapshot: FolderSnapshot, is_last: bool) -> bool:
        try:
            return self._mirror.put(snapshot, is_last=is_last)
        finally:
            self._forget_links(self._links)

    async def _trim(self) -> None:
        """Remove clicks and orders that the mirror has from Redis.

        Until then a worker that loses its disk takes them again.
        """
        text = self._mirror.small.get(STATE_FILE)
        for stream, last in positions_in(text).items() if text else ():
            source, _, advertiser = stream.partition(":")
            if source == "events" and self._trimmed.get(stream) != last:
                await trim_events(self._transitions, int(advertiser), last)
                self._trimmed[stream] = last


async def trim_events(transitions: Transitions, advertiser_id: int, last: str) -> None:
    """Forget the clicks and orders of an advertiser's stream up to one, which is in Parquet files.

    Raises what the call to Redis raises.
    """
    milliseconds, sequence = stream_id_order(last)
    after = f"{milliseconds}-{sequence + 1}"  # the smallest id that comes after it
    await transitions.command("XTRIM", keys.money_journal(advertiser_id), "MINID", after)


async def _in_its_own_thread(work: Callable[[], _T]) -> _T:
    """Run `work` in a thread of its own and return its result. The end of the role does not wait for that thread.

    The thread may hang on a store that does not answer. The process ends in the midst of it then, as by a kill, which a
    mirror survives.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def tell(fault: BaseException | None, found: list[_T]) -> None:
        if done.done():  # cancelled: nobody waits any more
            return
        if fault is not None:
            done.set_exception(fault)
        else:
            done.set_result(found[0])

    def run() -> None:
        fault: BaseException | None = None
        found: list[_T] = []
        try:
            found.append(work())
        except Exception as error:
            fault = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, fault, found)

    threading.Thread(target=run, name="journal mirror", daemon=True).start()
    return await done
