"""How a process follows the published catalogue: it polls the version, a few bytes, several times a second."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from redis.exceptions import RedisError

from bidder.published import decode_catalogue
from core import keys
from core.clock import Clock
from core.errors import CatalogueError, UnavailableError
from core.model import Catalogue

# A catalogue that cannot be installed is tried again after this, in case that it was the machine's fault, and so is
# what the log says of it: the old one ages meanwhile.
RETRY_REFUSED_S = 60.0

# While there is no catalogue yet nothing else can be done: a process that starts asks more often.
FIRST_POLL_S = 0.025

_log = logging.getLogger("grosz.bidder.catalogue")


class CatalogueSource(Protocol):
    """Where the published catalogue lies; redis-py's client in production."""

    def get(self, name: str) -> Awaitable[bytes | str | None]: ...


class Refusal(NamedTuple):
    """A published version that cannot be installed, and why."""

    version: int
    text: str


class CatalogueWatcher:
    """Polls for a new version and hands its bytes to `take`, which installs them and says which version it has then."""

    def __init__(
        self, source: CatalogueSource, take: Callable[[bytes], Awaitable[int]], *, clock: Clock, poll_s: float
    ) -> None:
        self._source = source
        self._take = take
        self._clock = clock
        self._poll_s = poll_s
        self._version = -1
        self._refusal: Refusal | None = None
        self._refused_at = 0.0
        self._alive_ms = 0

    @property
    def version(self) -> int:
        """The installed version; -1 before the first."""
        return self._version

    @property
    def refusal(self) -> "Refusal | None":
        """What is published and cannot be installed, until something later can."""
        return self._refusal

    @property
    def age_s(self) -> float:
        """Seconds since a publisher last said that the installed version is the current one."""
        return (self._clock.now_ms() - self._alive_ms) / 1000

    async def run(self) -> None:
        """Follow until cancelled. A catalogue that cannot be installed is reported, and the old one stays."""
        while True:
            try:
                await self.follow()
            except CatalogueError as error:
                refused = self._refusal.version if self._refusal else 0
                _log.error("catalogue %d cannot be installed; %d stays and ages: %s", refused, self._version, error)
            except (UnavailableError, RedisError, OSError) as error:
                _log.warning("the catalogue is not followed: %s", error)
            await asyncio.sleep(self._poll_s if self._version >= 0 else min(FIRST_POLL_S, self._poll_s))

    async def follow(self) -> None:
        """One poll: install the published version if it is new."""
        raw = await self._source.get(keys.CATALOGUE_VERSION)
        if raw is None:
            return
        version = int(raw)
        if version != self._version and not self._has_refused(version):
            data = await self._source.get(keys.CATALOGUE_SNAPSHOT)
            if isinstance(data, bytes):
                await self._install(data, version)
        if version == self._version:
            alive = await self._source.get(keys.CATALOGUE_ALIVE)
            self._alive_ms = int(alive) if alive else 0

    def _has_refused(self, version: int) -> bool:
        """Whether it was refused just now: asking again four times a second would fail as often."""
        is_recent = self._clock.monotonic() - self._refused_at < RETRY_REFUSED_S
        return self._refusal is not None and self._refusal.version == version and is_recent

    async def _install(self, data: bytes, version: int) -> None:
        try:
            self._version = await self._take(data)
        except CatalogueError as error:
            self._refusal, self._refused_at = Refusal(version, str(error)), self._clock.monotonic()
            raise
        self._refusal = None
        _log.info("catalogue version %d is installed", self._version)


class CatalogueFollower:
    """The published catalogue as values, for the roles that need no index. `current` is None before the first."""

    def __init__(self) -> None:
        self.current: Catalogue | None = None
        self._listeners: list[Callable[[Catalogue], None]] = []

    def listen(self, listener: Callable[[Catalogue], None]) -> None:
        """Call `listener` with each catalogue, in the order of registration."""
        self._listeners.append(listener)

    async def take(self, data: bytes) -> int:
        """See `CatalogueWatcher`."""
        catalogue = decode_catalogue(data)
        self.current = catalogue
        for listener in self._listeners:
            listener(catalogue)
        return catalogue.version
