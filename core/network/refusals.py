"""What the HTTP server logs of requests that it cannot read: a count and a line for debugging, never their bytes."""

import logging
from collections.abc import Callable
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError

from core.telemetry.logs import PRIVATE

SERVER_LOGGER: Final = "grosz.http"
"""Name of the logger that servers are given; its records are filtered."""


class RefusalFilter(logging.Filter):
    """Turns aiohttp's errors about malformed requests, with a traceback that quotes them, into a counted word.

    Other errors are faults of ours: they keep their traceback and lose their words, which may quote a request too.
    """

    def __init__(self, refused: Callable[[str], None]) -> None:
        super().__init__()
        self._refused = refused

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            setattr(record, PRIVATE, True)
            return True
        self._refused("malformed")
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        record.msg, record.args = "a request was refused: %s", (type(error).__name__,)
        record.exc_info = None
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


def server_logger(refused: Callable[[str], None]) -> logging.Logger:
    """The logger for an HTTP server whose refusals `refused` counts by reason."""
    logger = logging.getLogger(SERVER_LOGGER)
    logger.filters[:] = [RefusalFilter(refused)]
    return logger
