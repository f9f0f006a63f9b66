"""How commands reach the store of this machine or deployment: settings, database, migrated schema."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from admin.cli.settings import is_file_typed, settings_for, use_templates
from admin.roles.journal import archive_of
from admin.roles.local_state import JOURNAL, PEOPLE_KEY_FILE, read_in_force
from admin.store.catalogue import CatalogueStore
from admin.store.database import Database, database_url
from admin.store.migrate import current, migrate, newest, versions
from core.clock import SystemClock
from core.config import JournalSettings, Settings, TrackSettings
from core.errors import ConflictError, NotFoundError
from journal.archive import Archive, is_readable

DATABASE_FILE = "grosz.sqlite"
REDIS_DIRECTORY = "redis"

_HOW_TO_BEGIN = "a new installation is made by `grosz up`, or by `grosz migrate`"

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data directory of `grosz up` (default: settings, or ./data).")
]


def installed_settings(config: Path | None, data: Path | None) -> Settings:
    """Settings in force, with what the last `grosz up` of the data directory decided by, whatever this shell has set.

    Where the settings name a Redis they describe a deployment of single roles, and say all of it. So does a file that
    is typed with --config; of the note it leaves the public address that `grosz up` has found out. Raises ConfigError.
    """
    settings = settings_for(config)
    found = None if settings.redis.url else read_in_force(data_directory(settings, data))
    if found is None:
        return settings
    if is_file_typed(config):
        if settings.track.public_url != TrackSettings().public_url:
            return settings
        track = msgspec.structs.replace(settings.track, public_url=found.track.public_url)
        return msgspec.structs.replace(settings, track=track)
    settings = msgspec.structs.replace(settings, **msgspec.structs.asdict(found))
    use_templates(settings)
    return settings


def open_database(settings: Settings, data: Path | None) -> Database:
    """The database of the settings, or the SQLite file of the data directory. Raises ConfigError."""
    directory = data or Path(settings.data.directory)
    return Database.open(database_url(settings.admin.database_url, directory.absolute()))


def data_directory(settings: Settings, data: Path | None) -> Path:
    """Where this installation keeps its files."""
    return data or Path(settings.data.directory)


def journal_settings(settings: Settings, data: Path | None) -> JournalSettings:
    """The journal's settings, with what `grosz up` has chosen for this machine."""
    journal, directory = settings.journal, data_directory(settings, data)
    key_file = directory / PEOPLE_KEY_FILE
    if not journal.people_key and key_file.is_file():
        journal = msgspec.structs.replace(journal, people_key=key_file.read_text(encoding="ascii").strip())
    if journal.directory or not is_readable():
        return journal
    return msgspec.structs.replace(journal, directory=str(directory / JOURNAL))


def journal_of(settings: Settings, data: Path | None) -> Archive | None:
    """The Parquet files of this installation's journal; None where there are none."""
    archive = archive_of(journal_settings(settings, data))
    return archive if archive is not None and archive.folder.is_dir() else None


def installed_journal(settings: Settings, data: Path | None) -> Archive | None:
    """The journal, for commands that open nothing else of the installation; None where it keeps none.

    Raises NotFoundError for a data directory in which no Grosz has ever run: whether it keeps one is not the question.
    """
    archive = journal_of(settings, data)
    if archive is None and not settings.journal.directory:
        require_installation(settings, data)
    return archive


def require_installation(settings: Settings, data: Path | None) -> None:
    """For commands that talk to the Redis of a machine of its own: refuse a directory in which no Grosz has ever run.

    Raises NotFoundError. A Redis that the settings name is found or not found when it is called.
    """
    directory = data_directory(settings, data)
    if not settings.redis.url and not has_database_file(directory) and not (directory / REDIS_DIRECTORY).is_dir():
        raise _no_grosz_in(directory)


def has_database_file(directory: Path) -> bool:
    """Whether `grosz up` or `grosz migrate` has made its database here."""
    return (directory / DATABASE_FILE).is_file()


def _no_grosz_in(directory: Path) -> NotFoundError:
    return NotFoundError(
        f"there is no Grosz in {_shown(directory)}; give --data DIR or --config FILE", hint=_HOW_TO_BEGIN
    )


def _shown(directory: Path) -> str:
    """`./data` for a relative path, so that it cannot be taken for a word."""
    return str(directory) if directory.is_absolute() or directory.parts[:1] == ("..",) else f"./{directory}"


@contextlib.asynccontextmanager
async def open_migrated(config: Path | None, data: Path | None, *, make: bool = False) -> AsyncIterator[Database]:
    """The database with an up-to-date schema, closed at the end; an empty database gets the schema.

    Without `make` it must exist: raises NotFoundError for a directory, or a database, without Grosz, and ConflictError
    for a schema of an older release.
    """
    settings = settings_for(config)
    directory = data_directory(settings, data)
    if not settings.admin.database_url:
        if make:
            if not has_database_file(directory):
                typer.echo(f"made a new Grosz in {_shown(directory)}", err=True)
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        elif not has_database_file(directory):
            raise _no_grosz_in(directory)
    database = open_database(settings, data)
    try:
        if not make and (_lacks_file(database) or await current(database) is None):
            raise NotFoundError("there is no Grosz in the database of admin.database_url", hint=_HOW_TO_BEGIN)
        await _require_schema(database)
        await migrate(database)
        yield database
    finally:
        await database.close()


async def _require_schema(database: Database) -> None:
    """Refuse a schema of an older release: that one may be running, and could not be started again after a migration.

    Raises ConflictError. Whether a database is empty or newer is judged elsewhere.
    """
    if _lacks_file(database):
        return
    present = await current(database)
    if present in versions()[:-1]:
        raise ConflictError(
            f"the database has schema {present} of a release before, and this one needs {newest()}",
            hint="start `grosz up` or the admin role of this release, which brings it up, or run `grosz migrate`",
        )


def _lacks_file(database: Database) -> bool:
    """Whether connecting would make a new SQLite file."""
    name = database.engine.url.database
    return database.is_sqlite and bool(name) and not Path(str(name)).is_file()


@contextlib.asynccontextmanager
async def open_store(config: Path | None, data: Path | None, *, make: bool = False) -> AsyncIterator[CatalogueStore]:
    """The catalogue store, closed at the end; see open_migrated."""
    async with open_migrated(config, data, make=make) as database:
        yield CatalogueStore(database, SystemClock())
