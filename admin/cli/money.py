"""What the money commands share: Redis and the store of this machine or deployment, whether or not Grosz is running."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from admin.cli.opening import open_migrated
from admin.cli.settings import settings_for
from admin.store.catalogue import CatalogueStore
from admin.store.ledger import SqlLedgerStore
from core.clock import SystemClock
from core.errors import ConflictError, UnavailableError
from core.model import Catalogue
from core.redis.client import PipelinedRedis
from core.redis.embedded import EmbeddedServer
from core.redis.opening import open_pipelined
from pacing.budgets.transitions import Transitions


class OpenedBooks(NamedTuple):
    """The stored side of the money."""

    ledger: SqlLedgerStore
    catalogue: Catalogue
    store: CatalogueStore


@contextlib.asynccontextmanager
async def open_books(config: Path | None, data: Path | None) -> AsyncIterator[OpenedBooks]:
    """Ledger and catalogue of the store, with an up-to-date schema."""
    async with open_migrated(config, data) as database:
        store = CatalogueStore(database, SystemClock())
        yield OpenedBooks(SqlLedgerStore(database), await store.catalogue(0), store)


def _start(server: EmbeddedServer, silent: UnavailableError) -> None:
    """Start the server. Raises UnavailableError where a running Grosz has it and it is silent, otherwise as `start`."""
    try:
        server.start()
    except ConflictError as error:
        raise UnavailableError(
            f"{error.message}, and its Redis does not answer: {silent.message}",
            hint="see redis/server.log there, and `grosz doctor`",
        ) from silent


@contextlib.asynccontextmanager
async def open_transitions(config: Path | None, data: Path | None) -> AsyncIterator[Transitions]:
    """The counters: in the configured Redis, otherwise in the embedded server, which is started here if need be."""
    settings = settings_for(config)
    async with contextlib.AsyncExitStack() as stack:
        if settings.redis.url:
            connection = await open_pipelined(settings.redis, SystemClock())
        else:
            program = Path(settings.redis.program) if settings.redis.program else None
            server = EmbeddedServer(data or Path(settings.data.directory), program=program)
            try:
                connection = await PipelinedRedis.open(server.url, clock=SystemClock())
            except UnavailableError as silent:  # no server answers for this directory: this command may start one
                _start(server, silent)
                stack.callback(server.stop)
                connection = await PipelinedRedis.open(server.url, clock=SystemClock())
        stack.push_async_callback(connection.close)
        yield Transitions(connection, SystemClock())
