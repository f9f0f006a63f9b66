"""`grosz ledger`: what an accountant needs, a row by hand, old rows into files, an exchange's bill compared."""

import asyncio
import csv
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from admin.books.bills import BillDifference, added, compare, days_of, read_bill, require_same_currencies
from admin.books.desk import BookDesk, sees_all
from admin.books.documents import CorrectionAnswer, CorrectionRequest
from admin.cli.money import OpenedBooks, open_books, open_transitions
from admin.cli.object_access import call_api, names_of
from admin.cli.opening import DataOption, open_migrated
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.settings import ConfigFile, settings_for
from admin.retention.archiving import MIN_DAYS, Moved
from admin.retention.opening import archive_folder, open_archivist
from admin.validation.days import date_of, number_of
from admin.validation.decode import decode
from core.clock import SystemClock
from core.errors import InputError
from core.money import format_micros, parse_decimal
from core.telemetry.metrics import Telemetry
from pacing.ledger.rows import DayLine

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
    days = [day.date()] if day else None
    rows = _remote_rows(days, url, key) if url else _local_rows(days, config, data)
    if as_json:
        print_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
        return
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    writer.writerows(rows)


Row = tuple[str, int, str, int, str | int, int, str, str]
"""A line of the export, in the order of COLUMNS."""


def _remote_rows(days: Sequence[datetime.date] | None, url: str, key: str) -> list[Row]:
    """Some days over the API, which shows a key what it may see."""
    if days is None:
        raise InputError("over the API a day is exported at a time", hint="add --day 2026-11-01")
    base = f"{url.rstrip('/')}/v1"
    sums = [
        (day.isoformat(), one) for day in days for one in call_api("GET", f"{base}/ledger/days?day={day}", key)["items"]
    ]
    names = names_of(f"{base}/advertisers", key, "name")
    exchanges = names_of(f"{base}/exchanges", key, "key") if sums else {}
    return [
        (
            booked, one["advertiser_id"], names.get(one["advertiser_id"], ""), one["line_item_id"],
            exchanges.get(one["exchange_id"], one["exchange_id"]), one["impressions"], one["charge"], one["currency"],
        )
        for booked, one in sums
    ]  # fmt: skip


def _local_rows(days: Sequence[datetime.date] | None, config: Path | None, data: Path | None) -> list[Row]:
    lines, books = asyncio.run(_export(days, config, data))
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
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Book what was settled wrongly: a ledger row, and every counter with it.

    Example: grosz ledger correct invoice-7 --line-item 12 --day 2026-11-01 --amount -1.50 --note discount
    """
    given = {"exchange": exchange} if exchange else {}
    document = {
        "name": name, "line_item_id": line_item, "note": note, "day": day.date().isoformat(), "amount": amount,
        "impressions": impressions, "share": share, **given,
    }  # fmt: skip
    wanted = decode(document, CorrectionRequest)
    if url:
        answer = call_api("POST", f"{url.rstrip('/')}/v1/ledger/corrections", key, document)
        done = msgspec.convert(answer, CorrectionAnswer)
    else:
        done = asyncio.run(_correct(wanted, config, data))
    if as_json:
        print_json(done)
    elif done.outcome == "duplicate":
        typer.echo(f"'{name}' was booked before: nothing has changed")
    else:
        typer.echo(f"booked {done.amount.amount} {done.amount.currency} and {done.impressions} impressions")


async def _correct(wanted: CorrectionRequest, config: Path | None, data: Path | None) -> CorrectionAnswer:
    async with open_books(config, data) as books, open_transitions(config, data) as transitions:
        return await BookDesk(books.store.database, transitions).correct(wanted, sees_all)


@app.command("archive")
def archive_command(
    older_than: Annotated[
        int, typer.Option("--older-than", min=MIN_DAYS, metavar="DAYS", help="What is younger stays in the database.")
    ],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder of the files [`archive` in the data directory].", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Move old rows of ledger and change log into Parquet files; sums and audit stay as they are (docs/operate.md).

    Example: grosz ledger archive --older-than 400
    """
    moved = asyncio.run(_archive(older_than, to, config, data))
    if as_json:
        print_json(moved._asdict())
    else:
        typer.echo(f"moved {moved.ledger} rows of the ledger and {moved.change_log} of the change log")


