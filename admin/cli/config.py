"""`grosz config`: what is in force, as the roles would see it."""

import msgspec
import typer

from admin.cli.settings import ConfigFile, settings_for
from core.config import redacted

app = typer.Typer()


@app.command()
def show(config: ConfigFile = None) -> None:
    """Show the settings in force as JSON, secrets masked; exit with 2 and all faults when they are not valid."""
    typer.echo(msgspec.json.format(msgspec.json.encode(redacted(settings_for(config)))).decode())
