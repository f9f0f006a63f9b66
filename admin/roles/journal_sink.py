"""The worker's loop that gives stored batches of the journal to the sink, where one is set."""

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core import keys
from core.clock import Clock
from core.config import JournalSettings
from core.disk import disk_hint
from core.errors import InputError, UnavailableError
from core.telemetry.metrics import Telemetry
from core.turns import to_its_end
from journal.folders import DAMAGED_SUFFIX
from journal.repeating import repeat
from journal.segment import SegmentFrame
from journal.sinks.clickhouse import ClickHouseSink
from journal.sinks.kafka import KafkaSink
from journal.sinks.outbox import FOLDER, SinkOutbox
from journal.sinks.sink import EventSink, batch_without
from pacing.budgets.transitions import Transitions

_MIB = 1024 * 1024
_LONGEST_PAUSE_S: Final = 30.0
# Each time ClickHouse reads the pseudonyms of all its rows; people who are new are erased at once.
_ERASE_AGAIN_S: Final = 3_600.0
_PROCESS: Final = "worker"

_log = logging.getLogger("grosz.journal")


def sink_of(settings: JournalSettings) -> EventSink | None:
    """The sink besides the worker's own files; None where there is none. Raises ConfigError."""
    if settings.sink == "kafka":
        return KafkaSink(settings.sink_url, prefix=settings.sink_prefix, kept_days=settings.sink_days)
    if settings.sink == "clickhouse":
        return ClickHouseSink(settings.sink_url, kept_days=settings.sink_days)
    return None


class SinkFeeder:
    """Gives the batches of an outbox to a sink, one after the other, and erases people there."""

    def __init__(
        self, sink: EventSink, folder: Path, transitions: Transitions, clock: Clock, telemetry: Telemetry, max_mib: int
    ) -> None:
        self._sink, self._transitions, self._clock = sink, transitions, clock
        self._outbox = SinkOutbox(folder / FOLDER, telemetry, max_bytes=max_mib * _MIB)
        self._erased_at = -_ERASE_AGAIN_S
        self._erased: set[int] = set()
        self._cleaned_at = -_ERASE_AGAIN_S
        self.has_folder = False
        """Whether this worker keeps the journal's folder, and with it the outbox: of several workers one gives."""
        self.clean_until_ms = 0
        """People who were erased before this moment (unix ms) are in no row that was written before it."""
        self._given = telemetry.counter(
            "grosz_journal_sink_batches_total", "Batches of journal rows that the sink has."
        ).labels()
        self._failures = telemetry.counter(
            "grosz_journal_sink_failures_total", "Failed attempts to give the sink a batch or an erasure."
        ).labels()

    def add_segment(self, path: Path) -> None:
        """See `SinkOutbox`."""
        self._outbox.add_segment(path)

    def add_streams(self, number: int, frames: Sequence[SegmentFrame]) -> None:
        """See `SinkOutbox`."""
        self._outbox.add_streams(number, _PROCESS, frames, self._clock.now_ms())

    async def run(self) -> None:
        """Give until cancelled."""
        await repeat(self.step, self._failures, "batches of the journal wait for the sink", _LONGEST_PAUSE_S)

    async def step(self) -> None:
        """Give and erase; nothing while another worker has the folder. Raises UnavailableError.

        Waiting batches are cleaned only while the sink does not take them: cleaning needs room on the disk, which
        giving them makes.
        """
        if not self.has_folder:
            return
        try:
            await self.give()
        except UnavailableError:
            await self.clean()
            raise
        await self.erase()

    async def close(self) -> None:
        """Close the sink; what waits goes to it after the next start."""
        await self._sink.close()

    async def clean(self) -> int:
        """Erase people from batches that wait, now and again; how many were written anew.

        A sink that is away for long must not keep them there. Raises UnavailableError.
        """
        people = await self._people()
        if not people or time.monotonic() - self._cleaned_at < _ERASE_AGAIN_S:
            return 0
        try:
            rewritten = await to_its_end(self._outbox.erase, people, _PROCESS, self._clock.now_ms())
        except OSError as error:
            text = f"batches for the sink cannot be written anew: {error}"
            raise UnavailableError(text, hint=disk_hint(error)) from error
        self._cleaned_at = time.monotonic()
        return rewritten

    async def give(self) -> int:
        """Give all batches that wait, without the people who were erased; how many batches.

        Raises UnavailableError, and leaves the rest.
        """
        given = 0
        people = await self._people()
        for path in await asyncio.to_thread(self._outbox.waiting):
            try:
                batch = await asyncio.to_thread(self._outbox.read, path)
            except InputError as error:
                _log.error("a batch for the sink cannot be read: %s", error, extra={"fields": {"file": path.name}})
                await asyncio.to_thread(path.rename, path.with_suffix(DAMAGED_SUFFIX))
                continue
            await self._sink.put(batch_without(batch, people))
            await asyncio.to_thread(self._outbox.forget, path)
            self._given.inc()
            given += 1
        return given

    async def erase(self) -> None:
        """Erase the people whom the worker erases from its files: new ones at once, everybody now and again."""
        people = await self._people()
        is_due = time.monotonic() - self._erased_at >= _ERASE_AGAIN_S
        wanted = people if is_due else people - self._erased
        began_ms = self._clock.now_ms()
        await self._sink.erase(wanted)
        self._erased = people
        if is_due:
            self._erased_at, self.clean_until_ms = time.monotonic(), began_ms

    async def _people(self) -> set[int]:
        """Whom the worker erases at present, by their pseudonyms."""
        reply = await self._transitions.command("ZRANGE", keys.JOURNAL_ERASURES, 0, -1)
        return {int(part) for part in reply if isinstance(part, bytes)} if isinstance(reply, list) else set()
