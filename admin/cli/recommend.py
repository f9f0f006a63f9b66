"""`grosz recommend`: which products an ad would show to somebody, and why each was taken or left out."""

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
from admin.products.documents import Recommended, RecommendRequest
from core.model import ProductStrategy

app = typer.Typer(rich_markup_mode=None)

MAX_LEFT_OUT = 20
UNINTERESTING = ("", "the list is full", "is in the list already")


@app.command()
def recommend(
    advertiser_id: Annotated[int, typer.Argument(metavar="ADVERTISER", min=1, help="Its number.")],
    user: Annotated[str, typer.Option("--user", help="A user id of ours.")] = "",
    seen: Annotated[
        list[str] | None, typer.Option("--seen", metavar="ID", help="Products seen in this visit. Repeatable.")
    ] = None,
    strategies: Annotated[
        list[ProductStrategy] | None,
        typer.Option("--strategy", help="In this order. Repeatable.", case_sensitive=False),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=50)] = 8,
    seed: Annotated[str, typer.Option(help="Decides between equals.")] = "",
    creative: Annotated[
        int | None, typer.Option("--creative", metavar="ID", min=1, help="Choose as this creative does.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Choose products for a user, or for somebody who has just seen some.

    Example: grosz recommend 1 --seen red-heels
    """
    request = RecommendRequest(
        user_id=user, products=seen or [], creative_id=creative, strategies=strategies or [], count=count, seed=seed
    )

    recommended = ask(
        open_products(url, key, data, config), lambda questions: questions.recommend(advertiser_id, request)
    )
    if as_json:
        print_json(recommended)
        return
    show(recommended, Console())


def show(recommended: Recommended, console: Console) -> None:
    """Print a recommendation for people."""
    if not recommended.model_fitted_ms:
        console.print("no recommendation model yet: it is fitted within minutes of the first feed or event")
    titles = {product.id: product for product in recommended.products}
    chosen = Table("id", "title", "price", "strategy", "why")
    left = Table("left out", "strategy", "would be", "because")
    for choice in recommended.choices:
        product = titles.get(choice.id)
        if not choice.left_out and product is not None:
            price = f"{product.current_price.amount} {product.current_price.currency}"
            chosen.add_row(Text(choice.id), Text(product.title), price, choice.strategy.value, Text(choice.reason))
        elif (
            choice.left_out not in ("", "the list is full", "is in the list already") and left.row_count < MAX_LEFT_OUT
        ):
            left.add_row(Text(choice.id), choice.strategy.value, Text(choice.reason), Text(choice.left_out))
    console.print(chosen if chosen.row_count else "no product", markup=False)
    if left.row_count:
        console.print(left, markup=False)
