"""Who brings the embedded server's files to the disk."""

import logging
import os
import time
from pathlib import Path

import pytest

from core.redis import syncing
from core.redis.syncing import FileSyncer, sync_files

WAIT_S = 30.0


class Syncing:
    """Inodes of the files that were synced, after as many refusals of the disk as are asked for."""

    def __init__(self, refusals: int = 0) -> None:
        self.inodes: list[int] = []
        self._refusals = refusals

    def __call__(self, descriptor: int) -> None:
        if self._refusals > 0:
            self._refusals -= 1
            raise OSError(28, "No space left on device")
        os.fsync(descriptor)
        self.inodes.append(os.fstat(descriptor).st_ino)

    def wait_for(self, number: int) -> None:
        deadline = time.monotonic() + WAIT_S
        while len(self.inodes) < number:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def appended(tmp_path: Path) -> Path:
    path = tmp_path / "appendonlydir" / "appendonly.aof.2.incr.aof"
    path.parent.mkdir()
    path.write_bytes(b"*1\r\n")
    return path


def test_every_append_only_file_is_synced(appended: Path, tmp_path: Path) -> None:
    older = appended.with_name("appendonly.aof.1.incr.aof")
    older.write_bytes(b"")
    synced = Syncing()
    sync_files(tmp_path, synced)
    assert sorted(synced.inodes) == sorted([appended.stat().st_ino, older.stat().st_ino])


def test_before_the_server_has_a_file_there_is_nothing_to_sync(tmp_path: Path) -> None:
    synced = Syncing()
    sync_files(tmp_path, synced)
    assert synced.inodes == []


def test_it_is_synced_again_and_again_until_it_is_stopped(appended: Path, tmp_path: Path) -> None:
    synced = Syncing()
    syncer = FileSyncer(tmp_path, every_s=0.01, sync=synced)
    syncer.start()
    syncer.start()
    synced.wait_for(3)
    syncer.stop()
    syncer.stop()
    assert set(synced.inodes) == {appended.stat().st_ino}


def test_a_disk_that_refuses_is_told_once_and_tried_again(
    appended: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    synced = Syncing(refusals=3)
    syncer = FileSyncer(tmp_path, every_s=0.01, sync=synced)
    with caplog.at_level(logging.ERROR):
        syncer.start()
        synced.wait_for(1)
        syncer.stop()
    assert [record.getMessage() for record in caplog.records if record.name == syncing.__name__] == [
        "the files of the embedded server cannot be synced to the disk: No space left on device"
    ]
