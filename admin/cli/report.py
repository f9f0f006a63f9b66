"""`grosz report`: figures by dimensions, as a table, JSON or CSV."""

import asyncio
import datetime
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from admin.cli.object_access import call_api
from admin.cli.opening import DataOption, journal_of, open_migrated
from admin.cli.options import JsonOption, KeyOption, UrlOption
from admin.cli.settings import ConfigFile, settings_for
from admin.reports.desk import ReportDesk, csv_text
from admin.reports.documents import ReportAnswer, ReportRequest
from admin.store.catalogue import CatalogueStore
from core.clock import SystemClock
from core.errors import InputError

app = typer.Typer()

_BAR = "▏▎▍▌▋▊▉█"
_BAR_CELLS = 10

_MEASURES = ("impressions", "clicks", "spend", "orders", "revenue", "cost_of_order", "roas")


@app.command()
def report(
    by: Annotated[list[str], typer.Option("--by", help="A dimension: day, advertiser, country, ...")] = ["day"],  # noqa: B006 - typer's way to declare a default
    measure: Annotated[list[str], typer.Option("--measure", help="A measure: spend, cpa, ...")] = list(_MEASURES),  # noqa: B006 - likewise
    only: Annotated[
        list[str], typer.Option("--only", help="Rows of these values alone: country=POL,DEU.", show_default=False)
    ] = [],  # noqa: B006 - likewise
    since: Annotated[str, typer.Option(help="First day, YYYY-MM-DD; six days before the last by default.")] = "",
    until: Annotated[str, typer.Option(help="Last day; today by default.")] = "",
    timezone: Annotated[str, typer.Option(help="Whose days these are.")] = "UTC",
    currency: Annotated[str, typer.Option(help="Convert money to this one.")] = "",
    sort: Annotated[str, typer.Option(help="A column; `-spend` for the most first.")] = "",
    limit: Annotated[int, typer.Option(help="Rows at most.", min=1)] = 100,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Report what was bid, shown, clicked, bought and paid; the API answers the same question with the same figures.

    Example: grosz report --by day --by line_item --measure spend --measure cpa --timezone Europe/Warsaw
    """
    wanted = ReportRequest(
        tuple(measure), tuple(by), _day(since, "--since"), _day(until, "--until"), timezone, _filters(only), sort,
        limit, currency,
    )  # fmt: skip
    answer = _remote(wanted, url, key) if url else asyncio.run(_local(wanted, data, config))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(answer)) + b"\n")
    elif as_csv:
        sys.stdout.write(csv_text(answer))
    else:
        show(answer, wanted, Console())


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


def show(answer: ReportAnswer, wanted: ReportRequest, console: Console) -> None:
    """Print a report for people; the first measure has a bar."""
    table = Table()
    names = [name for name in answer.columns if name not in wanted.measures]
    for name in answer.columns:
        table.add_column(name.replace("_", " "), justify="left" if name in names else "right", overflow="fold")
    table.add_column("", no_wrap=True)
    first = len(names)
    most = max((_number(row[first]) for row in answer.rows), default=0.0)
    for row in answer.rows:
        cells = [_cell(value) for value in row]
        table.add_row(*cells, _bar(_number(row[first]) / most if most > 0 else 0.0))
    console.print(table)
    console.print(f"up to {answer.fresh_until or 'nothing stored yet'}", highlight=False)


def _cell(value: str | int | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _number(value: str | int | float | None) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0


def _bar(share: float) -> str:
    """A bar of up to ten cells."""
    eighths = round(max(share, 0.0) * _BAR_CELLS * len(_BAR))
    whole, rest = divmod(eighths, len(_BAR))
    return _BAR[-1] * whole + (_BAR[rest - 1] if rest else "")


def _day(text: str, option: str) -> datetime.date | None:
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option}: '{text}' is no day", hint="write it as 2026-11-29") from None


def _filters(only: list[str]) -> dict[str, tuple[str | int, ...]]:
    filters: dict[str, tuple[str | int, ...]] = {}
    for text in only:
        name, equals, values = text.partition("=")
        if not equals:
            raise InputError(f"--only: '{text}' is no filter", hint="write it as country=POL,DEU")
        filters[name] = (*filters.get(name, ()), *values.split(","))
    return filters
