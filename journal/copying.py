"""A copy of the journal's folder as it is at one moment, while its processes go on: each row once.

Rows move: from segment files to parts, from parts to merged files, and out when they are old. So most is copied first,
while the worker goes on; then its changes wait for as long as it takes to copy what has come meanwhile, and the segment
files. Bidders and trackers go on writing all the time: of a segment file the copy has what was written by then.
"""

from pathlib import Path
from typing import Final

from core.disk import disk_hint
from core.errors import UnavailableError
from core.folder_copy import FolderCopy, copy_file
from journal.folders import CLOSED_SUFFIX, DAMAGED_SUFFIX, OPEN_SUFFIX, REFUSED_SUFFIX, SEGMENTS, unchanged

# Links to files that are being put into the mirror, what DuckDB moves out of memory, and what is copied by its stems.
_LEFT_OUT: Final = ("mirroring", "spill", SEGMENTS)
# In the order in which a segment has them.
_WRITTEN: Final = (OPEN_SUFFIX, CLOSED_SUFFIX)


def copy_journal(source: Path, target: Path) -> None:
    """Copy the journal's folder `source` to `target`, which does not exist yet. Raises UnavailableError."""
    copy = FolderCopy(source, target, _LEFT_OUT)
    copy.renew()
    with unchanged(source):
        copy.renew()
        if (source / SEGMENTS).is_dir():
            _copy_segments(source / SEGMENTS, target / SEGMENTS)


def _copy_segments(source: Path, target: Path) -> None:
    """Copy the segment files, each once though its process may hand it on meanwhile, which changes its name."""
    target.mkdir(mode=0o700)
    try:
        # A file that is renamed while a folder is listed may be missing from that list. It is in the next.
        listed = [path for _ in range(2) for path in source.iterdir()]
        for stem in {path.stem for path in listed if path.suffix in _WRITTEN}:
            for suffix in _WRITTEN:
                if copy_file(source / f"{stem}{suffix}", target / f"{stem}{CLOSED_SUFFIX}") is not None:
                    break
        for path in {path for path in listed if path.suffix in (DAMAGED_SUFFIX, REFUSED_SUFFIX)}:
            copy_file(path, target / path.name)
    except OSError as error:
        raise UnavailableError(f"{source} cannot be copied: {error}", hint=disk_hint(error)) from error
