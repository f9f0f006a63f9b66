"""`grosz migrate`: the schema of the database, up (as every start does) or down."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from admin.cli.opening import DataOption, open_database
from admin.cli.options import JsonOption, print_json
from admin.cli.settings import ConfigFile, settings_for
from admin.store.migrate import migrate, require_known

app = typer.Typer()


@app.command()
def migrate_command(
    target: Annotated[str, typer.Argument(help="Schema version, `head` (newest) or `base` (empty database).")] = "head",
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Bring the database's schema to TARGET. Going down drops what the older version does not have.

    Example: grosz migrate
    """
    before, after = asyncio.run(_migrate(target, config, data))
    if as_json:
        print_json({"before": before, "after": after})
        return
    typer.echo(f"schema {before or 'empty'} -> {after or 'empty'}")


async def _migrate(target: str, config: Path | None, data: Path | None) -> tuple[str | None, str | None]:
    require_known(target)  # before a directory is made for it
    settings = settings_for(config)
    if not settings.admin.database_url:
        (data or Path(settings.data.directory)).mkdir(parents=True, exist_ok=True, mode=0o700)
    database = open_database(settings, data)
    try:
        return await migrate(database, target)
    finally:
        await database.close()
