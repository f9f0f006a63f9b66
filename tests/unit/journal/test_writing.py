import asyncio
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.telemetry.metrics import Telemetry
from journal import writing
from journal.rows import ANSWER, BILL, NOTICE
from journal.writing import JournalWriter
from tests.kit.journal_rows import NOW_MS, JournalFolder, a_row, counted


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalFolder]:
    folder = JournalFolder(tmp_path)
    yield folder
    folder.close()


def writer_of(folder: Path, telemetry: Telemetry, *, max_bytes: int = 2**30) -> JournalWriter:
    return JournalWriter(folder, "p1", ManualClock(NOW_MS), telemetry, max_bytes=max_bytes)


async def test_what_is_appended_is_in_parquet_once(journal: JournalFolder) -> None:
    journal.writer.append(ANSWER, a_row(ANSWER, requests=3))
    journal.writer.extend(NOTICE, [a_row(NOTICE, bid_id=number, event="win") for number in range(4)])
    await journal.writer.close()
    assert journal.convert() == 5
    assert journal.rows(ANSWER, "requests") == [(3,)]
    assert journal.count(NOTICE) == 4
    assert journal.convert() == 0


async def test_nothing_is_kept_without_a_folder() -> None:
    telemetry = Telemetry()
    writer = JournalWriter(None, "p1", ManualClock(NOW_MS), telemetry, max_bytes=1)
    writer.append(ANSWER, a_row(ANSWER))
    writer.append_soon(NOTICE, a_row(NOTICE))
    await writer.close()
    assert not writer.is_on
    assert counted(telemetry, "grosz_journal_rows_total") == 0


async def test_a_file_that_is_being_written_is_left_to_its_writer(journal: JournalFolder) -> None:
    journal.writer.append(ANSWER, a_row(ANSWER))
    journal.writer.flush()
    assert journal.converter.waiting() == []
    await journal.writer.close()
    assert len(journal.converter.waiting()) == 1


def test_at_the_bound_bids_are_dropped_and_counted_and_notices_are_written(tmp_path: Path) -> None:
    telemetry = Telemetry()
    (tmp_path / "old.segment").write_bytes(bytes(1_000))
    writer = writer_of(tmp_path, telemetry, max_bytes=1_000)
    writer.extend(ANSWER, [a_row(ANSWER)] * 5)
    writer.append(NOTICE, a_row(NOTICE))
    writer.flush()
    assert counted(telemetry, "grosz_journal_dropped_total", "answer") == 5
    assert counted(telemetry, "grosz_journal_dropped_total", "notice") == 0
    assert counted(telemetry, "grosz_journal_rows_total", "notice") == 1


class FullDisk:
    """`os.write` of a disk that takes `room` bytes more; then part of a write, then nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, handle: int, data: bytes) -> int:
        if not self.room and data:
            raise OSError(errno.ENOSPC, "no space left on device")
        written = self._write(handle, data[: self.room])
        self.room -= written
        return written


async def test_a_full_disk_tears_no_file_and_its_notices_come_later(
    journal: JournalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = Telemetry()
    writer = writer_of(journal.segments, telemetry)
    writer.append(NOTICE, a_row(NOTICE, bid_id=1))
    writer.flush()
    disk = FullDisk(monkeypatch, room=10)
    for number in (2, 3):
        writer.append(NOTICE, a_row(NOTICE, bid_id=number))
        writer.append(ANSWER, a_row(ANSWER))
        writer.flush()
    assert counted(telemetry, "grosz_journal_dropped_total", "answer") == 2
    assert counted(telemetry, "grosz_journal_write_failures_total") == 2
    disk.room = 10**9
    writer.append(NOTICE, a_row(NOTICE, bid_id=4))
    await writer.close()
    journal.convert()
    assert journal.rows(NOTICE, "bid_id") == [(1,), (2,), (3,), (4,)]
    assert counted(telemetry, "grosz_journal_dropped_total", "notice") == 0


async def test_notices_that_wait_for_a_disk_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = Telemetry()
    writer = writer_of(tmp_path, telemetry)
    monkeypatch.setattr(writing, "MAX_WAITING_BYTES", 600)
    FullDisk(monkeypatch, room=0)
    for number in range(20):
        writer.append(NOTICE, a_row(NOTICE, bid_id=number, outcome=os.urandom(40).hex()))
        writer.flush()
    assert 10 <= counted(telemetry, "grosz_journal_dropped_total", "notice") < 20


async def test_rows_of_one_turn_are_written_together_at_its_end(journal: JournalFolder) -> None:
    for number in range(3):
        journal.writer.append_soon(BILL, a_row(BILL, bid_id=number))
    assert not journal.segments.exists()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sum(path.stat().st_size for path in journal.segments.iterdir()) > 0
    assert counted(journal.telemetry, "grosz_journal_rows_total") == 0  # the writer counts in its own


def test_a_file_that_is_just_begun_is_nobody_elses(journal: JournalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker looks at the folder between a file's making and its lock, and takes none that is written on."""
    lock = fcntl.flock

    def looked_at(handle: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        assert journal.convert() == 0
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", looked_at)
    journal.writer.append(NOTICE, a_row(NOTICE, bid_id=7))
    journal.writer.flush()
    journal.writer._hand_on()
    assert journal.convert() == 1
    assert journal.rows(NOTICE, "bid_id") == [(7,)]


def test_a_file_that_a_dead_process_had_just_begun_goes_after_a_while(journal: JournalFolder) -> None:
    journal.segments.mkdir(parents=True)
    begun = [journal.segments / f"{number}-p-1.new" for number in range(2)]
    for path in begun:
        path.touch()
    os.utime(begun[0], (1, 1))
    assert journal.convert() == 0
    assert [path.exists() for path in begun] == [False, True]
