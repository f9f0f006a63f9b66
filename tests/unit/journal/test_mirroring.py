"""A mirror is a whole journal at any moment, is one folder's, and has nothing of whom the folder has nothing."""

import shutil
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.errors import UnavailableError
from core.telemetry.metrics import Telemetry
from journal.archive import STATE_FILE
from journal.manifests import FolderSnapshot, MirroredFile, ObjectStore, decode_manifest
from journal.mirroring import LIST_AGAIN_S, NOTE_FILE, SILENT_INTERVALS, Mirror
from tests.kit.journal_rows import NOW_MS, counted
from tests.kit.object_store import FailingObjects, MemoryObjects, be_away

EVERY_S = 20
NEVER = 10**9


class Worker:
    """A folder with files that stand for Parquet, each of which says its bids, and its mirror."""

    def __init__(self, folder: Path, store: ObjectStore, clock: ManualClock, writer: str = "here") -> None:
        self.path, self.folder, self.clock, self.writer = folder, folder / "parquet", clock, writer
        self.hour = self.folder / "bid" / "2026-11-29T21"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.restart(store)

    def restart(self, store: ObjectStore) -> None:
        self.telemetry = Telemetry()
        self.mirror = Mirror(store, self.folder, self.clock, self.telemetry, writer=self.writer, every_s=EVERY_S)

    def store(self, *bid_ids: int) -> None:
        self.hour.mkdir(parents=True, exist_ok=True)
        for bid_id in bid_ids:
            (self.hour / f"{bid_id:08d}.p{bid_id}.parquet").write_text(f"{bid_id}", encoding="ascii")
        (self.folder / STATE_FILE).write_text(f'{{"batch": {max(bid_ids)}}}', encoding="ascii")

    def merge(self) -> None:
        """All parts into one file; the parts go, as after two minutes."""
        bids = self.bids
        for path in self.hour.iterdir():
            path.unlink()
        merged = self.hour / f"{bids[0]:08d}-{bids[-1]:08d}.parquet"
        merged.write_text(" ".join(map(str, bids)), encoding="ascii")

    def put(self, *, erased_ms: int = 0, is_last: bool = False, at_once: int = NEVER) -> bool:
        """What the worker does; `at_once` is how many files a snapshot holds at most."""
        self.mirror.begin()
        self.mirror.look()
        return self.mirror.put(self.snapshot(erased_ms, at_once), is_last=is_last)

    def snapshot(self, erased_ms: int, at_once: int) -> FolderSnapshot:
        mirrored: dict[str, MirroredFile] = {}
        links: dict[str, Path] = {}
        for path in sorted(self.folder.rglob("*.parquet")):
            name, told = path.relative_to(self.folder).as_posix(), path.stat()
            found = self.mirror.mirrored(name, told.st_size, told.st_mtime_ns)
            if found is not None:
                mirrored[name] = found
            elif len(links) < at_once:
                links[name] = path
        small = {STATE_FILE: self.state()} if (self.folder / STATE_FILE).exists() else {}
        return FolderSnapshot(mirrored, links, small, len(links) < at_once, erased_ms)

    @property
    def bids(self) -> list[int]:
        contents = [path.read_text(encoding="ascii") for path in self.folder.rglob("*.parquet")]
        return sorted(int(bid_id) for content in contents for bid_id in content.split())

    def state(self) -> str:
        return (self.folder / STATE_FILE).read_text(encoding="ascii")


@pytest.fixture
def store() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture
def worker(tmp_path: Path, store: MemoryObjects, clock: ManualClock) -> Worker:
    return Worker(tmp_path / "one", store, clock)


def silence(clock: ManualClock) -> None:
    clock.advance(SILENT_INTERVALS * EVERY_S + 1)


def filled(tmp_path: Path, store: ObjectStore, clock: ManualClock, name: str) -> Worker:
    """A worker with an empty folder, after the one before has long been silent."""
    silence(clock)
    other = Worker(tmp_path / name, store, clock, name)
    other.mirror.begin()
    return other


