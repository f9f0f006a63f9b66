"""`grosz audience ready-made` and `grosz audience switch-on`: segments without writing a rule."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from admin.cli.object_access import HttpObjects, Objects, StoreObjects
from admin.cli.opening import DataOption, open_store
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.settings import ConfigFile
from core.errors import InputError
from segments.audiences.ready_made import READY_MADE, default_text, parameter_value, ready_made, rule_of

app = typer.Typer()


@app.command("ready-made")
def list_command(as_json: JsonOption = False) -> None:
    """The segments that can be switched on, with their parameters (docs/segments.md).

    Example: grosz audience ready-made
    """
    if as_json:
        print_json(list(READY_MADE.values()))
        return
    for segment in READY_MADE.values():
        typer.echo(f"{segment.key}: {segment.summary}")
        typer.echo(f"    {segment.template}")
        for parameter in segment.parameters:
            default = default_text(parameter)
            typer.echo(f"    {parameter.name}: {parameter.summary}" + (f" ({default})" if default else ", to be given"))


@app.command("switch-on")
def switch_on_command(
    advertiser_id: Annotated[int, typer.Argument(metavar="ADVERTISER", help="Its number.")],
    key: Annotated[str, typer.Argument(metavar="SEGMENT", help="A name of `grosz audience ready-made`.")],
    parameters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PARAMETER=VALUE]...", help="at_least=500 within=7d categories=shoes*,boots"),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What the segment is called instead of its own name.")] = "",
    webhook: Annotated[int | None, typer.Option("--webhook", help="Webhook to call when a visitor enters.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the rule, make nothing.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = "",
    api_key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Make a ready-made segment a segment of the advertiser's own.

    Example: grosz audience switch-on 1 cart_abandoners at_least=500 --webhook 2
    """
    segment = ready_made(key)
    given = dict(_pair(text) for text in parameters or [])

    async def run() -> dict[str, Any]:
        async with objects_of(("advertisers", "segments"), url, api_key, data, config) as (advertisers, segments):
            currency = str((await advertisers.show(advertiser_id))["currency"])
            values = {
                parameter.name: parameter_value(parameter, given[parameter.name], currency)
                for parameter in segment.parameters
                if parameter.name in given
            }
            rule = rule_of(key, currency, {**given, **values})
            document = {"advertiser_id": advertiser_id, "name": name or segment.name, "rule": rule}
            if webhook is not None:
                document["webhook_id"] = webhook
            return await segments.create(document, dry_run=dry_run)

    made = asyncio.run(run())
    if as_json:
        print_json(made)
        return
    typer.echo("would be made" if dry_run else f"segment {made['id']} is made")
    typer.echo(f"{made['name']}: {made['rule']}")


@contextlib.asynccontextmanager
async def objects_of(
    names: Sequence[str], url: str, key: str, data: Path | None, config: Path | None
) -> AsyncIterator[list[Objects]]:
    """Access to objects of several kinds, over the API or the database itself."""
    if url:
        yield [HttpObjects(url, key, name) for name in names]
        return
    async with open_store(config, data) as store:
        yield [StoreObjects(store, name) for name in names]


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise InputError(f"'{text}' is not PARAMETER=VALUE", hint="for example at_least=500")
    return name.strip(), value
