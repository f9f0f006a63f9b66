"""Reports as files: CSV, Parquet and XLSX, for downloads, mails and folders.

Texts come from web traffic: in a spreadsheet none of them may become a formula. In CSV such a text begins with an
apostrophe; in XLSX a cell has a type, and texts are written as texts.
"""

import csv
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from admin.api.reading import moment_text
from admin.reports.documents import Cell, ReportAnswer
from core.errors import UnavailableError
from core.money import format_micros
from journal.figures import ColumnForm

if TYPE_CHECKING:
    from journal.columnar import Columnar
    from journal.reports import ReportTable

# What spreadsheets take for a formula at the beginning of a cell.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
PARQUET: Final = "application/vnd.apache.parquet"
WORKBOOK: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_MICROS: Final = 1_000_000
_NAME: Final = "_name"

Names = dict[str, dict[str, str]]
"""Kind of object -> id -> name."""


class ReportFile(NamedTuple):
    """A report to be sent or stored."""

    ending: str
    content_type: str
    body: bytes


def answer_of(report: "ReportTable", names: Names) -> ReportAnswer:
    """The report as JSON has it."""
    return ReportAnswer(
        report.columns,
        report.forms,
        [_shown(report, row) for row in report.rows],
        [_shown(report, row) for row in report.totals],
        report.row_count,
        names,
        moment_text(report.since_ms),
        moment_text(report.until_ms),
        moment_text(report.fresh_until_ms) if report.fresh_until_ms else None,
    )


def _shown(report: "ReportTable", row: tuple[Any, ...]) -> tuple[Cell, ...]:
    return tuple(
        format_micros(value) if form is ColumnForm.MONEY and value is not None else value
        for form, value in zip(report.forms, row, strict=True)
    )


def csv_text(answer: ReportAnswer, *, names: bool = False) -> str:
    """The report as CSV (RFC 4180). Texts that a spreadsheet would take for a formula begin with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    columns, rows = _named(answer, answer.rows) if names else (answer.columns, answer.rows)
    writer.writerow([_escaped(column) for column in columns])
    writer.writerows([[_escaped(value) for value in row] for row in rows])
    return out.getvalue()


def _escaped(value: Cell) -> Cell:
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return "" if value is None else value


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


def _named(answer: ReportAnswer, rows: list[tuple[Cell, ...]]) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """Columns and rows with the name of each object beside its id."""
    ids = {at for at, form in enumerate(answer.forms) if form is ColumnForm.ID}
    columns: list[str] = []
    for at, column in enumerate(answer.columns):
        columns += [column, column + _NAME] if at in ids else [column]
    made = []
    for row in rows:
        cells: list[Cell] = []
        for at, value in enumerate(row):
            known = answer.names.get(answer.columns[at], {}).get(str(value), "")
            cells += [value, known] if at in ids else [value]
        made.append(tuple(cells))
    return tuple(columns), made


def parquet_file(report: "ReportTable", names: Names, columnar: "Columnar", *, named: bool) -> ReportFile:
    """The report as Parquet; money stays whole micros, in columns `..._micros`."""
    columns: dict[str, tuple[str, list[Any]]] = {}
    for at, (name, form) in enumerate(zip(report.columns, report.forms, strict=True)):
        values = [row[at] for row in report.rows]
        if form is ColumnForm.MONEY:
            measure, colon, value = name.partition(":")
            columns[f"{measure}_micros{colon}{value}"] = ("BIGINT", values)
        elif form in (ColumnForm.COUNT, ColumnForm.RATIO):
            columns[name] = ("DOUBLE", values)
        else:
            columns[name] = ("VARCHAR", [None if value is None else str(value) for value in values])
        if named and form is ColumnForm.ID:
            columns[name + _NAME] = ("VARCHAR", [names.get(name, {}).get(str(value), "") for value in values])
    with tempfile.TemporaryDirectory(prefix="grosz-report-") as folder:
        path = Path(folder) / "report.parquet"
        columnar.write(path, columns)
        return ReportFile("parquet", PARQUET, path.read_bytes())


def xlsx_file(answer: ReportAnswer, *, title: str = "") -> ReportFile:
    """The report as a workbook: figures as numbers, everything else as text, the span and freshness on a second sheet.

    Raises UnavailableError without the extra `reports`.
    """
    try:
        import xlsxwriter
    except ImportError as error:
        raise UnavailableError("workbooks need xlsxwriter, which is missing", hint="install grosz[reports]") from error

    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(out, options)
    head, total = book.add_format({"bold": True, "bottom": 1}), book.add_format({"bold": True, "top": 1})
    formats = {
        ColumnForm.MONEY: book.add_format({"num_format": "#,##0.00####"}),
        ColumnForm.COUNT: book.add_format({"num_format": "#,##0"}),
        ColumnForm.RATIO: book.add_format({"num_format": "0.00%"}),
    }
    columns, rows = _named(answer, answer.rows)
    _columns, totals = _named(answer, answer.totals)
    forms = _named_forms(answer)
    sheet = book.add_worksheet("Report")
    for at, column in enumerate(columns):
        sheet.write_string(0, at, column, head)
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, max(len(columns) - 1, 0), 16)
    for line, row in enumerate(rows, start=1):
        _write_row(sheet, line, row, forms, formats)
    for line, row in enumerate(totals, start=len(rows) + 1):
        _write_row(sheet, line, row, forms, formats)
        sheet.set_row(line, None, total)
    if rows:
        sheet.autofilter(0, 0, len(rows), len(columns) - 1)
    about = book.add_worksheet("About")
    said = (
        ("report", title),
        ("since", answer.since),
        ("until", answer.until),
        ("fresh until", answer.fresh_until or ""),
    )
    for line, (name, value) in enumerate(said):
        about.write_string(line, 0, name, head)
        about.write_string(line, 1, value)
    book.close()
    return ReportFile("xlsx", WORKBOOK, out.getvalue())


def _named_forms(answer: ReportAnswer) -> list[ColumnForm]:
    forms: list[ColumnForm] = []
    for form in answer.forms:
        forms += [form, ColumnForm.TEXT] if form is ColumnForm.ID else [form]
    return forms


def _write_row(
    sheet: Any,  # noqa: ANN401 - xlsxwriter's sheet, which is there only with the extra
    line: int,
    row: tuple[Cell, ...],
    forms: list[ColumnForm],
    formats: dict[ColumnForm, Any],
) -> None:
    for at, (value, form) in enumerate(zip(row, forms, strict=True)):
        if value is None or value == "":
            continue
        if form in formats:  # a spreadsheet's numbers hold 15 digits: billions exact to the micro
            sheet.write_number(line, at, float(value), formats[form])
        else:
            sheet.write_string(line, at, str(value))
