"""Log lines as JSON, one object a line on standard error, so that whatever collects a container's output can search it.
On a terminal they are short coloured lines instead, since a person reads them there.

The bid path does not log at all; roles log what changes their state: start, stop, trouble and its end. Fields are given
with `extra={"fields": {...}}` and spelled out; secrets do not belong in them (core.config.redacted).
"""

import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

# Libraries that tell at INFO what our own metrics count.
_QUIET_LIBRARIES = ("aiohttp.access", "asyncio", "alembic")


PRIVATE: Final = "private"
"""Attribute of a record whose error may quote a request: the error is logged without its text."""
WITHOUT_CONTENT: Final = {PRIVATE: True}
"""The `extra` argument that sets it."""


def without_content(error: BaseException | None) -> str:
    """The types and places of an error and its causes, without their texts, which may quote a request."""
    lines: list[str] = []
    while error is not None:
        kind = type(error)
        frames = "".join(traceback.format_tb(error.__traceback__))
        lines.append(f"Traceback (most recent call last):\n{frames}{kind.__module__}.{kind.__qualname__}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nafter:\n".join(lines)


def _traceback_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if record.exc_info is None:
        return ""
    return (
        without_content(record.exc_info[1])
        if getattr(record, PRIVATE, False)
        else formatter.formatException(record.exc_info)
    )


class JsonFormatter(logging.Formatter):
    """One log record as one line of JSON."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "role": self._role,
            "pid": os.getpid(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line |= {name: value for name, value in fields.items() if name not in line}
        if record.exc_info:
            line["exception"] = _traceback_of(self, record)
        return msgspec.json.encode(line, enc_hook=str).decode()


_COLOURS = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31m"}
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
# Longer values (all settings, at a start) are left to the JSON format.
_MAX_VALUE_CHARS = 80


class TextFormatter(logging.Formatter):
    """One log record as a short line for a person: time, role, message, plain fields."""

    def __init__(self, role: str, *, coloured: bool) -> None:
        super().__init__()
        self._role = role
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        head = self._in(_DIM, f"{time} {self._role:<10}")
        line = f"{head} {self._in(_COLOURS.get(record.levelno, ''), record.getMessage())}"
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            shown = [f"{name} {value}" for name, value in fields.items() if _is_short(value)]
            line += self._in(_DIM, f"  {', '.join(shown)}") if shown else ""
        return f"{line}\n{_traceback_of(self, record)}" if record.exc_info else line

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._coloured and colour else text


def _is_short(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= _MAX_VALUE_CHARS


def set_up_logging(role: str, level: str, stream: TextIO | None = None, form: str = "auto") -> None:
    """Send all logging of this process to `stream` (standard error) from `level` up.

    `level` and `form` are as in TelemetrySettings; lines for a terminal have colours unless NO_COLOR is set.
    """
    output = stream or sys.stderr
    handler = logging.StreamHandler(output)
    if form == "text" or (form == "auto" and output.isatty()):
        handler.setFormatter(TextFormatter(role, coloured=output.isatty() and not os.environ.get("NO_COLOR")))
    else:
        handler.setFormatter(JsonFormatter(role))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))
