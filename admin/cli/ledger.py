"""`grosz ledger export`: what an accountant needs, of one day or of all."""

import asyncio
import csv
import datetime
import sys
from pathlib import Path
from typing import Annotated

import typer

from admin.cli.money import Books, open_books
from admin.cli.opening import DataOption
from admin.cli.settings import ConfigFile
from core.money import format_micros
from pacing.ledger import DayLine

app = typer.Typer(no_args_is_help=True, help="The ledger of settled notices.")

_EPOCH = datetime.date(1970, 1, 1)

COLUMNS = ("day", "advertiser_id", "advertiser", "line_item_id", "exchange", "impressions", "charge", "currency")


@app.callback()
def ledger() -> None:
    """Keeps `export` a subcommand."""


@app.command("export")
def export_command(
    day: Annotated[
        datetime.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day in each advertiser's time zone [every day].", show_default=False),
    ] = None,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Write sums by day, line item and exchange as CSV; rows settled in the last second may still be missing."""
    lines, books = asyncio.run(_export(day.date() if day else None, config, data))
    present = books.catalogue
    names = {each.id: each.name for each in (*present.archived_advertisers, *present.advertisers)}
    exchanges = {each.id: each.key for each in (*present.archived_exchanges, *present.exchanges)}
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    for booked, line in lines:
        writer.writerow(
            (
                booked.isoformat(), line.advertiser_id, names.get(line.advertiser_id, ""), line.line_item_id,
                exchanges.get(line.exchange_id, line.exchange_id), line.impressions,
                format_micros(line.charge_micros), line.currency,
            )
        )  # fmt: skip


async def _export(
    day: datetime.date | None, config: Path | None, data: Path | None
) -> tuple[list[tuple[datetime.date, DayLine]], Books]:
    async with open_books(config, data) as books:
        days = await books.ledger.days() if day is None else [(day - _EPOCH).days]
        return [
            (_EPOCH + datetime.timedelta(number), line)
            for number in days
            for line in await books.ledger.day_lines(number)
        ], books
