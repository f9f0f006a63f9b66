"""`grosz products`: what the feeds brought, and whether events name it by the same ids."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from admin.cli.asking import ask
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.product_access import open_products
from admin.cli.settings import ConfigFile
from admin.products.documents import MAX_FOUND, ProductQuery

app = typer.Typer(no_args_is_help=True, help="Products of feeds.", rich_markup_mode=None)

AdvertiserArgument = Annotated[int, typer.Argument(metavar="ADVERTISER", min=1, help="Its number.")]


@app.command("search")
def search_command(
    advertiser_id: AdvertiserArgument,
    words: Annotated[list[str] | None, typer.Argument(metavar="[WORD]...", help="All of them, in any order.")] = None,
    product_id: Annotated[str | None, typer.Option("--id", help="One product, or an item group.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_FOUND)] = 20,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Find products by words of title, brand, category or id.

    Example: grosz products search 1 red heels
    """

    page = ask(
        open_products(url, key, data, config),
        lambda questions: questions.search(advertiser_id, ProductQuery(product_id, " ".join(words or []), limit)),
    )
    if as_json:
        print_json(page)
        return
    table = Table("id", "title", "price", "availability", "category", "brand")
    for item in page.items:
        price = f"{item.current_price.amount} {item.current_price.currency}" + (" reduced" if item.on_sale else "")
        table.add_row(Text(item.id), Text(item.title), price, item.availability, Text(item.category), Text(item.brand))
    console = Console()
    console.print(table, markup=False)
    if not page.complete:
        console.print("there are more: add words, or --limit")


@app.command("match")
def match_command(
    advertiser_id: AdvertiserArgument,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Compare the ids of the newest events with those of the feeds.

    Example: grosz products match 1
    """

    report = ask(open_products(url, key, data, config), lambda questions: questions.match(advertiser_id))
    if as_json:
        print_json(report)
        return
    console = Console()
    console.print(f"{report.products:,} products in the feeds", highlight=False)
    if not report.events:
        console.print("no event has named a product yet", highlight=False)
        return
    table = Table("event", "ids", "by id", "by item group", "unmatched", "rate", "unmatched ones")
    for event in report.events:
        numbers = (event.ids, event.by_id, event.by_group, event.unmatched)
        table.add_row(event.event, *map(str, numbers), f"{event.rate:.1%}", Text(", ".join(event.examples)))
    console.print(table, markup=False)
