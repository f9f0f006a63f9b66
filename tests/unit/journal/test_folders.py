import os
from pathlib import Path

import pytest

from core.errors import UnavailableError
from journal.folders import (
    COPY_LOCK,
    DAMAGED_SUFFIX,
    REFUSED_SUFFIX,
    SET_ASIDE_DAYS,
    changing,
    forget_set_aside,
    take_lock,
    unchanged,
)


def test_a_lock_is_one_processs_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "worker.lock"
    first = take_lock(path)
    assert first is not None
    assert take_lock(path) is None
    os.close(first)
    again = take_lock(path)
    assert again is not None
    os.close(again)


def test_refused_locks_keep_no_handle(tmp_path: Path) -> None:
    path = tmp_path / "worker.lock"
    first = take_lock(path)
    assert first is not None
    before = len(os.listdir("/proc/self/fd"))
    assert [take_lock(path) for _ in range(8)] == [None] * 8
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(first)


def test_what_was_set_aside_goes_after_its_days_and_nothing_else(tmp_path: Path) -> None:
    now_s, days = 1_800_000_000.0, SET_ASIDE_DAYS * 86_400
    names = ("old.damaged", "old.refused", "old.segment", "new.damaged", "new.refused")
    for name in names:
        (tmp_path / name).write_bytes(b"rows")
        age = days + 1 if name.startswith("old") else days - 1
        os.utime(tmp_path / name, (now_s - age, now_s - age))
    gone = forget_set_aside(tmp_path, now_s)
    assert sorted(path.name for path in gone) == ["old" + DAMAGED_SUFFIX, "old" + REFUSED_SUFFIX]
    assert sorted(os.listdir(tmp_path)) == ["new.damaged", "new.refused", "old.segment"]
    assert forget_set_aside(tmp_path / "missing", now_s) == []


def test_many_may_change_a_folder_but_nobody_while_it_is_copied(tmp_path: Path) -> None:
    with changing(tmp_path / "journal") as first, changing(tmp_path / "journal") as second:
        assert (first, second) == (True, True)
    with unchanged(tmp_path / "journal"), changing(tmp_path / "journal") as third:
        assert not third
    with changing(tmp_path / "journal") as fourth:
        assert fourth


def test_a_disk_that_refuses_the_lock_is_told_of(tmp_path: Path) -> None:
    (tmp_path / COPY_LOCK).mkdir()  # cannot be opened for writing
    with pytest.raises(UnavailableError, match="Is a directory"), changing(tmp_path):
        raise AssertionError("nothing may be changed")


def test_who_copies_waits_for_changes_and_says_so_when_they_do_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("journal.folders._WAIT_S", 0.1)
    with changing(tmp_path), pytest.raises(UnavailableError, match="without a pause"), unchanged(tmp_path):
        pass
    with unchanged(tmp_path):
        pass
