"""`grosz catalogue import|export`: everything that is configured, as one JSON file."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from admin.catalogue.file import Imported, export_bytes, import_bytes
from admin.cli.opening import DataOption, open_store
from admin.cli.options import JsonOption, print_json
from admin.cli.settings import ConfigFile
from admin.store.changes import CLI

app = typer.Typer(no_args_is_help=True, help="Import and export the whole catalogue as JSON.")


@app.command("import")
def import_command(
    file: Annotated[typer.FileBinaryRead, typer.Argument(metavar="FILE", help="JSON file; - for standard input.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Create and change the objects of FILE, all or none; every fault is reported with its JSON pointer.

    Example: grosz catalogue import catalogue.json
    """
    done = asyncio.run(_import(file.read(), config, data))
    if as_json:
        print_json({"created": done.created, "changed": done.changed, "unchanged": done.unchanged})
        return
    typer.echo(f"created {done.created}, changed {done.changed}, unchanged {done.unchanged}")


@app.command("export")
def export_command(
    file: Annotated[typer.FileBinaryWrite, typer.Argument(metavar="FILE", help="JSON file; - for standard output.")],
    data: DataOption = None,
    config: ConfigFile = None,
    secrets: Annotated[bool, typer.Option("--with-secrets", help="Include keys and tokens in the clear.")] = False,
) -> None:
    """Write everything that is not archived to FILE.

    Example: grosz catalogue export catalogue.json
    """
    file.write(asyncio.run(_export(config, data, secrets)))


async def _import(body: bytes, config: Path | None, data: Path | None) -> Imported:
    async with open_store(config, data, make=True) as store:
        return await import_bytes(store, body, CLI)


async def _export(config: Path | None, data: Path | None, secrets: bool) -> bytes:
    async with open_store(config, data) as store:
        return await export_bytes(store, reveal=secrets)
