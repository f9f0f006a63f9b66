"""The worker's part of the journal: segments and streams to Parquet, merged by hour, dropped when they are old."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from admin.roles.journal import CATALOGUES, archive_of, bill_row, decode_row, segments_folder
from admin.roles.journal_mirror import MirrorFeeder, object_store_of, trim_events
from admin.roles.journal_sink import SinkFeeder, sink_of
from admin.roles.journal_waiting import oldest_bill_ms, oldest_event_ms
from admin.roles.lifecycle import RoleContext
from admin.store.ledger import SqlLedgerStore
from core import keys
from core.clock import Clock
from core.config import JournalSettings
from core.disk import disk_hint
from core.errors import UnavailableError
from core.model import Catalogue
from core.telemetry.metrics import Merge, Telemetry
from core.turns import to_its_end
from journal.archive import HOUR_MS, Archive, hour_text
from journal.catalogues import CatalogueFiles
from journal.folders import changing, forget_set_aside
from journal.people import DAY_MS
from journal.receiving import MAX_AGE_DAYS
from journal.rows import BID, BILL, KINDS, NOTICE, REQUEST, JournalKind
from journal.sinks.outbox import FOLDER as OUTGOING
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
# What comes late to an hour that is summed up is read beside the sums, until so many parts or seconds have gathered.
TAIL_PARTS: Final = 8
TAIL_S: Final = 600.0
# Summing up goes on in the next round after so long: what comes in is not to wait for it.
ROLL_UP_S: Final = 5.0
# People are erased from the files this often: each time reads the pseudonyms of all files.
ERASE_INTERVAL_S: Final = 600.0
# By then the last notice of a bid has come, and its segment file and part are made.
_LAST_NOTICE_MS: Final = (DEFAULT_MAX_AGE_S + 3_600) * 1_000
# The same where other hosts ship their segment files, which may be so old.
_LAST_SHIPMENT_MS: Final = (MAX_AGE_DAYS + 1) * DAY_MS
# Entries of a stream in one batch, at most.
BATCH_ENTRIES: Final = 5_000
_DAY_HOURS: Final = 24
# Batches of a second are small: a second thread would only take a core from the bidders of a small machine.
_THREADS: Final = 1

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
        self.rolled_up = telemetry.counter(
            "grosz_journal_rolled_up_hours_total", "Hours of one kind of journal rows that were summed up."
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
        catalogue: Callable[[], Catalogue | None] = lambda: None,
        feeder: SinkFeeder | None = None,
        mirror: MirrorFeeder | None = None,
    ) -> None:
        # Imported where it is used: DuckDB is a tenth of a second and 60 MiB that other roles do without.
        from journal.columnar import Columnar
        from journal.converting import SegmentConverter
        from journal.erasing import erase_people
        from journal.rollups import ROLLED, RollupWriter
        from journal.streams import StreamTaker, nobody_waits

        self._settings, self._archive, self._clock = settings, archive, clock
        self._segments = segments
        self._transitions, self._ledger, self._advertisers = transitions, ledger, advertisers
        self._catalogue, self._catalogues = catalogue, CatalogueFiles(archive.folder.parent / CATALOGUES)
        self._kept_version = -1
        archive.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._columnar = Columnar(threads=_THREADS, spill=archive.folder / "spill")
        self._feeder, self._mirror = feeder, mirror
        self._converter = SegmentConverter(
            segments, archive, self._columnar, Path.unlink if feeder is None else feeder.add_segment
        )
        self._rollups, self._rolled = RollupWriter(archive, self._columnar), ROLLED
        self._settled: dict[tuple[str, int], tuple[int, int]] = {}  # kind and hour -> `_changed` of it
        self._new_taker: Callable[[], StreamTaker] = partial(
            StreamTaker, self._converter, nobody_waits if feeder is None else feeder.add_streams
        )
        self._taker: StreamTaker | None = None
        self._metrics = JournalMetrics(telemetry, clock)
        self._merged_at = self._erased_at = 0.0
        self._erase_people = partial(erase_people, archive, self._columnar)

    def start(self) -> bool:
        """Take the folder; False while another worker has it."""
        has_folder = self._converter.start()
        if not has_folder:
            self._metrics.stored_until_ms = self._clock.now_ms()  # the worker that has the folder may be behind
        if self._feeder is not None:
            self._feeder.has_folder = has_folder
        if self._mirror is not None:
            self._mirror.has_folder = has_folder
        return has_folder

    def stop(self) -> None:
        """Give the folder back."""
        if self._feeder is not None:
            self._feeder.has_folder = False
        if self._mirror is not None:
            self._mirror.has_folder = False
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
        if self._mirror is not None:
            await self._mirror.close()
        self.stop()
        self._columnar.close()

    async def keep(self) -> None:
        """One pass; none while a backup copies the files. Raises UnavailableError; the next does what was not done."""
        at_work: contextlib.AbstractAsyncContextManager[None] = contextlib.nullcontext()
        if self._mirror is not None:
            at_work = self._mirror.at_work()
        with changing(self._archive.folder.parent) as may_change:
            if may_change:
                async with at_work:
                    await self._keep()

    async def _keep(self) -> None:
        began_ms = self._clock.now_ms()
        # Asked first: an order whose event is applied by now is in the streams that are taken next.
        event_ms = await oldest_event_ms(self._transitions)
        if self._taker is None:
            self._taker = self._new_taker()
        await to_its_end(self._convert)
        await self._keep_catalogue()
        while await self._take_streams(self._taker):
            pass
        await self._note_stored_until(began_ms, event_ms)
        if time.monotonic() - self._merged_at >= MERGE_INTERVAL_S:
            await to_its_end(self._tidy)
            self._merged_at = time.monotonic()
        if time.monotonic() - self._erased_at >= ERASE_INTERVAL_S:
            await self.erase()
            self._erased_at = time.monotonic()

    async def _note_stored_until(self, began_ms: int, event_ms: int | None) -> None:
        """Say up to when the files have everything, once a pass has taken what was there when it began.

        Bills that the ledger's writer has not moved yet are not in them, nor orders whose events wait, nor the rows of
        segments of a later release.
        """
        positions = self._taker.positions if self._taker is not None else {}
        taken = {number: positions.get(f"ledger:{number}", "") for number in self._advertisers()}
        bill_ms = await oldest_bill_ms(self._transitions, taken)
        waiting = (event_ms, bill_ms, self._converter.later_since_ms())
        waits_since_ms = min((moment for moment in waiting if moment is not None), default=None)
        self._metrics.stored_until_ms = self._archive.note_stored_until(began_ms, waits_since_ms)

    async def erase(self) -> int:
        """Erase from the files people who were erased or have opted out; how many files were written anew.

        It is repeated until no notice of an open bid can come any more, since a bid's token still names the user, and
        while segments of a later release wait.
        """
        began_ms = self._clock.now_ms()
        reply = await self._transitions.command("ZRANGE", keys.JOURNAL_ERASURES, 0, -1, "WITHSCORES")
        texts = [part.decode() for part in reply if isinstance(part, bytes)] if isinstance(reply, list) else []
        people = dict(zip(map(int, texts[::2]), map(float, texts[1::2]), strict=True))
        erased = await to_its_end(self._erase_people, people.keys())
        await to_its_end(self._rollups.forget, erased.bid_hours)
        if self._mirror is not None:
            self._mirror.note_erased(began_ms)
        waits_ms = _LAST_SHIPMENT_MS if self._settings.receive_port else _LAST_NOTICE_MS
        last_ms = self._clock.now_ms() - waits_ms
        later_ms = self._converter.later_since_ms()
        if later_ms is not None:
            last_ms = min(last_ms, later_ms - waits_ms)
        if self._feeder is not None:
            last_ms = min(last_ms, self._feeder.clean_until_ms - waits_ms)
        if self._mirror is not None:  # a worker that has lost its disk fills its folder from the mirror
            last_ms = min(last_ms, self._mirror.clean_until_ms - waits_ms)
        done = [str(person) for person, erased_ms in people.items() if erased_ms < last_ms]
        if done:
            await self._transitions.command("ZREM", keys.JOURNAL_ERASURES, *done)
        return erased.files

    async def _keep_catalogue(self) -> None:
        """Keep the catalogue in force beside the requests that are decided by it."""
        catalogue = self._catalogue()
        if catalogue is None or catalogue.version == self._kept_version or not self._settings.recorded_a_second:
            return
        try:
            await to_its_end(self._catalogues.keep, catalogue)
        except OSError as error:
            raise UnavailableError(f"the catalogue cannot be kept: {error}", hint=disk_hint(error)) from error
        self._kept_version = catalogue.version

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
            await to_its_end(taker.begin, up_to)
        pieces = [
            piece
            for name, last in up_to.items()
            for piece in await self._read(name, taker.positions.get(name, ""), last)
        ]
        self._metrics.rows.inc(await to_its_end(taker.take, pieces))
        for name, last in up_to.items():
            source, _, advertiser = name.partition(":")
            if source == "events" and not (self._mirror is not None and self._mirror.keeps_streams):
                await trim_events(self._transitions, int(advertiser), last)
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

    def _kept_days(self, kind: JournalKind) -> int:
        settings = self._settings
        if kind is REQUEST:
            return settings.recorded_days
        return settings.retention_days if kind.droppable or kind is NOTICE else settings.money_retention_days

    def _tidy(self) -> None:
        """Merge the parts of hours that are over and sum them up, and forget what is older than it is kept."""
        now_ms, deadline = self._clock.now_ms(), time.monotonic() + ROLL_UP_S
        self._catalogues.tidy(now_ms, self._settings.recorded_days)
        for kind in KINDS.values():
            kept_days = self._kept_days(kind)
            oldest = now_ms // HOUR_MS - kept_days * _DAY_HOURS
            for hour in self._archive.forget(kind.name, oldest):
                _log.info("forgot an hour", extra={"fields": {"kind": kind.name, "hour": hour_text(hour)}})
            over = [hour for hour in self._archive.hours(kind.name) if self._tidy_hour(kind, hour, now_ms)]
            done = self._rollups.roll_up(kind, over, lambda: time.monotonic() >= deadline)
            self._metrics.rolled_up.inc(done)
        self._rollups.drop_before(now_ms // HOUR_MS // _DAY_HOURS - self._settings.rollup_retention_days)
        self._rollups.tidy(now_ms / 1000)
        for folder in (self._segments, self._archive.folder.parent / OUTGOING):
            for path in forget_set_aside(folder, now_ms / 1000):
                _log.warning("forgot a file that was set aside", extra={"fields": {"file": path.name}})

    def _tidy_hour(self, kind: JournalKind, hour: int, now_ms: int) -> bool:
        """Merge an hour's parts where that is due; whether it is to be summed up then."""
        key = (kind.name, hour)
        if self._settled.get(key) == self._changed(kind, hour):
            return False
        is_over = (hour + 1) * HOUR_MS + MERGE_AFTER_MS <= now_ms
        is_rolled = kind in self._rolled
        if not is_over:
            if len(self._archive.parts(kind.name, hour)) >= MERGE_PARTS:
                self._converter.merge(kind, hour, now_ms / 1000)
            return False
        done = not is_rolled or self._rollups.is_done(kind, hour)
        tail = self._rollups.tail(kind, hour) if is_rolled and done else []
        if tail and self._rollups.is_final(kind, hour):  # a late correction is read beside them
            return False
        if tail and len(tail) < TAIL_PARTS and now_ms / 1000 - tail[0].path.stat().st_mtime < TAIL_S:
            return False
        self._converter.merge(kind, hour, now_ms / 1000)
        if done and not tail and len(self._archive.all_parts(kind.name, hour)) == 1:
            self._settled[key] = self._changed(kind, hour)
        return is_rolled and not (done and not tail)

    def _changed(self, kind: JournalKind, hour: int) -> tuple[int, int]:
        """When an hour's own folder and that of its bids last changed (ns): its files and sums are made of both."""
        folders = (self._archive.hour_folder(name, hour) for name in (kind.name, BID.name))
        own, bids = (folder.stat().st_mtime_ns if folder.is_dir() else 0 for folder in folders)
        return own, bids


