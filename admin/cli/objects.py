"""`grosz line-item list|show|create|update|copy|pause|resume|archive`, and the same for every other kind.

With `--url` (or GROSZ_ADMIN_URL) and a key the commands go through the API; without, straight to the database of the
data directory, which works also while `grosz up` runs.
"""

import asyncio
import contextlib
import sys
import zoneinfo
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from admin.cli.assignments import is_day, moment_of, pair, plain_dates, read_document
from admin.cli.object_access import HttpObjects, Json, Objects, StoreObjects
from admin.cli.opening import DataOption, open_store
from admin.cli.settings import ConfigFile
from admin.store import kinds
from admin.store.kinds import Kind

# What a table shows of each kind beside id, name and status; everything else is in `show` and `--json`.
COLUMNS: dict[str, tuple[str, ...]] = {
    "advertisers": ("domain", "currency", "balance"),
    "campaigns": ("advertiser_id", "start", "end", "total_budget"),
    "line-items": ("advertiser_id", "campaign_id", "goal", "bid", "max_cpm", "daily_budget", "end"),
    "creatives": ("advertiser_id", "format", "width", "height", "landing_url"),
    "segments": ("advertiser_id", "rule"),
    "feeds": ("advertiser_id", "format", "refresh_s", "url"),
    "exchanges": ("key", "default_currency", "clearing", "billing_event"),
    "deals": ("exchange_id", "advertiser_id", "deal_id"),
    "api-keys": ("prefix", "scopes", "advertiser_ids", "expires", "last_used_at"),
}

# What may come first in a new installation. Everything else belongs to something that exists, a key to people's tools.
_FIRST = ("advertisers", "exchanges")

IdArgument = Annotated[int, typer.Argument(metavar="ID", min=1)]
UrlOption = Annotated[
    str, typer.Option("--url", envvar="GROSZ_ADMIN_URL", help="Admin API, such as http://127.0.0.1:8082.")
]
KeyOption = Annotated[str, typer.Option("--key", envvar="GROSZ_API_KEY", help="API key for --url.", show_envvar=True)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="A field, nested by dots: bid.amount=4.20. Repeatable."),
]
FileOption = Annotated[typer.FileBinaryRead | None, typer.Option("--file", help="JSON document; - for standard input.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, save nothing.")]


class _Reach:
    """How the objects are reached, from the common options."""

    def __init__(self, kind: Kind, url: str, key: str, data: Path | None, config: Path | None) -> None:
        self._kind, self._url, self._key, self._data, self._config = kind, url, key, data, config

    @contextlib.asynccontextmanager
    async def open(self, *, make: bool = False) -> AsyncIterator[tuple[Objects, Objects]]:
        """The objects of the kind, and the advertisers; `make`: the first one may begin a new installation."""
        if self._url:
            yield HttpObjects(self._url, self._key, self._kind.name), HttpObjects(self._url, self._key, "advertisers")
            return
        async with open_store(self._config, self._data, make=make and self._kind.name in _FIRST) as store:
            yield StoreObjects(store, self._kind.name), StoreObjects(store, "advertisers")

    def run(self, action: Callable[[Objects], Awaitable[Json]]) -> Json:
        async def call() -> Json:
            async with self.open() as (objects, _):
                return await action(objects)

        return asyncio.run(call())

    def write(
        self, document: Json, object_id: int | None, action: "Callable[[Objects, Json], Awaitable[Json]]"
    ) -> Json:
        """Run `action` with the document, its plain dates as moments of the advertiser's time zone."""

        async def call() -> Json:
            async with self.open(make=object_id is None) as (objects, advertisers):
                dates = plain_dates(self._kind.document, document)
                if dates:
                    owners = document if object_id is None else {**(await objects.show(object_id)), **document}
                    zone = await _zone(owners, advertisers)
                    return await action(objects, document | {one: moment_of(one, document[one], zone) for one in dates})
                return await action(objects, document)

        return asyncio.run(call())

    def page(self, query: list[tuple[str, str]]) -> Json:
        """A page of a list; plain dates are days of the advertiser that the list is filtered by."""

        async def call() -> Json:
            async with self.open() as (objects, advertisers):
                if any(is_day(value) for _, value in query) and "advertiser_id" in dict(query):
                    zone = await _zone({"advertiser_id": dict(query)["advertiser_id"]}, advertisers)
                    dated = [(name, moment_of(name, text, zone) if is_day(text) else text) for name, text in query]
                    return await objects.page(dated)
                return await objects.page(query)

        return asyncio.run(call())


async def _zone(document: Json, advertisers: Objects) -> zoneinfo.ZoneInfo:
    """The time zone of the document's only advertiser; UTC where it has none, or several."""
    owners = [document["advertiser_id"]] if "advertiser_id" in document else document.get("advertiser_ids") or []
    number = str(owners[0]) if len(owners) == 1 else ""
    if not (number.isascii() and number.isdigit()):
        return zoneinfo.ZoneInfo("UTC")
    return zoneinfo.ZoneInfo(str((await advertisers.show(int(number)))["timezone"]))


def commands_for(kind: Kind) -> typer.Typer:
    """The command family of a kind."""
    app = typer.Typer(no_args_is_help=True, help=f"Work with {kind.title}s.", rich_markup_mode=None)
    _add_reading_commands(app, kind)
    _add_writing_commands(app, kind)
    for name in ("pause", "resume", "archive"):
        _add_status_command(app, kind, name)
    return app