async def _archive(days: int, to: Path | None, config: Path | None, data: Path | None) -> Moved:
    folder = to or archive_folder(settings_for(config), data)
    async with open_migrated(config, data) as database:
        return await open_archivist(database, folder, SystemClock(), Telemetry()).archive(days)


@app.command("compare")
def compare_command(
    file: Annotated[Path, typer.Argument(help="The exchange's bill, CSV with a head.", exists=True, dir_okay=False)],
    exchange: Annotated[str, typer.Option(help="Key of the exchange whose bill it is.")],
    column: Annotated[
        list[str],
        typer.Option(
            help="One that is called otherwise: amount='Total cost'; day, line_item, impressions, amount, currency."
        ),
    ] = [],  # noqa: B006 - typer's way to declare a default
    day_format: Annotated[str, typer.Option(help="How the bill writes days.")] = "%Y-%m-%d",
    currency: Annotated[str, typer.Option(help="That of a bill without a column for it.")] = "",
    since: Annotated[
        datetime.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="First day that it is about [of its lines].", show_default=False),
    ] = None,
    until: Annotated[
        datetime.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day that it is about [of its lines].", show_default=False),
    ] = None,
    percent: Annotated[float, typer.Option(min=0, help="What impressions and amounts may differ by.")] = 1.0,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Compare an exchange's own bill with the ledger, by day and line item; 1 where something differs.

    Days of the ledger are those of each advertiser's time zone: a bill by other days differs around midnight.

    Example: grosz ledger compare bill.csv --exchange demo --column day=Date --column amount=Cost --currency PLN
    """
    mapping = dict(text.partition("=")[::2] for text in column)
    bill = read_bill(_text_of(file), mapping, day_format, currency)
    days = days_of(bill, since.date() if since else None, until.date() if until else None)
    rows = _remote_rows(days, url, key) if url else _local_rows(days, config, data)
    rows = [row for row in rows if str(row[4]) == exchange]
    require_same_currencies({row[3]: row[7] for row in rows}, bill)
    own = [(datetime.date.fromisoformat(row[0]), row[3], row[5], parse_decimal(row[6])) for row in rows]
    found = compare(added(own), bill.sums, percent)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not bill.currencies:
        typer.echo("the bill does not say its currency: amounts are taken for the ledger's, see --currency", err=True)
    if not all(one.agrees for one in found):
        raise typer.Exit(1)


def _text_of(file: Path) -> str:
    content = file.read_bytes()
    try:
        # What Excel calls "Unicode text" is UTF-16 with its mark in front.
        return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "save it as CSV UTF-8; a file of Windows converts with `iconv -f cp1250 -t utf-8`"
        raise InputError(f"{file} is not UTF-8: {error.reason} at byte {error.start}", hint=hint) from None


def _show(found: Sequence[BillDifference]) -> None:
    table = Table()
    for name in ("day", "line item", "impressions, billed", "%", "amount, billed", "%", ""):
        table.add_column(name, justify="left" if name in ("day", "") else "right", overflow="fold")
    for one in found:
        ratios = ["-" if ratio is None else f"{ratio:+.2f}" for ratio in (one.impressions_percent, one.amount_percent)]
        table.add_row(
            one.day.isoformat(), str(one.line_item_id), f"{one.impressions}, {one.billed_impressions}", ratios[0],
            f"{one.amount}, {one.billed_amount}", ratios[1], _told(one),
        )  # fmt: skip
    Console().print(table)


def _told(one: BillDifference) -> str:
    if one.agrees:
        return ""
    return {"": "differs", "bill": "not billed", "ledger": "not booked"}[one.lacks]


async def _export(
    wanted: Sequence[datetime.date] | None, config: Path | None, data: Path | None
) -> tuple[list[tuple[datetime.date, DayLine]], OpenedBooks]:
    async with open_books(config, data) as books:
        days = await books.ledger.days() if wanted is None else map(number_of, wanted)
        return [(date_of(number), line) for number in days for line in await books.ledger.day_lines(number)], books
