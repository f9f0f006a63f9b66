"""How commands reach the store of this machine or deployment: settings, database, migrated schema."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from admin.store.catalogue import CatalogueStore
from admin.store.database import Database, database_url
from admin.store.migrate import migrate
from core.clock import SystemClock
from core.config import Settings, load_settings

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data directory of `grosz up` (default: settings, or ./data).")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings.", exists=True, dir_okay=False)
]


def settings_of(config: Path | None) -> Settings:
    """Settings of the file and the environment. Raises ConfigError."""
    return load_settings(config, os.environ)


def open_database(settings: Settings, data: Path | None) -> Database:
    """The database of the settings, or the SQLite file of the data directory. Raises ConfigError."""
    directory = data or Path(settings.data.directory)
    return Database.open(database_url(settings.admin.database_url, directory.absolute()))


@contextlib.asynccontextmanager
async def open_store(config: Path | None, data: Path | None) -> AsyncIterator[CatalogueStore]:
    """The catalogue store with an up-to-date schema, closed at the end."""
    settings = settings_of(config)
    if not settings.admin.database_url:
        (data or Path(settings.data.directory)).mkdir(parents=True, exist_ok=True, mode=0o700)
    database = open_database(settings, data)
    try:
        await migrate(database)
        yield CatalogueStore(database, SystemClock())
    finally:
        await database.close()
