"""`grosz setup-link`: a way in for whoever has the machine, at the start or after a lost password."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from admin.cli.opening import DataOption, data_directory, open_store
from admin.cli.options import JsonOption, print_json
from admin.cli.settings import ConfigFile, settings_for
from admin.roles.local_state import read_endpoints, setup_url
from admin.store.accounts import AccountStore
from core.clock import SystemClock
from core.errors import InputError

app = typer.Typer()

# Not from GROSZ_ADMIN_URL: on the machine itself the command must work with that set for the other commands.
AddressOption = Annotated[str, typer.Option("--url", help="Refused: the link is made on the machine itself.")]


@app.command()
def setup_link(
    as_json: JsonOption = False, url: AddressOption = "", data: DataOption = None, config: ConfigFile = None
) -> None:
    """Print a link that makes one administrator; it works once, for a day, and ends the links before it.

    Example: grosz setup-link
    """
    if url:
        # Whoever held an administrator's key for a minute would otherwise have a way in that outlives the key.
        hint = "run it on that machine; with a key of an administrator, `grosz people create --url` adds people"
        raise InputError("a set-up link is for whoever has the machine: no API gives one", hint=hint)
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
