"""`grosz tag check`: which events a page's tag sends, and what is wrong with them."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from aiohttp.resolver import ThreadedResolver

from admin.cli.opening import DataOption, installed_settings
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json, print_table
from admin.cli.plain import plain
from admin.cli.product_access import open_products
from admin.cli.settings import ConfigFile
from admin.products.documents import ProductQuery
from admin.roles.consents import event_policy
from admin.tags.judging import EventCheck, ProductIdCheck, TagCheck, judge
from admin.tags.watching import watch
from core.clock import SystemClock
from core.errors import ConfigError, Fault, InputError
from core.network.outgoing import NotPublicError, PublicResolver, check_url
from creatives.preview.browser import PROGRAMS, find_program
from creatives.product import MAX_ID_CHARS

app = typer.Typer(no_args_is_help=True, help="Check the tag on a shop's page.", rich_markup_mode=None)

EXIT_FAULTY: Final = 1
# Each id is looked up in the feeds by itself. A page that names more is a list of products: its first ones tell enough.
MAX_IDS_LOOKED_UP: Final = 100
_ALLOW_PRIVATE: Final = "`--private` also opens addresses of private networks"


@app.callback()
def _family() -> None:
    """Check the tag on a shop's page."""


@app.command("check")
def check_command(
    page: Annotated[str, typer.Argument(metavar="PAGE", help="Address of the page.")],
    advertiser_id: Annotated[
        int | None, typer.Option("--advertiser", min=1, help="Whose tag it is; compares product ids with its feeds.")
    ] = None,
    wait: Annotated[int, typer.Option(min=0, max=60, help="Seconds to look on after the page has loaded.")] = 5,
    private: Annotated[bool, typer.Option("--private", help="Also lead to addresses of private networks.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Open a page in Chromium and say which events its tag sends, and what is wrong with them.

    Example: grosz tag check https://buty.example/szpilki/7 --advertiser 1
    """
    program = find_program()
    if program is None:
        hint = f"install the package `chromium` (looked for {', '.join(PROGRAMS)} on the PATH)"
        raise ConfigError("there is no Chromium on this machine", hint=hint)
    policy = event_policy(installed_settings(config, data).consent)

    async def check() -> TagCheck:
        await require_reachable(page, allow_private=private)
        watched = await watch(page, program, wait_s=wait, allow_private=private)
        found = judge(page, watched, policy, SystemClock().now_ms(), advertiser_id or 0)
        if advertiser_id is not None:
            found.products = await _compare(found.events, advertiser_id, url, key, data, config)
        return found

    found = asyncio.run(check())
    if as_json:
        print_json({"ok": found.is_good, "check": found})
    else:
        show_check(found)
    if not found.is_good:
        raise typer.Exit(EXIT_FAULTY)


async def require_reachable(page: str, *, allow_private: bool) -> None:
    """Refuse an address that the gate would not lead to, with the reason. Raises InputError."""
    fault = check_url(page, allow_private=allow_private, schemes=("http", "https"), pointer="PAGE")
    if fault is not None:
        hint = _ALLOW_PRIVATE if fault.code == "private" else ""
        raise InputError("the page cannot be opened", faults=[fault], hint=hint)
    if allow_private:
        return
    host = urlsplit(page).hostname or ""
    try:
        await PublicResolver(ThreadedResolver()).resolve(host)
    except NotPublicError:
        raise InputError(f"{host} leads to a private network", hint=_ALLOW_PRIVATE) from None
    except OSError:
        raise InputError(f"{host} is not known to the DNS of this machine") from None


async def _compare(
    events: Iterable[EventCheck], advertiser_id: int, url: str, key: str, data: Path | None, config: Path | None
) -> list[ProductIdCheck]:
    ids = list(dict.fromkeys(one for event in events for one in event.product_ids if 0 < len(one) <= MAX_ID_CHARS))
    found = []
    async with open_products(url, key, data, config) as questions:
        for product_id in ids[:MAX_IDS_LOOKED_UP]:
            page = await questions.search(advertiser_id, ProductQuery(id=product_id, limit=1))
            if not page.items:
                found.append(ProductIdCheck(product_id, "none"))
                continue
            product = page.items[0]
            found.append(ProductIdCheck(product_id, "id" if product.id == product_id else "group", product.title))
    return found


def show_check(found: TagCheck) -> None:
    """Print a check for people."""
    typer.echo(plain(f"{found.page}: {found.status or 'not opened'}, {len(found.events)} event(s)"))
    for text in found.problems:
        typer.echo(plain(f"problem: {text}"))
    if found.events:
        heads = ("event", "advertiser", "products", "value", "consent", "status", "what became of it")
        print_table(heads, map(_cells, found.events))
    for one in found.events:
        for word, faults in (("error", one.errors), ("warning", one.warnings)):
            for fault in faults:
                typer.echo(plain(f"{word}: {one.event or 'an event'} {_fault(fault)}"))
    if found.products is None:
        typer.echo("give --advertiser to compare product ids with its feeds")
        return
    known = sum(one.found != "none" for one in found.products)
    typer.echo(f"{known} of {len(found.products)} product id(s) are in the feeds")
    for product in found.products:
        said = {"id": "is", "group": "is the item group of", "none": "is in no feed"}[product.found]
        typer.echo(plain(f"  {product.id} {said} {product.title}".rstrip()))


def _cells(one: EventCheck) -> tuple[str, ...]:
    ids = ", ".join(one.product_ids[:3]) + (f" and {len(one.product_ids) - 3} more" if len(one.product_ids) > 3 else "")
    value = "" if one.value is None else f"{one.value:g} {one.currency or '?'}"
    became = one.fate + (f": {one.why}" if one.why else "")
    return one.event, str(one.advertiser_id), ids, value, one.consent.said, str(one.status or "none"), became


def _fault(fault: Fault) -> str:
    return str(fault).removeprefix(": ")
