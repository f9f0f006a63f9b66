"""Uploads, in the words of the API."""

from collections.abc import AsyncIterator

import msgspec

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

    def __init__(self, store: FolderStore, track_url: str) -> None:
        self._store = store
        self._track_url = track_url

    async def upload(self, body: AsyncIterator[bytes]) -> Uploaded:
        """Keep a file. Raises BadMediaError with the reason why it is not kept, UnavailableError."""
        media = await self._store.keep(body)
        kind = media.kind
        return Uploaded(f"{self._track_url}/m/{media.name}", kind.mime, media.size, kind.width, kind.height)
