"""`grosz user show|forget`: what is stored of one browser, and its erasure (GDPR articles 15 and 17)."""

import asyncio
import contextlib
import getpass
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from admin.cli.opening import DataOption
from admin.cli.profiles import open_profiles
from admin.cli.settings import ConfigFile
from core.clock import SystemClock
from core.errors import InputError
from core.ids import is_user_id
from segments.identity import Erased, Identities, UserExport
from segments.sizes import SegmentSizes

app = typer.Typer(no_args_is_help=True, help="Show or erase everything that is stored of one user id.")

UserArgument = Annotated[str, typer.Argument(metavar="USER_ID", help="Value of the browser's grosz_uid cookie.")]


@app.command("show")
def show_command(user_id: UserArgument, data: DataOption = None, config: ConfigFile = None) -> None:
    """Print everything stored of the user as JSON. The access is noted in the audit stream."""
    export = asyncio.run(_show(_checked(user_id), config, data))
    typer.echo(msgspec.json.format(msgspec.json.encode(export), indent=2).decode())
    if not export.found:
        raise typer.Exit(1)


@app.command("forget")
def forget_command(
    user_id: UserArgument,
    data: DataOption = None,
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase the user's profile at every advertiser, and those of devices linked by a login. There is no way back."""
    if not yes:
        typer.confirm(f"Erase everything about {user_id} and linked devices?", abort=True)
    erased = asyncio.run(_forget(_checked(user_id), config, data))
    typer.echo(
        f"erased {len(erased.user_ids)} user id(s): {erased.advertisers} advertiser profile(s), "
        f"{erased.exchange_ids} exchange id(s)"
    )


def _checked(user_id: str) -> str:
    if not is_user_id(user_id):
        raise InputError(f"'{user_id}' is not a user id", hint="pass the 22 characters of the grosz_uid cookie")
    return user_id


@contextlib.asynccontextmanager
async def _identities(config: Path | None, data: Path | None) -> AsyncIterator[Identities]:
    async with open_profiles(config, data) as profiles:
        yield Identities(profiles.store, SegmentSizes(profiles.store), SystemClock())


async def _show(user_id: str, config: Path | None, data: Path | None) -> UserExport:
    async with _identities(config, data) as identities:
        return await identities.export(user_id, _actor())


async def _forget(user_id: str, config: Path | None, data: Path | None) -> Erased:
    async with _identities(config, data) as identities:
        return await identities.forget(user_id, _actor())


def _actor() -> str:
    return f"cli:{getpass.getuser()}"
