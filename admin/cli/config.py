"""`grosz config`: what is in force, as the roles would see it."""

import msgspec
import typer

from admin.cli.options import JsonOption
from admin.cli.settings import ConfigFile, settings_for
from core.config import redacted

app = typer.Typer()


@app.command()
def show(
    as_json: JsonOption = True,  # noqa: ARG001 - it prints nothing else; asking for it is no error
    config: ConfigFile = None,
) -> None:
    """Show the settings in force as JSON, secrets masked; exit with 2 and all faults when they are not valid.

    Example: grosz config --config grosz.toml
    """
    typer.echo(msgspec.json.format(msgspec.json.encode(redacted(settings_for(config)))).decode())
