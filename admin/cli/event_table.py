"""Events from a CSV table: strict about columns and quotes, lenient about how a country's spreadsheet writes.

Nothing that was not understood is left out in silence: an unknown or repeated column stops the file before its first
line is imported, everything else is a fault of its line, and the other lines are read.
"""

import csv
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from admin.cli.cells import CellError, identifier, number, truth
from core.errors import Fault, InputError

# What `csv` itself allows in a field. A line above is no row of a table, and is not read into memory whole.
MAX_LINE_CHARS: Final = 131_072
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_DELIMITERS: Final = ",;\t|"

ITEM_COLUMNS: Final = ("item_id", "item_category", "price", "quantity")
PLACE_COLUMNS: Final = ("country", "region", "city")
_NUMBERS: Final = ("value", "price", "quantity", "seconds")
_TRUTHS: Final = ("offline", "replace")
_IDENTIFIERS: Final = ("transaction_id", "item_id", "user_id", "event_id")
_ATTRIBUTES: Final = "attributes."

Line = tuple[int, dict[str, Any] | None, str]
"""(line number from 1, the event or None, why it could not be read)."""


class _TableLayout(NamedTuple):
    """How the file is written: its columns in order (None: left out, "": without a name), delimiter and numbers."""

    columns: tuple[str | None, ...]
    delimiter: str
    comma_country: bool


def read_table(stream: Iterable[str], known: Sequence[str], ignored: Sequence[str] = ()) -> Iterator[Line]:
    """Lines of a CSV file whose columns are among `known`, attributes, and places.

    Raises InputError for a file without a header, with a column that is not known or comes twice, or no table at all.
    """
    numbered = _numbered(stream)
    layout = _layout(numbered, known, ignored)
    for at, text in numbered:
        if not text.strip():
            continue
        try:
            cells = next(csv.reader([text], delimiter=layout.delimiter, strict=True))
        except csv.Error as error:
            yield at, None, _quoting(text, str(error))
            continue
        if not any(cell.strip() for cell in cells):
            continue  # a spreadsheet ends with rows of nothing but delimiters
        yield _line(at, cells, layout)


def _numbered(stream: Iterable[str]) -> Iterator[tuple[int, str]]:
    for at, text in enumerate(stream, start=1):
        if len(text) > MAX_LINE_CHARS:
            raise InputError(
                f"the file is not a CSV file: line {at} is longer than {MAX_LINE_CHARS} characters",
                hint="see docs/events.md, Files",
            )
        yield at, text.rstrip("\r\n")


def _layout(lines: Iterator[tuple[int, str]], known: Sequence[str], ignored: Sequence[str]) -> _TableLayout:
    _, header = next(lines, (0, ""))
    declared = _SEPARATOR_LINE.fullmatch(header)
    if declared is not None:
        _, header = next(lines, (0, ""))
    if not header.strip():
        raise InputError("the file has no header", hint="the first line names the columns, as in docs/events.md")
    delimiter = declared[1] if declared else max(_DELIMITERS, key=header.count)
    try:
        titles = next(csv.reader([header], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InputError(f"the header cannot be read: {_quoting(header, str(error))}") from None
    columns = tuple(_column(title) for title in titles)
    left_out = {_column(title) for title in ignored}
    _check_columns(columns, known, left_out)
    # A file with decimal commas cannot separate its columns by commas.
    return _TableLayout(tuple(None if one in left_out else one for one in columns), delimiter, delimiter == ";")


def _column(title: str) -> str:
    """The name of a column as events have it: `Item ID` is item_id."""
    return re.sub(r"[\s-]+", "_", title.strip().lower())


def _check_columns(columns: Sequence[str], known: Sequence[str], left_out: set[str]) -> None:
    faults, seen = [], set[str]()
    for at, column in enumerate(columns, start=1):
        if not column or column in left_out:
            continue
        if column in seen:
            faults.append(Fault(f"column {at}", "repeated", f"'{column}' comes twice", "keep one of them"))
        elif not _is_known(column, known):
            faults.append(Fault(f"column {at}", "unknown", f"there is no column '{column}'", _nearest(column, known)))
        seen.add(column)
    if faults:
        hint = "docs/events.md lists the columns; --ignore COLUMN leaves one out"
        raise InputError("the file has columns that are not understood", faults=faults, hint=hint)


def _is_known(column: str, known: Sequence[str]) -> bool:
    if column.startswith(_ATTRIBUTES):
        return len(column) > len(_ATTRIBUTES)
    return column in known or column.removeprefix("place.") in PLACE_COLUMNS


def _nearest(column: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(column, [*known, *PLACE_COLUMNS], n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"one of the shop's own is 'attributes.{column}'"


def _quoting(text: str, error: str) -> str:
    if text.count('"') % 2:
        return 'a quote (") is opened and not closed on its line; write "" for one inside of a quoted field'
    return f'quotes (") are misplaced: {error}; write "" for one inside of a quoted field'


def _line(at: int, cells: Sequence[str], layout: _TableLayout) -> Line:
    if len(cells) > len(layout.columns) and any(cell.strip() for cell in cells[len(layout.columns) :]):
        return at, None, _too_many(len(cells), layout)
    if len(cells) < len(layout.columns):
        return at, None, f"{len(cells)} fields, and the header has {len(layout.columns)}"
    filled: dict[str, str] = {}
    for column, cell in zip(layout.columns, cells, strict=False):
        text = cell.strip()
        if not text or column is None:
            continue
        if not column:
            return at, None, f"'{text}' stands in a column without a name"
        try:
            filled[column] = _READERS.get(column, _text)(text, layout)
        except CellError as error:
            return at, None, f"/{column}: {error}"
    return at, event_of(filled), ""


def _too_many(found: int, layout: _TableLayout) -> str:
    text = f"{found} fields, more than the header has ({len(layout.columns)})"
    comma = layout.delimiter == ","
    return f"{text}: a decimal comma needs quotes, or semicolons between the columns" if comma else text


def _text(text: str, _: _TableLayout) -> str:
    return text


def _number(text: str, layout: _TableLayout) -> str:
    return number(text, comma_country=layout.comma_country)


_READERS: Final[Mapping[str, Callable[[str, _TableLayout], str]]] = {
    **dict.fromkeys(_NUMBERS, _number),
    **dict.fromkeys(_TRUTHS, lambda text, _: truth(text)),
    **dict.fromkeys(_IDENTIFIERS, lambda text, _: identifier(text)),
}


def event_of(filled: Mapping[str, str]) -> dict[str, Any]:
    """The event of a row's filled cells: item columns make its one item, `attributes.NAME` an attribute."""
    event: dict[str, Any] = {}
    for column, text in filled.items():
        if column in ITEM_COLUMNS:
            event.setdefault("items", [{}])[0][column] = text
        elif column.startswith(_ATTRIBUTES):
            event.setdefault("attributes", {})[column.removeprefix(_ATTRIBUTES)] = text
        elif column.removeprefix("place.") in PLACE_COLUMNS:
            event.setdefault("place", {})[column.removeprefix("place.")] = text
        else:
            event[column] = text
    if "event" not in event and "name" not in event:
        event["event"] = "purchase"
    return event
