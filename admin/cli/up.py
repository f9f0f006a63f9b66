"""`grosz up`: everything on this machine, in the foreground."""

import enum
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from admin.cli.settings import ConfigFile, settings_for
from admin.roles.supervisor import ALL_ROLES, supervise
from core.config import METRICS_PORTS, Component, Settings

app = typer.Typer()

MAX_PORT = 65_535
METRICS_OFFSET = 1_000  # from a role's port to that of its metrics, as the defaults are

_PORT = {"min": 0, "max": MAX_PORT, "show_default": False}


class Seed(enum.StrEnum):
    """Catalogues that come with Grosz."""

    DEMO = "demo"


class LogFormat(enum.StrEnum):
    """What log lines are."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


@app.command()
def up(
    config: ConfigFile = None,
    data: Annotated[Path | None, typer.Option(help="Data directory; ./data by default.", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option(help="Bidder processes.", min=1, show_default=False)] = None,
    bid_port: Annotated[int | None, typer.Option(help="Port for bid requests [8080].", **_PORT)] = None,
    track_port: Annotated[int | None, typer.Option(help="Port of the public web side [8081].", **_PORT)] = None,
    admin_port: Annotated[int | None, typer.Option(help="Port of the private API [8082].", **_PORT)] = None,
    seed: Annotated[Seed | None, typer.Option(help="Catalogue to start an empty store with.")] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="Log lines: text on a terminal, otherwise JSON.", show_default=False)
    ] = None,
) -> None:
    """Run everything on this machine until a signal; prints one line when all roles can serve.

    At SIGHUP the settings are read again, and the roles are started anew with them, one process after the other.

    Examples: `grosz up --seed demo` to look around; `grosz up --data /var/lib/grosz --workers 4 --log-format json`.
    """

    def read() -> Settings:
        settings = settings_for(config)
        settings = _with(settings, "data", directory=str(data) if data is not None else None)
        metrics = {
            METRICS_PORTS[role]: _beside(port)
            for role, port in (("bidder", bid_port), ("tracker", track_port), ("admin", admin_port))
            if port is not None
        }
        settings = _with(settings, "bid", workers=workers, port=bid_port)
        settings = _with(settings, "track", port=track_port)
        settings = _with(settings, "admin", port=admin_port, seed=seed.value if seed is not None else None)
        chosen = log_format.value if log_format is not None else None
        settings = _with(settings, "telemetry", log_format=chosen, **metrics)
        if admin_port is not None:  # so that two of these on one machine need only the three ports that people call
            port = worker_port(admin_port, (settings.bid.port, settings.track.port))
            settings = _with(settings, "worker", port=port)
        return settings

    sys.exit(supervise(read(), roles=ALL_ROLES, environ=os.environ, announce=announce, read_again=read))


def _beside(port: int) -> int:
    """The port for metrics of a role that listens at `port`: as far from it as by default; 0 (any) beyond the last.

    So two installations on one machine need other values only for the three ports that people call.
    """
    return port + METRICS_OFFSET if 0 < port <= MAX_PORT - METRICS_OFFSET else 0


def worker_port(admin_port: int, others: Collection[int]) -> int:
    """The worker's port: the one after the chosen admin port; 0 (any) where another role has that, or it is no port."""
    port = admin_port + 1
    return 0 if not admin_port or port > MAX_PORT or port in others else port


def announce(line: str) -> None:
    """Print the line that says where all can be reached; on a terminal also what to do next."""
    if not sys.stdout.isatty():
        typer.echo(line)
        return
    places = dict(part.split("=", 1) for part in line.split()[1:])
    endpoint, kind = f"{places.get('bid', '')}/openrtb2/demo", "'Content-Type: application/json'"
    typer.secho(f"\n{line}\n", fg="green", bold=True)
    steps = (
        ("an administrator", "open the setup link above, or make one with `grosz setup-link`"),
        ("the API, to try", f"{places.get('admin', '')}/docs"),
        (
            "a first bid",
            f"curl -i {endpoint} -H {kind} -d @request.json",
        ),
        ("a load", "grosz loadtest run smoke"),
        ("why nothing bids", "grosz doctor"),
        ("the end", "Ctrl-C"),
    )
    for what, how in steps:
        typer.echo(f"  {what:<18}{how}")
    typer.echo()


def _with(settings: Settings, component: str, **options: object) -> Settings:
    """The settings with those options replaced that were given."""
    current: Component = getattr(settings, component)
    given = {name: value for name, value in options.items() if value is not None}
    return msgspec.structs.replace(settings, **{component: msgspec.structs.replace(current, **given)})
