"""`grosz media upload`: put files of ads where creatives can name them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from admin.cli.object_access import call_api
from admin.cli.opening import DataOption, data_directory, installed_settings, open_store
from admin.cli.options import JsonOption, KeyOption, UrlOption, print_json
from admin.cli.settings import ConfigFile
from admin.roles.local_state import media_store
from admin.store.kinds import ADVERTISERS
from core.errors import InputError
from core.telemetry.metrics import Telemetry
from creatives.media.desk import MediaDesk, Uploaded

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Keep pictures, videos and sounds of ads.")

CHUNK_BYTES = 256 * 1024


@app.callback()
def media() -> None:
    """Keep pictures, videos and sounds of ads (docs/creatives.md)."""


@app.command("upload")
def upload_command(
    advertiser_id: Annotated[int, typer.Argument(metavar="ADVERTISER", min=1, help="Whose files they are.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False)],
    as_json: JsonOption = False,
    url: UrlOption = "",
    key: KeyOption = "",
    data: DataOption = None,
    config: ConfigFile = None,
) -> None:
    """Keep files, and print the address of each for creatives to name.

    Example: grosz media upload 1 heels.png heels.mp4
    """
    kept = (
        [_over_http(url, key, advertiser_id, file) for file in files]
        if url
        else asyncio.run(_here(advertiser_id, files, data, config))
    )
    if as_json:
        print_json(kept)
        return
    for file, found in zip(files, kept, strict=True):
        size = f", {found.width}x{found.height}" if found.width else ""
        typer.echo(f"{found.url} {file.name}: {found.mime}{size}, {found.bytes:,} bytes")


def _over_http(url: str, key: str, advertiser_id: int, file: Path) -> Uploaded:
    path = f"{url.rstrip('/')}/v1/advertisers/{advertiser_id}/media"
    with _naming(file):
        return msgspec.convert(call_api("POST", path, key, file=file), Uploaded)


async def _here(advertiser_id: int, files: list[Path], data: Path | None, config: Path | None) -> list[Uploaded]:
    settings = installed_settings(config, data)
    async with open_store(config, data) as store:
        await store.get(ADVERTISERS, advertiser_id)
    kept = media_store(settings, data_directory(settings, data).absolute())
    desk = MediaDesk(kept, settings.track.public_url, Telemetry())
    uploaded = []
    for file in files:
        with _naming(file):
            uploaded.append(await desk.upload(_parts(file)))
    return uploaded


@contextlib.contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Says in what is wrong with a file which one it is: the API knows no name, and there may be several."""
    try:
        yield
    except InputError as error:
        faults = [msgspec.structs.replace(fault, pointer=fault.pointer or file.name) for fault in error.faults]
        raise InputError(error.message, hint=error.hint, faults=faults) from None


async def _parts(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
            yield chunk