def test_an_empty_folder_is_filled_and_goes_on(
    worker: Worker, store: MemoryObjects, clock: ManualClock, tmp_path: Path
) -> None:
    worker.store(1, 2)
    worker.put()
    other = filled(tmp_path, store, clock, "two")
    assert (other.bids, other.state()) == ([1, 2], '{"batch": 2}')
    assert counted(other.telemetry, "grosz_journal_mirror_fetched_total") == 2
    other.store(3)
    before = counted(other.telemetry, "grosz_journal_mirror_put_total")
    other.put()
    put = counted(other.telemetry, "grosz_journal_mirror_put_total") - before
    assert put == 2, "a file and a manifest: what was fetched is not put again"
    assert filled(tmp_path, store, clock, "three").bids == [1, 2, 3]


def test_what_is_unchanged_is_not_put_again(worker: Worker, store: MemoryObjects) -> None:
    worker.store(1, 2)
    worker.put()
    first = set(store.kept)
    worker.restart(store)
    worker.put()
    assert sorted(name.split("/")[0] for name in set(store.kept) - first) == ["manifests"]


def test_what_is_merged_or_removed_goes_one_manifest_later(worker: Worker, store: MemoryObjects) -> None:
    worker.store(1, 2)
    worker.put()
    parts = {name for name in store.kept if name.startswith("parquet/")}
    worker.merge()
    worker.put()
    assert parts < set(store.kept), "whoever reads the manifest before finds its files"
    worker.put()
    left = {name for name in store.kept if name.startswith("parquet/")}
    assert len(left) == 1
    assert not left & parts
    assert sorted(name for name in store.kept if name.startswith("manifests/")) == [
        "manifests/0000000003.json.zst", "manifests/0000000004.json.zst",
    ]  # fmt: skip


def test_objects_of_others_are_left_alone(worker: Worker, store: MemoryObjects) -> None:
    others = {"manifests/readme.txt": b"hello", "parquet/mine.parquet": b"rows", "0a1b.png": b"a picture"}
    store.kept |= others
    worker.store(1)
    for _ in range(3):
        worker.put()
    assert others.items() <= store.kept.items()


def calls_of_a_pass(folder: Path, clock: ManualClock) -> int:
    """Calls of the store that the pass of `test_a_pass_that_ends_anywhere` makes."""
    store = MemoryObjects()
    worker = changed_worker(folder, store, clock)
    counting = FailingObjects(store, NEVER, be_away)
    worker.restart(counting)
    worker.put()
    return counting.calls


def changed_worker(folder: Path, store: MemoryObjects, clock: ManualClock) -> Worker:
    """It has put bids 1 and 2, then both in one file, and has to put a third and to remove the first two."""
    worker = Worker(folder, store, clock)
    worker.store(1, 2)
    worker.put()
    worker.merge()
    worker.put()
    worker.store(3)
    return worker


@pytest.mark.parametrize("after", [False, True])
def test_a_pass_that_ends_anywhere_leaves_a_whole_set(tmp_path: Path, clock: ManualClock, after: bool) -> None:
    calls = calls_of_a_pass(tmp_path / "counted", clock)
    assert calls >= 10
    for at in range(1, calls + 1):
        store = MemoryObjects()
        worker = changed_worker(tmp_path / f"{at}", store, clock)
        worker.restart(FailingObjects(store, at, be_away, after=after))
        with pytest.raises(UnavailableError):
            worker.put()
        kept = MemoryObjects()
        kept.kept = dict(store.kept)
        other = filled(tmp_path, kept, clock, f"filled {at}")
        assert other.bids in ([1, 2], [1, 2, 3]), at
        worker.restart(store)
        for _ in range(3):
            worker.put()
        assert len([name for name in store.kept if name.startswith("parquet/")]) == 2, "nothing is left behind"


def test_a_store_that_fails_in_between_is_caught_up_by_the_same_worker(
    worker: Worker, store: MemoryObjects, clock: ManualClock, tmp_path: Path
) -> None:
    worker.store(1)
    failed = 0
    for at in range(1, 9):
        worker.mirror._store = FailingObjects(store, at, be_away, after=True)
        try:
            worker.put()
        except UnavailableError:
            failed += 1
    assert failed >= 6
    worker.mirror._store = store
    worker.store(2)
    worker.put()
    assert filled(tmp_path, store, clock, "two").bids == [1, 2]


