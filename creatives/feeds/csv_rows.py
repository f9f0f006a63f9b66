"""Rows of a delimited feed, read in chunks: comma, semicolon, tab or bar, with or without quotes, comments above.

Lines are cut here and not by the reader of files, so that a line of any length costs a bounded amount of memory.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from creatives.feeds.columns import ALIASES, CSV_ALIASES, PREFERENCE, plain_name
from creatives.feeds.faults import FaultLog, FeedError

# Long descriptions reach tens of kilobytes; a line above this is no row, or a file without line breaks.
MAX_LINE_CHARS: Final = 512 * 1024
MAX_FIELD_CHARS: Final = 256 * 1024
# A row that goes on for so many lines has a quote that was never closed.
MAX_ROW_LINES: Final = 400
MAX_COLUMNS: Final = 1_000
SEPARATORS: Final = ",;\t|"
NEEDED: Final = ("id", "title", "link", "price")

_SHIPPING: Final = re.compile(r"\s*shipping\s*\(.*", re.IGNORECASE)
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")

CsvRow = tuple[int, dict[str, str]]
"""Line at which the row begins, field -> text."""


class CsvRows:
    """Reads one feed. `separator` and `columns` are known once the header was read."""

    def __init__(self, faults: FaultLog, *, separator: str = "", mapping: Mapping[str, str] | None = None) -> None:
        """`separator` '' is found out from the header; `mapping` names the column of a field."""
        self._faults = faults
        self._mapping = {field: plain_name(column) for field, column in (mapping or {}).items()}
        self.separator = separator
        self.columns: list[str] = []

    def rows(self, texts: Iterable[str]) -> Iterator[CsvRow]:
        """Rows in the order of the file. Raises FeedError without a usable header, or where the file is cut short."""
        lines = _Lines(texts, self._faults)
        header = self._header(lines)
        self.columns = next(csv.reader([header], delimiter=self.separator))
        fields = self._fields(self.columns)
        width = len(self.columns)
        for record in _Records(lines, self.separator, width, self._faults).records():
            values = record.values
            if len(values) != width and not self._fits(values, width, record, lines):
                continue
            yield record.line, {field: values[at] for field, at in fields}

    def _header(self, lines: "_Lines") -> str:
        for line in lines:
            if line.startswith("sep=") and len(line.strip()) == 5:  # a note for Excel, which nothing else understands
                continue
            if line.strip() and not line.lstrip().startswith("#") and not _is_comment(line):
                break
        else:
            raise FeedError("empty", "the feed is empty")
        if not self.separator:
            self.separator = max(SEPARATORS, key=lambda separator: _known_columns(line, separator))
        return line

    def _fields(self, columns: list[str]) -> list[tuple[str, int]]:
        """Field and its column. A mapped field is read from its column alone."""
        if len(columns) > MAX_COLUMNS:
            raise FeedError("too_many_columns", f"the header has more than {MAX_COLUMNS} columns", line=1)
        # The header may say what an entry of it consists of: shipping(country:price).
        names = [plain_name(_SHIPPING.sub("shipping", column)) for column in columns]
        fields: dict[str, int] = {}
        for at in sorted(range(len(names)), key=lambda at: PREFERENCE.get(names[at], 0)):
            field = CSV_ALIASES.get(names[at])
            if field is not None and field not in self._mapping:
                fields.setdefault(field, at)
        for field, column in self._mapping.items():
            if column in names:
                fields[field] = names.index(column)
        missing = [field for field in NEEDED if field not in fields]
        if missing:
            shown = ", ".join(columns[:12])
            raise FeedError(
                "no_header",
                f"the header has no column for {', '.join(missing)}; it has {shown[:300]}",
                hint="name the columns as Google Merchant does, or set the feed's mapping",
                line=1,
            )
        return list(fields.items())

    def _fits(self, values: list[str], width: int, record: "_Record", lines: "_Lines") -> bool:
        """Whether a row of another width can be read; fills it up or cuts it. Refuses it otherwise."""
        if len(values) > width:
            if any(value.strip() for value in values[width:]):
                self._faults.add("too_many_fields", "", record.line, f"{len(values)} fields, the header has {width}")
                return False
            del values[width:]
            return True
        if not record.ended and lines.finished:
            text = f"the feed ends in the middle of line {record.line}"
            raise FeedError("truncated", text, line=record.line, hint="its generator stopped; the old products stay")
        # Spreadsheets leave out empty cells at the end of a row; a comment is not a row.
        if values and values[0].startswith("#"):
            return False
        if len(values) < max(2, width // 2):
            self._faults.add("too_few_fields", "", record.line, f"{len(values)} fields, the header has {width}")
            return False
        values.extend([""] * (width - len(values)))
        return True


class _Record:
    __slots__ = ("ended", "line", "values")

    def __init__(self, values: list[str], line: int, ended: bool) -> None:
        self.values = values
        self.line = line
        self.ended = ended  # by a line break


class _Records:
    """Joins lines to rows. A quote that is not closed costs its own row; reading goes on at the next line."""

    def __init__(self, lines: "_Lines", separator: str, width: int, faults: FaultLog) -> None:
        self._lines = lines
        self._separator = separator
        self._width = width
        self._faults = faults
        self._pending: list[tuple[int, str]] = []  # lines to be read again
        self._taken: list[tuple[int, str]] = []  # lines of the row that is being read

    def records(self) -> Iterator[_Record]:
        previous = csv.field_size_limit(MAX_FIELD_CHARS)
        try:
            reader = self._reader()
            while True:
                self._taken.clear()
                try:
                    values = next(reader)
                except StopIteration:
                    return
                except (csv.Error, _TooLong):
                    self._start_again()
                    reader = self._reader()
                    continue
                if self._is_unclosed(values):
                    self._start_again()
                    reader = self._reader()
                elif values:
                    yield _Record(values, self._taken[0][0], self._taken[-1][1].endswith("\n"))
        finally:
            csv.field_size_limit(previous)

    def _reader(self) -> Iterator[list[str]]:
        return iter(csv.reader(self._source(), delimiter=self._separator))

    def _source(self) -> Iterator[str]:
        while True:
            if self._pending:
                number, line = self._pending.pop()
            else:
                line = next(self._lines, "")
                if not line:
                    return
                number = self._lines.number
            self._taken.append((number, line))
            if len(self._taken) > MAX_ROW_LINES:
                raise _TooLong
            yield line

    def _is_unclosed(self, values: list[str]) -> bool:
        """Whether a row of several lines has taken in the next ones, or the end of the file."""
        if len(self._taken) > 1 and (len(values) != self._width or self._swallows_a_row()):
            return True
        return (
            self._lines.finished
            and not self._pending
            and sum(line.count('"') for _, line in self._taken) % 2 == 1
            and _opens_quote(self._taken, self._separator)
        )

    def _swallows_a_row(self) -> bool:
        """Whether two quotes of two rows were taken for a pair: `"Best boots` in one title, `5" nails` in the next."""
        last = [self._taken[-1][1]]
        return len(next(csv.reader(last, delimiter=self._separator))) == self._width and not self._is_strict()

    def _is_strict(self) -> bool:
        """Whether each quoted field of the row ends where a quote is followed by a separator or the row's end."""
        try:
            next(csv.reader([line for _, line in self._taken], delimiter=self._separator, strict=True))
        except csv.Error:
            return False
        return True

    def _start_again(self) -> None:
        if not self._taken:
            return
        number, line = self._taken[0]
        if self._lines.finished and not line.endswith("\n"):
            text = f"the feed ends in the middle of line {number}"
            raise FeedError("truncated", text, line=number, hint="its generator stopped; the old products stay")
        self._faults.add("unclosed_quote", "", number, line.rstrip("\n"))
        self._pending.extend(reversed(self._taken[1:]))


