"""`grosz funnel`: a line item's way from requests to spend, in the last hour and day."""

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from admin.cli.asking import ask
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.questions import open_questions
from admin.cli.settings import ConfigFile
from admin.diagnosis.funnels import Funnel, Window

app = typer.Typer()


@app.command()
def funnel(
    line_item: Annotated[int, typer.Argument(metavar="LINE_ITEM", min=1)],
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Show how many impressions a line item was offered, why it did not bid, and what became of its bids.

    Example: grosz funnel 7
    """

    found = ask(open_questions(url, key, data, config), lambda questions: questions.funnel(line_item))
    if as_json:
        print_json(found)
    else:
        show(msgspec.convert(found, Funnel), Console())


def show(found: Funnel, console: Console) -> None:
    """Print a funnel for people."""
    hour, day = found.last_hour, found.last_day
    table = Table(f"line item {found.line_item_id}", "last hour", "last day", "what to do")
    table.add_row("impressions offered", str(hour.requests), str(day.requests))
    for name, text, hint in _reasons(hour, day):
        counts = [next((one.count for one in window.reasons if one.reason == name), 0) for window in (hour, day)]
        table.add_row(f"  not: {text}", *map(str, counts), hint)
    table.add_row("bids", str(hour.bids), str(day.bids))
    for code, text in _losses(hour, day):
        counts = [next((one.count for one in window.losses if one.code == code), 0) for window in (hour, day)]
        table.add_row(f"  lost {code}: {text}", *map(str, counts))
    for name in ("wins", "impressions", "clicks", "invalid_clicks"):
        table.add_row(name.replace("_", " "), str(getattr(hour, name)), str(getattr(day, name)))
    table.add_row("spend", f"{hour.spend} {found.currency}", f"{day.spend} {found.currency}")
    console.print(table)
    console.print("one impression can have several reasons, so they do not add up", highlight=False)


def _reasons(*windows: Window) -> list[tuple[str, str, str]]:
    """(name, text, hint) of every reason, the most frequent of the longer window first."""
    return list(dict.fromkeys((one.reason, one.text, one.hint) for window in windows[::-1] for one in window.reasons))


def _losses(*windows: Window) -> list[tuple[str, str]]:
    return list(dict.fromkeys((one.code, one.text) for window in windows[::-1] for one in window.losses))
