"""`grosz report`: figures by dimensions, as a table, JSON or CSV."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from admin.cli.object_access import call_api
from admin.cli.opening import DataOption, journal_of, open_migrated
from admin.cli.options import JsonOption, KeyOption, UrlOption, check_folder_of, print_json
from admin.cli.plain import plain
from admin.cli.report_questions import (
    BY,
    MEASURES,
    ByOption,
    CurrencyOption,
    LimitOption,
    MeasureOption,
    OnlyOption,
    PivotOption,
    SinceOption,
    SortOption,
    UntilOption,
    ZoneOption,
    request_of,
)
from admin.cli.settings import ConfigFile, settings_for
from admin.reports.desk import ReportDesk
from admin.reports.documents import Cell, ReportAnswer, ReportRequest
from admin.reports.files import csv_text, xlsx_file
from admin.store.catalogue import CatalogueStore
from core.clock import SystemClock
from journal.figures import ColumnForm

app = typer.Typer()

_BAR = "▏▎▍▌▋▊▉█"
_BAR_CELLS = 10
_FIGURES = (ColumnForm.COUNT, ColumnForm.MONEY, ColumnForm.RATIO)


@app.callback(invoke_without_command=True)
def report(
    context: typer.Context,
    by: ByOption = list(BY),  # noqa: B006 - typer's way to declare a default
    measure: MeasureOption = list(MEASURES),  # noqa: B006 - likewise
    only: OnlyOption = [],  # noqa: B006 - likewise
    since: SinceOption = "",
    until: UntilOption = "",
    timezone: ZoneOption = "UTC",
    currency: CurrencyOption = "",
    pivot: PivotOption = "",
    sort: SortOption = "",
    limit: LimitOption = 100,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    xlsx: Annotated[Path | None, typer.Option(help="Write a workbook to this file.", show_default=False)] = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Report what was bid, shown, clicked, bought and paid; the API answers the same question with the same figures.

    Example: grosz report --by day --by line_item --measure spend --measure cpa --timezone Europe/Warsaw
    """
    if context.invoked_subcommand is not None:
        return
    check_folder_of(xlsx, "--xlsx")
    wanted = request_of(by, measure, only, (since, until), timezone, currency, pivot, sort, limit)
    answer = _remote(wanted, url, key) if url else asyncio.run(_local(wanted, data, config))
    if xlsx is not None:
        xlsx.write_bytes(xlsx_file(answer).body)
    elif as_json:
        print_json(answer)
    elif as_csv:
        sys.stdout.write(csv_text(answer))
    else:
        show(answer, Console())


def _remote(wanted: ReportRequest, url: str, key: str) -> ReportAnswer:
    body = msgspec.to_builtins(wanted)
    return msgspec.convert(call_api("POST", f"{url.rstrip('/')}/v1/reports/query", key, body), ReportAnswer)


async def _local(wanted: ReportRequest, data: Path | None, config: Path | None) -> ReportAnswer:
    archive = journal_of(settings_for(config), data)
    async with open_migrated(config, data) as database:
        desk = ReportDesk(archive, CatalogueStore(database, SystemClock()), SystemClock())
        try:
            return await desk.answer(wanted, None)
        finally:
            await desk.close()


def show(answer: ReportAnswer, console: Console) -> None:
    """Print a report for people, names beside ids; the first measure has a bar."""
    table = Table()
    figures = [form in _FIGURES for form in answer.forms]
    if not any(figures):  # a pivot of nothing has no columns
        console.print("nothing that could be told")
        return
    first = figures.index(True)
    for at, name in enumerate(answer.columns):
        justify: Literal["left", "right"] = "right" if figures[at] else "left"
        table.add_column(escape(plain(name.replace("_", " "))), justify=justify, overflow="fold")
    table.add_column("", no_wrap=True)
    most = max((_number(row[first]) for row in answer.rows), default=0.0)
    for row in answer.rows:
        table.add_row(*_cells(answer, row), _bar(_number(row[first]) / most if most > 0 else 0.0))
    if answer.row_count > len(answer.totals):  # with one row a currency the totals would repeat the rows
        table.add_section()
        for total in answer.totals:
            table.add_row(*_cells(answer, total))
    console.print(table)
    left = answer.row_count - len(answer.rows)
    if left:
        console.print(f"{left} more rows: give a larger --limit", highlight=False)
    console.print(f"up to {answer.fresh_until or 'nothing stored yet'}", highlight=False)


def _cells(answer: ReportAnswer, row: tuple[Cell, ...]) -> list[str]:
    return [
        _with_name(answer, at, value) if form is ColumnForm.ID else _cell(value, form)
        for at, (value, form) in enumerate(zip(row, answer.forms, strict=True))
    ]


def _with_name(answer: ReportAnswer, at: int, value: Cell) -> str:
    """`7 Shoes`; the id alone where the object is gone."""
    name = answer.names.get(answer.columns[at], {}).get(str(value), "")
    return escape(plain(f"{value} {name}".rstrip())) if value is not None else ""


def _cell(value: Cell, form: ColumnForm) -> str:
    if value is None:
        return "-" if form in _FIGURES else ""
    return f"{value:.4f}" if isinstance(value, float) else escape(plain(str(value)))


def _number(value: Cell) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0


def _bar(share: float) -> str:
    """A bar of up to ten cells."""
    eighths = round(max(share, 0.0) * _BAR_CELLS * len(_BAR))
    whole, rest = divmod(eighths, len(_BAR))
    return _BAR[-1] * whole + (_BAR[rest - 1] if rest else "")
