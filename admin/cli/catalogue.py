"""`grosz catalogue import|export`: everything that is configured, as one JSON file."""

import asyncio
import codecs
import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from admin.catalogue.file import Imported, export_bytes, import_bytes
from admin.cli.object_access import Json, call_api
from admin.cli.opening import DataOption, data_directory, has_database_file, open_database, open_store
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.settings import ConfigFile, settings_for
from admin.store.catalogue import CatalogueStore
from admin.store.changes import CLI
from admin.store.migrate import migrate
from core.clock import SystemClock
from core.config import Settings
from core.errors import CatalogueError, InputError

app = typer.Typer(no_args_is_help=True, help="Import and export the whole catalogue as JSON.")


@app.command("import")
def import_command(
    file: Annotated[typer.FileBinaryRead, typer.Argument(metavar="FILE", help="JSON file; - for standard input.")],
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Create and change the objects of FILE, all or none; every fault is reported with its JSON pointer.

    Example: grosz catalogue import catalogue.json
    """
    if url:
        done = msgspec.convert(_send(file.read(), url, key), Imported)
    else:
        done = asyncio.run(_import(file.read(), config, data))
    if as_json:
        print_json(done)
        return
    typer.echo(f"created {done.created}, changed {done.changed}, unchanged {done.unchanged}")


@app.command("export")
def export_command(
    file: Annotated[typer.FileBinaryWrite, typer.Argument(metavar="FILE", help="JSON file; - for standard output.")],
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
    secrets: Annotated[bool, typer.Option("--with-secrets", help="Include keys and tokens in the clear.")] = False,
) -> None:
    """Write everything that is not archived to FILE.

    Example: grosz catalogue export catalogue.json
    """
    if not url:
        file.write(asyncio.run(_export(config, data, secrets)))
        return
    if secrets:
        hint = "leave --with-secrets out, or use --data DIR on the machine of the database"
        raise InputError("the API never shows keys and tokens", hint=hint)
    found = call_api("GET", f"{url.rstrip('/')}/v1/catalogue/export", key, long=True)
    file.write(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")


def _send(body: bytes, url: str, key: str) -> Json:
    try:
        document = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CatalogueError("the file is not a catalogue in JSON", hint=str(error)) from None
    return call_api("POST", f"{url.rstrip('/')}/v1/catalogue/import", key, document, long=True)


async def _import(body: bytes, config: Path | None, data: Path | None) -> Imported:
    settings = settings_for(config)
    if not settings.admin.database_url and not has_database_file(data_directory(settings, data)):
        await _rehearse(settings, body)  # a file with faults makes no new Grosz
    async with open_store(config, data, make=True) as store:
        return await import_bytes(store, body, CLI)


async def _rehearse(settings: Settings, body: bytes) -> None:
    """Raises CatalogueError for a file that would not be taken, also where its objects name missing ones."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(settings, Path(folder))
        try:
            await migrate(database)
            await import_bytes(CatalogueStore(database, SystemClock()), body, CLI)
        finally:
            await database.close()


async def _export(config: Path | None, data: Path | None, secrets: bool) -> bytes:
    async with open_store(config, data) as store:
        return await export_bytes(store, reveal=secrets)