def _add_reading_commands(app: typer.Typer, kind: Kind) -> None:
    @app.command("list")
    def list_command(
        filters: Annotated[
            list[str] | None,
            typer.Argument(metavar="[FIELD=VALUE]...", help="Filters, such as status=active bid.min=2."),
        ] = None,
        sort: Annotated[str, typer.Option(help="Field; a minus before it sorts downwards.")] = "id",
        limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
        as_json: JsonOption = False,
        url: UrlOption = "",
        key: KeyOption = "",
        data: DataOption = None,
        config: ConfigFile = None,
    ) -> None:
        query = [("sort", sort), ("limit", str(limit)), *(pair(text) for text in filters or [])]
        page = _Reach(kind, url, key, data, config).page(query)
        _print_page(kind, page, as_json=as_json)

    @app.command("show")
    def show_command(
        object_id: IdArgument,
        as_json: JsonOption = False,
        url: UrlOption = "",
        key: KeyOption = "",
        data: DataOption = None,
        config: ConfigFile = None,
    ) -> None:
        shown = _Reach(kind, url, key, data, config).run(lambda objects: objects.show(object_id))
        _print_object(shown, as_json=as_json)


def _add_writing_commands(app: typer.Typer, kind: Kind) -> None:
    @app.command("create")
    def create_command(
        fields: SetOption = None,
        file: FileOption = None,
        dry_run: DryRunOption = False,
        as_json: JsonOption = False,
        url: UrlOption = "",
        key: KeyOption = "",
        data: DataOption = None,
        config: ConfigFile = None,
    ) -> None:
        document = _document(kind, fields, file)
        made = _Reach(kind, url, key, data, config).write(
            document, None, lambda objects, dated: objects.create(dated, dry_run=dry_run)
        )
        _print_object(made, as_json=as_json)

    @app.command("update")
    def update_command(
        object_id: IdArgument,
        fields: SetOption = None,
        file: FileOption = None,
        dry_run: DryRunOption = False,
        as_json: JsonOption = False,
        url: UrlOption = "",
        key: KeyOption = "",
        data: DataOption = None,
        config: ConfigFile = None,
    ) -> None:
        patch = _document(kind, fields, file)
        changed = _Reach(kind, url, key, data, config).write(
            patch, object_id, lambda objects, dated: objects.update(object_id, dated, dry_run=dry_run)
        )
        _print_object(changed, as_json=as_json)

    @app.command("copy")
    def copy_command(
        object_id: IdArgument,
        fields: SetOption = None,
        file: FileOption = None,
        as_json: JsonOption = False,
        url: UrlOption = "",
        key: KeyOption = "",
        data: DataOption = None,
        config: ConfigFile = None,
    ) -> None:
        changes = _document(kind, fields, file)
        made = _Reach(kind, url, key, data, config).write(
            changes, object_id, lambda objects, dated: objects.copy(object_id, dated)
        )
        _print_object(made, as_json=as_json)


def _add_status_command(app: typer.Typer, kind: Kind, name: str) -> None:
    @app.command(name)
    def status_command(
        object_id: IdArgument,
        as_json: JsonOption = False,
        url: UrlOption = "",
        key: KeyOption = "",
        data: DataOption = None,
        config: ConfigFile = None,
    ) -> None:
        changed = _Reach(kind, url, key, data, config).run(lambda objects: objects.set_status(object_id, name))
        if as_json:
            _print_object(changed, as_json=True)
        else:
            typer.echo(f"{kind.title} {object_id} is {changed['status']}")


def _document(kind: Kind, fields: list[str] | None, file: typer.FileBinaryRead | None) -> Json:
    return read_document(kind.document, fields or [], None if file is None else file.read())


def _print_page(kind: Kind, page: Json, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(page)) + b"\n")
        return
    table = Table("id", "name", "status", *COLUMNS.get(kind.name, ()))
    for item in page["items"]:
        cells = [item.get("name", ""), item["status"], *(item.get(name) for name in COLUMNS.get(kind.name, ()))]
        table.add_row(str(item["id"]), *(_cell(cell) for cell in cells))
    console = Console()
    console.print(table)
    if page["next"] is not None:
        console.print(f"there are more: add cursor={page['next']}, or a filter")


def _print_object(value: Json, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value)) + b"\n")
        return
    table = Table("field", "value")
    for name, field in value.items():
        if name not in ("warnings", "secret") and field not in ("", None, [], {}):
            table.add_row(name, _cell(field))
    Console().print(table)
    if "secret" in value:
        typer.echo(f"secret, shown this once: {value['secret']}")
    for warning in value.get("warnings", []):
        hint = f" ({warning['hint']})" if warning.get("hint") else ""
        typer.echo(f"warning {warning['pointer']}: {warning['message']}{hint}", err=True)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case {"amount": str(amount), "currency": currency}:
            return f"{amount} {currency}"
        case dict():
            return ", ".join(f"{name} {_cell(one)}" for name, one in value.items() if one not in ("", None, [], {}))
        case list():
            return ", ".join(_cell(one) for one in value)
        case _:
            return str(value)


advertiser = commands_for(kinds.ADVERTISERS)
campaign = commands_for(kinds.CAMPAIGNS)
line_item = commands_for(kinds.LINE_ITEMS)
creative = commands_for(kinds.CREATIVES)
segment = commands_for(kinds.SEGMENTS)
exchange = commands_for(kinds.EXCHANGES)
deal = commands_for(kinds.DEALS)
key = commands_for(kinds.API_KEYS)
