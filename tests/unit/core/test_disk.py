import errno
import os
from pathlib import Path

import pytest

from core.disk import TEMPORARY, disk_hint, told_hint, write_whole


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "positions.json"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["positions.json"]


def test_what_was_there_stays_when_a_write_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "positions.json"
    write_whole(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.disk.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert path.with_name(path.name + TEMPORARY).exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_a_librarys_words_lead_to_the_hint_of_the_systems_number(number: int) -> None:
    words = os.strerror(number)
    assert told_hint(f'IO Error: Could not write file "/x": {words}') == disk_hint(OSError(number, words))
    assert told_hint("Out of Memory Error: could not allocate block") == ""
