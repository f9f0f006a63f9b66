"""How a process follows the published catalogue: it polls the version, a few bytes, several times a second.

What is published is a whole catalogue and a stream of changes. A process with a version takes the changes after it; one
that has none, or one that they do not lead on from, takes the whole and the changes after that. The whole may be older
than what is in force, and is never installed without them: a paused line item would bid again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

from redis.exceptions import RedisError

from core import keys
from core.catalogue.codec import apply_encoded, decode_published, version_of
from core.clock import Clock
from core.errors import CatalogueError, UnavailableError
from core.model import Catalogue

# A catalogue that cannot be installed is tried again, and logged again, after this: the fault may have been the
# machine's, and the old catalogue ages meanwhile.
RETRY_REFUSED_S = 60.0

# While there is no catalogue yet nothing else can be done: a process that starts asks more often.
FIRST_POLL_S = 0.025

SINCE, CHANGE = b"since", b"change"
"""Fields of an entry of the stream: the version that the change begins at, and its bytes."""

_log = logging.getLogger("grosz.bidder.catalogue")


class CatalogueSource(Protocol):
    """Where the published catalogue lies; redis-py's client in production."""

    def get(self, name: str) -> Awaitable[bytes | str | None]: ...

    def xrange(self, name: str, min: str) -> Awaitable[Any]:
        """Entries from an id on, each an id and its fields, as `bytes` to `bytes`."""
        ...


