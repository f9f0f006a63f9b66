"""How commands reach the store of this machine or deployment: settings, database, migrated schema."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from admin.cli.settings import settings_for
from admin.store.catalogue import CatalogueStore
from admin.store.database import Database, database_url
from admin.store.migrate import migrate
from core.clock import SystemClock
from core.config import Settings

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data directory of `grosz up` (default: settings, or ./data).")
]


def open_database(settings: Settings, data: Path | None) -> Database:
    """The database of the settings, or the SQLite file of the data directory. Raises ConfigError."""
    directory = data or Path(settings.data.directory)
    return Database.open(database_url(settings.admin.database_url, directory.absolute()))


@contextlib.asynccontextmanager
async def open_migrated(config: Path | None, data: Path | None) -> AsyncIterator[Database]:
    """The database with an up-to-date schema, closed at the end."""
    settings = settings_for(config)
    if not settings.admin.database_url:
        (data or Path(settings.data.directory)).mkdir(parents=True, exist_ok=True, mode=0o700)
    database = open_database(settings, data)
    try:
        await migrate(database)
        yield database
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def open_store(config: Path | None, data: Path | None) -> AsyncIterator[CatalogueStore]:
    """The catalogue store, closed at the end."""
    async with open_migrated(config, data) as database:
        yield CatalogueStore(database, SystemClock())
