"""The admin role's loop that makes the pictures which somebody has asked for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from core.errors import UnavailableError
from core.model import Creative
from core.telemetry.metrics import Telemetry
from creatives.preview.browser import PreviewBrowser
from creatives.preview.page import preview_name, preview_size
from creatives.preview.store import PreviewStore

POLL_S: Final = 2.0
# Pictures of old versions are removed every so many rounds, which are a few minutes.
_TIDY_ROUNDS: Final = 150

log = logging.getLogger("grosz.previews")


class PreviewLoop:
    """Renders each picture once. Without a browser nothing is rendered, and cards stand in for all of them."""

    def __init__(
        self,
        store: PreviewStore,
        creatives: Callable[[], Awaitable[Sequence[Creative]]],
        browser: PreviewBrowser | None,
        track_url: str,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._creatives = creatives
        self._browser = browser
        self._track_url = track_url
        self._round = 0
        self._made = telemetry.counter(
            "grosz_previews_total", "Pictures of creatives that were to be made, by outcome.", ("outcome",)
        )

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(POLL_S)

    async def step(self) -> None:
        """Make all pictures that are wanted now."""
        self._round += 1
        wanted = await asyncio.to_thread(self._store.wanted)
        if not wanted and self._round % _TIDY_ROUNDS:
            return
        known = {preview_name(each): each for each in await self._creatives()}
        await asyncio.to_thread(self._store.tidy, set(known))
        for name in wanted:
            creative = known.get(name)
            if creative is None or self._browser is None:
                await asyncio.to_thread(self._store.forget, name)
                continue
            await self._make(name, creative, self._browser)

    async def _make(self, name: str, creative: Creative, browser: PreviewBrowser) -> None:
        try:
            picture = await browser.picture(f"{self._track_url}/preview/{name}", preview_size(creative))
        except (OSError, UnavailableError) as error:
            log.warning("creative %d has no picture: %s", creative.id, error)
            picture = None
        if picture is None:
            # The picture is tried again when it is asked for again.
            await asyncio.to_thread(self._store.forget, name)
            self._made.labels("failed").inc()
            return
        await asyncio.to_thread(self._store.keep, name, picture)
        self._made.labels("made").inc()
