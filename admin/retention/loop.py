"""The worker's loop that moves old rows out of the database, once a day."""

import asyncio
import datetime
import logging
from collections.abc import Callable
from typing import Final

from admin.retention.archiving import Archivist
from core.clock import Clock
from core.errors import GroszError
from core.telemetry.metrics import Telemetry

# When shops sleep: each batch holds SQLite's write lock for half a second.
HOUR: Final = 3
RETRY_S: Final = 3_600.0

_log = logging.getLogger("grosz.retention")


class RetentionLoop:
    """Archives at its start, then each night at 3 (UTC); what fails is counted and tried again after an hour."""

    def __init__(self, open_archivist: Callable[[], Archivist], days: int, clock: Clock, telemetry: Telemetry) -> None:
        self._open = open_archivist
        self._days = days
        self._clock = clock
        self._failures = telemetry.counter(
            "grosz_archive_failures_total", "Attempts to move old rows out of the database that failed."
        ).labels()

    async def run(self) -> None:
        """Work until cancelled."""
        archivist: Archivist | None = None
        while True:
            wait_s = _until_s(self._clock.now_ms())
            try:
                archivist = archivist or self._open()
                await archivist.archive(self._days)
            except GroszError as error:
                self._failures.inc()
                _log.error("old rows stay in the database: %s", error.message, extra={"fields": {"hint": error.hint}})
                wait_s = RETRY_S
            await asyncio.sleep(wait_s)


def _until_s(now_ms: int) -> float:
    """Seconds until the next HOUR o'clock, UTC."""
    now = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
    then = now.replace(hour=HOUR, minute=0, second=0, microsecond=0)
    return (then + datetime.timedelta(days=then <= now) - now).total_seconds()
