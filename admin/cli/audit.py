"""`grosz audit`: recompute every money counter from the ledger; exits with 1 on any difference."""

import asyncio
from pathlib import Path

import typer

from admin.cli.money import open_books, open_transitions
from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, print_json
from admin.cli.settings import ConfigFile
from core.money import format_micros
from pacing.ledger.audit import Audit, audit

app = typer.Typer()

EXIT_DIFFERENCES = 1


@app.command()
def audit_command(as_json: JsonOption = False, data: DataOption = None, config: ConfigFile = None) -> None:
    """Recompute every money counter from the ledger and compare; may run while Grosz does.

    Example: grosz audit --json
    """
    results = asyncio.run(_audit(config, data))
    if as_json:
        print_json([_document(*result) for result in results])
        if any(texts for *_, texts in results):
            raise typer.Exit(EXIT_DIFFERENCES)
        return
    for name, currency, result, texts in results:
        spent = f"{format_micros(result.spent_micros)} {currency}"
        typer.echo(f"{name}: spent {spent}, {result.levels} counters, {len(texts)} differences")
        for text in texts:
            typer.echo(f"  {text}")
    differences = sum(len(texts) for *_, texts in results)
    typer.echo(f"{len(results)} advertisers, {differences} differences")
    if differences:
        raise typer.Exit(EXIT_DIFFERENCES)


def _document(name: str, currency: str, result: Audit, texts: list[str]) -> dict[str, object]:
    """An advertiser's audit for machines; amounts in units of the currency."""
    return {
        "advertiser": name,
        "spent": {"amount": format_micros(result.spent_micros), "currency": currency},
        "counters": result.levels,
        "differences": texts,
    }


async def _audit(config: Path | None, data: Path | None) -> list[tuple[str, str, Audit, list[str]]]:
    """Of each advertiser: name, currency, the audit, and every difference in words.

    Counters are compared with the ledger's sums, and the sums with its rows.
    """
    found = []
    async with open_books(config, data) as books, open_transitions(config, data) as transitions:
        for advertiser in (*books.catalogue.advertisers, *books.catalogue.archived_advertisers):
            result = await audit(transitions, books.ledger, advertiser.id)
            texts = [difference.text for difference in result.differences]
            texts += await books.ledger.check(advertiser.id)
            found.append((advertiser.name, advertiser.currency, result, texts))
    return found
