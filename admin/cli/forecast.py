"""`grosz forecast` and `grosz what-if`: what a new or a changed line item would do on recorded traffic."""

import datetime
import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from admin.cli.assignments import read_document
from admin.cli.object_access import call_api
from admin.cli.opening import DataOption, installed_journal, installed_settings
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.settings import ConfigFile
from admin.diagnosis.forecasting import FIRST_PART, Forecast, ForecastDesk, ForecastFigures, ForecastRequest
from admin.roles.journal import catalogues_beside
from admin.validation.documents import LineItemDocument
from core.clock import SystemClock

forecast_app = typer.Typer()
what_if_app = typer.Typer()

MOST_REQUESTS = 2_000_000
_BAR_CELLS = 20

_SetOption = Annotated[
    list[str], typer.Option("--set", metavar="FIELD=VALUE", help="A field of the line item, such as bid.amount=3.00.")
]
_DaysOption = Annotated[float, typer.Option(help="Traffic of the last days.", min=0.01)]
_FirstOption = Annotated[bool, typer.Option("--first", help="Only the first answer, of a twentieth of the people.")]


@forecast_app.command()
def forecast(
    file: Annotated[
        typer.FileBinaryRead | None,
        typer.Argument(metavar="FILE", help="The line item as JSON; - for standard input.", show_default=False),
    ] = None,
    fields: _SetOption = [],  # noqa: B006 - typer's way to declare a default
    days: _DaysOption = 7.0,
    first: _FirstOption = False,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Forecast a new line item: reach, impressions, spend by bid, and orders, had it run on the recorded traffic.

    Example: grosz forecast line-item.json --set bid.amount=3.00
    """
    document = read_document(LineItemDocument, fields, None if file is None else file.read())
    asked = ForecastRequest(line_item=document, since_ms=_since(days))
    _tell(asked, _Place(url, key, data, config), first=first, as_json=as_json)


@what_if_app.command()
def what_if(
    line_item: Annotated[int, typer.Argument(metavar="LINE_ITEM", min=1)],
    fields: _SetOption = [],  # noqa: B006 - typer's way to declare a default
    days: _DaysOption = 7.0,
    first: _FirstOption = False,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Say what a line item would have done with another bid, cap, targeting, budget or other creatives.

    Example: grosz what-if 7 --set bid.amount=3.00 --set daily_budget.spend.amount=200.00
    """
    changes = read_document(LineItemDocument, fields, None) if fields else {}
    asked = ForecastRequest(line_item_id=line_item, changes=changes, since_ms=_since(days))
    _tell(asked, _Place(url, key, data, config), first=first, as_json=as_json)


class _Place(msgspec.Struct, frozen=True):
    """Where to ask: the API at `url`, otherwise the journal of this machine."""

    url: str
    key: str
    data: Path | None
    config: Path | None


def _since(days: float) -> int:
    return SystemClock().now_ms() - round(days * 86_400_000)


def _tell(asked: ForecastRequest, place: _Place, *, first: bool, as_json: bool) -> None:
    """Print a first answer by a twentieth of the people, and then the whole one.

    With `first` the first answer is the only one, otherwise JSON has the whole one only.
    """
    console = Console(stderr=as_json, highlight=False)
    early = msgspec.structs.replace(asked, part=FIRST_PART)
    if first:
        _print(_asked(early, place, console), console, as_json=as_json)
        return
    if not as_json:
        _print(_asked(early, place, console), console, as_json=False)
        console.print("... of a twentieth of the people; now all of them")
    _print(_asked(asked, place, console), console, as_json=as_json)


def _asked(asked: ForecastRequest, place: _Place, console: Console) -> Forecast:
    if place.url:
        address = f"{place.url.rstrip('/')}/v1/forecast"
        return msgspec.convert(call_api("POST", address, place.key, msgspec.to_builtins(asked), long=True), Forecast)
    settings = installed_settings(place.config, place.data)
    archive = installed_journal(settings, place.data)
    desk = ForecastDesk(archive, catalogues_beside(archive) if archive is not None else None, settings, SystemClock())
    columns = (TextColumn("pricing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        return desk.forecast_now(
            asked, None, cores=os.cpu_count() or 1, most=MOST_REQUESTS,
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )  # fmt: skip


def _print(found: Forecast, console: Console, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        show(found, console)


def show(found: Forecast, console: Console) -> None:
    """Print a forecast for people."""
    console.print(
        f"{found.recorded} recorded requests stand for {found.requests} in {_long(found.days)}; "
        f"what wins was learnt from {found.bids_learnt_from} bids"
    )
    table = Table("", *(["as it is"] if found.before else []), "as asked" if found.before else "forecast")
    for name in ForecastFigures.__struct_fields__:
        unit = f" {found.currency}" if name in ("spend", "cpm") else ""
        figures = [each for each in (found.before, found.after) if each is not None]
        table.add_row(name, *(f"{getattr(each, name)}{unit}" for each in figures))
    console.print(table)
    curve = Table("everything bid", "impressions", "reach", "spend")
    for point in found.curve:
        curve.add_row(f"x {point.factor:g}", str(point.impressions), str(point.reach), point.spend)
    console.print(curve)
    most = max((float(hour.spend) for hour in found.pacing), default=0.0)
    for hour in found.pacing[-24:]:
        when = datetime.datetime.fromtimestamp(hour.at_ms / 1000, datetime.UTC).strftime("%m-%d %H:00")
        bar = "█" * round(_BAR_CELLS * float(hour.spend) / most) if most else ""
        console.print(f"{when} {hour.spend:>12} {found.currency}  multiplier {hour.multiplier:.2f}  {bar}")
    for other in found.losing:
        console.print(f"line item {other.line_item_id} loses {other.impressions} impressions, {other.spend} of spend")
    _show_orders(found, console)
    for note in found.notes:
        console.print(f"note: {note}")


def _long(days: float) -> str:
    return f"{days:.1f} days" if days >= 1 else f"{days * 24:.2f} hours"


def _show_orders(found: Forecast, console: Console) -> None:
    orders = found.orders
    if orders.note:
        console.print(f"orders: {orders.note} (by {orders.of})")
        return
    cost = f"{orders.cost_of_order} ({orders.cost_of_order_least} to {orders.cost_of_order_most})"
    console.print(
        f"orders: {orders.orders} ({orders.least} to {orders.most}), worth {orders.revenue} {found.currency}; "
        f"an order costs {cost}, by {orders.of}"
    )
