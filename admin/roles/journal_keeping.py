"""The worker's part of the journal: segments and streams to Parquet, merged by hour, dropped when they are old."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from admin.roles.journal import archive_of, bill_row, decode_row, segments_folder
from admin.roles.lifecycle import RoleContext
from admin.store.ledger import SqlLedgerStore
from core import keys
from core.clock import Clock
from core.config import JournalSettings
from core.errors import UnavailableError
from core.telemetry.metrics import Merge, Telemetry
from journal.archive import HOUR_MS, Archive, hour_text
from journal.rows import BILL, KINDS
from pacing.budgets.timing import DEFAULT_MAX_AGE_S
from pacing.budgets.transitions import Transitions, stream_entries
from pacing.ledger.rows import stream_id_order

if TYPE_CHECKING:
    from journal.streams import StreamRows, StreamTaker

# Reports promise figures that are a few seconds old; a segment is handed on every two.
PASS_S: Final = 1.0
# An hour's parts become one file this long after its end, when most notices of its bids have come...
MERGE_AFTER_MS: Final = 10 * 60_000
# ...and again whenever so many have gathered, in an hour that goes on as well.
MERGE_PARTS: Final = 60
MERGE_INTERVAL_S: Final = 30.0
# People are erased from the files this often: each time reads the pseudonyms of all files.
ERASE_INTERVAL_S: Final = 600.0
# After its last notice may have come, and its segment and part are made.
_LAST_NOTICE_MS: Final = (DEFAULT_MAX_AGE_S + 3_600) * 1_000
# What a stream gives in one pass.
BATCH_ENTRIES: Final = 5_000
_DAY_HOURS: Final = 24

_log = logging.getLogger("grosz.journal")


class JournalMetrics:
    """What the worker counts of the journal."""

    def __init__(self, telemetry: Telemetry, clock: Clock) -> None:
        self.rows = telemetry.counter(
            "grosz_journal_stored_rows_total", "Journal rows written to Parquet files."
        ).labels()
        self.torn = telemetry.counter(
            "grosz_journal_torn_bytes_total", "Bytes at the ends of segments whose process was killed within a write."
        ).labels()
        self.failures = telemetry.counter(
            "grosz_journal_failures_total", "Passes of the worker over the journal that failed."
        ).labels()
        self.stored_until_ms = clock.now_ms()
        lag = telemetry.gauge(
            "grosz_journal_lag_seconds", "Age of the newest moment up to which the journal is in Parquet files.",
            merge=Merge.MAX,
        )  # fmt: skip
        lag.labels().follow(lambda: max(0, clock.now_ms() - self.stored_until_ms) / 1000)


class JournalKeeper:
    """Keeps the Parquet files of one folder. `advertisers` gives the ids of all, the archived ones among them."""

    def __init__(
        self,
        settings: JournalSettings,
        archive: Archive,
        segments: Path,
        transitions: Transitions,
        ledger: SqlLedgerStore,
        advertisers: Callable[[], Iterable[int]],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        # Imported where it is used: DuckDB is a tenth of a second and 60 MiB that other roles do without.
        from journal.columnar import Columnar
        from journal.converting import SegmentConverter
        from journal.erasing import erase_people
        from journal.streams import StreamTaker

        self._settings, self._archive, self._clock = settings, archive, clock
        self._transitions, self._ledger, self._advertisers = transitions, ledger, advertisers
        archive.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._columnar = Columnar(spill=archive.folder / "spill")
        self._converter = SegmentConverter(segments, archive, self._columnar)
        self._new_taker: Callable[[], StreamTaker] = partial(StreamTaker, self._converter)
        self._taker: StreamTaker | None = None
        self._metrics = JournalMetrics(telemetry, clock)
        self._merged_at = self._erased_at = 0.0
        self._erase_people = partial(erase_people, archive, self._columnar)

    def start(self) -> bool:
        """Take the folder; False while another worker has it."""
        return self._converter.start()

    def stop(self) -> None:
        """Give the folder back."""
        self._converter.stop()

    async def run(self) -> None:
        """Keep until cancelled. While another worker has the folder, stand by."""
        while True:
            if self.start():
                try:
                    await self.keep()
                except UnavailableError as error:
                    self._metrics.failures.inc()
                    _log.warning("the journal is not stored for now: %s", error)
            await asyncio.sleep(PASS_S)

    async def close(self) -> None:
        """Store what is there, and give the folder back."""
        try:
            if self._taker is not None:
                await self.keep()
        except UnavailableError as error:
            _log.warning("the last of the journal waits for the next start: %s", error)
        self.stop()
        self._columnar.close()

    async def keep(self) -> None:
        """One pass. Raises UnavailableError; what was not done is done by the next."""
        began_ms = self._clock.now_ms()
        if self._taker is None:
            self._taker = self._new_taker()
        await asyncio.to_thread(self._convert)
        while await self._take_streams(self._taker):
            pass
        self._metrics.stored_until_ms = began_ms
        self._archive.note_stored_until(began_ms)
        if time.monotonic() - self._merged_at >= MERGE_INTERVAL_S:
            await asyncio.to_thread(self._tidy)
            self._merged_at = time.monotonic()
        if time.monotonic() - self._erased_at >= ERASE_INTERVAL_S:
            await self.erase()
            self._erased_at = time.monotonic()

    async def erase(self) -> int:
        """Erase from the files who was erased or has opted out; how many files were written anew.

        Again and again, until no notice can come any more of a bid that was out: its token still names the user.
        """
        reply = await self._transitions.command("ZRANGE", keys.JOURNAL_ERASURES, 0, -1, "WITHSCORES")
        texts = [part.decode() for part in reply if isinstance(part, bytes)] if isinstance(reply, list) else []
        if not texts:
            return 0
        people = dict(zip(map(int, texts[::2]), map(float, texts[1::2]), strict=True))
        rewritten = await asyncio.to_thread(self._erase_people, people.keys())
        last_ms = self._clock.now_ms() - _LAST_NOTICE_MS
        done = [str(person) for person, erased_ms in people.items() if erased_ms < last_ms]
        if done:
            await self._transitions.command("ZREM", keys.JOURNAL_ERASURES, *done)
        return rewritten

    def _convert(self) -> None:
        for path in self._converter.waiting():
            done = self._converter.convert(path)
            self._metrics.rows.inc(done.rows)
            self._metrics.torn.inc(done.torn_bytes)

    async def _take_streams(self, taker: "StreamTaker") -> bool:
        """Take the next batch of all streams; whether there may be more."""
        up_to = dict(taker.pending)
        if not up_to:
            for advertiser_id in self._advertisers():
                for name in (f"ledger:{advertiser_id}", f"events:{advertiser_id}"):
                    last = await self._last_of_batch(name, taker.positions.get(name, ""))
                    if last:
                        up_to[name] = last
            if not up_to:
                return False
            await asyncio.to_thread(taker.begin, up_to)
        pieces = [
            piece
            for name, last in up_to.items()
            for piece in await self._read(name, taker.positions.get(name, ""), last)
        ]
        self._metrics.rows.inc(await asyncio.to_thread(taker.take, pieces))
        for name, last in up_to.items():
            source, _, advertiser = name.partition(":")
            if source == "events":
                await self._transitions.command("XTRIM", keys.money_journal(int(advertiser)), "MINID", _after(last))
        return True

    async def _last_of_batch(self, name: str, after: str) -> str:
        """The id that the next batch of a stream goes up to; "" where there is nothing new."""
        source, _, advertiser = name.partition(":")
        if source == "ledger":
            rows = await self._ledger.rows_after(int(advertiser), after, BATCH_ENTRIES)
            return rows[-1].stream_id if rows else ""
        reply = await self._transitions.command(
            "XRANGE", keys.money_journal(int(advertiser)), f"({after}" if after else "-", "+", "COUNT", BATCH_ENTRIES
        )
        entries = stream_entries(reply)
        return entries[-1].id if entries else ""

    async def _read(self, name: str, after: str, last: str) -> Sequence["StreamRows"]:
        """The rows of a stream after one id up to another, which are at most a batch."""
        from journal.streams import StreamRows

        source, _, advertiser = name.partition(":")
        number = int(advertiser)
        if source == "ledger":
            rows = await self._ledger.rows_after(number, after, BATCH_ENTRIES)
            wanted = [row for row in rows if stream_id_order(row.stream_id) <= stream_id_order(last)]
            return [StreamRows(BILL.name, [bill_row(number, row) for row in wanted], last)]
        reply = await self._transitions.command(
            "XRANGE", keys.money_journal(number), f"({after}" if after else "-", last
        )
        by_kind: dict[str, list[dict[str, object]]] = {}
        for entry in stream_entries(reply):
            kind, row = decode_row(entry)
            by_kind.setdefault(kind, []).append(row)
        return [StreamRows(kind, rows, last) for kind, rows in by_kind.items()]

    def _tidy(self) -> None:
        """Merge the parts of hours that are over, and forget what is older than it is kept."""
        now_ms = self._clock.now_ms()
        for kind in KINDS.values():
            kept_days = (
                self._settings.retention_days if kind.droppable or kind.name == "notice"
                else self._settings.money_retention_days
            )  # fmt: skip
            oldest = now_ms // HOUR_MS - kept_days * _DAY_HOURS
            for hour in self._archive.hours(kind.name):
                if hour < oldest:
                    self._archive.remove(kind.name, hour)
                    _log.info("forgot an hour", extra={"fields": {"kind": kind.name, "hour": hour_text(hour)}})
                    continue
                parts = len(self._archive.parts(kind.name, hour))
                is_over = (hour + 1) * HOUR_MS + MERGE_AFTER_MS <= now_ms
                if is_over or parts >= MERGE_PARTS:
                    self._converter.merge(kind, hour, now_ms / 1000)


def run_journal(
    role: RoleContext, transitions: Transitions, ledger: SqlLedgerStore, advertisers: Callable[[], Iterable[int]]
) -> None:
    """Keep the journal for as long as the role runs; nothing where no folder is set."""
    settings = role.settings.journal
    archive, segments = archive_of(settings), segments_folder(settings)
    if archive is None or segments is None:
        return
    keeper = JournalKeeper(settings, archive, segments, transitions, ledger, advertisers, role.clock, role.telemetry)
    role.run_loop(keeper.run, "journal")
    role.on_close(keeper.close)


def _after(stream_id: str) -> str:
    """The smallest id that comes after one."""
    milliseconds, sequence = stream_id_order(stream_id)
    return f"{milliseconds}-{sequence + 1}"
