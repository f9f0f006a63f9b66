"""Takes media away that no creative shows any more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from core.clock import Clock
from core.errors import UnavailableError
from creatives.media.store import NAME, FolderStore

# Bids may be shown for six hours, pages and players keep what they loaded for longer, and a file is uploaded before the
# creative that names it is made.
KEPT_UNUSED_S: Final = 86_400
SWEEP_S: Final = 3_600

_log = logging.getLogger("grosz.creatives.media")


def names_in(texts: Iterable[str]) -> set[str]:
    """Names of media that texts mention, such as creatives as JSON."""
    return {match.group() for text in texts for match in NAME.finditer(text)}


class MediaKeeper:
    """Removes files a day after the last creative that shows them is gone; `texts` gives all creatives in use.

    Only this process remembers since when a file is unused: a restart only keeps the file for longer.
    """

    def __init__(self, store: FolderStore, texts: Callable[[], Awaitable[Iterable[str]]], clock: Clock) -> None:
        self._store = store
        self._texts = texts
        self._clock = clock
        self._unused: dict[str, tuple[int, float]] = {}  # when each was uploaded, and since when it is unused

    async def run(self) -> None:
        """Sweep until cancelled."""
        is_adopted = False
        while True:
            try:
                if not is_adopted:
                    found = await asyncio.to_thread(self._store.adopt)
                    is_adopted = True
                    if found:
                        _log.info("%d media of this machine were put into the bucket", found)
                await self.sweep()
            except (OSError, UnavailableError) as error:
                _log.warning("media are not swept: %s", error)
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> int:
        """Remove what has been unused for long enough; returns how many files that were."""
        kept = await asyncio.to_thread(self._uploads)
        used = names_in(await self._texts())
        now = self._clock.monotonic()
        before = self._unused
        self._unused = {
            # Who uploads a file again is about to use it.
            name: before[name] if name in before and before[name][0] == uploaded else (uploaded, now)
            for name, uploaded in kept.items()
            if name not in used
        }
        over = [name for name, (_uploaded, since) in self._unused.items() if now - since >= KEPT_UNUSED_S]
        for name in over:
            await asyncio.to_thread(self._store.remove, name)
            del self._unused[name]
        if over:
            _log.info("%d media that no creative shows were removed", len(over))
        return len(over)

    def _uploads(self) -> dict[str, int]:
        return {name: self._store.uploaded_ns(name) for name in self._store.names()}
