"""`grosz health`: what a container's health check runs, whichever role the container has."""

import urllib.error
import urllib.request
from typing import Annotated

import typer

from admin.cli.options import JsonOption, print_json
from admin.cli.settings import ConfigFile, settings_for
from core.config import Settings
from core.errors import InputError

app = typer.Typer()

# A role that is alive answers at once; the container runtime's own limit is longer.
TIMEOUT_S = 2.0

EXIT_NOT_READY = 1


@app.command()
def health(
    url: Annotated[
        list[str] | None, typer.Option("--url", help="Ask this role instead, wherever it is. Repeatable.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigFile = None,
) -> None:
    """Exit with 0 when a role answers on this machine and every role that answers can serve.

    Example: grosz health --json
    """
    places = {one: one.rstrip("/") for one in url or ()} or _places(settings_for(config))
    answers = {role: _ask(place) for role, place in places.items()}
    if as_json:
        print_json(answers)
    for role, answer in answers.items():
        if answer is not None and not as_json:
            typer.echo(f"{role}: {answer}")
    found = [answer for answer in answers.values() if answer is not None]
    if not found and not as_json and not url:
        typer.echo("no role answers on this machine")
    silent = [place for place, answer in answers.items() if answer is None] if url else []
    for place in silent:
        typer.echo(f"{place}: no answer", err=as_json)
    if silent or not found or any(answer != "ready" for answer in found):
        raise typer.Exit(EXIT_NOT_READY)


def _places(settings: Settings) -> dict[str, str]:
    ports = {
        "bidder": settings.bid.port,
        "tracker": settings.track.port,
        "worker": settings.worker.port,
        "admin": settings.admin.port,
    }
    return {role: f"http://127.0.0.1:{port}" for role, port in ports.items()}


def _ask(place: str) -> str | None:
    """What /readyz says, or None where nothing listens."""
    if not place.startswith(("http://", "https://")):
        raise InputError(f"'{place}' is no address of a role", hint="write http://HOST:PORT")
    try:
        with urllib.request.urlopen(f"{place}/readyz", timeout=TIMEOUT_S) as answer:  # noqa: S310 - looked at above
            return str(answer.read(1_000).decode("utf-8", "replace")).strip()
    except urllib.error.HTTPError as error:
        with error:
            return error.read(1_000).decode("utf-8", "replace").strip() or f"status {error.code}"
    except (urllib.error.URLError, OSError):
        return None
