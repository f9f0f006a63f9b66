"""`grosz backup` and `grosz restore`: a running installation into a folder, and a folder into a new installation."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from admin.backup.backup import Installation, back_up, copy_keys
from admin.backup.restore import RestoreTarget, restore
from admin.cli.opening import DataOption, data_directory, has_database_file, open_database, require_installation
from admin.cli.options import JsonOption, print_json
from admin.cli.settings import ConfigFile, settings_for
from admin.roles.local_state import media_store
from core.clock import SystemClock
from core.errors import ConfigError, ConflictError
from core.redis.embedded import EmbeddedServer
from core.redis.url import parse_redis_url

backup = typer.Typer()
restored = typer.Typer()

EXIT_DIFFERENCES = 1


@backup.command("backup")
def backup_command(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of backups; each is a folder in it.")],
    keys: Annotated[
        Path | None, typer.Option(help="Also copy the keys, into this folder: keep it apart from the backups.")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Back up Redis, the database, media and journal while everything runs; the keys only where --keys says.

    Example: grosz backup /backups --keys /safe/keys
    """
    settings = settings_for(config)
    require_installation(settings, data)
    directory = data_directory(settings, data).absolute()
    if settings.redis.cluster:
        raise ConfigError(
            "a cluster has a snapshot for each of its primaries", hint="take them on its nodes: docs/operate.md"
        )
    url = settings.redis.url or EmbeddedServer(directory).url
    address = parse_redis_url(url, username=settings.redis.username, password=settings.redis.password)

    media = media_store(settings, directory)

    async def run() -> Path:
        database = open_database(settings, data)
        try:
            return await back_up(
                Installation(address, database, directory, media.copy_into), target, SystemClock().now_ms()
            )
        finally:
            await database.close()

    made = asyncio.run(run())
    copied = list(copy_keys(directory, keys)) if keys is not None else []
    if as_json:
        print_json({"backup": str(made), "keys": copied})
        return
    typer.echo(f"backed up to {made}")
    if keys is None:
        typer.echo("the keys are not in it: --keys DIR copies them apart", err=True)
    else:
        typer.echo(f"keys: {', '.join(copied) or 'none in the data directory'}, in {keys}")
        if settings.money.token_keys:
            typer.echo(
                "the keys in force are money.token_keys of the settings, which are not copied: keep them, too", err=True
            )


@restored.command("restore")
def restore_command(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="A backup, or a folder of them: the newest.")],
    keys: Annotated[Path | None, typer.Option(help="Folder of the keys that were copied apart.")] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Bring a backup back into a new data directory, and audit the money; exits with 1 on any difference.

    Example: grosz restore /backups --keys /safe/keys --data /var/lib/grosz
    """
    settings = settings_for(config)
    directory = data_directory(settings, data).absolute()
    if settings.redis.url:
        raise ConfigError(
            "only an embedded Redis is restored here", hint="give the snapshot to your server: docs/operate.md"
        )
    if not settings.admin.database_url and has_database_file(directory):
        raise ConflictError(f"{directory} has data already", hint="restore into a directory of its own with --data")
    program = Path(settings.redis.program) if settings.redis.program else None

    async def run() -> tuple[Path, int]:
        database = open_database(settings, data)
        try:
            return await restore(source, RestoreTarget(directory, database, keys, program))
        finally:
            await database.close()

    used, differences = asyncio.run(run())
    if as_json:
        print_json({"backup": str(used), "directory": str(directory), "differences": differences})
    else:
        typer.echo(f"restored {used} into {directory}; the audit finds {differences} differences")
    if keys is None:
        typer.echo("without --keys new ones are made: notices of bids that were out are refused", err=True)
    if differences:
        raise typer.Exit(EXIT_DIFFERENCES)
