"""`grosz line-item list|show|create|update|copy|pause|resume|archive`, and the same for every other kind.

With `--url` (or GROSZ_ADMIN_URL) and a key the commands go through the API; without, straight to the database of the
data directory, which works also while `grosz up` runs.
"""

import asyncio
import contextlib
import shlex
import zoneinfo
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from admin.cli.assignments import is_day, moment_of, pair, plain_dates, read_document
from admin.cli.completion import fields_of, ids_of
from admin.cli.object_access import HttpObjects, Json, Objects, StoreObjects
from admin.cli.opening import DataOption, open_store
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.plain import plain
from admin.cli.settings import ConfigFile
from admin.store import kinds
from admin.store.kinds import ObjectKind

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
    "lists": ("advertiser_id", "kind"),
    "webhooks": ("advertiser_id", "url", "mail"),
    "conversions": ("advertiser_id", "event", "click_window_s", "view_window_s"),
    "users": ("email", "scopes", "advertiser_ids"),
    "api-keys": ("prefix", "scopes", "advertiser_ids", "expires", "last_used_at"),
}

# Kinds whose first object may begin a new installation. Every other object belongs to one that exists.
_FIRST = ("advertisers", "exchanges")

FileOption = Annotated[typer.FileBinaryRead | None, typer.Option("--file", help="JSON document; - for standard input.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, save nothing.")]


class _Reach:
    """How the objects are reached, from the common options."""

    def __init__(self, kind: ObjectKind, url: str, key: str, data: Path | None, config: Path | None) -> None:
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


class _Told(NamedTuple):
    """What help says of a kind: its command's name, something to create, to change, and to filter by."""

    kind: str
    command: str
    fields: str
    change: str
    filters: str = "advertiser_id=1"


_TOLD = {
    told.kind: told
    for told in (
        _Told("advertisers", "advertiser", "name=Szpilka domain=buty.example", "balance.amount=500", "name=Szpilka"),
        _Told("campaigns", "campaign", "advertiser_id=1 name=Autumn start=2026-09-01", "end=2026-11-30"),
        _Told(
            "line-items", "line-item", "advertiser_id=1 campaign_id=1 name=Carts bid.amount=4.20 max_cpm.amount=12",
            "targeting.countries=POL,DEU", "status=active bid.min=2",
        ),
        _Told("creatives", "creative", "advertiser_id=1 name=Red width=300 height=250", "name=Blue", "width=300"),
        _Told("segments", "segment", "advertiser_id=1 name=Buyers 'rule=purchases.count > 0'", "name=Customers"),
        _Told("exchanges", "exchange", "key=ssp default_currency=EUR", "sync_url=https://...", "clearing=reported"),
        _Told("deals", "deal", "exchange_id=1 deal_id=D-1 advertiser_id=1", "status=paused", "exchange_id=1"),
        _Told("lists", "list", "name=MFA kind=domains values=mfa.example", "values=spam.example", "kind=domains"),
        _Told("webhooks", "webhook", "advertiser_id=1 name=Mail url=https://mail.example/hook", "secret=..."),
        _Told("feeds", "feed", "advertiser_id=1 name=Shoes url=https://buty.example/feed.xml", "refresh_s=3600"),
        _Told("conversions", "conversion", "advertiser_id=1 name=Orders event=purchase", "view_window_s=3600"),
        _Told("users", "people", "email=jan@example.pl name=Jan scopes=read password=-", "scopes=read", "name=Jan"),
        _Told("api-keys", "key", "name=Tills scopes=trade", "expires=2026-12-31", "status=active"),
    )
}  # fmt: skip


def commands_for(kind: ObjectKind) -> typer.Typer:
    """The command family of a kind."""
    told = _TOLD[kind.name]
    app = typer.Typer(
        no_args_is_help=True,
        help=f"Work with {kind.title}s, on this machine or by --url.",
        rich_markup_mode=None,
        epilog=f"Example: grosz {told.command} list {told.filters}",
    )
    _add_reading_commands(app, kind, told)
    _add_writing_commands(app, kind, told)
    _add_copying_command(app, kind, told)
    for name in ("pause", "resume", "archive"):
        _add_status_command(app, kind, name, told)
    return app


def _id_argument(kind: ObjectKind) -> Any:  # noqa: ANN401 - what typer takes as a default
    return typer.Argument(metavar="ID", min=1, help=f"Number of the {kind.title}.", autocompletion=ids_of(kind))


def _set_option(kind: ObjectKind) -> Any:  # noqa: ANN401 - as above
    return typer.Option(
        "--set", metavar="FIELD=VALUE", help="A field, nested by dots: bid.amount=4.20. Repeatable.",
        autocompletion=fields_of(kind.document),
    )  # fmt: skip


