"""`grosz doctor`: what stops delivery, in plain words; exits with 1 when something does."""

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from admin.cli.asking import ask
from admin.cli.explain import LineItemOption
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.questions import open_questions
from admin.cli.settings import ConfigFile
from admin.diagnosis.findings import Finding, Report, Severity
from admin.diagnosis.told import found
from core.errors import NotFoundError

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
    """Look at everything from the processes down to the line items (or one of them) and say what stops delivery.

    Example: grosz doctor --line-item 7
    """

    try:
        report = ask(open_questions(url, key, data, config), lambda questions: questions.doctor(line_item))
    except NotFoundError as error:
        if line_item is not None:
            raise
        # Nothing runs here and nothing ever has: that, too, is what the doctor is asked for.
        report = Report.of([found("installation.none", fault=error.message, hint=error.hint)])
    if as_json:
        print_json(report)
    else:
        show(report, Console())
    if not report.delivers:
        raise typer.Exit(EXIT_STOPPED)


def show(report: Report, console: Console) -> None:
    """Print a report for people: everything in its order, and at the end what to do first."""
    first = next((finding for finding in report.findings if finding.severity is Severity.STOP), None)
    if len(report.findings) > 1 or first is None:
        table = Table("", "where", "what", "what to do")
        for finding in report.findings:
            style = _STYLES[finding.severity]
            mark = f"[{style}]{finding.severity.value}[/{style}]"
            table.add_row(mark, escape(finding.where), escape(_text(finding)), escape(finding.advice))
        console.print(table)
    if first is None:
        console.print("nothing stops delivery", highlight=False)
        return
    where = f"{first.where}: " if first.line_item_id is not None else ""
    begin = "first of all: " if len(report.findings) > 1 else ""
    console.print(f"{begin}{where}{_text(first)}", f"-> {first.advice}", sep="\n", highlight=False, markup=False)


def _text(finding: Finding) -> str:
    """What was found, with the command that lists what else stops the line item."""
    if not finding.more:
        return finding.text
    return f"{finding.text} (and {finding.more} more: `grosz doctor --line-item {finding.line_item_id}`)"
