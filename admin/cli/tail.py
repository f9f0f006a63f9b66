"""`grosz tail`: auctions as they happen."""

import asyncio
import contextlib
import datetime
import sys
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console

from admin.cli.object_access import call_api
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption
from admin.cli.plain import plain
from admin.cli.profiles import open_profiles
from admin.cli.settings import ConfigFile
from admin.diagnosis.tailing import TailDesk, TailPage
from bidder.decision.tailing import TailedAuction, TailedBid, Watching
from core.clock import SystemClock
from core.errors import NotFoundError
from core.reasons import text_of_reason

app = typer.Typer()

LOOK_S: Final = 0.5

_Take = Callable[[str], Awaitable[TailPage]]


@app.command()
def tail(
    nobid: Annotated[bool, typer.Option("--nobid", help="Also auctions without a bid, with the reason.")] = False,
    line_item: Annotated[int, typer.Option("--line-item", min=0, help="Only this line item.")] = 0,
    exchange: Annotated[str, typer.Option(help="Only this exchange, by its key.")] = "",
    seconds: Annotated[float, typer.Option(help="End after so long; 0: not before Ctrl-C.", min=0)] = 0.0,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Show auctions as they happen: what was offered and bid, or why nothing was; 50 a second of a process at most.

    Example: grosz tail --nobid --line-item 7
    """
    watching = Watching(nobid, line_item, exchange)
    console = Console(highlight=False, soft_wrap=True)

    async def follow() -> None:
        async with _open(watching, url, key, data, config) as take:
            page, clock = await take(""), asyncio.get_running_loop().time
            ends = clock() + seconds
            while not seconds or clock() < ends:
                await asyncio.sleep(LOOK_S)
                page = await take(page.next)
                for auction in page.auctions:
                    _show(auction, console, as_json=as_json)

    asyncio.run(follow())


@contextlib.asynccontextmanager
async def _open(watching: Watching, url: str, key: str, data: Path | None, config: Path | None) -> AsyncIterator[_Take]:
    """Raises NotFoundError where the exchange or line item is not there: nothing would ever be shown."""
    if url:
        _require(watching, *await asyncio.to_thread(_known_over_http, watching, url, key))
        yield _over_http(watching, url, key)
        return
    async with open_profiles(config, data) as profiles:
        if watching.exchange or watching.line_item_id:
            catalogue = await profiles.catalogue()
            exchanges, line_items = (one.key for one in catalogue.exchanges), (one.id for one in catalogue.line_items)
            _require(watching, exchanges, line_items)
        desk = TailDesk(profiles.store, SystemClock())
        yield lambda after: desk.take("cli", watching, after)


def _require(watching: Watching, exchanges: Iterable[str], line_items: Iterable[int]) -> None:
    if watching.exchange and watching.exchange not in exchanges:
        raise NotFoundError(f"there is no exchange '{watching.exchange}'", hint="see `grosz exchange list`")
    if watching.line_item_id and watching.line_item_id not in line_items:
        hint = "see `grosz line-item list`; archived ones do not bid"
        raise NotFoundError(f"there is no line item {watching.line_item_id}", hint=hint)


def _known_over_http(watching: Watching, url: str, key: str) -> tuple[list[str], list[int]]:
    """What there is of the exchange and the line item that are watched: the key of the one, the id of the other."""

    def found(name: str, field: str, value: object) -> list[Any]:
        query = urllib.parse.urlencode({field: value})
        page = call_api("GET", f"{url.rstrip('/')}/v1/{name}?{query}", key)
        return [one[field] for one in page["items"]]

    exchanges = found("exchanges", "key", watching.exchange) if watching.exchange else []
    line_items = found("line-items", "id", watching.line_item_id) if watching.line_item_id else []
    return exchanges, line_items


def _over_http(watching: Watching, url: str, key: str) -> _Take:
    asked: dict[str, Any] = {"nobid": str(watching.no_bids).lower(), "exchange": watching.exchange}
    if watching.line_item_id:
        asked["line_item_id"] = watching.line_item_id

    async def take(after: str) -> TailPage:
        query = urllib.parse.urlencode(asked | {"after": after})
        address = f"{url.rstrip('/')}/v1/auctions/tail?{query}"
        return msgspec.convert(await asyncio.to_thread(call_api, "GET", address, key), TailPage)

    return take


def _show(auction: TailedAuction, console: Console, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(auction) + b"\n")
        sys.stdout.buffer.flush()
        return
    moment = datetime.datetime.fromtimestamp(auction.at_ms / 1000, datetime.UTC).strftime("%H:%M:%S.%f")[:-3]
    offered = f"{moment} {auction.exchange} {auction.place or '-'} {auction.country or '-'} {' '.join(auction.sizes)}"
    if auction.bids:
        said = ", ".join(_bid(bid, auction.currency) for bid in auction.bids)
    else:
        said = f"no bid, {text_of_reason(auction.reason)}"
    console.print(plain(f"{offered}: {said}"), markup=False)
    for bid in auction.considered:
        console.print(
            f"    line item {bid.line_item_id}: {text_of_reason(bid.reason)} "
            f"(bid {bid.bid_cpm}, floor {bid.floor_cpm} {auction.currency})",
            markup=False,
        )


def _bid(bid: TailedBid, currency: str) -> str:
    share = f" share {bid.share}" if bid.share else ""
    deal = f" deal {bid.deal_id}" if bid.deal_id else ""
    return (
        f"line item {bid.line_item_id}{share} bids {bid.bid_cpm} {currency} (floor {bid.floor_cpm}) "
        f"with creative {bid.creative_id} {bid.size}".rstrip()
        + deal
    )
