"""The append-only files of an embedded server are brought to the disk each second, by the process that owns it.

The server could do that itself (`appendfsync everysec`), but while such a sync is under way it keeps for up to two
seconds in memory what it has acknowledged meanwhile: killed then, it loses it, bills among it (10,339 acknowledged,
7,666 found, with a disk that takes 1.5 s). With `appendfsync no` it writes everything before it answers, so only a
machine that fails loses anything; and that no more than with `everysec`, since the files are synced as often from here.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

# How much a failing machine may lose, in seconds.
SYNC_EVERY_S: Final = 1.0

# macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)


def sync_files(directory: Path, sync: Callable[[int], None] = _sync) -> None:
    """Wait until what the server in `directory` has written is on the disk. Raises OSError where the disk refuses."""
    for path in sorted((directory / "appendonlydir").glob("*.aof")):
        with contextlib.suppress(FileNotFoundError):  # a rewrite of the log has replaced it since it was listed
            _sync_file(path, sync)


def _sync_file(path: Path, sync: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


class FileSyncer:
    """Syncs the files from `start()` to `stop()`, in a thread of its own: a slow disk delays no other work."""

    def __init__(self, directory: Path, *, every_s: float = SYNC_EVERY_S, sync: Callable[[int], None] = _sync) -> None:
        self._directory = directory
        self._every_s = every_s
        self._sync = sync
        self._ended: threading.Event | None = None

    def start(self) -> None:
        """Harmless when it runs already."""
        if self._ended is None:
            self._ended = threading.Event()
            threading.Thread(target=self._run, args=(self._ended,), name="sync-redis", daemon=True).start()

    def stop(self) -> None:
        """Stop without waiting for the disk: a server that ends in order syncs its files itself."""
        if self._ended is not None:
            self._ended.set()
            self._ended = None

    def _run(self, ended: threading.Event) -> None:
        has_failed = False
        while not ended.wait(self._every_s):
            try:
                sync_files(self._directory, self._sync)
            except OSError as error:
                if not has_failed:
                    log.error("the files of the embedded server cannot be synced to the disk: %s", error.strerror)
                has_failed = True
            else:
                has_failed = False
