"""`grosz fx`: the exchange rates in force: shown, set by hand, or read from the European Central Bank or a file."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from admin.access.principal import command_line
from admin.api.fx_rates import FxRates, read_rates, shown
from admin.cli.object_access import call_api
from admin.cli.opening import DataOption, open_store
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.settings import ConfigFile
from admin.rates.reference import ReferenceRates
from admin.rates.refresh import RateDesk
from admin.rates.store import MANUAL
from core.clock import SystemClock
from core.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Show, set and refresh exchange rates.")

Local = Callable[[RateDesk], Awaitable[None]]


@app.command("show")
def show_command(
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Show the rates in force, their day and their source.

    Example: grosz fx show --json
    """
    if url:
        _print(_call("GET", "", url, key), as_json)
    else:
        _print(asyncio.run(_locally(_nothing, data, config)), as_json)


@app.command("set")
def set_command(
    rates: Annotated[list[str], typer.Argument(metavar="CURRENCY=RATE...", help="PLN for one unit, e.g. USD=3.64")],
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Set these rates by hand, as of today; the others stay as they are.

    Example: grosz fx set USD=3.64 EUR=4.27
    """
    wanted = _pairs(rates)
    if url:
        present = _call("GET", "", url, key)
        _print(_call("PUT", "", url, key, {"rates": present.rates | wanted}), as_json)
        return

    async def replace(desk: RateDesk) -> None:
        merged = {**(await desk.current()).rates, **read_rates(wanted)}
        await desk.replace(ReferenceRates(desk.today(), merged), MANUAL, command_line().actor)

    _print(asyncio.run(_locally(replace, data, config)), as_json)


@app.command("refresh")
def refresh_command(
    source: Annotated[
        str, typer.Argument(help="`ecb`, an address, or a file in the European Central Bank's form.")
    ] = "ecb",
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Read the rates from their source now; those of an earlier day than the ones in force change nothing.

    Example: grosz fx refresh eurofxref-daily.xml
    """
    if url:
        _print(_call("POST", "/refresh", url, key, {"source": source}), as_json)
        return

    async def refresh(desk: RateDesk) -> None:
        await desk.refresh(source, command_line().actor)

    _print(asyncio.run(_locally(refresh, data, config)), as_json)


def _pairs(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        currency, equals, rate = text.partition("=")
        if not equals or len(currency) != 3 or not currency.isalpha():
            raise InputError(f"'{text}' is not a rate", hint="write CURRENCY=RATE, for example USD=3.64")
        found[currency.upper()] = rate
    return found


async def _nothing(desk: RateDesk) -> None:
    await desk.current()


async def _locally(work: Local, data: Path | None, config: Path | None) -> FxRates:
    async with open_store(config, data) as store:
        desk = RateDesk(store, SystemClock(), lambda: None)
        await work(desk)
        return shown(await desk.current(), desk.today())


def _call(method: str, path: str, url: str, key: str, body: dict[str, Any] | None = None) -> FxRates:
    return msgspec.convert(call_api(method, f"{url.rstrip('/')}/v1/fx-rates{path}", key, body), FxRates)


def _print(found: FxRates, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table = Table("currency", f"{found.base} for one", box=None)
    for currency, rate in found.rates.items():
        table.add_row(currency, rate)
    console = Console()
    console.print(table)
    age = "of an unknown day" if found.as_of is None else f"of {found.as_of}, {found.source}"
    console.print(f"{age}{': older than they should be' if found.is_stale else ''}", highlight=False)
