"""`grosz ledger export`: what an accountant needs of one day."""

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

COLUMNS = ("day", "advertiser_id", "advertiser", "line_item_id", "exchange", "impressions", "charge", "currency")


@app.callback()
def ledger() -> None:
    """Keeps `export` a subcommand."""


@app.command("export")
def export_command(
    day: Annotated[datetime.datetime, typer.Option(formats=["%Y-%m-%d"], help="Day in each advertiser's time zone.")],
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Write the sums of DAY as CSV to standard output; rows settled in the last second may still be missing."""
    lines, books = asyncio.run(_export(day.date(), config, data))
    names = {advertiser.id: advertiser.name for advertiser in books.catalogue.advertisers}
    exchanges = {exchange.id: exchange.key for exchange in books.catalogue.exchanges}
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow(
            (
                day.date().isoformat(), line.advertiser_id, names.get(line.advertiser_id, ""), line.line_item_id,
                exchanges.get(line.exchange_id, line.exchange_id), line.impressions,
                format_micros(line.charge_micros), line.currency,
            )
        )  # fmt: skip


async def _export(day: datetime.date, config: Path | None, data: Path | None) -> tuple[list[DayLine], Books]:
    async with open_books(config, data) as books:
        return await books.ledger.day_lines((day - datetime.date(1970, 1, 1)).days), books