def run_journal(
    role: RoleContext,
    transitions: Transitions,
    ledger: SqlLedgerStore,
    advertisers: Callable[[], Iterable[int]],
    catalogue: Callable[[], Catalogue | None],
) -> None:
    """Keep the journal for as long as the role runs; nothing where no folder is set."""
    settings = role.settings.journal
    archive, segments = archive_of(settings), segments_folder(settings)
    if settings.ship_to or archive is None or segments is None:  # what is shipped is kept by another worker
        return
    sink, feeder = sink_of(settings), None
    if sink is not None:
        feeder = SinkFeeder(
            sink, segments.parent, transitions, role.clock, role.telemetry, max_mib=settings.sink_max_mib
        )
        role.run_loop(feeder.run, "journal sink")
        role.on_close(feeder.close)
    store, mirror = object_store_of(settings), None
    if store is not None:
        mirror = MirrorFeeder(
            store, archive, transitions, role.clock, role.telemetry, every_s=settings.mirror_every_s
        )  # fmt: skip
        role.run_loop(mirror.run, "journal mirror")
    keeper = JournalKeeper(
        settings, archive, segments, transitions, ledger, advertisers, role.clock, role.telemetry, catalogue, feeder,
        mirror,
    )  # fmt: skip
    role.run_loop(keeper.run, "journal")
    role.on_close(keeper.close)
