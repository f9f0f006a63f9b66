"""How commands reach the profile store of this machine or deployment: settings, Redis, the published catalogue."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from admin.cli.opening import installed_settings, require_installation
from core.catalogue.follower import CommandSource, read_catalogue
from core.clock import SystemClock
from core.config import Settings
from core.errors import UnavailableError
from core.model import Catalogue
from core.redis.client import Pipelined
from core.redis.embedded import EmbeddedServer
from core.redis.opening import open_pipelined
from segments.profiles.store import ProfileStore


class Profiles(msgspec.Struct, frozen=True):
    """An open connection and what is built on it."""

    redis: Pipelined
    store: ProfileStore
    settings: Settings
    url: str  # of the server, for a second connection

    async def catalogue(self) -> Catalogue:
        """The catalogue that the roles work with. Raises UnavailableError if none was published yet."""
        return await read_catalogue(CommandSource(self.store.commands))


@contextlib.asynccontextmanager
async def open_profiles(config: Path | None, data: Path | None) -> AsyncIterator[Profiles]:
    """The Redis of the settings, or the running server of the data directory. Raises UnavailableError."""
    settings, clock = installed_settings(config, data), SystemClock()
    require_installation(settings, data)
    url = server_url(settings, data)
    try:
        redis = await open_pipelined(settings.redis, clock, url=url)
    except UnavailableError as error:
        hint = "start `grosz up`, or set GROSZ_REDIS_URL to the deployment's Redis"
        raise UnavailableError(error.message, hint=hint) from None
    try:
        yield Profiles(redis, ProfileStore(redis, clock), settings, url)
    finally:
        await redis.close()


def server_url(settings: Settings, data: Path | None) -> str:
    """The server of the settings or of `grosz up`; a command never starts one of its own."""
    return settings.redis.url or EmbeddedServer(data or Path(settings.data.directory)).url