def _sets(fields: str) -> str:
    return " ".join(f"--set {field}" for field in shlex.split(fields, posix=False))


def _add_reading_commands(app: typer.Typer, kind: ObjectKind, told: _Told) -> None:
    @app.command(
        "list",
        help=f"Show {kind.title}s in a table, filtered and sorted.",
        epilog=f"Example: grosz {told.command} list {told.filters} --sort -id --json",
    )
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

    @app.command("show", help=f"Show all fields of one {kind.title}.", epilog=f"Example: grosz {told.command} show 7")
    def show_command(
        object_id: Annotated[int, _id_argument(kind)],
        as_json: JsonOption = False,
        url: UrlOption = "",
        key: KeyOption = "",
        data: DataOption = None,
        config: ConfigFile = None,
    ) -> None:
        shown = _Reach(kind, url, key, data, config).run(lambda objects: objects.show(object_id))
        _print_object(shown, as_json=as_json)


def _add_writing_commands(app: typer.Typer, kind: ObjectKind, told: _Told) -> None:
    @app.command(
        "create",
        help=f"Create one {kind.title} from fields, a JSON file, or both.",
        epilog=f"Example: grosz {told.command} create {_sets(told.fields)}",
    )
    def create_command(
        fields: Annotated[list[str] | None, _set_option(kind)] = None,
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

    @app.command(
        "update",
        help=f"Change fields of one {kind.title}; FIELD=null goes back to the default.",
        epilog=f"Example: grosz {told.command} update 7 {_sets(told.change)} --dry-run",
    )
    def update_command(
        object_id: Annotated[int, _id_argument(kind)],
        fields: Annotated[list[str] | None, _set_option(kind)] = None,
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


def _add_copying_command(app: typer.Typer, kind: ObjectKind, told: _Told) -> None:
    @app.command(
        "copy",
        help=f"Copy one {kind.title}, with other fields where given; the copy of what bids is paused.",
        epilog=f"Example: grosz {told.command} copy 7 --set name=Second",
    )
    def copy_command(
        object_id: Annotated[int, _id_argument(kind)],
        fields: Annotated[list[str] | None, _set_option(kind)] = None,
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


_STATUS_HELP = {
    "pause": "Stop one {} until it is resumed.",
    "resume": "Let one {} work again.",
    "archive": "End one {} for good; what it did stays in the books.",
}


def _add_status_command(app: typer.Typer, kind: ObjectKind, name: str, told: _Told) -> None:
    @app.command(name, help=_STATUS_HELP[name].format(kind.title), epilog=f"Example: grosz {told.command} {name} 7")
    def status_command(
        object_id: Annotated[int, _id_argument(kind)],
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


def _document(kind: ObjectKind, fields: list[str] | None, file: typer.FileBinaryRead | None) -> Json:
    document = read_document(kind.document, fields or [], None if file is None else file.read())
    if document.get("password") == "-":  # typed unseen, and in no shell's history
        document["password"] = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return document


def _print_page(kind: ObjectKind, page: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(page)
        return
    table = Table("id", "name", "status", *COLUMNS.get(kind.name, ()))
    for item in page["items"]:
        cells = [item.get("name", ""), item["status"], *(item.get(name) for name in COLUMNS.get(kind.name, ()))]
        table.add_row(str(item["id"]), *map(_shown, cells))
    console = Console()
    console.print(table)
    if page["next"] is not None:
        console.print(f"there are more: add cursor={page['next']}, or a filter")


def _print_object(value: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(value)
        return
    table = Table("field", "value")
    for name, field in value.items():
        if name not in ("warnings", "secret") and field not in ("", None, [], {}):
            table.add_row(name, _shown(field))
    Console().print(table)
    if "secret" in value:
        typer.echo(f"secret, shown this once: {value['secret']}")
    for warning in value.get("warnings", []):
        hint = f" ({warning['hint']})" if warning.get("hint") else ""
        typer.echo(f"warning {warning['pointer']}: {warning['message']}{hint}", err=True)


def _shown(value: object) -> str:
    """A cell as it is written: `[/b]` in a name is no markup of the table."""
    return escape("\n".join(map(plain, _cell(value).split("\n"))))


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
inventory_list = commands_for(kinds.LISTS)
webhook = commands_for(kinds.WEBHOOKS)
conversion = commands_for(kinds.CONVERSIONS)
people = commands_for(kinds.USERS)
key = commands_for(kinds.API_KEYS)