class CommandSource:
    """`CatalogueSource` over plain commands, for roles without a client of redis-py (ProfileStore.commands)."""

    def __init__(self, send: Callable[[Sequence[tuple[bytes | str | int, ...]]], Awaitable[list[object]]]) -> None:
        self._send = send

    async def get(self, name: str) -> bytes | str | None:
        (value,) = await self._send([("GET", name)])
        return value if isinstance(value, bytes) else None

    async def xrange(self, name: str, min: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        (entries,) = await self._send([("XRANGE", name, min, "+")])
        return [
            (entry, dict(zip(flat[::2], flat[1::2], strict=True)))
            for entry, flat in (entries if isinstance(entries, list) else ())
        ]


class CatalogueTaker(Protocol):
    """What installs published catalogues. Each call returns the version that is served from then on.

    Raises CatalogueError for a version that cannot be installed, UnavailableError for one that may be later; the old
    one stays.
    """

    async def take(self, snapshot: bytes, changes: Sequence[bytes]) -> int:
        """Install a whole catalogue and the changes after it."""
        ...

    async def take_changes(self, changes: Sequence[bytes]) -> int:
        """Install changes after the installed version. After an error the whole catalogue comes next, even if no
        newer."""
        ...


class CatalogueRefusal(NamedTuple):
    """A published version that cannot be installed, and why."""

    version: int
    text: str


class Chain(NamedTuple):
    """Changes that follow on each other, and the version that they lead to (without changes: that before them)."""

    changes: tuple[bytes, ...]
    version: int


async def read_changes(source: CatalogueSource, since: int) -> Chain:
    """The published changes after a version, up to the first that does not begin where the one before it ends."""
    changes, version = list[bytes](), since
    for entry, fields in await source.xrange(keys.CATALOGUE_CHANGES, f"{since + 1}-0"):
        if fields.get(SINCE) != b"%d" % version:
            break
        changes.append(fields.get(CHANGE, b""))
        version = int(entry.partition(b"-")[0])
    return Chain(tuple(changes), version)


async def read_whole(source: CatalogueSource) -> tuple[bytes, Chain]:
    """The whole catalogue and the changes after it, which lead at least to the version in force when the call began.

    Raises UnavailableError before the first publication, and for the moment in which the whole is being replaced;
    CatalogueError for bytes of another format.
    """
    version = int(await source.get(keys.CATALOGUE_VERSION) or 0)
    snapshot = await source.get(keys.CATALOGUE_SNAPSHOT)
    if not isinstance(snapshot, bytes):
        raise UnavailableError("no catalogue is published", hint="is the admin role running?")
    chain = await read_changes(source, version_of(snapshot))
    if chain.version < version:
        raise UnavailableError(
            f"of catalogue {version} only {chain.version} can be read", hint="it is being replaced: try again"
        )
    return snapshot, chain


async def read_catalogue(source: CatalogueSource) -> Catalogue:
    """`read_whole` as values, decoded in a thread."""
    snapshot, chain = await read_whole(source)
    return await asyncio.to_thread(decode_published, snapshot, chain.changes)


class CatalogueWatcher:
    """Polls for a new version and hands the catalogue or the changes that lead to it to `taker`."""

    def __init__(self, source: CatalogueSource, taker: CatalogueTaker, *, clock: Clock, poll_s: float) -> None:
        self._source = source
        self._taker = taker
        self._clock = clock
        self._poll_s = poll_s
        self._version = -1
        self._needs_whole = True
        self._refusal: CatalogueRefusal | None = None
        self._refused_at = 0.0
        self._alive_ms = 0

    @property
    def version(self) -> int:
        """The installed version; -1 before the first."""
        return self._version

    @property
    def refusal(self) -> "CatalogueRefusal | None":
        """The published version that cannot be installed, and why; None after a later one was installed."""
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
            await self._renew(version)
            version = self._version  # possibly of a moment later
        if version == self._version:
            alive = await self._source.get(keys.CATALOGUE_ALIVE)
            self._alive_ms = int(alive) if alive else 0

    def _has_refused(self, version: int) -> bool:
        """Whether this version was refused just now: trying it four times a second would fail as often."""
        is_recent = self._clock.monotonic() - self._refused_at < RETRY_REFUSED_S
        return self._refusal is not None and self._refusal.version == version and is_recent

    async def _renew(self, version: int) -> None:
        """Install `version` or what was published since it was read."""
        if self._version < version and not self._needs_whole:
            chain = await read_changes(self._source, self._version)
            if chain.version >= version:
                await self._take_changes(chain)
                return
        try:
            snapshot, chain = await read_whole(self._source)
            self._version = await self._taker.take(snapshot, chain.changes)
        except CatalogueError as error:
            self._refusal, self._refused_at = CatalogueRefusal(version, str(error)), self._clock.monotonic()
            raise
        self._needs_whole = False
        self._refusal = None
        _log.info("catalogue version %d is installed", self._version)

    async def _take_changes(self, chain: Chain) -> None:
        try:
            self._version = await self._taker.take_changes(chain.changes)
        except (CatalogueError, UnavailableError) as error:
            # Not a refusal yet: the whole catalogue may install where a change does not.
            self._needs_whole = True
            raise UnavailableError(
                f"catalogue {self._version} cannot be led on to {chain.version}: {error}", hint="the whole is read next"
            ) from error
        self._refusal = None
        _log.info("catalogue version %d is installed, by %d changes", self._version, len(chain.changes))


class CatalogueFollower:
    """The published catalogue as values, for the roles that need no index. `current` is None before the first."""

    def __init__(self) -> None:
        self.current: Catalogue | None = None
        self._listeners: list[Callable[[Catalogue], None]] = []

    def listen(self, listener: Callable[[Catalogue], None]) -> None:
        """Call `listener` with each catalogue, in the order of registration."""
        self._listeners.append(listener)

    async def take(self, snapshot: bytes, changes: Sequence[bytes]) -> int:
        """See `CatalogueTaker`."""
        return self._install(decode_published(snapshot, changes))

    async def take_changes(self, changes: Sequence[bytes]) -> int:
        """See `CatalogueTaker`."""
        if self.current is None:
            raise CatalogueError("there is no catalogue that could change", hint="read the whole catalogue")
        return self._install(apply_encoded(self.current, changes))

    def _install(self, catalogue: Catalogue) -> int:
        self.current = catalogue
        for listener in self._listeners:
            listener(catalogue)
        return catalogue.version
