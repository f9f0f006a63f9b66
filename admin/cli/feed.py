"""`grosz feed`: work with product feeds, try one before it is saved, load one now, see what is wrong with it."""

import asyncio
import time
from pathlib import Path
from typing import IO, Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from admin.cli.objects import commands_for
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.product_access import ProductQuestions, open_products
from admin.cli.settings import ConfigFile
from admin.store import kinds
from core.errors import ConflictError, InputError, UnavailableError
from creatives.feeds.columns import check_mapping
from creatives.feeds.faults import KINDS, FeedError
from creatives.feeds.fetching import FeedFetcher, Validators
from creatives.feeds.loading import check_feed
from creatives.feeds.reading import DIALECTS, ReadOptions
from creatives.feeds.runs import Run, RunOutcome
from creatives.product import FeedProduct

app = commands_for(kinds.FEEDS)

FeedArgument = Annotated[int, typer.Argument(metavar="ID", min=1)]
ForceOption = Annotated[bool, typer.Option("--force", help="Take it although it lost more than half of its products.")]
EXIT_REFUSED = 1
WAIT_S = 1_800.0
POLL_S = 0.5
MAX_SHOWN_EXAMPLES = 3


@app.command("check")
def check_command(
    source: Annotated[str, typer.Argument(metavar="URL|FILE", help="What to read; nothing is saved or loaded.")],
    form: Annotated[str, typer.Option("--format", help="auto, csv, tsv, xml, google, ceneo, yml or heureka.")] = "auto",
    currency: Annotated[str, typer.Option(help="Of prices without one, such as PLN.")] = "",
    encoding: Annotated[str, typer.Option(help="Such as cp1250, where the feed does not say it.")] = "",
    item_element: Annotated[str, typer.Option(help="Element of a product, in XML of an unknown form.")] = "",
    mapping: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Where a field lies. Repeatable.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Also fetch from addresses of private networks.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read a feed to its end and show what is wrong with it.

    Example: grosz feed check https://buty.example/feed.xml
    """
    if form not in ("auto", "csv", "tsv", "xml", *DIALECTS):
        raise InputError(f"'{form}' is not a format", hint="auto, csv, tsv, xml, google, ceneo, yml or heureka")
    fields = dict(_pair(text) for text in mapping or [])
    if faults := check_mapping(fields):
        raise InputError("the mapping is not valid", faults=faults)
    options = ReadOptions(form, currency.upper(), encoding, item_element, fields)
    run, products = asyncio.run(_check(source, options, private=private))
    if as_json:
        print_json({"run": msgspec.to_builtins(run), "products": msgspec.to_builtins(products)})
    else:
        show_run(run, Console(), checked=True)
        _show_products(products, Console())
    if run.outcome is not RunOutcome.LOADED:
        raise typer.Exit(EXIT_REFUSED)


async def _check(source: str, options: ReadOptions, *, private: bool) -> tuple[Run, list[FeedProduct]]:
    if "://" in source:
        fetched = await FeedFetcher(allow_private=private).fetch(source, Validators())
        if fetched.file is None:
            raise FeedError("status", "the server says that nothing changed, but nothing was known")
        with fetched.file as file:
            return await check_feed(options, file, fetched.size, fetched.charset)
    path = Path(source)
    try:
        opened: IO[bytes] = path.open("rb")  # noqa: ASYNC230 - this process does nothing else
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}") from None
    with opened as file:
        return await check_feed(options, file, path.stat().st_size)  # noqa: ASYNC240 - as above


@app.command("report")
def report_command(
    feed_id: FeedArgument,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Show a feed's last run: counts, and a table of its faults.

    Example: grosz feed report 7
    """

    async def ask() -> None:
        async with open_products(url, key, data, config) as questions:
            report = await questions.report(feed_id)
        if as_json:
            print_json(msgspec.to_builtins(report))
            return
        console = Console()
        if report.progress is not None:
            console.print(
                f"loading now: {report.progress.stage}, {report.progress.products:,} products", highlight=False
            )
        if report.last is None:
            console.print("never loaded yet", highlight=False)
        else:
            show_run(report.last, console)

    asyncio.run(ask())


@app.command("refresh")
def refresh_command(
    feed_id: FeedArgument,
    force: ForceOption = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is loaded.")] = True,
    file: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Load this file instead.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Load a feed now.

    Example: grosz feed refresh 7
    """

    async def ask() -> Run | None:
        async with open_products(url, key, data, config) as questions:
            if file is not None:
                return await questions.upload(feed_id, file, force=force)
            before = (await questions.report(feed_id)).last
            await questions.refresh(feed_id, force=force)
            return await _wait(questions, feed_id, before) if wait else None

    run = asyncio.run(ask())
    if as_json:
        print_json({"feed_id": feed_id, "run": run})
    elif run is None:
        typer.echo(f"feed {feed_id} is loaded within a second; see `grosz feed report {feed_id}`")
    else:
        show_run(run, Console())
    if run is not None and run.outcome not in (RunOutcome.LOADED, RunOutcome.UNCHANGED):
        raise typer.Exit(EXIT_REFUSED)


async def _wait(questions: ProductQuestions, feed_id: int, before: Run | None) -> Run:
    """The next run of a feed. Shows how far it is; raises UnavailableError if none begins."""
    started = time.monotonic()
    with Console(stderr=True).status("waiting for a worker") as status:
        while time.monotonic() - started < WAIT_S:
            report = await questions.report(feed_id)
            if report.last is not None and (before is None or report.last.started_ms > before.started_ms):
                return report.last
            if report.progress is not None:
                now = report.progress
                status.update(f"{now.stage} {now.percent} %: {now.rows:,} rows, {now.products:,} products")
            elif time.monotonic() - started > 30:
                raise UnavailableError("no worker loads the feed", hint="is the worker role up?")
            await asyncio.sleep(POLL_S)
    raise ConflictError(f"feed {feed_id} is still being loaded", hint=f"see `grosz feed report {feed_id}`")


def show_run(run: Run, console: Console, *, checked: bool = False) -> None:
    """Print a run for people."""
    good = "can be loaded" if checked else run.outcome.value
    console.print(
        f"{good if run.outcome in (RunOutcome.LOADED, RunOutcome.UNCHANGED) else run.outcome.value}", style="bold"
    )
    if run.message:
        console.print(f"{run.message}" + (f" ({run.hint})" if run.hint else ""), highlight=False, markup=False)
    told = f"{run.encoding}, told by its bytes" if run.encoding_guessed else run.encoding
    console.print(
        f"{run.form or 'unknown form'}, {told or 'unknown encoding'}, {run.packing or 'plain'}: {run.rows:,} rows, "
        f"{run.read:,} products, {run.rows_refused:,} rows left out, {run.repeated:,} repeated",
        highlight=False,
        markup=False,
    )
    if not run.faults:
        return
    table = Table("effect", "field", "fault", "count", "line", "product", "value")
    for fault in run.faults:
        kind = KINDS[fault.code]
        for number, example in enumerate(fault.examples[:MAX_SHOWN_EXAMPLES]):
            first = (kind.effect.value, fault.field, f"{kind.text}: {kind.hint}", f"{fault.count:,}")
            cells = first if number == 0 else ("", "", "", "")
            table.add_row(*cells, str(example.line), Text(example.product_id), Text(example.value))
    console.print(table, markup=False)


def _show_products(products: list[FeedProduct], console: Console) -> None:
    if not products:
        return
    table = Table("id", "title", "price", "availability", "category", title="some of its products")
    for product in products:
        price = f"{product.price_micros / 1e6:.2f} {product.currency}"
        table.add_row(
            Text(product.id), Text(product.title), price, product.availability.name.lower(), Text(product.category)
        )
    console.print(table, markup=False)


def _pair(text: str) -> tuple[str, str]:
    field, equals, column = text.partition("=")
    if not equals or not column:
        raise InputError(f"'{text}' is not FIELD=COLUMN", hint="such as margin=custom_label_0")
    return field, column