def test_filling_that_ends_anywhere_goes_on(
    worker: Worker, store: MemoryObjects, clock: ManualClock, tmp_path: Path
) -> None:
    worker.store(1, 2, 3)
    worker.put()
    silence(clock)
    for at in range(1, 20):
        other = Worker(tmp_path / "two", FailingObjects(store, at, be_away), clock, "two")
        try:
            other.mirror.begin()
        except UnavailableError:
            continue
        assert (other.bids, other.state()) == ([1, 2, 3], '{"batch": 3}')
        assert at > 5
        return
    pytest.fail("it never ended")


def test_a_worker_that_came_too_late_is_told_and_destroys_nothing(
    worker: Worker, store: MemoryObjects, clock: ManualClock, tmp_path: Path
) -> None:
    worker.store(1)
    worker.put()
    other = filled(tmp_path, store, clock, "two")
    worker.store(2)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="the worker of two writes it"):
            worker.put()
    other.store(3)
    other.put()
    other.put()
    assert filled(tmp_path, store, clock, "three").bids == [1, 3]


def test_two_workers_that_begin_at_once_do_not_share_a_mirror(
    worker: Worker, store: MemoryObjects, clock: ManualClock, tmp_path: Path
) -> None:
    other = Worker(tmp_path / "two", store, clock, "two")
    for each in (worker, other):
        each.mirror.begin()
        each.mirror.look()
    worker.store(1)
    other.store(2)
    worker.put()
    with pytest.raises(UnavailableError, match="the worker of here writes it"):
        other.put()


def test_a_folder_is_not_filled_while_its_worker_lives(
    worker: Worker, store: MemoryObjects, clock: ManualClock, tmp_path: Path
) -> None:
    worker.store(1)
    worker.put()
    other = Worker(tmp_path / "two", store, clock, "two")
    with pytest.raises(UnavailableError, match="worker of here mirrored its journal 0 s ago"):
        other.mirror.begin()
    assert not other.mirror.is_begun
    worker.put(is_last=True)
    other.mirror.begin()
    assert other.bids == [1]


def test_a_worker_whose_clock_was_ahead_is_followed_when_it_was_watched_long_enough(
    worker: Worker, store: MemoryObjects, clock: ManualClock, tmp_path: Path
) -> None:
    worker.clock = ManualClock(NOW_MS + 86_400_000)
    worker.restart(store)
    worker.store(1)
    worker.put()
    other = Worker(tmp_path / "two", store, clock, "two")
    for _ in range(2):
        with pytest.raises(UnavailableError, match="worker of here mirrored its journal 0 s ago"):
            other.mirror.begin()
        worker.put()
    with pytest.raises(UnavailableError, match="0 s ago"):
        other.mirror.begin()
    other.mirror._watched_at -= SILENT_INTERVALS * EVERY_S
    other.mirror.begin()
    assert other.bids == [1]


def test_a_folder_with_a_journal_is_not_mixed_with_another(
    worker: Worker, store: MemoryObjects, clock: ManualClock, tmp_path: Path
) -> None:
    worker.store(1)
    worker.put()
    silence(clock)
    other = Worker(tmp_path / "two", store, clock, "two")
    other.store(2)
    before = dict(store.kept)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="that of another folder"):
            other.put()
    assert other.mirror.is_begun, "it goes on without a mirror"
    assert (other.bids, store.kept) == ([2], before)


def test_a_copy_of_a_folder_that_was_left_behind_is_refused(
    worker: Worker, store: MemoryObjects, tmp_path: Path, clock: ManualClock
) -> None:
    worker.store(1)
    worker.put()
    shutil.copytree(worker.path, tmp_path / "restored")
    worker.put()
    worker.put()
    restored = Worker(tmp_path / "restored", store, clock, "restored")
    with pytest.raises(UnavailableError, match="that of another folder"):
        restored.put()


def test_a_store_that_overwrites_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    worker = Worker(tmp_path / "one", MemoryObjects(refuses_twice=False), clock)
    with pytest.raises(UnavailableError, match="If-None-Match"):
        worker.put()


