"""Pictures of shops' feeds: fetched within bounds, from addresses of the public internet only."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from core.errors import UnavailableError
from core.network.outgoing import check_url, guarded_connector
from core.telemetry.metrics import Telemetry
from core.version import VERSION
from creatives.pictures.keeping import PictureFolder
from creatives.pictures.scaling import MAX_BYTES, PictureError

FETCH_S: Final = 8.0
MAX_REDIRECTS: Final = 3
AT_ONCE: Final = 8
# A request that came behind so many would be answered after its ad is gone.
MAX_WAITING: Final = 200
# A picture that could not be had is not asked for again for so long; so many addresses are remembered.
FAILED_S: Final = 60.0
MAX_FAILED: Final = 10_000

Scale = Callable[[bytes, int, int], Awaitable[bytes]]


class PictureProxy:
    """Pictures by address and size. `clock` gives unix seconds; `scale` raises PictureError for what is none."""

    def __init__(
        self,
        folder: PictureFolder,
        scale: Scale,
        clock: Callable[[], float],
        telemetry: Telemetry,
        *,
        allow_private: bool,
    ) -> None:
        self._folder = folder
        self._scale = scale
        self._clock = clock
        self._allow_private = allow_private
        self._session: aiohttp.ClientSession | None = None
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._running: dict[str, asyncio.Task[bytes | None]] = {}
        self._failed: dict[str, float] = {}
        self._counts = telemetry.counter(
            "grosz_pictures_total", "Pictures of products by where they came from, or why not.", ("outcome",)
        )

    async def get(self, key: str, width: int, height: int, url: str) -> bytes | None:
        """The picture as WebP; None where it cannot be had. Raises UnavailableError when too many requests wait."""
        now_s = self._clock()
        found = await asyncio.to_thread(self._folder.find, key, now_s)
        if found is not None and found[1]:
            self._counts.labels("kept").inc()
            return found[0]
        fetched = await self._fetched(key, width, height, url, now_s)
        return fetched if fetched is not None or found is None else found[0]

    async def _fetched(self, key: str, width: int, height: int, url: str, now_s: float) -> bytes | None:
        if self._failed.get(key, 0.0) > now_s:
            self._counts.labels("failed_before").inc()
            return None
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= MAX_WAITING:
                raise UnavailableError("too many pictures are being fetched")
            task = self._running[key] = asyncio.create_task(self._make(key, width, height, url))
            task.add_done_callback(lambda _task: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _make(self, key: str, width: int, height: int, url: str) -> bytes | None:
        try:
            async with self._gate, asyncio.timeout(FETCH_S):
                data = await self._fetch(url)
            picture = await self._scale(data, width, height)
            await asyncio.to_thread(self._folder.keep, key, picture)
        except PictureError:
            outcome = "refused"
        except (aiohttp.ClientError, UnavailableError, TimeoutError, OSError, ValueError):
            outcome = "unreachable"
        else:
            self._counts.labels("fetched").inc()
            return picture
        self._counts.labels(outcome).inc()
        if len(self._failed) >= MAX_FAILED:
            self._failed.clear()
        self._failed[key] = self._clock() + FAILED_S
        return None

    async def _fetch(self, url: str) -> bytes:
        fault = check_url(url, allow_private=self._allow_private, schemes=("https", "http"))
        if fault is not None:
            raise PictureError(fault.message)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=guarded_connector(allow_private=self._allow_private),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                headers={"User-Agent": f"Grosz/{VERSION} (product pictures)", "Accept": "image/*"},
            )
        async with self._session.get(url, max_redirects=MAX_REDIRECTS) as answer:
            if answer.status != 200:
                raise PictureError(f"status {answer.status}")
            data = bytearray()
            async for chunk in answer.content.iter_chunked(65_536):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise PictureError("too many bytes")
        return bytes(data)

    async def close(self) -> None:
        """Give up what is being fetched."""
        for task in tuple(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()
