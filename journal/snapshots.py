"""One moment of the journal's Parquet files, to be given to a mirror while the worker goes on.

Files that the mirror lacks are held by links in a folder of their own: whoever merges, erases or forgets meanwhile puts
other files in the place of these, and never writes into one.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from core.errors import UnavailableError
from journal.archive import Archive
from journal.manifests import SMALL_FILES, FolderSnapshot, MirroredFile
from journal.rollups import Rollups, cubes_of
from journal.rows import KINDS

# The most bytes that one snapshot links for the mirror: a person who is erased during the upload stays in the links
# until its end. A journal that is mirrored for the first time takes as many snapshots as it needs.
MAX_BYTES: Final = 1024 * 1024 * 1024


def take_snapshot(
    archive: Archive,
    links: Path,
    mirrored: Callable[[str, int, int], MirroredFile | None],
    erased_ms: int = 0,
    max_bytes: int = MAX_BYTES,
) -> FolderSnapshot:
    """The files as they are now; to be called while no thread changes them. Raises UnavailableError.

    `mirrored` gives the mirror's entry for a path, size and time of change. The folder `links` is emptied first.
    """
    known: dict[str, MirroredFile] = {}
    linked: dict[str, Path] = {}
    size = 0
    try:
        forget_links(links)
        links.mkdir(exist_ok=True, mode=0o700)
        for path in _files(archive):
            name, told = path.relative_to(archive.folder).as_posix(), path.stat()
            found = mirrored(name, told.st_size, told.st_mtime_ns)
            if found is not None:
                known[name] = found
            elif size < max_bytes:
                size += told.st_size
                linked[name] = links / str(len(linked))
                os.link(path, linked[name])
        small = {name: content for name in SMALL_FILES if (content := _content(archive.folder / name)) is not None}
    except OSError as error:
        raise UnavailableError(f"the journal's files cannot be held for the mirror: {error}") from error
    return FolderSnapshot(known, linked, small, size < max_bytes, erased_ms)


def forget_links(links: Path) -> None:
    """Remove the links of a snapshot. Raises OSError."""
    for path in links.iterdir() if links.is_dir() else ():
        path.unlink(missing_ok=True)


def _files(archive: Archive) -> Iterator[Path]:
    """The files that count: no parts that a merged file covers, no sums that were made anew."""
    for kind in KINDS.values():
        for hour in archive.hours(kind.name):
            yield from (part.path for part in archive.parts(kind.name, hour))
    rollups = Rollups(archive)
    for name, days in rollups.manifest().kinds.items():
        for day, rollup in days.items():
            for cube in cubes_of(KINDS[name]):
                path = rollups.path(KINDS[name], cube, day, rollup.version)
                if rollup.version and path.exists():
                    yield path


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