class _TooLong(Exception):
    """A row of too many lines."""


class _Lines:
    """Lines with their line break as \\n; one that is too long is noted and left out. `number` is the last one's."""

    def __init__(self, texts: Iterable[str], faults: FaultLog) -> None:
        self._texts = iter(texts)
        self._newlines = io.IncrementalNewlineDecoder(None, translate=True)
        self._faults = faults
        self._lines: Iterator[str] = iter(())
        self._rest = ""
        self.number = 0
        self.finished = False  # True: no further line follows

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        while True:
            line = next(self._lines, None)
            if line is None:
                if self.finished:
                    raise StopIteration
                self._lines = iter(self._more())
                continue
            self.number += 1
            if len(line) > MAX_LINE_CHARS:
                self._faults.add("line_too_long", "", self.number, line)
                continue
            if _CONTROL.search(line):
                self._faults.add("control_characters", "", self.number)
                line = _CONTROL.sub("", line) or "\n"
            return line

    def _more(self) -> list[str]:
        text = next(self._texts, None)
        if text is None:
            self.finished = True
            rest = self._rest + self._newlines.decode("", final=True)
            self._rest = ""
            return [rest] if rest else []
        lines = (self._rest + self._newlines.decode(text)).split("\n")
        self._rest = lines.pop()
        if len(self._rest) > 2 * MAX_LINE_CHARS:  # only that it was too long matters, not the rest of it
            self._rest = self._rest[: MAX_LINE_CHARS + 1]
        return [f"{line}\n" for line in lines]


def _opens_quote(taken: list[tuple[int, str]], separator: str) -> bool:
    """Whether a quote stands where a field begins: `12" tablet` has an odd quote and is whole."""
    first = taken[0][1]
    return first.startswith('"') or f'{separator}"' in first


def _is_comment(line: str) -> bool:
    """A quoted comment, as spreadsheets save the two lines above the header of Meta's template."""
    return line.lstrip().startswith('"#')


def _known_columns(line: str, separator: str) -> int:
    return sum(plain_name(name.strip('" \n')) in ALIASES for name in line.split(separator))
