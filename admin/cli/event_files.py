"""Events from a file, one a line: a CSV table or JSON objects, by the file's suffix and how it begins."""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from admin.cli.event_table import Line, read_table
from core.errors import InputError
from segments.events.members import COLUMNS
from segments.events.reading import read_json

_TABLES: Final = (".csv", ".tsv", ".tab")
_LINES: Final = (".ndjson", ".jsonl", ".json")
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lines(file: Path, ignored: Sequence[str] = ()) -> Iterator[Line]:
    """Lines of a file. Raises InputError for one that is no text in UTF-8, or whose columns are not understood."""
    with file.open("rb") as stream:
        head = stream.read(4096)
    if head.startswith(_UTF_16):
        raise InputError(f"{file.name} is not in UTF-8 but in UTF-16", hint="save it as CSV UTF-8")
    if _is_table(file, head):
        yield from _table(file, ignored)
    else:
        with file.open("rb") as stream:
            yield from _json_lines(stream)


def _is_table(file: Path, head: bytes) -> bool:
    suffix = file.suffix.lower()
    if suffix in _LINES:
        return False
    return suffix in _TABLES or not head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{")


def _table(file: Path, ignored: Sequence[str]) -> Iterator[Line]:
    with file.open(encoding="utf-8-sig") as text:  # any line end: the columns of an event have none inside
        try:
            yield from read_table(text, COLUMNS, ignored)
        except UnicodeDecodeError as error:
            hint = "save it as CSV UTF-8; a file of Windows converts with `iconv -f cp1250 -t utf-8`"
            raise InputError(f"{file.name} is not in UTF-8: {error}", hint=hint) from None


def _json_lines(stream: Iterable[bytes]) -> Iterator[Line]:
    for number, line in enumerate(stream, start=1):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not text.strip():
            continue
        try:
            row = read_json(text)
        except InputError as error:
            yield number, None, error.message
            continue
        yield (number, row, "") if isinstance(row, dict) else (number, None, "not a JSON object: one event a line")
