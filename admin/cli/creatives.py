"""`grosz creative`: objects as of every kind, and what exchanges say of them."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from admin.cli.approval_access import open_approvals
from admin.cli.asking import ask
from admin.cli.objects import creative as app
from admin.cli.opening import DataOption, installed_settings
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.plain import plain
from admin.cli.previewing import Written, in_size, markup_for, page_with, products_of, size_of, write_preview
from admin.cli.product_access import open_products
from admin.cli.settings import ConfigFile
from admin.products.documents import RecommendRequest
from admin.reviews.documents import (
    MAX_LISTED,
    ApprovalQuery,
    ApprovalRequest,
    ApprovalView,
    state_name,
)
from admin.reviews.states import ReviewState
from core.clock import SystemClock
from creatives.preview.page import ad_page
from creatives.product import FeedProduct

# As many as the largest template has places for.
MAX_PRODUCTS = 12

CreativeId = Annotated[int, typer.Argument(metavar="ID", min=1, help="Number of the creative.")]
ExchangeId = Annotated[int, typer.Argument(metavar="EXCHANGE", min=1, help="Number of the exchange.")]


@app.command("approvals")
def approvals_command(
    creative_id: Annotated[int | None, typer.Argument(metavar="[ID]", min=1, help="Number of one creative.")] = None,
    exchange: Annotated[int | None, typer.Option(min=1, help="Number of one exchange.")] = None,
    state: Annotated[ReviewState | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LISTED)] = 50,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Show what exchanges that review creatives say of them.

    Example: grosz creative approvals --state rejected
    """
    query = ApprovalQuery(creative_id, exchange, state_name(state) if state else None, limit)

    page = ask(open_approvals(url, key, data, config), lambda approvals: approvals.page(query))
    if as_json:
        print_json(page)
        return
    table = Table("creative", "exchange", "crid", "state", "since", "why", "next attempt")
    for one in page.items:
        why = escape(plain("; ".join(text for text in (one.reason, one.problem) if text)))  # as the exchange says it
        following = f"{one.next_attempt:%Y-%m-%d %H:%M:%S}" if one.next_attempt else ""
        since = f"{one.changed:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(one.creative_id), str(one.exchange_id), one.crid, one.state, since, why, following)
    Console().print(table)
    if page.next is not None:
        typer.echo("there are more: name a creative, an exchange or a state")


@app.command("decide")
def decide_command(
    creative_id: CreativeId,
    exchange: ExchangeId,
    state: Annotated[ReviewState, typer.Argument(help="What the exchange says.")],
    reason: Annotated[str, typer.Option(help="Of a rejection, in the exchange's words.")] = "",
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Note what an exchange has decided, where it tells people and not programs.

    Example: grosz creative decide 7 2 approved
    """

    _show(
        ask(
            open_approvals(url, key, data, config),
            lambda approvals: approvals.note(creative_id, exchange, ApprovalRequest(state_name(state), reason)),
        ),
        as_json=as_json,
    )


@app.command("submit")
def submit_command(
    creative_id: CreativeId,
    exchange: ExchangeId,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Let an exchange look at a creative again, such as after it was rejected by mistake.

    Example: grosz creative submit 7 2
    """

    _show(
        ask(open_approvals(url, key, data, config), lambda approvals: approvals.submit(creative_id, exchange)),
        as_json=as_json,
    )


@app.command("preview")
def preview_command(
    creative_id: CreativeId,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the picture; the creative's own otherwise.")] = "",
    request: Annotated[
        typer.FileBinaryRead | None,
        typer.Option("--request", help="Bid request for which the markup is written too; - for standard input."),
    ] = None,
    user: Annotated[
        str, typer.Option("--user", help="A user id of ours: with the products that an ad of a template shows there.")
    ] = "",
    out: Annotated[Path, typer.Option(help="Folder for the files.", file_okay=False)] = Path(),
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Write a creative as a page and as a picture, and the markup that a bid request would get.

    Example: grosz creative preview 7 --size 300x250 --request example.json
    """
    wanted, body = size_of(size) if size else None, None if request is None else request.read()
    track_url = installed_settings(config, data).track.public_url

    async def write() -> Written:
        async with open_approvals(url, key, data, config) as approvals:
            creative = await approvals.creative(creative_id)
        shown_as, now_s = in_size(creative, wanted), SystemClock().now_ms() // 1000
        shown: tuple[FeedProduct, ...] = ()
        if user:
            async with open_products(url, key, data, config) as products:
                asked = RecommendRequest(user_id=user, creative_id=creative_id, count=MAX_PRODUCTS)
                found = await products.recommend(creative.advertiser_id, asked)
            shown = products_of(found.products)
        page = page_with(shown_as, shown, now_s) if user else ad_page(shown_as)
        markup = "" if body is None else markup_for(creative, body, track_url, shown, now_s)
        out.mkdir(parents=True, exist_ok=True)
        return await write_preview(creative, out, page, size=wanted, markup=markup)

    written = asyncio.run(write())
    if as_json:
        print_json(written)
        return
    for path in (written.page, written.picture, written.markup):
        if path:
            typer.echo(path)
    if written.is_drawn:
        typer.echo("the picture is a plain card: there is no Chromium on this machine", err=True)


@app.command("scan")
def scan_command(
    creative_id: CreativeId,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Load what a creative names, and say what a reviewer would find. Exits with 1 where there is something.

    Example: grosz creative scan 7
    """

    report = ask(open_approvals(url, key, data, config), lambda approvals: approvals.scan(creative_id))
    if as_json:
        print_json(report)
    else:
        for file in report.files:
            typer.echo(f"{file.status or 'failed'} {file.bytes:,} bytes {file.mime} {file.url}")
        for finding in report.findings:
            typer.echo(f"{finding.code} {finding}")
        typer.echo(f"{len(report.findings)} findings; {report.bytes:,} bytes are loaded with it")
    if report.findings:
        raise typer.Exit(1)


def _show(view: ApprovalView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    typer.echo(f"creative {view.creative_id} ({view.crid}) is {view.state} at exchange {view.exchange_id}")
