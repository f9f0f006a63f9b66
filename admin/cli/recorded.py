"""`grosz recorded`: the requests that the journal has recorded, what was bid on them, and what became of it."""

import asyncio
import datetime
import urllib.parse
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from admin.cli.object_access import call_api
from admin.cli.opening import DataOption, installed_journal, installed_settings
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.settings import ConfigFile
from admin.diagnosis.recorded import (
    RecordedBidShown,
    RecordedDesk,
    RecordedExplanation,
    RecordedPage,
    RecordedQuery,
)
from admin.roles.journal import catalogues_beside
from core.clock import SystemClock
from core.reasons import text_of_reason

app = typer.Typer()

NAME_CHARS: Final = 30


@app.command()
def recorded(
    line_item: Annotated[int, typer.Option("--line-item", min=0, help="That this line item bid on.")] = 0,
    exchange: Annotated[str, typer.Option(help="Of this exchange, by its key.")] = "",
    limit: Annotated[int, typer.Option(help="How many, the newest first.", min=1, max=200)] = 20,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """List recorded bid requests; `grosz explain --recorded ID` says which line items bid on one, and why.

    Example: grosz recorded --line-item 7
    """
    query = RecordedQuery(exchange=exchange, line_item_id=line_item, limit=limit)
    if url:
        asked = urllib.parse.urlencode({name: value for name, value in msgspec.to_builtins(query).items() if value})
        page = msgspec.convert(call_api("GET", f"{url.rstrip('/')}/v1/recorded-requests?{asked}", key), RecordedPage)
    else:
        page = asyncio.run(open_recorded(data, config).listed(query, None))
    if as_json:
        print_json(page)
        return
    console, table = Console(), Table()
    table.add_column("id", no_wrap=True, min_width=NAME_CHARS)  # to be copied whole
    for title in ("when (UTC)", "exchange", "what was decided"):
        table.add_column(title)
    for one in page.requests:
        when = datetime.datetime.fromtimestamp(one.at_ms / 1000, datetime.UTC).strftime("%m-%d %H:%M:%S")
        table.add_row(one.id, when, one.exchange, "\n".join(map(bid_words, one.bids)) or text_of_reason(one.reason))
    console.print(table)


def open_recorded(data: Path | None, config: Path | None) -> RecordedDesk:
    """A desk over the journal of this machine."""
    settings = installed_settings(config, data)
    archive = installed_journal(settings, data)
    return RecordedDesk(archive, catalogues_beside(archive) if archive is not None else None, settings, SystemClock())


def explained(
    name: str, line_item_id: int | None, access: tuple[str, str], data: Path | None, config: Path | None
) -> RecordedExplanation:
    """A recorded request explained, over the API where `access` has a URL (and a key), otherwise on this machine."""
    url, key = access
    if not url:
        return asyncio.run(open_recorded(data, config).explain(name, line_item_id, None))
    query: dict[str, Any] = {} if line_item_id is None else {"line_item_id": line_item_id}
    address = f"{url.rstrip('/')}/v1/recorded-requests/{urllib.parse.quote(name)}?{urllib.parse.urlencode(query)}"
    return msgspec.convert(call_api("GET", address, key), RecordedExplanation)


def bid_words(bid: RecordedBidShown) -> str:
    """A bid and its fate in a line."""
    share = f" share {bid.share}" if bid.share else ""
    text = f"line item {bid.line_item_id}{share} bid {bid.bid_cpm} (floor {bid.floor_cpm}): {bid.outcome}"
    if bid.price_cpm:
        text += f", price {bid.price_cpm}"
    if bid.loss_code:
        text += f", loss code {bid.loss_code}"
    if bid.minimum_to_win_cpm:
        text += f", {bid.minimum_to_win_cpm} would have won"
    return text
