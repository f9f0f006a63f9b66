"""`grosz user show|forget`: what is stored of one browser, and its erasure (GDPR articles 15 and 17)."""

import asyncio
import getpass
import urllib.parse
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from admin.cli.object_access import call_api
from admin.cli.opening import DataOption, journal_settings
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.profiles import open_profiles
from admin.cli.settings import ConfigFile, settings_for
from admin.roles.journal import pseudonyms_kept
from admin.visitors.documents import VisitorErased, VisitorReport
from admin.visitors.user_ids import checked_user_id
from admin.visitors.visitor_desk import VisitorDesk
from core.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="Show or erase everything that is stored of one user id.")

UserArgument = Annotated[str, typer.Argument(metavar="USER_ID", help="Value of the browser's grosz_uid cookie.")]


@app.command("show")
def show_command(
    user_id: UserArgument,
    as_json: JsonOption = True,  # noqa: ARG001 - it prints nothing else; asking for it is no error
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Print everything stored of the user as JSON. The access is noted in the audit stream.

    Example: grosz user show 22CHARACTERSOFTHECOOKI
    """
    checked_user_id(user_id)
    if url:
        found = msgspec.convert(call_api("GET", _address(url, user_id), key), VisitorReport)
    else:
        found = asyncio.run(_show(user_id, config, data))
    print_json(found)
    if not found.found and not found.ads:
        raise typer.Exit(1)


@app.command("forget")
def forget_command(
    user_id: UserArgument,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase the user's profile at every advertiser, and those of devices linked by a login. There is no way back.

    Example: grosz user forget 22CHARACTERSOFTHECOOKI
    """
    checked_user_id(user_id)
    if not yes:
        typer.confirm(f"Erase everything about {user_id} and linked devices?", abort=True)
    if url:
        erased = msgspec.convert(call_api("DELETE", _address(url, user_id), key), VisitorErased)
    else:
        erased = asyncio.run(_forget(user_id, config, data))
    if as_json:
        print_json(erased)
        return
    typer.echo(
        f"erased {len(erased.user_ids)} user id(s): {erased.advertisers} advertiser profile(s), "
        f"{erased.exchange_ids} exchange id(s)"
    )


def _address(url: str, user_id: str) -> str:
    return f"{url.rstrip('/')}/v1/visitors/{urllib.parse.quote(user_id, safe='')}"


async def _show(user_id: str, config: Path | None, data: Path | None) -> VisitorReport:
    async with open_profiles(config, data) as profiles:
        return await VisitorDesk(profiles.store, SystemClock()).show(user_id, _actor())


async def _forget(user_id: str, config: Path | None, data: Path | None) -> VisitorErased:
    async with open_profiles(config, data) as profiles:
        pseudonyms = pseudonyms_kept(journal_settings(settings_for(config), data))
        return await VisitorDesk(profiles.store, SystemClock(), pseudonyms).forget(user_id, _actor())


def _actor() -> str:
    return f"cli:{getpass.getuser()}"
