"""Copies of a journal whose worker converts and merges all the while."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.folder_copy import FolderCopy
from journal.archive import HOUR_MS
from journal.converting import LEFTOVER_S
from journal.copying import copy_journal
from journal.folders import changing
from journal.rows import NOTICE
from journal.writing import JournalWriter
from tests.kit.journal_rows import NOW_MS, JournalFolder, a_row

HOUR = NOW_MS // HOUR_MS
ROWS = 60


class Worker:
    """Converts what is handed on and merges it at once, with nothing left over, as a worker does in two minutes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.journal = folder, JournalFolder(folder)

    def work(self) -> bool:
        """One pass; whether there was leave."""
        with changing(self.folder) as may_change:
            if may_change:
                self.journal.convert()
                for _ in range(2):
                    self.journal.converter.merge(NOTICE, HOUR, time.time() + 2 * LEFTOVER_S)
            return may_change


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Worker(tmp_path / "journal")
    yield made
    made.journal.close()


def append(writer: JournalWriter, number: int) -> None:
    writer.append(NOTICE, a_row(NOTICE, bid_id=number, bid_ms=NOW_MS))
    writer.flush()


def hand_on(writer: JournalWriter) -> None:
    asyncio.run(writer.close())


def restored(folder: Path) -> list[int]:
    """The ids of a copy's rows once a worker has converted what it finds there."""
    journal = JournalFolder(folder)
    try:
        journal.convert()
        return [int(str(row[0])) for row in journal.rows(NOTICE, "bid_id")]
    finally:
        journal.close()


@contextmanager
def at_once(work: Callable[[], object]) -> Iterator[None]:
    """Repeat `work` in a thread meanwhile."""
    ends = threading.Event()
    faults: list[Exception] = []

    def run() -> None:
        while not ends.is_set():
            try:
                work()
            except Exception as error:
                faults.append(error)
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
    assert faults == []


def test_each_row_is_in_a_copy_once_whatever_the_worker_does_between_its_steps(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, renew, steps = worker.journal.writer, FolderCopy.renew, []

    def converted_before_and_after(copy: FolderCopy) -> None:
        steps.append(worker.work())
        renew(copy)
        append(writer, 10 + len(steps))
        hand_on(writer)
        steps.append(worker.work())

    append(writer, 1)
    hand_on(writer)
    append(writer, 2)
    monkeypatch.setattr(FolderCopy, "renew", converted_before_and_after)
    copy_journal(worker.folder, tmp_path / "copy")
    assert steps == [True, True, False, False]
    assert restored(tmp_path / "copy") == [1, 2, 11, 13]
    assert worker.work()


def test_each_row_is_in_a_copy_once_under_load(worker: Worker, tmp_path: Path) -> None:
    written = before = 0

    def write() -> None:
        nonlocal written
        if written - before >= ROWS:  # a slow worker must be able to keep up
            time.sleep(0.02)
            return
        writer = worker.journal.another_writer(f"p{written}")
        for _ in range(3):
            append(writer, written + 1)
            written += 1
        hand_on(writer)

    def work() -> None:
        worker.work()
        time.sleep(0.05)  # as a worker does after each pass

    for number in range(8):
        before = written
        with at_once(write), at_once(work):
            copy_journal(worker.folder, tmp_path / str(number))
        found = restored(tmp_path / str(number))
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= before


def test_a_segment_that_is_handed_on_while_it_is_copied_is_in_the_copy_once(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(worker.journal.writer, 1)
    listing = Path.iterdir

    def handed_on_after(folder: Path) -> Iterator[Path]:
        found = list(listing(folder))
        if folder == worker.journal.segments:
            hand_on(worker.journal.writer)
        return iter(found)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", handed_on_after)
        copy_journal(worker.folder, tmp_path / "copy")
    assert restored(tmp_path / "copy") == [1]


def test_hours_that_are_forgotten_between_the_steps_are_not_in_the_copy(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(worker.journal.writer, 1)
    hand_on(worker.journal.writer)
    worker.work()
    renew = FolderCopy.renew

    def forgotten_after(copy: FolderCopy) -> None:
        renew(copy)
        worker.journal.archive.forget(NOTICE.name, HOUR + 1)

    monkeypatch.setattr(FolderCopy, "renew", forgotten_after)
    copy_journal(worker.folder, tmp_path / "copy")
    assert restored(tmp_path / "copy") == []
