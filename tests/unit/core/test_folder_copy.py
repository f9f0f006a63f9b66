import errno
import os
from pathlib import Path

import pytest

from core.errors import UnavailableError
from core.folder_copy import FolderCopy, copy_file


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def written(folder: Path, **contents: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_text(content)
    return folder


def test_a_copy_is_renewed_by_what_has_come_changed_and_gone(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    written(source, stays="1", goes="2")
    written(source / "below", grows="3", replaced="4")
    copy = FolderCopy(source, target)
    copy.renew()
    assert files(target) == files(source)
    (source / "goes").unlink()
    with (source / "below" / "grows").open("a") as file:
        file.write("3")
    written(source, other="5").joinpath("other").rename(source / "below" / "replaced")
    written(source / "new" / "folder", comes="6")
    (target / "stays").write_text("not copied again")
    copy.renew()
    assert files(target) == files(source) | {"stays": "not copied again"}


def test_a_file_that_vanishes_before_it_is_copied_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = written(tmp_path / "source", a="1", b="2", c="3"), tmp_path / "target"

    def copied_after_b_went(source: Path, target: Path, known: object = None) -> object:
        (tmp_path / "source" / "b").unlink(missing_ok=True)
        return copy_file(source, target)

    monkeypatch.setattr("core.folder_copy.copy_file", copied_after_b_went)
    FolderCopy(source, target).renew()
    assert {"c": "3"}.items() <= files(target).items()
    assert "b" not in files(target)


def test_what_passes_and_what_is_to_be_left_out_is_no_part_of_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("a.tmp", "a.new", "a.lock", "a"):
        written(source / "below", **{name: "1"})
    written(source / "spill", b="2")
    FolderCopy(source, tmp_path / "target", ["spill"]).renew()
    assert files(tmp_path / "target") == {"below/a": "1"}


def test_modes_and_times_are_kept(tmp_path: Path) -> None:
    source, target = written(tmp_path / "source", a="1"), tmp_path / "target"
    written(source / "below").chmod(0o700)
    (source / "a").chmod(0o640)
    os.utime(source / "a", ns=(1_000_000_007, 2_000_000_009))
    FolderCopy(source, target).renew()
    told = (target / "a").stat()
    assert (told.st_mode & 0o777, told.st_mtime_ns) == (0o640, 2_000_000_009)
    assert (target / "below").stat().st_mode & 0o777 == 0o700


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    written(tmp_path, target="a file where a folder is wanted")
    with pytest.raises(UnavailableError, match="cannot be copied"):
        FolderCopy(written(tmp_path / "source", a="1"), tmp_path / "target").renew()


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "the disk, or this user's share of it, is full: make room"),
        (errno.EDQUOT, "the disk, or this user's share of it, is full: make room"),
        (errno.EACCES, "this user has no right to: run Grosz as the user that owns the data directory"),
        (errno.EPERM, "this user has no right to: run Grosz as the user that owns the data directory"),
        (errno.EIO, "the system says: Input/output error"),
    ],
)
def test_the_hint_is_about_what_the_disk_refused(
    number: int, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, target: Path, known: object = None) -> object:
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr("core.folder_copy.copy_file", refused)
    with pytest.raises(UnavailableError) as caught:
        FolderCopy(written(tmp_path / "source", a="1"), tmp_path / "target").renew()
    assert caught.value.hint == hint
