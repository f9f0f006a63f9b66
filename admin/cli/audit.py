"""`grosz audit`: recompute every money counter from the ledger; exits with 1 on any difference."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import typer

from admin.books.desk import BookDesk, sees_all
from admin.books.documents import BookAudit
from admin.cli.money import open_books, open_transitions
from admin.cli.object_access import call_api, names_of
from admin.cli.opening import DataOption, journal_of
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.settings import ConfigFile, settings_for

app = typer.Typer()

EXIT_DIFFERENCES = 1


@app.command()
def audit_command(
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Recompute every money counter from the ledger and compare; may run while Grosz does.

    Example: grosz audit --json
    """
    reports = _remote(url, key) if url else asyncio.run(_local(config, data))
    differences = sum(len(one.differences) for one in reports)
    if as_json:
        print_json(reports)
    else:
        for one in reports:
            spent = f"{one.spent.amount} {one.spent.currency}"
            typer.echo(f"{one.advertiser}: spent {spent}, {one.counters} counters, {len(one.differences)} differences")
            for text in one.differences:
                typer.echo(f"  {text}")
        if any(one.journal_until is not None or one.journal_waits for one in reports):
            typer.echo(_of_journal(reports))
        typer.echo(f"{len(reports)} advertisers, {differences} differences")
    if differences:
        raise typer.Exit(EXIT_DIFFERENCES)


def _of_journal(reports: Sequence[BookAudit]) -> str:
    """Up to when the journal was compared with the ledger; newer rows, which it has yet to take, are no difference."""
    waiting = sum(one.journal_waits for one in reports)
    moments = [one.journal_until for one in reports if one.journal_until is not None]
    compared = f"up to its newest bill, of {max(moments):%Y-%m-%d %H:%M:%S} UTC" if moments else "not yet"
    return f"the journal, which reports are made of, is compared {compared}; {waiting} newer rows of the ledger wait"


def _remote(url: str, key: str) -> list[BookAudit]:
    """Audit the advertisers that the key may see, over the API."""
    base = f"{url.rstrip('/')}/v1"
    return [
        msgspec.convert(call_api("GET", f"{base}/audit?advertiser_id={advertiser_id}", key, long=True), BookAudit)
        for advertiser_id in sorted(names_of(f"{base}/advertisers", key, "name"))
    ]


async def _local(config: Path | None, data: Path | None) -> list[BookAudit]:
    async with open_books(config, data) as books, open_transitions(config, data) as transitions:
        desk = BookDesk(books.store.database, transitions, journal_of(settings_for(config), data))
        return [await desk.audit(advertiser_id, sees_all) for advertiser_id in await desk.advertisers()]
