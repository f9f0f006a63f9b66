"""What the disk is asked for so that files outlive a power cut."""

import os
from pathlib import Path
from typing import Final

TEMPORARY: Final = ".tmp"
"""End of the names of files that are being written."""


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
