"""Folders of segment files: what nobody writes any more, whose a folder is, and when nobody may change one."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from core.disk import disk_hint
from core.errors import UnavailableError

SEGMENTS: Final = "segments"
"""The folder of segment files below that of the journal."""
NEW_SUFFIX: Final = ".new"
"""End of the name of a segment that is being begun: it has no lock yet, and belongs to the process that makes it."""
OPEN_SUFFIX: Final = ".open"
"""End of the name of a segment that a process writes; it holds a lock on the file."""
CLOSED_SUFFIX: Final = ".segment"
DAMAGED_SUFFIX: Final = ".damaged"
REFUSED_SUFFIX: Final = ".refused"
"""Ends of the names of files that were set aside: they cannot be read, or the worker refuses them for good."""

SET_ASIDE_DAYS: Final = 30
"""Long enough for a person to look at one. No longer, since rows of a person who is erased meanwhile stay in it."""

COPY_LOCK: Final = "copy.lock"
"""Held shared by who changes the journal's files, alone by who copies them."""
# A pass of a worker that has a day to catch up with takes minutes.
_WAIT_S: Final = 600.0
_POLL_S: Final = 0.02

# To begin a file takes microseconds: a file that was begun this long ago belongs to a process that is gone.
_BEGUN_S: Final = 60.0


def waiting_segments(folder: Path) -> list[Path]:
    """Segments that were handed on, or left by a process that is gone, oldest first."""
    if not folder.is_dir():
        return []
    found = sorted(folder.iterdir())
    for path in found:
        if path.suffix == NEW_SUFFIX:
            _remove_begun(path)
    return [
        path for path in found if path.suffix == CLOSED_SUFFIX or (path.suffix == OPEN_SUFFIX and not _is_written(path))
    ]


@contextlib.contextmanager
def changing(journal: Path) -> Iterator[bool]:
    """Around changes of the files in the journal's folder; False while it is copied, and nothing may be changed.

    Raises UnavailableError where the disk refuses.
    """
    try:
        journal.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(journal / COPY_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UnavailableError(f"{journal} cannot be written: {error}", hint=disk_hint(error)) from error
    try:
        yield try_lock(handle, shared=True)
    finally:
        os.close(handle)


@contextlib.contextmanager
def unchanged(journal: Path) -> Iterator[None]:
    """Around copying the journal's files: nobody is `changing` them meanwhile. Raises UnavailableError."""
    handle = os.open(journal / COPY_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        ends = time.monotonic() + _WAIT_S
        while not try_lock(handle):
            if time.monotonic() > ends:
                hint = "try again when the worker has caught up: grosz_journal_lag_seconds"
                raise UnavailableError(f"the files in {journal} change without a pause", hint=hint)
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Lock a file until its handle is closed, however its process ends; False where another has it."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def take_lock(path: Path) -> int | None:
    """The handle of a lock file that nobody else has, to be closed by `os.close`; None while another process has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if try_lock(handle):
        return handle
    os.close(handle)
    return None


def forget_set_aside(folder: Path, now_s: float) -> list[Path]:
    """Remove files that were set aside more than SET_ASIDE_DAYS ago, and return them."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.suffix in (DAMAGED_SUFFIX, REFUSED_SUFFIX)]
    old = [path for path in found if path.stat().st_mtime < now_s - SET_ASIDE_DAYS * 86_400]
    for path in old:
        path.unlink(missing_ok=True)
    return old


def _is_written(path: Path) -> bool:
    """Whether a living process holds the file's lock."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return True
    try:
        return not try_lock(handle)
    finally:
        os.close(handle)


def _remove_begun(path: Path) -> None:
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _BEGUN_S and not _is_written(path):
            path.unlink()
