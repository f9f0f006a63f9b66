"""The catalogues that recorded requests were decided by: a file for each version that the worker saw.

A version that was in force for less than a second may be missing; the one before it stands for it. Exchanges' secrets
are in a catalogue, so the files are for their own user alone, as the database is.
"""

import os
from pathlib import Path
from typing import Final

from core.catalogue.codec import decode_catalogue, encode_catalogue
from core.model import Catalogue

_SUFFIX: Final = ".catalogue"
# The most bytes of all files together: a catalogue of 10,000 line items has 1 MiB. The oldest go first.
MAX_BYTES: Final = 2 * 1024 * 1024 * 1024
_DAY_MS: Final = 86_400_000


class CatalogueFiles:
    """The files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, catalogue: Catalogue) -> bool:
        """Write a version unless it is there; the file appears whole or not at all. Whether it was written."""
        path = self._path(catalogue.version)
        if path.exists():
            return False
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(encode_catalogue(catalogue))
        temporary.rename(path)
        return True

    def versions(self) -> list[int]:
        """Versions that are kept, ascending."""
        if not self._folder.is_dir():
            return []
        return sorted(int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())

    def nearest(self, version: int) -> int | None:
        """The version itself, otherwise the last before it, otherwise the first after it; None where there is none."""
        known = self.versions()
        before = [each for each in known if each <= version]
        return before[-1] if before else known[0] if known else None

    def read(self, version: int) -> Catalogue:
        """A version that is kept. Raises CatalogueError, FileNotFoundError."""
        return decode_catalogue(self._path(version).read_bytes())

    def tidy(self, now_ms: int, kept_days: int) -> int:
        """Remove versions older than `kept_days`, except the newest of these, and the oldest beyond MAX_BYTES."""
        versions = self.versions()[:-1]  # the newest is in force
        limit_s = (now_ms - kept_days * _DAY_MS) / 1000
        old = [each for each in versions if self._path(each).stat().st_mtime < limit_s]
        gone = old[:-1]  # the last of them was in force when the kept time begins
        kept = [each for each in versions if each not in gone]
        size = sum(self._path(each).stat().st_size for each in kept)
        while kept and size > MAX_BYTES:
            size -= self._path(kept[0]).stat().st_size
            gone.append(kept.pop(0))
        for version in gone:
            self._path(version).unlink(missing_ok=True)
        return len(gone)

    def _path(self, version: int) -> Path:
        return self._folder / f"{version:012d}{_SUFFIX}"
