"""`grosz up`: everything on this machine, in the foreground."""

import enum
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from admin.cli.settings import ConfigFile, settings_for
from admin.roles.supervisor import ALL_ROLES, supervise
from core.config import Component, Settings

app = typer.Typer()

_PORT = {"min": 0, "max": 65_535, "show_default": False}


class Seed(enum.StrEnum):
    """Catalogues that come with Grosz."""

    DEMO = "demo"


@app.command()
def up(
    config: ConfigFile = None,
    data: Annotated[Path | None, typer.Option(help="Data directory; ./data by default.", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option(help="Bidder processes.", min=1, show_default=False)] = None,
    bid_port: Annotated[int | None, typer.Option(help="Port for bid requests [8080].", **_PORT)] = None,
    track_port: Annotated[int | None, typer.Option(help="Port of the public web side [8081].", **_PORT)] = None,
    admin_port: Annotated[int | None, typer.Option(help="Port of the private API [8082].", **_PORT)] = None,
    seed: Annotated[Seed | None, typer.Option(help="Catalogue to start an empty store with.")] = None,
) -> None:
    """Run everything on this machine until a signal; prints one line when all roles can serve."""
    settings = settings_for(config)
    settings = _with(settings, "data", directory=str(data) if data is not None else None)
    settings = _with(settings, "bid", workers=workers, port=bid_port)
    settings = _with(settings, "track", port=track_port)
    settings = _with(settings, "admin", port=admin_port, seed=seed.value if seed is not None else None)
    if admin_port is not None:  # so that two of these on one machine need only the three ports that people call
        settings = _with(settings, "worker", port=admin_port + 1 if admin_port else 0)
    sys.exit(supervise(settings, roles=ALL_ROLES, environ=os.environ, announce=typer.echo))


def _with(settings: Settings, component: str, **options: object) -> Settings:
    """The settings with those options replaced that were given."""
    current: Component = getattr(settings, component)
    given = {name: value for name, value in options.items() if value is not None}
    return msgspec.structs.replace(settings, **{component: msgspec.structs.replace(current, **given)})
