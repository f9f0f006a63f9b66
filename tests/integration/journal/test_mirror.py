"""The worker's folder and its mirror in a store over HTTP: what a lost disk costs, and that people are erased there."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from admin.reports.agreement import agreement
from admin.roles.journal_keeping import JournalKeeper
from admin.roles.journal_mirror import TRIM_ANYWAY_MS, MirrorFeeder, object_store_of
from core import keys
from core.bucket import Bucket
from core.clock import ManualClock, SystemClock
from core.config import JournalSettings, Settings
from core.errors import ConfigError, UnavailableError
from core.telemetry.metrics import Telemetry
from journal.columnar import files_sql
from journal.manifests import MANIFESTS, ObjectStore, decode_manifest
from journal.mirroring import Mirror
from journal.people import DAY_MS
from journal.questions import ReportQuestion
from journal.reports import ReportReader, ReportShop, ReportTable
from journal.rows import BID, BILL, CLICK, CONVERSION, KINDS, NOTICE
from journal.snapshots import take_snapshot
from tests.integration.journal.conftest import PEOPLE, KeptShop, an_impression, keep_and_die, the_visitor_opts_out
from tests.kit.fixtures import REPOSITORY
from tests.kit.journal_rows import JournalFolder, a_row
from tests.kit.money import ADVERTISER, LINE_ITEM, USER
from tests.kit.object_store import FailingObjects, be_away
from tests.kit.s3 import JOURNAL, emptied, place, s3_server

EVERY_S = 60
NEVER = 10**9


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def store(server: str) -> Bucket:
    emptied(server)
    return Bucket(place(server), JOURNAL)


class Mirrored:
    """A shop whose journal is mirrored; `disk_is_lost` gives it a worker with an empty folder."""

    def __init__(self, kept: KeptShop, store: ObjectStore) -> None:
        self.kept, self.store, self.disks = kept, store, 0
        kept.keeper.stop()
        self.restart(store)

    def restart(self, store: ObjectStore) -> None:
        kept = self.kept
        self.telemetry = Telemetry()
        self.mirror = MirrorFeeder(
            store, kept.folder.archive, kept.shop.transitions, kept.shop.clock, self.telemetry, every_s=EVERY_S
        )
        kept.keeper = JournalKeeper(
            JournalSettings(), kept.folder.archive, kept.folder.segments, kept.shop.transitions, kept.ledger,
            lambda: [ADVERTISER], kept.shop.clock, Telemetry(), mirror=self.mirror,
        )  # fmt: skip
        assert kept.keeper.start()

    async def keep(self) -> None:
        await self.kept.keep()
        assert await self.mirror.step()

    def disk_is_lost(self, *, after_s: int = 4 * EVERY_S) -> None:
        self.kept.keeper.stop()
        shutil.rmtree(self.kept.folder.archive.folder)
        self.kept.shop.clock.advance(after_s)
        self.restart(self.store)

    def report(self) -> ReportTable:
        question = ReportQuestion(("impressions", "spend", "clicks", "orders"), ("line_item",))
        reader = ReportReader(self.kept.folder.archive, self.kept.folder.columnar)
        return reader.answer(question, {ADVERTISER: ReportShop("PLN", 1.0)}, self.kept.shop.clock.now_ms())


@pytest.fixture
async def mirrored(kept: KeptShop, store: Bucket) -> Mirrored:
    return Mirrored(kept, store)


async def a_day(mirrored: Mirrored) -> None:
    """Impressions, a click and an order, and an hour that is over and summed up."""
    kept = mirrored.kept
    await an_impression(kept, click=True)
    await an_impression(kept)
    kept.shop.clock.advance(60)
    await kept.orders.record_conversion([USER], ADVERTISER, "order-1", 120_000_000, kept.shop.clock.now_ms() // 1000)
    await mirrored.keep()


async def counted_in_redis(kept: KeptShop, *command: str) -> int:
    found = await kept.shop.transitions.command(*command)
    assert isinstance(found, int)
    return found


async def test_reports_and_ledger_agree_after_the_disk_was_lost(mirrored: Mirrored) -> None:
    kept = mirrored.kept
    await a_day(mirrored)
    before = mirrored.report()
    assert before.rows[0][0] == LINE_ITEM
    mirrored.disk_is_lost()
    await mirrored.keep()
    assert mirrored.report().rows == before.rows
    await an_impression(kept, click=True)
    await mirrored.keep()
    compared = await agreement(kept.folder.archive, kept.ledger, ADVERTISER)
    assert (compared.faults, compared.newer) == ([], 0)
    mirrored.disk_is_lost()
    await mirrored.keep()
    assert [len(kept.folder.rows(kind)) for kind in (BILL, CLICK, CONVERSION)] == [3, 2, 1]
    assert (await agreement(kept.folder.archive, kept.ledger, ADVERTISER)).faults == []


async def test_money_clicks_and_orders_that_the_mirror_lacked_are_taken_again(mirrored: Mirrored) -> None:
    kept = mirrored.kept
    await a_day(mirrored)
    await an_impression(kept, click=True)
    await kept.keep()
    assert await kept.shop.transitions.command("XLEN", keys.money_journal(ADVERTISER)) == 1
    mirrored.disk_is_lost()
    await mirrored.keep()
    assert [len(kept.folder.rows(kind)) for kind in (BILL, CLICK, CONVERSION)] == [3, 2, 1]
    assert await kept.shop.transitions.command("XLEN", keys.money_journal(ADVERTISER)) == 0


async def test_a_batch_that_was_cut_short_is_in_the_mirror_as_it_is_in_the_folder(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = mirrored.kept
    await mirrored.keep()
    await an_impression(kept, click=True)
    await keep_and_die(kept, monkeypatch)
    assert await mirrored.mirror.step()
    mirrored.disk_is_lost()
    await mirrored.keep()
    assert [len(kept.folder.rows(kind)) for kind in (BILL, CLICK)] == [1, 1]


async def test_a_mirror_that_is_away_stops_nothing_and_is_caught_up(mirrored: Mirrored) -> None:
    kept = mirrored.kept
    mirrored.kept.keeper.stop()
    away = FailingObjects(mirrored.store, NEVER, be_away)
    mirrored.restart(away)
    await a_day(mirrored)
    away._at = away.calls + 3
    await an_impression(kept, click=True)
    await kept.keep()
    with pytest.raises(UnavailableError):
        await mirrored.mirror.step()
    assert list((kept.folder.archive.folder.parent / "mirroring").iterdir()) == []
    kept.shop.clock.advance(TRIM_ANYWAY_MS / 1000)
    await an_impression(kept, click=True)
    await kept.keep()
    assert len(kept.folder.rows(BILL)) == 4
    assert await counted_in_redis(kept, "XLEN", keys.money_journal(ADVERTISER)) <= 1, "Redis is not filled"
    assert await mirrored.mirror.step()
    mirrored.disk_is_lost()
    await mirrored.keep()
    assert len(kept.folder.rows(BILL)) == 4


async def test_an_empty_folder_is_not_used_while_the_store_is_away(kept: KeptShop, store: Bucket) -> None:
    mirrored = Mirrored(kept, store)
    await a_day(mirrored)
    mirrored.disk_is_lost()
    mirrored.kept.keeper.stop()
    mirrored.restart(FailingObjects(store, 1, be_away))
    with pytest.raises(UnavailableError):
        await kept.keep()
    assert kept.folder.rows(BILL) == []
    await mirrored.keep()
    assert len(kept.folder.rows(BILL)) == 2


def objects_with(store: Bucket, folder: JournalFolder, person: int, tmp_path: Path) -> list[str]:
    """Of all objects those with rows of a person; others must be manifests."""
    found = []
    for name in store.names():
        if name.startswith(MANIFESTS):
            content = store.read(name)
            assert content is not None
            assert str(person) not in str(decode_manifest(content))
            continue
        assert store.get(name, tmp_path / "object.parquet", 1_000_000)
        kind = KINDS.get(name.split("/")[1])
        if kind is None or "person" not in kind.names:
            continue
        question = f"SELECT count(*) FROM {files_sql([tmp_path / 'object.parquet'])} WHERE person = {person}"
        if folder.columnar.ask(question)[0][0]:
            found.append(name)
    return found


async def test_whoever_opts_out_is_in_no_object_of_the_store(mirrored: Mirrored, store: Bucket, tmp_path: Path) -> None:
    kept = mirrored.kept
    person = PEOPLE.of(USER, kept.shop.clock.now_ms())
    kept.folder.writer.append(BID, a_row(BID, bid_id=7, bid_ms=kept.shop.clock.now_ms(), person=person))
    await a_day(mirrored)
    assert objects_with(store, kept.folder, person, tmp_path)
    await the_visitor_opts_out(kept)
    await kept.keeper.erase()
    for _ in range(2):  # the manifest before the newest is kept, and its files
        assert await mirrored.mirror.step()
    assert objects_with(store, kept.folder, person, tmp_path) == []
    assert len(kept.folder.rows(BID, where="bid_id = 7")) == 1
    mirrored.disk_is_lost()
    await mirrored.keep()
    assert kept.folder.rows(NOTICE, where=f"person = {person}") == []


async def test_an_erasure_is_repeated_until_the_mirror_is_clean(mirrored: Mirrored) -> None:
    kept = mirrored.kept
    await a_day(mirrored)
    await the_visitor_opts_out(kept)
    now_s = SystemClock().now_ms() // 1000  # the erasure is stamped by the server
    kept.shop.clock.advance(now_s + 8 * 3_600 - kept.shop.clock.now_ms() // 1000)
    await kept.keeper.erase()
    assert await counted_in_redis(kept, "ZCARD", keys.JOURNAL_ERASURES) > 0, "the mirror has the rows yet"
    for _ in range(2):
        assert await mirrored.mirror.step()
    await kept.keeper.erase()
    assert await kept.shop.transitions.command("ZCARD", keys.JOURNAL_ERASURES) == 0


async def test_what_is_older_than_it_is_kept_goes_from_the_store(mirrored: Mirrored, store: Bucket) -> None:
    await a_day(mirrored)
    assert list(store.names("parquet/notice/"))
    mirrored.kept.shop.clock.advance((JournalSettings().retention_days + 1) * DAY_MS / 1000)
    mirrored.kept.keeper._merged_at = -1_000.0
    for _ in range(3):
        await mirrored.keep()
    assert list(store.names("parquet/notice/")) == []
    assert list(store.names("parquet/bill/"))


async def test_a_worker_that_ends_leaves_all_it_has_and_may_be_followed_at_once(mirrored: Mirrored) -> None:
    kept = mirrored.kept
    await a_day(mirrored)
    await an_impression(kept)
    await kept.folder.writer.close()
    await kept.ledger_writer.drain(ADVERTISER)
    await kept.keeper.close()
    mirrored.disk_is_lost(after_s=0)
    await kept.keeper.keep()
    assert len(kept.folder.rows(BILL)) == 3


async def killed_at(folder: Path, endpoint: str, at: int, when: str, later_s: int = 0) -> bool:
    """Whether a process that mirrors the folder was killed at a call of the store; it makes fewer otherwise."""
    command = [sys.executable, "-m", "tests.kit.mirror_process", str(folder), endpoint, str(at), when, str(later_s)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    code = done.returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0


def mirror_once(store: ObjectStore, folder: JournalFolder, links: Path, later_s: int = 0) -> None:
    """Fill the folder if it is empty, and mirror it."""
    clock = ManualClock(SystemClock().now_ms() + later_s * 1000)
    mirror = Mirror(store, folder.archive.folder, clock, Telemetry(), writer="the test", every_s=1)
    mirror.begin()
    mirror.look()
    mirror.put(take_snapshot(folder.archive, links, mirror.mirrored))


async def store_bids(folder: JournalFolder, *bid_ids: int) -> None:
    for bid_id in bid_ids:
        writer = folder.another_writer(f"p{bid_id}")
        writer.append(BID, a_row(BID, bid_id=bid_id))
        await writer.close()
        folder.convert()


def bids_and_close(folder: JournalFolder) -> list[object]:
    found = [row[0] for row in folder.rows(BID, "bid_id")]
    folder.close()
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_kill_9_at_any_call_leaves_a_whole_set(server: str, store: Bucket, tmp_path: Path, when: str) -> None:
    folder = JournalFolder(tmp_path / "template")
    await store_bids(folder, 1, 2)
    mirror_once(store, folder, tmp_path / "links")
    mirror_once(store, folder, tmp_path / "links")
    await store_bids(folder, 3)
    folder.close()
    objects = {name: store.read(name) or b"" for name in store.names()}
    at, was_killed = 0, True
    while was_killed:
        at += 1
        emptied(server)
        for name, content in objects.items():
            store.create(name, content)
        shutil.copytree(tmp_path / "template", tmp_path / f"{at}")
        was_killed = await killed_at(tmp_path / f"{at}", server, at, when)
        filled = JournalFolder(tmp_path / f"{at}-filled")
        mirror_once(store, filled, tmp_path / "links", later_s=60)
        found = bids_and_close(filled)
        assert found in ([1, 2], [1, 2, 3]), f"killed {when} call {at}"
        assert was_killed or found == [1, 2, 3]
    assert at > 8


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_kill_9_while_a_folder_is_filled_costs_nothing(server: str, store: Bucket, tmp_path: Path) -> None:
    folder = JournalFolder(tmp_path / "lost")
    await store_bids(folder, 1, 2, 3)
    mirror_once(store, folder, tmp_path / "links")
    folder.close()
    (tmp_path / "new").mkdir()
    for at in (5, 6):  # after it has claimed the mirror; with some files fetched
        assert await killed_at(tmp_path / "new", server, at, "after", later_s=60)
    filled = JournalFolder(tmp_path / "new")
    mirror_once(store, filled, tmp_path / "links", later_s=60)
    assert bids_and_close(filled) == [1, 2, 3]


def test_the_settings_make_a_bucket_or_say_what_is_wrong(server: str) -> None:
    assert object_store_of(Settings().journal) is None
    made = JournalSettings(mirror_bucket="b", mirror_access_key="key")
    with pytest.raises(ConfigError, match="only one is set"):
        object_store_of(made)
    whole = JournalSettings(
        mirror_bucket="b", mirror_endpoint=server, mirror_region="us-east-1", mirror_access_key="key",
        mirror_secret_key="secret",
    )  # fmt: skip
    found = object_store_of(whole)
    assert found is not None
    with pytest.raises(UnavailableError, match="NoSuchBucket"):
        found.read("x")
