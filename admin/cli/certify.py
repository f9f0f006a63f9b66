"""`grosz certify`: what an exchange asks of a bidder before it sends traffic."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, print_json
from admin.cli.targets import local_target
from core.errors import InputError, UnavailableError
from loadtest.running.certify import CertifyCheck, certify
from loadtest.traffic.scenario import DEFAULT_URL, ScenarioError, check_target

app = typer.Typer()

EXIT_FAILED = 1

_COLOURS = {"passed": "green", "failed": "red", "not shown": "yellow"}


@app.command()
def certify_command(
    url: Annotated[
        str | None,
        typer.Option(
            help="Bid endpoint (of `grosz up` here, or http://127.0.0.1:8080/openrtb2/demo).", show_default=False
        ),
    ] = None,
    currency: Annotated[str, typer.Option(help="Currency that the exchange settles in.")] = "PLN",
    i_own_this_target: Annotated[
        bool, typer.Option("--i-own-this-target", help="Allow a target that is not this machine.")
    ] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Ask a bidder for display, native, video and audio ads, for refusals, and for what answers owe an exchange.

    Exits with 1 when a check failed. "Not shown" is what could not be asked, such as a format without a bid.
    Example: grosz certify --url http://127.0.0.1:8080/openrtb2/demo
    """
    if url is None:
        found = local_target(data)
        url = found.url if found is not None else DEFAULT_URL
    try:
        check_target(url, own_target=i_own_this_target)
    except ScenarioError as error:
        raise InputError(str(error)) from error
    try:
        checks = list(certify(url, currency))
    except ConnectionError as error:
        hint = "start it with `grosz up --seed demo`"
        raise UnavailableError(f"nothing answers at {url} ({error})", hint=hint) from error
    if as_json:
        print_json({"url": url, "checks": [check._asdict() for check in checks]})
    else:
        _show(checks)
    if any(check.outcome == "failed" for check in checks):
        raise typer.Exit(EXIT_FAILED)


def _show(checks: list[CertifyCheck]) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False)
    for column in ("check", "outcome", "what came"):
        table.add_column(column)
    for check in checks:
        table.add_row(check.name, f"[{_COLOURS[check.outcome]}]{check.outcome}[/]", check.detail)
    console.print(table)
    for check in checks:
        if check.outcome == "failed":
            console.print(f"\n{check.name}: {check.detail}", style="red")
            console.print(f"  request: {check.request or '(see the name)'}", markup=False)
            console.print(f"  answer: {check.answer}", markup=False)
    passed = sum(check.outcome == "passed" for check in checks)
    console.print(f"\n{passed} of {len(checks)} checks passed")
