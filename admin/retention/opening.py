"""Makes what moves old rows: it needs DuckDB, which is an extra, so that it is imported only where it is used."""

from pathlib import Path
from typing import Final

from admin.retention.archiving import Archivist
from admin.store.database import Database
from core.clock import Clock
from core.config import Settings
from core.errors import ConfigError
from core.telemetry.metrics import Telemetry

FOLDER: Final = "archive"


def archive_folder(settings: Settings, data: Path | None = None) -> Path:
    """Where the Parquet files are: as set, or in the data directory (`data`, or that of the settings)."""
    chosen = settings.worker.archive_directory
    return Path(chosen) if chosen else (data or Path(settings.data.directory)) / FOLDER


def open_archivist(database: Database, folder: Path, clock: Clock, telemetry: Telemetry) -> Archivist:
    """Raises ConfigError without the extra `reports`."""
    try:
        from journal.columnar import Columnar
    except ModuleNotFoundError as error:
        raise ConfigError("Parquet files need DuckDB, which is not installed", hint="install grosz[reports]") from error
    return Archivist(database, folder, Columnar(), clock, telemetry)
