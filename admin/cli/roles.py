"""`grosz bidder|tracker|worker|admin`: one role each, for one container each."""

import importlib
import os
import sys

import typer

from admin.cli.settings import ConfigFile, settings_for
from core.config import Settings
from core.errors import ConfigError
from core.processes import READY_PIPE

bidder = typer.Typer()
tracker = typer.Typer()
worker = typer.Typer()
admin = typer.Typer()


def _run(role: str, settings: Settings) -> None:
    # Imported here: only the role's own composition root, so that a bidder's memory holds no admin code.
    from admin.roles import lifecycle

    if not settings.redis.url:
        raise ConfigError("no Redis is set", hint="set GROSZ_REDIS_URL, or use `grosz up`, which starts one")
    build: lifecycle.Build = importlib.import_module(f"admin.roles.{role}").build
    sys.exit(lifecycle.run(role, build, settings, os.environ))


@bidder.command()
def run_bidder(config: ConfigFile = None) -> None:
    """Answer bid requests, in as many processes as bid.workers says."""
    settings = settings_for(config)
    if settings.bid.workers == 1 or READY_PIPE in os.environ:
        _run("bidder", settings)
    from admin.supervisor import supervise

    if not settings.redis.url or not settings.money.token_keys:
        raise ConfigError(
            "several bidder processes need redis.url and money.token_keys", hint="they must agree with the trackers"
        )
    sys.exit(supervise(settings, roles=("bidder",), environ=os.environ, announce=typer.echo))


@tracker.command()
def run_tracker(config: ConfigFile = None) -> None:
    """Serve notices, impressions, clicks, shop events and cookie sync."""
    _run("tracker", settings_for(config))


@worker.command()
def run_worker(config: ConfigFile = None) -> None:
    """Run the background loops."""
    _run("worker", settings_for(config))


@admin.command()
def run_admin(config: ConfigFile = None) -> None:
    """Serve the private API."""
    _run("admin", settings_for(config))
