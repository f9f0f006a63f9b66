"""A copy of a folder in which other processes go on writing, renaming and removing files."""

import contextlib
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from core.disk import TEMPORARY, disk_hint
from core.errors import UnavailableError

# What processes write before they rename it, and locks, which say nothing once their process is gone.
_PASSING: Final = (TEMPORARY, ".new", ".lock")


class FileState(NamedTuple):
    """What changes when a file is replaced, or grows."""

    inode: int
    size: int
    mtime_ns: int


class FolderCopy:
    """Makes `target` what the folder `source` is, without subfolders whose name is in `left_out`.

    A file that vanishes while it is copied is none of the copy's. Files must be replaced by others, or grow: what is
    written over in the midst may come half.
    """

    def __init__(self, source: Path, target: Path, left_out: Collection[str] = ()) -> None:
        self._source, self._target, self._left_out = source, target, frozenset(left_out)
        self._copied: dict[Path, FileState] = {}  # by relative path

    def renew(self) -> None:
        """Copy what is new or has changed since the last call, and remove what is gone. Raises UnavailableError."""
        try:
            found = {path for path in self._files() if self._copy(path)}
            for path in self._copied.keys() - found:
                (self._target / path).unlink()
                del self._copied[path]
        except OSError as error:
            raise UnavailableError(f"{self._source} cannot be copied: {error}", hint=disk_hint(error)) from error

    def _files(self) -> Iterator[Path]:
        """Relative paths of all files, after their folders were made in the copy."""
        for folder, folders, names in os.walk(self._source, onerror=_unless_gone, followlinks=True):
            here = Path(folder).relative_to(self._source)
            folders[:] = [name for name in folders if name not in self._left_out]
            (self._target / here).mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                shutil.copymode(folder, self._target / here)
            yield from (here / name for name in names if not name.endswith(_PASSING))

    def _copy(self, path: Path) -> bool:
        """Copy a file unless it is as it was; False where there is none any more."""
        state = copy_file(self._source / path, self._target / path, self._copied.get(path))
        if state is not None:
            self._copied[path] = state
        return state is not None


def copy_file(source: Path, target: Path, known: FileState | None = None) -> FileState | None:
    """Copy a file with its mode and time of change, unless its state is `known`. Raises OSError.

    Returns its state, None where there is no such file any more.
    """
    try:
        file = source.open("rb")
    except FileNotFoundError:
        return None
    with file:
        told = os.fstat(file.fileno())
        state = FileState(told.st_ino, told.st_size, told.st_mtime_ns)
        if state != known:
            with target.open("wb") as copy:
                shutil.copyfileobj(file, copy)
                os.fchmod(copy.fileno(), stat.S_IMODE(told.st_mode))
            os.utime(target, ns=(told.st_atime_ns, told.st_mtime_ns))
    return state


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
