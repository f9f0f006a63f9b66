"""`grosz health`: what a container's health check runs, whichever role the container has."""

import urllib.error
import urllib.request

import typer

from admin.cli.settings import ConfigFile, settings_for
from core.config import Settings

app = typer.Typer()

# A role that is alive answers at once; the container runtime's own limit is longer.
TIMEOUT_S = 2.0

EXIT_NOT_READY = 1


@app.command()
def health(config: ConfigFile = None) -> None:
    """Exit with 0 when a role answers on this machine and every role that answers can serve."""
    answers = {role: _ask(port) for role, port in _ports(settings_for(config)).items()}
    for role, answer in answers.items():
        if answer is not None:
            typer.echo(f"{role}: {answer}")
    found = [answer for answer in answers.values() if answer is not None]
    if not found:
        typer.echo("no role answers on this machine")
    if not found or any(answer != "ready" for answer in found):
        raise typer.Exit(EXIT_NOT_READY)


def _ports(settings: Settings) -> dict[str, int]:
    return {
        "bidder": settings.bid.port,
        "tracker": settings.track.port,
        "worker": settings.worker.port,
        "admin": settings.admin.port,
    }


def _ask(port: int) -> str | None:
    """What /readyz says, or None where nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=TIMEOUT_S) as answer:
            return str(answer.read(1_000).decode("utf-8", "replace")).strip()
    except urllib.error.HTTPError as error:
        with error:
            return error.read(1_000).decode("utf-8", "replace").strip() or f"status {error.code}"
    except (urllib.error.URLError, OSError):
        return None
