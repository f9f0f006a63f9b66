"""Where media lie: one file each, named by the SHA-256 of its content and its kind.

A name is never used for another content, so files never change; they are made whole under another name first.
"""

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec

from core.disk import flush_folder
from core.errors import UnavailableError
from creatives.children import in_child
from creatives.media.kinds import MAX_BYTES, BadMediaError, MediaKind, inspect, is_picture

NAME: Final = re.compile(r"[0-9a-f]{64}\.(?:png|jpg|gif|webp|mp4|webm|mp3|m4a|ogg|wav)")

TYPES: Final = {
    "png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "mp4": "video/mp4",
    "webm": "video/webm", "mp3": "audio/mpeg", "m4a": "audio/mp4", "ogg": "audio/ogg", "wav": "audio/wav",
}  # fmt: skip

# Uploads stop before the disk that also holds the money's log is full.
MIN_FREE_BYTES: Final = 512 * 1024 * 1024

# The time of every file: a name has one content, so it has one ETag, whichever machine serves it (aiohttp makes ETags
# of time and size). A player puts together only ranges of the same ETag.
WRITTEN_S: Final = 1_000_000_000

_PARTS: Final = ".part-"


class Media(msgspec.Struct, frozen=True):
    """A file that is kept."""

    name: str
    """Name of the file, and last part of its address."""
    kind: MediaKind
    size: int


class FolderStore:
    """Media in a folder, which trackers on other machines see by a shared file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, body: AsyncIterator[bytes]) -> Media:
        """Look at an upload and keep it; the same content is kept once. Raises BadMediaError, UnavailableError."""
        await asyncio.to_thread(self._prepare)
        handle, part = tempfile.mkstemp(prefix=_PARTS, dir=self._folder)
        path = Path(part)
        try:
            with os.fdopen(handle, "wb") as file:
                digest, size = hashlib.sha256(), 0
                async for chunk in body:
                    size += len(chunk)
                    if size > MAX_BYTES:
                        hint = f"at most {MAX_BYTES // 1024**2} MiB"
                        raise BadMediaError("too_large", f"more than {MAX_BYTES} bytes were sent", hint)
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            is_decoded = await asyncio.to_thread(is_picture, path)
            found = await (in_child(inspect, path) if is_decoded else asyncio.to_thread(inspect, path))
            if not isinstance(found, MediaKind):
                raise BadMediaError(*found)
            media = Media(f"{digest.hexdigest()}.{found.suffix}", found, size)
            await asyncio.to_thread(self._name, path, media.name)
            return media
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    def find(self, name: str) -> Path | None:
        """The path of a file; None where there is none of that name."""
        if NAME.fullmatch(name) is None:
            return None
        path = self._folder / name
        return path if path.is_file() else None

    def names(self) -> list[str]:
        """The names of all files that are kept."""
        if not self._folder.is_dir():
            return []
        return [entry.name for entry in os.scandir(self._folder) if NAME.fullmatch(entry.name)]

    def uploaded_ns(self, name: str) -> int:
        """When a file came into this machine's folder, anew with each upload of it; 0 where it is not there."""
        try:
            return (self._folder / name).stat().st_ctime_ns
        except FileNotFoundError:
            return 0

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is no error."""
        (self._folder / name).unlink(missing_ok=True)

    def adopt(self) -> int:
        """Take over files that lie on this machine alone; returns how many: none, since the folder is the store."""
        return 0

    def copy_into(self, folder: Path) -> None:
        """Complete a backup's copy of the folder. There is nothing to do: the copied folder has all media."""

    def _prepare(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            space = os.statvfs(self._folder)
        except OSError as error:
            raise UnavailableError(f"media cannot be kept: {error.strerror}", hint="see data.directory") from error
        if space.f_bavail * space.f_frsize < MIN_FREE_BYTES:
            raise UnavailableError(
                "media cannot be kept: the disk is nearly full", hint="make room, then send it again"
            )

    def _name(self, part: Path, name: str) -> None:
        part.chmod(0o644)
        os.utime(part, (WRITTEN_S, WRITTEN_S))
        os.replace(part, self._folder / name)
        flush_folder(self._folder)
