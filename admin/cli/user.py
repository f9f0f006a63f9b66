"""`grosz user show|forget`: what is stored of one browser, and its erasure (GDPR articles 15 and 17)."""

import asyncio
import getpass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from admin.cli.opening import DataOption
from admin.cli.options import JsonOption, print_json
from admin.cli.profiles import Profiles, open_profiles
from admin.cli.settings import ConfigFile
from admin.cli.user_ids import checked_user_id
from admin.validation.days import date_of
from core.clock import SystemClock
from core.keys import user_touches
from pacing.notices.touches import Touch, unpack_touch
from segments.audiences.sizes import SegmentSizes
from segments.identity.persons import Erased, Identities, UserExport

app = typer.Typer(no_args_is_help=True, help="Show or erase everything that is stored of one user id.")

UserArgument = Annotated[str, typer.Argument(metavar="USER_ID", help="Value of the browser's grosz_uid cookie.")]


@app.command("show")
def show_command(
    user_id: UserArgument,
    as_json: JsonOption = True,  # noqa: ARG001 - it prints nothing else; who asks for it is not refused
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Print everything stored of the user as JSON. The access is noted in the audit stream.

    Example: grosz user show 22CHARACTERSOFTHECOOKI
    """
    export, touches = asyncio.run(_show(checked_user_id(user_id), config, data))
    document = {**msgspec.to_builtins(export), "ads": touches}
    typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    if not export.found and not touches:
        raise typer.Exit(1)


@app.command("forget")
def forget_command(
    user_id: UserArgument,
    data: DataOption = None,
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase the user's profile at every advertiser, and those of devices linked by a login. There is no way back.

    Example: grosz user forget 22CHARACTERSOFTHECOOKI
    """
    if not yes:
        typer.confirm(f"Erase everything about {user_id} and linked devices?", abort=True)
    erased = asyncio.run(_forget(checked_user_id(user_id), config, data))
    if as_json:
        print_json(erased)
        return
    typer.echo(
        f"erased {len(erased.user_ids)} user id(s): {erased.advertisers} advertiser profile(s), "
        f"{erased.exchange_ids} exchange id(s)"
    )


def _of(profiles: Profiles) -> Identities:
    return Identities(profiles.store, SegmentSizes(profiles.store), SystemClock())


async def _show(user_id: str, config: Path | None, data: Path | None) -> tuple[UserExport, list[dict[str, Any]]]:
    """The profile, and the billed impressions and clicks that orders are credited to."""
    async with open_profiles(config, data) as profiles:
        (records,) = await profiles.store.commands([("LRANGE", user_touches(user_id), 0, -1)])
        touches = [unpack_touch(record) for record in records] if isinstance(records, list) else []
        ads = [_shown(touch) for touch in touches if touch is not None]
        return await _of(profiles).export(user_id, _actor()), ads


def _shown(touch: Touch) -> dict[str, Any]:
    return {**touch._asdict(), "kind": touch.kind.name.lower(), "day": date_of(touch.day).isoformat()}


async def _forget(user_id: str, config: Path | None, data: Path | None) -> Erased:
    async with open_profiles(config, data) as profiles:
        return await _of(profiles).forget(user_id, _actor())


def _actor() -> str:
    return f"cli:{getpass.getuser()}"
