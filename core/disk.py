"""What the disk is asked for so that files outlive a power cut."""

import errno
import os
from pathlib import Path
from typing import Final

TEMPORARY: Final = ".tmp"
"""End of the names of files that are being written."""


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM})


def disk_hint(error: OSError) -> str:
    """What to do about a file that could not be read or written; what the system says, where only that is known."""
    if error.errno in _FULL:
        return "the disk, or this user's share of it, is full: make room"
    if error.errno in _FORBIDDEN:
        return "this user has no right to: run Grosz as the user that owns the data directory"
    return f"the system says: {error.strerror or error}"


def told_hint(text: str) -> str:
    """The same by the text of a library's error, which has the system's words but no number; empty without them."""
    known = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EFBIG)
    number = next((each for each in known if os.strerror(each) in text), None)
    return "" if number is None else disk_hint(OSError(number, os.strerror(number)))


def flush_folder(folder: Path) -> None:
    """Make the names that files in a folder were given survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Replace the content of a file atomically and durably. Raises OSError."""
    temporary = path.with_name(path.name + TEMPORARY)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    flush_folder(path.parent)
