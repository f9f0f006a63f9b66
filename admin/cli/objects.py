"""`grosz line-item list|show|create|update|copy|pause|resume|archive`, and the same for every other kind.

With `--url` (or GROSZ_ADMIN_URL) and a key the commands go through the API; without, straight to the database of the
data directory, which works also while `grosz up` runs.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from admin.api.schemas import patch_type
from admin.cli.object_access import HttpObjects, Json, Objects, StoreObjects
from admin.cli.opening import DataOption, open_store
from admin.cli.settings import ConfigFile
from admin.store import kinds
from admin.store.kinds import Kind
from core.errors import InputError

# What a table shows of each kind beside id, name and status; everything else is in `show` and `--json`.
COLUMNS: dict[str, tuple[str, ...]] = {
    "advertisers": ("domain", "currency", "balance"),
    "campaigns": ("advertiser_id", "start", "end", "total_budget"),
    "line-items": ("advertiser_id", "campaign_id", "goal", "bid", "max_cpm", "daily_budget", "end"),
    "creatives": ("advertiser_id", "format", "width", "height", "landing_url"),
    "segments": ("advertiser_id", "rule"),
    "exchanges": ("key", "default_currency", "clearing", "billing_event"),
    "deals": ("exchange_id", "advertiser_id", "deal_id"),
    "api-keys": ("prefix", "scopes", "advertiser_ids", "expires", "last_used_at"),
}

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
    async def open(self) -> AsyncIterator[Objects]:
        if self._url:
            yield HttpObjects(self._url, self._key, self._kind.name)
            return
        async with open_store(self._config, self._data) as store:
            yield StoreObjects(store, self._kind.name)

    def run(self, action: Callable[[Objects], Awaitable[Json]]) -> Json:
        async def call() -> Json:
            async with self.open() as objects:
                return await action(objects)

        return asyncio.run(call())


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
        query = [("sort", sort), ("limit", str(limit)), *(_pair(text) for text in filters or [])]
        page = _Reach(kind, url, key, data, config).run(lambda objects: objects.page(query))
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
        made = _Reach(kind, url, key, data, config).run(lambda objects: objects.create(document, dry_run=dry_run))
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
        changed = _Reach(kind, url, key, data, config).run(
            lambda objects: objects.update(object_id, patch, dry_run=dry_run)
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
        made = _Reach(kind, url, key, data, config).run(lambda objects: objects.copy(object_id, changes))
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


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise InputError(f"'{text}' is not FIELD=VALUE", hint="for example status=active")
    return name, value


def _document(kind: Kind, fields: list[str] | None, file: typer.FileBinaryRead | None) -> Json:
    """The document of --file with the fields of --set over it, typed as the kind's documents are."""
    document: Json = {}
    if file is not None:
        try:
            document = msgspec.json.decode(file.read(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise InputError("the file is not a JSON object", hint=str(error)) from None
    for text in fields or []:
        name, value = _pair(text)
        *parents, last = name.split(".")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise InputError(f"'{name}' lies inside of a value that is no object")
        place[last] = msgspec.json.decode(value) if value[:1] in ("[", "{") or value == "null" else value
    wanted = {field.name: field.type for field in msgspec.structs.fields(patch_type(kind.document))}
    return {name: _typed(value, wanted.get(name, Any)) for name, value in document.items()}


def _typed(value: Any, wanted: Any) -> Any:  # noqa: ANN401 - a field and its type
    """A field's text as its type has it; as it is when that does not fit, so that the check of the whole says why."""
    try:
        return msgspec.to_builtins(msgspec.convert(value, wanted, strict=False))
    except msgspec.ValidationError:
        return value


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
