"""`grosz bidder|tracker|worker|admin`: one role each, for one container each."""

import importlib
import os
import sys

import typer

from admin.cli.settings import ConfigFile, settings_for
from core.collector import building_what_lives_long
from core.config import Settings
from core.errors import ConfigError
from core.processes import READY_PIPE

bidder = typer.Typer()
tracker = typer.Typer()
worker = typer.Typer()
admin = typer.Typer()


def _run(role: str, settings: Settings) -> None:
    if not settings.redis.url:
        raise ConfigError("no Redis is set", hint="set GROSZ_REDIS_URL, or use `grosz up`, which starts one")
    # Imported here: only the role's own composition root, so that a bidder's memory holds no admin code. Collecting
    # meanwhile takes an eighth of the time, and modules stay anyway.
    with building_what_lives_long():
        from admin.roles import lifecycle

        build: lifecycle.Build = importlib.import_module(f"admin.roles.{role}").build
    sys.exit(lifecycle.run(role, build, settings, os.environ))


def _run_several(role: str, settings: Settings, processes: int) -> None:
    if processes == 1 or READY_PIPE in os.environ:
        _run(role, settings)
    from admin.roles.supervisor import supervise

    if not settings.redis.url or not settings.money.token_keys:
        raise ConfigError(
            f"several {role} processes need redis.url and money.token_keys",
            hint="bidders and trackers must agree on them",
        )
    sys.exit(supervise(settings, roles=(role,), environ=os.environ, announce=typer.echo))


@bidder.command()
def run_bidder(config: ConfigFile = None) -> None:
    """Answer bid requests, in as many processes as bid.workers says.

    Example: GROSZ_REDIS_URL=redis://10.0.0.5:6379 grosz bidder
    """
    settings = settings_for(config)
    _run_several("bidder", settings, settings.bid.workers)


@tracker.command()
def run_tracker(config: ConfigFile = None) -> None:
    """Serve notices, impressions, clicks, shop events and cookie sync, in as many processes as track.workers says.

    Example: GROSZ_REDIS_URL=redis://10.0.0.5:6379 grosz tracker
    """
    settings = settings_for(config)
    _run_several("tracker", settings, settings.track.workers)


@worker.command()
def run_worker(config: ConfigFile = None) -> None:
    """Run the background loops.

    Example: GROSZ_REDIS_URL=redis://10.0.0.5:6379 grosz worker
    """
    _run("worker", settings_for(config))


@admin.command()
def run_admin(config: ConfigFile = None) -> None:
    """Serve the private API.

    Example: GROSZ_REDIS_URL=redis://10.0.0.5:6379 grosz admin
    """
    _run("admin", settings_for(config))
