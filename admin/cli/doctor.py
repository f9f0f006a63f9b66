"""`grosz doctor`: what stops delivery, in plain words; exits with 1 when something does."""

import asyncio
import sys

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from admin.cli.explain import LineItemOption
from admin.cli.objects import JsonOption, KeyOption, UrlOption
from admin.cli.opening import DataOption
from admin.cli.questions import open_questions
from admin.cli.settings import ConfigFile
from admin.diagnosis.findings import Report, Severity

app = typer.Typer()

EXIT_STOPPED = 1

_STYLES = {Severity.OK: "green", Severity.NOTE: "yellow", Severity.STOP: "bold red"}


@app.command()
def doctor(
    line_item: LineItemOption = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Look at everything from the processes down to the line items (or one of them) and say what stops delivery."""

    async def ask() -> Report:
        async with open_questions(url, key, data, config) as questions:
            return await questions.doctor(line_item)

    report = asyncio.run(ask())
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    else:
        show(report, Console())
    if not report.delivers:
        raise typer.Exit(EXIT_STOPPED)


def show(report: Report, console: Console) -> None:
    """Print a report for people: everything in its order, and at the end what to do first."""
    table = Table("", "where", "what", "what to do")
    for finding in report.findings:
        where = finding.area if finding.line_item_id is None else f"line item {finding.line_item_id}, {finding.area}"
        style = _STYLES[finding.severity]
        table.add_row(
            f"[{style}]{finding.severity.value}[/{style}]", where, escape(finding.text), escape(finding.advice)
        )
    console.print(table)
    first = next((finding for finding in report.findings if finding.severity is Severity.STOP), None)
    if first is None:
        console.print("nothing stops delivery", highlight=False)
    else:
        console.print(f"first of all: {first.text}", f"-> {first.advice}", sep="\n", highlight=False, markup=False)
