"""`grosz setup-link`: a way in for whoever has the machine, at the start or after a lost password."""

import asyncio
from pathlib import Path

import typer

from admin.cli.opening import DataOption, data_directory, open_store
from admin.cli.options import JsonOption, print_json
from admin.cli.settings import ConfigFile, settings_for
from admin.roles.local_state import read_endpoints, setup_url
from admin.store.accounts import AccountStore
from core.clock import SystemClock

app = typer.Typer()


@app.command()
def setup_link(as_json: JsonOption = False, data: DataOption = None, config: ConfigFile = None) -> None:
    """Print a link that makes one administrator; it works once, for a day, and ends the links before it.

    Example: grosz setup-link
    """
    token = asyncio.run(_make(data, config))
    settings = settings_for(config)
    # `grosz up` may have had other settings than this shell has, such as those of a systemd unit.
    running_at = "" if settings.admin.database_url else read_endpoints(data_directory(settings, data)).get("admin", "")
    link = setup_url(settings.admin, token, running_at)
    if as_json:
        print_json({"link": link})
    else:
        typer.echo(link)


async def _make(data: Path | None, config: Path | None) -> str:
    async with open_store(config, data) as store:
        return await AccountStore(store.database, SystemClock()).make_setup_link()
