"""Scaled pictures in a folder: those that were shown last, up to a bound, and none for longer than a week."""

import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 512 * 1024 * 1024
"""Some 50,000 pictures of 10 KiB. What was shown the longest ago goes first, down to KEPT_SHARE of it."""

KEPT_SHARE: Final = 0.8
# Shops exchange a picture under the same address, if seldom.
FRESH_S: Final = 86_400
MAX_AGE_S: Final = 7 * 86_400
# Looking at 100,000 files costs a second: it is done only when so much was written since the last look.
LOOK_AFTER_BYTES: Final = 16 * 1024 * 1024


class PictureFolder:
    """The folder; several trackers of one machine may share it."""

    def __init__(self, folder: Path, most_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._most = most_bytes
        self._written = most_bytes  # so that the first write looks

    def find(self, key: str, now_s: float) -> tuple[bytes, bool] | None:
        """A picture, and whether it is fresh."""
        path = self._path(key)
        try:
            made_s = path.stat().st_mtime
            if now_s - made_s > MAX_AGE_S:
                return None
            data = path.read_bytes()
            os.utime(path, (now_s, made_s))  # when it was shown, beside when it was made
        except OSError:
            return None  # not there, or another process has removed it just now
        return data, now_s - made_s <= FRESH_S

    def keep(self, key: str, data: bytes) -> None:
        """Write a picture whole, and make room for it."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        part.write_bytes(data)
        part.replace(path)
        self._written += len(data)
        if self._written >= min(LOOK_AFTER_BYTES, self._most // 8):
            self._written = 0
            self.make_room(time.time())

    def make_room(self, now_s: float) -> int:
        """Remove what is too old, and the longest unseen until the rest fits; how many were removed."""
        seen: list[tuple[float, int, Path]] = []
        removed = 0
        for path in self._folder.glob("*/*"):
            try:
                stat = path.stat()
                if now_s - stat.st_mtime > MAX_AGE_S:
                    path.unlink()
                    removed += 1
                else:
                    seen.append((stat.st_atime, stat.st_size, path))
            except FileNotFoundError:
                continue  # another tracker was faster
        total = sum(size for _, size, _ in seen)
        if total <= self._most:
            return removed
        for _, size, path in sorted(seen):
            path.unlink(missing_ok=True)
            removed, total = removed + 1, total - size
            if total <= self._most * KEPT_SHARE:
                break
        return removed

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._folder / name[:2] / f"{name[2:34]}.webp"
