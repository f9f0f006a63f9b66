"""Uploads, in the words of the API."""

from collections.abc import AsyncIterator

import msgspec

from core.telemetry.metrics import Telemetry
from creatives.media.kinds import BadMediaError
from creatives.media.store import FolderStore


class Uploaded(msgspec.Struct, frozen=True):
    """A file that is kept; `url` is what a creative names. Width and height are pixels, 0 where they are not known."""

    url: str
    mime: str
    bytes: int
    width: int
    height: int


class MediaDesk:
    """Takes uploads; `track_url` is the tracker's public address."""

    def __init__(self, store: FolderStore, track_url: str, telemetry: Telemetry) -> None:
        self._store = store
        self.track_url = track_url
        self._uploads = telemetry.counter(
            "grosz_media_uploads_total", "Uploads of media by what became of them: kept, or why not.", ("outcome",)
        )

    async def upload(self, body: AsyncIterator[bytes]) -> Uploaded:
        """Keep a file. Raises BadMediaError for one that is refused, with the reason, and UnavailableError."""
        try:
            media = await self._store.keep(body)
        except BadMediaError as error:
            self._uploads.labels(error.code).inc()
            raise
        self._uploads.labels("kept").inc()
        kind = media.kind
        return Uploaded(f"{self.track_url}/m/{media.name}", kind.mime, media.size, kind.width, kind.height)
