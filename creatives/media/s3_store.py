"""Media in a bucket that all machines share; each keeps what it has served in a folder of its own.

What was uploaded on a machine also stays in its folder of media, as where there is no bucket. So a bucket that is
set later takes over what the folder has (`adopt`), and backups need no other way.
"""

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from core.bucket import Bucket, BucketUse
from core.errors import UnavailableError
from creatives.media.kinds import MAX_BYTES
from creatives.media.store import NAME, TYPES, WRITTEN_S, FolderStore

MEDIA: Final = BucketUse("the store of media", "media.")

# Beyond this much, files that were fetched from the bucket are dropped, the longest unused first.
CACHE_BYTES: Final = 4 * 1024**3

# A file that another machine has removed is still served here for so long.
TRUSTED_S: Final = 86_400


class BucketStore(FolderStore):
    """Media in a bucket; each machine has a `folder` for its own uploads and a `cache` for what it fetched."""

    def __init__(self, folder: Path, cache: Path, bucket: Bucket, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(folder)
        self._cache = cache
        self._bucket = bucket
        self._cache_bytes = cache_bytes
        self._fetching: dict[str, threading.Lock] = {}

    def find(self, name: str) -> Path | None:
        """The file of a name, fetched where it is not here yet. Raises UnavailableError."""
        if NAME.fullmatch(name) is None:
            return None
        own = super().find(name)
        if own is not None:
            return own
        lock = self._fetching.setdefault(name, threading.Lock())
        try:
            with lock:  # one thread fetches, the others wait for it
                return self._cached(name)
        finally:
            self._fetching.pop(name, None)

    def names(self) -> list[str]:
        """The names of all media in the bucket."""
        return [name for name in self._bucket.names() if NAME.fullmatch(name)]

    def remove(self, name: str) -> None:
        """Remove a file from the bucket and from this machine."""
        self._bucket.remove(name)
        super().remove(name)
        (self._cache / name).unlink(missing_ok=True)

    def adopt(self) -> int:
        """Put into the bucket what only this machine's folder has; returns how many files that were."""
        known = set(self.names())
        own = [name for name in super().names() if name not in known]
        for name in own:
            self._send(self._folder / name, name)
        return len(own)

    def copy_into(self, folder: Path) -> None:
        """Complete a copy of the folder, for a backup."""
        folder.mkdir(exist_ok=True)
        for name in self.names():
            if not (folder / name).exists():
                self._bucket.get(name, folder / name, MAX_BYTES)

    def _name(self, part: Path, name: str) -> None:
        self._send(part, name)
        super()._name(part, name)

    def _send(self, path: Path, name: str) -> None:
        self._bucket.put(name, path, TYPES[name.rpartition(".")[2]])

    def _cached(self, name: str) -> Path | None:
        path = self._cache / name
        if path.is_file():
            if time.time() - path.stat().st_atime < TRUSTED_S or self._may_have(name):
                _touch(path)
                return path
            path.unlink(missing_ok=True)
            return None
        self._cache.mkdir(parents=True, exist_ok=True, mode=0o755)
        handle, part = tempfile.mkstemp(prefix=".part-", dir=self._cache)
        os.close(handle)
        try:
            if not self._bucket.get(name, Path(part), MAX_BYTES):
                return None
            _check(Path(part), name)
            Path(part).chmod(0o644)
            _touch(Path(part))
            os.replace(part, path)
        finally:
            Path(part).unlink(missing_ok=True)
        self._trim(name)
        return path

    def _may_have(self, name: str) -> bool:
        """Whether the bucket has a file, or does not answer: what was fetched is shown then."""
        try:
            return self._bucket.has(name)
        except UnavailableError:
            return True

    def _trim(self, kept: str) -> None:
        found = sorted(self._sizes(kept))
        over = sum(size for _used, size, _path in found) + (self._cache / kept).stat().st_size - self._cache_bytes
        for _used, size, path in found:
            if over <= 0:
                return
            path.unlink(missing_ok=True)
            over -= size

    def _sizes(self, kept: str) -> Iterator[tuple[float, int, Path]]:
        for entry in os.scandir(self._cache):
            if entry.name != kept and NAME.fullmatch(entry.name):
                told = entry.stat()
                yield told.st_atime, told.st_size, Path(entry.path)


def _touch(path: Path) -> None:
    """Note that a file was used just now; the time of its content stays."""
    os.utime(path, (time.time(), WRITTEN_S))


def _check(path: Path, name: str) -> None:
    """Whoever can write into the bucket must not choose what is served from our address: names are digests."""
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != name.partition(".")[0]:
            raise UnavailableError(f"{name} in the bucket is not what was uploaded", hint="upload it again")