def test_a_file_that_is_not_what_its_manifest_says_is_not_taken(
    worker: Worker, store: MemoryObjects, clock: ManualClock, tmp_path: Path
) -> None:
    worker.store(1)
    worker.put()
    (name,) = (name for name in store.kept if name.startswith("parquet/"))
    silence(clock)
    other = Worker(tmp_path / "two", store, clock)
    for content, says in ((b"2", "not what its manifest says"), (b"PAR1", "more than 1 bytes")):
        store.kept[name] = content
        with pytest.raises(UnavailableError, match=says):
            other.mirror.begin()
    del store.kept[name]
    with pytest.raises(UnavailableError, match="the journal's mirror lacks bid/"):
        other.mirror.begin()
    assert list(other.folder.rglob("*.parquet*")) == []


def test_who_is_erased_is_told_clean_when_no_object_has_them(worker: Worker) -> None:
    worker.store(1)
    worker.put(erased_ms=5)
    assert worker.mirror.clean_until_ms == 0, "the manifest before may name a file from before"
    worker.put(erased_ms=7)
    assert worker.mirror.clean_until_ms == 5
    worker.put(erased_ms=7)
    assert worker.mirror.clean_until_ms == 7


def test_a_large_folder_is_put_in_several_goes_and_the_worker_is_heard_of_meanwhile(
    worker: Worker, store: MemoryObjects, clock: ManualClock
) -> None:
    worker.store(1, 2, 3)
    assert not worker.put(at_once=1)
    assert not worker.put(at_once=1)
    assert decode_manifest(store.kept["manifests/0000000001.json.zst"]).files == {}
    clock.advance(EVERY_S + 1)
    assert not worker.put(at_once=1)
    assert decode_manifest(store.kept["manifests/0000000002.json.zst"]).made_ms == clock.now_ms()
    assert worker.put(at_once=1)
    assert len(decode_manifest(store.kept["manifests/0000000003.json.zst"]).files) == 3


def test_what_a_worker_left_that_was_not_alone_goes_when_the_store_is_listed_again(
    worker: Worker, store: MemoryObjects
) -> None:
    worker.store(1)
    worker.put()
    left = "parquet/bid/2026-11-29T21/00000009.x.9f86d081884c7d659a2feaa0c55ad015.parquet"
    store.kept[left] = b"rows of people"
    worker.put()
    assert left in store.kept
    assert worker.mirror._looked_at is not None
    worker.mirror._looked_at -= LIST_AGAIN_S
    worker.put()
    assert left not in store.kept


def test_an_object_that_vanished_is_put_again_when_the_store_is_listed_again(
    worker: Worker, store: MemoryObjects, clock: ManualClock, tmp_path: Path
) -> None:
    worker.store(1)
    worker.put()
    (name,) = (name for name in store.kept if name.startswith("parquet/"))
    del store.kept[name]
    assert worker.mirror._looked_at is not None
    worker.mirror._looked_at -= LIST_AGAIN_S
    worker.put()
    assert filled(tmp_path, store, clock, "two").bids == [1]


def test_a_manifest_that_somebody_copied_is_told(worker: Worker, store: MemoryObjects) -> None:
    worker.store(1)
    worker.put()
    store.kept["manifests/0000000009.json.zst"] = store.kept["manifests/0000000002.json.zst"]
    worker.restart(store)
    with pytest.raises(UnavailableError, match=r"0000000009\.json\.zst .* is a copy of number 2"):
        worker.put()


def test_a_worker_that_ends_stops_at_the_next_object(worker: Worker, store: MemoryObjects) -> None:
    worker.store(1)
    worker.mirror.begin()
    worker.mirror.end()
    with pytest.raises(UnavailableError, match="the worker ends"):
        worker.put()
    assert store.kept == {}


def test_the_age_of_the_newest_set_is_told(worker: Worker, store: MemoryObjects, clock: ManualClock) -> None:
    clock.advance(30)
    assert counted(worker.telemetry, "grosz_journal_mirror_lag_seconds") == 30
    worker.store(1)
    worker.put()
    assert counted(worker.telemetry, "grosz_journal_mirror_lag_seconds") == 0


@pytest.mark.parametrize(("content", "says"), [(b"{", "cannot be read"), (b'{"version": 2}', "is of version 2")])
def test_a_note_that_cannot_be_read_says_so(worker: Worker, content: bytes, says: str) -> None:
    (worker.folder / NOTE_FILE).write_bytes(content)
    with pytest.raises(UnavailableError, match=says):
        worker.mirror.begin()
