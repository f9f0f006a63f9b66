"""`grosz ledger export`: what an accountant needs, of one day or of all. `grosz ledger correct`: a row by hand."""

import asyncio
import csv
import datetime
import sys
import urllib.parse
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from admin.cli.money import OpenedBooks, open_books, open_transitions
from admin.cli.object_access import call_api
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.settings import ConfigFile
from admin.validation.days import date_of, number_of
from core.errors import InputError, NotFoundError, UnavailableError
from core.model import LineItem
from core.money import MAX_BUDGET_MICROS, MoneyError, format_micros, parse_decimal
from pacing.budgets.pools import PoolKey
from pacing.ledger.rows import DayLine, PriceSource, RowHead, RowKind, encode_head

app = typer.Typer(no_args_is_help=True, help="Export the ledger of settled notices, or correct it.")

COLUMNS = ("day", "advertiser_id", "advertiser", "line_item_id", "exchange", "impressions", "charge", "currency")


@app.command("export")
def export_command(
    day: Annotated[
        datetime.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day in each advertiser's time zone [every day].", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Write sums by day, line item and exchange as CSV; rows settled in the last second may still be missing.

    Example: grosz ledger export --day 2026-11-01 > november-1.csv
    """
    rows = _remote_rows(day, url, key) if url else _local_rows(day, config, data)
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
        return
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    writer.writerows(rows)


Row = tuple[str, int, str, int, str | int, int, str, str]
"""A line of the export, in the order of COLUMNS."""


def _remote_rows(day: datetime.datetime | None, url: str, key: str) -> list[Row]:
    """One day over the API, which shows a key what it may see."""
    if day is None:
        raise InputError("over the API a day is exported at a time", hint="add --day 2026-11-01")
    base = f"{url.rstrip('/')}/v1"
    booked = day.date().isoformat()
    sums = call_api("GET", f"{base}/ledger/days?day={booked}", key)["items"]
    names = _remote_names(f"{base}/advertisers", key, "name")
    exchanges = _remote_names(f"{base}/exchanges", key, "key") if sums else {}
    return [
        (
            booked, one["advertiser_id"], names.get(one["advertiser_id"], ""), one["line_item_id"],
            exchanges.get(one["exchange_id"], one["exchange_id"]), one["impressions"], one["charge"], one["currency"],
        )
        for one in sums
    ]  # fmt: skip


def _remote_names(url: str, key: str, field: str) -> dict[int, str]:
    """What objects are called, by number: all pages of a list, archived ones too."""
    found: dict[int, str] = {}
    for status in ("active", "paused", "archived"):
        cursor = ""
        while True:
            page = call_api("GET", f"{url}?status={status}&limit=500&fields=id,{field}{cursor}", key)
            found |= {one["id"]: one[field] for one in page["items"]}
            if page["next"] is None:
                break
            cursor = f"&cursor={urllib.parse.quote(str(page['next']))}"
    return found


def _local_rows(day: datetime.datetime | None, config: Path | None, data: Path | None) -> list[Row]:
    lines, books = asyncio.run(_export(day.date() if day else None, config, data))
    present = books.catalogue
    names = {each.id: each.name for each in (*present.archived_advertisers, *present.advertisers)}
    exchanges = {each.id: each.key for each in (*present.archived_exchanges, *present.exchanges)}
    return [
        (
            booked.isoformat(), line.advertiser_id, names.get(line.advertiser_id, ""), line.line_item_id,
            exchanges.get(line.exchange_id, line.exchange_id), line.impressions,
            format_micros(line.charge_micros), line.currency,
        )
        for booked, line in lines
    ]  # fmt: skip


@app.command("correct")
def correct_command(
    name: Annotated[str, typer.Argument(help="Names the correction, such as an invoice: a name is booked once.")],
    line_item: Annotated[int, typer.Option(help="Whose spending is corrected.")],
    note: Annotated[str, typer.Option(help="Why; kept with the row.")],
    day: Annotated[
        datetime.datetime, typer.Option(formats=["%Y-%m-%d"], help="Day that it belongs to, in the advertiser's time.")
    ],
    amount: Annotated[str, typer.Option(help="In the advertiser's currency; -1.50 gives money back.")] = "0",
    impressions: Annotated[int, typer.Option(help="Impressions to add; negative takes away.")] = 0,
    share: Annotated[int, typer.Option(min=0, help="Budget share; 0 is the general budget.")] = 0,
    exchange: Annotated[str, typer.Option(help="Key of the exchange that it is about.")] = "",
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Book what was settled wrongly: a ledger row, and every counter with it.

    Example: grosz ledger correct invoice-7 --line-item 12 --day 2026-11-01 --amount -1.50 --note discount
    """
    correction = Correction(name, line_item, share, number_of(day.date()), _micros(amount), impressions, exchange, note)
    said = asyncio.run(_correct(correction, config, data))
    if as_json:
        print_json({"outcome": said})
    else:
        typer.echo(said)


class Correction(NamedTuple):
    """What is to be booked; `day` since 1970, `micros` of the advertiser's currency."""

    name: str
    line_item: int
    share: int
    day: int
    micros: int
    impressions: int
    exchange: str
    note: str


def _micros(amount: str) -> int:
    try:
        micros = parse_decimal(amount)
    except MoneyError as error:
        raise InputError(f"--amount: {error}") from None
    if abs(micros) > MAX_BUDGET_MICROS:
        raise InputError(f"--amount: {amount} is more than is counted exactly ({format_micros(MAX_BUDGET_MICROS)})")
    return micros


async def _correct(correction: Correction, config: Path | None, data: Path | None) -> str:
    async with open_books(config, data) as books, open_transitions(config, data) as transitions:
        objects = (await books.store.changed_since(-1)).objects
        line: LineItem | None = objects["line-items"].get(correction.line_item)
        if line is None:
            raise NotFoundError(f"there is no line item {correction.line_item}", hint="see grosz line-item list")
        if correction.share > len(line.budget_shares):
            raise InputError(f"line item {line.id} has no budget share {correction.share}")
        exchanges = [each.id for each in objects["exchanges"].values() if each.key == correction.exchange]
        if correction.exchange and not exchanges:
            raise NotFoundError(f"there is no exchange '{correction.exchange}'", hint="see grosz exchange list")
        currency = objects["advertisers"][line.advertiser_id].currency
        row = RowHead(
            RowKind.CORRECTION, correction.name, line.campaign_id, line.id, correction.share, correction.day,
            exchanges[0] if exchanges else 0, 0, 0, 0, currency, currency, 0, 0, PriceSource.CORRECTION,
            correction.note,
        )  # fmt: skip
        outcome = await transitions.correct(
            line.advertiser_id, correction.name, PoolKey(line.id, correction.share), line.campaign_id,
            correction.day, correction.micros, correction.impressions, encode_head(row),
        )  # fmt: skip
    if outcome == "unready":
        raise UnavailableError("the money counters are not there yet", hint="start the worker, and correct then")
    if outcome == "duplicate":
        return f"'{correction.name}' was booked before: nothing has changed"
    return f"booked {format_micros(correction.micros)} {currency} and {correction.impressions} impressions"


async def _export(
    day: datetime.date | None, config: Path | None, data: Path | None
) -> tuple[list[tuple[datetime.date, DayLine]], OpenedBooks]:
    async with open_books(config, data) as books:
        days = await books.ledger.days() if day is None else [number_of(day)]
        return [(date_of(number), line) for number in days for line in await books.ledger.day_lines(number)], books
