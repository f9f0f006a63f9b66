"""`grosz audit`: recompute every money counter from the ledger; exits with 1 on any difference."""

import asyncio
from pathlib import Path

import typer

from admin.cli.money import open_books, open_transitions
from admin.cli.opening import DataOption
from admin.cli.settings import ConfigFile
from core.money import format_micros
from pacing.ledger.audit import Audit, audit

app = typer.Typer()

EXIT_DIFFERENCES = 1


@app.command()
def audit_command(data: DataOption = None, config: ConfigFile = None) -> None:
    """Recompute every money counter from the ledger and compare; may run while Grosz does."""
    results = asyncio.run(_audit(config, data))
    for name, currency, result in results:
        spent = f"{format_micros(result.spent_micros)} {currency}"
        typer.echo(f"{name}: spent {spent}, {result.levels} counters, {len(result.differences)} differences")
        for difference in result.differences:
            typer.echo(f"  {difference.text}")
    differences = sum(len(result.differences) for _, _, result in results)
    typer.echo(f"{len(results)} advertisers, {differences} differences")
    if differences:
        raise typer.Exit(EXIT_DIFFERENCES)


async def _audit(config: Path | None, data: Path | None) -> list[tuple[str, str, Audit]]:
    async with open_books(config, data) as books, open_transitions(config, data) as transitions:
        return [
            (advertiser.name, advertiser.currency, await audit(transitions, books.ledger, advertiser.id))
            for advertiser in (*books.catalogue.advertisers, *books.catalogue.archived_advertisers)
        ]
