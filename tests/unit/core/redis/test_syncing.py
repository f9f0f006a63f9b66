"""Who brings the embedded server's files to the disk."""

import logging
import os
import time
from pathlib import Path

import pytest

from core.redis import syncing
from core.redis.syncing import FileSyncer, sync_files

WAIT_S = 30.0


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Inodes of the files that were synced."""
    found: list[int] = []
    real = os.fsync

    def sync(descriptor: int) -> None:
        found.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(syncing, "_sync", sync)
    monkeypatch.setattr(syncing, "SYNC_EVERY_S", 0.01)
    return found


@pytest.fixture
def appended(tmp_path: Path) -> Path:
    path = tmp_path / "appendonlydir" / "appendonly.aof.2.incr.aof"
    path.parent.mkdir()
    path.write_bytes(b"*1\r\n")
    return path


def test_every_append_only_file_is_synced(appended: Path, tmp_path: Path, synced: list[int]) -> None:
    older = appended.with_name("appendonly.aof.1.incr.aof")
    older.write_bytes(b"")
    sync_files(tmp_path)
    assert sorted(synced) == sorted([appended.stat().st_ino, older.stat().st_ino])


def test_before_the_server_has_a_file_there_is_nothing_to_sync(tmp_path: Path, synced: list[int]) -> None:
    sync_files(tmp_path)
    assert synced == []


def test_it_is_synced_again_and_again_until_it_is_stopped(appended: Path, tmp_path: Path, synced: list[int]) -> None:
    syncer = FileSyncer(tmp_path)
    syncer.start()
    syncer.start()
    deadline = time.monotonic() + WAIT_S
    while len(synced) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    syncer.stop()
    syncer.stop()
    assert set(synced) == {appended.stat().st_ino}


def test_a_disk_that_refuses_is_told_once_and_tried_again(
    appended: Path, tmp_path: Path, synced: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    working, failures = syncing._sync, 0

    def refuse(descriptor: int) -> None:
        nonlocal failures
        failures += 1
        if failures <= 3:
            raise OSError(28, "No space left on device")
        working(descriptor)

    monkeypatch.setattr(syncing, "_sync", refuse)
    syncer = FileSyncer(tmp_path)
    with caplog.at_level(logging.ERROR):
        syncer.start()
        deadline = time.monotonic() + WAIT_S
        while not synced:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        syncer.stop()
    assert [record.getMessage() for record in caplog.records if record.name == syncing.__name__] == [
        "the files of the embedded server cannot be synced to the disk: No space left on device"
    ]
