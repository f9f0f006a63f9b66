"""What the disk is asked for so that files outlive a power cut."""

import os
from pathlib import Path
from typing import Final

TEMPORARY: Final = ".tmp"
"""End of the names of files that are being written."""


def flush_folder(folder: Path) -> None:
    """Make names that were given in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Put a content in the place of a file's, all at once and for good. Raises OSError."""
    temporary = path.with_name(path.name + TEMPORARY)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    flush_folder(path.parent)
