"""What composition roots make of shipping: the sender beside processes of other hosts, the worker's port for them."""

import asyncio
import hmac
from pathlib import Path
from typing import Final

from aiohttp import web

from admin.roles.journal import segments_folder
from admin.roles.lifecycle import RoleContext
from core.config import JournalSettings
from core.errors import ConfigError
from core.network.bodies import BodyRefused, read_body
from journal.receiving import MAX_PIECE_BYTES, SegmentInbox, Shipment, ShipmentRefused
from journal.shipping import SegmentShipper

# What `openssl rand -hex 16` gives; shorter keys are words.
MIN_KEY_CHARS: Final = 32
_MIB = 1024 * 1024


def run_shipping(role: RoleContext) -> None:
    """Ship what the role's processes append, where the worker is on another host."""
    settings = role.settings.journal
    segments = segments_folder(settings)
    if not settings.ship_to or segments is None:
        return
    if settings.receive_port:
        text = "journal.ship_to and journal.receive_port are both set"
        raise ConfigError(text, hint="a host either ships its segments or receives those of others")
    shipper = SegmentShipper(segments, settings.ship_to, ship_key(settings), role.telemetry)
    role.run_loop(shipper.run, "journal shipping")
    role.on_close(shipper.close)


async def receive_segments(role: RoleContext) -> None:
    """Serve the port that other hosts ship to, where one is set."""
    settings = role.settings.journal
    segments = segments_folder(settings)
    if not settings.receive_port:
        return
    if segments is None:
        raise ConfigError("journal.receive_port is set, and journal.directory is not", hint="say where they go")
    inbox = SegmentInbox(segments, role.clock, role.telemetry, max_bytes=settings.max_mib * _MIB)

    async def close() -> None:
        inbox.close()

    role.on_close(close)
    app = web.Application()
    app.add_routes(segment_routes(inbox, ship_key(settings)))
    await role.serve(app, settings.receive_host, settings.receive_port)


def ship_key(settings: JournalSettings) -> str:
    """The key that both ends have in a file. Raises ConfigError."""
    hint = f"make one with: openssl rand -hex 32 > FILE (at least {MIN_KEY_CHARS} characters), the same on both ends"
    if not settings.ship_key_file:
        raise ConfigError("journal.ship_key_file is not set", hint=hint)
    try:
        key = Path(settings.ship_key_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"journal.ship_key_file cannot be read: {error}", hint=hint) from error
    if len(key) < MIN_KEY_CHARS or not key.isprintable() or " " in key:
        raise ConfigError(f"the key in journal.ship_key_file has not {MIN_KEY_CHARS} characters of one line", hint=hint)
    return key


def segment_routes(inbox: SegmentInbox, key: str) -> list[web.AbstractRouteDef]:
    """`HEAD` and `PATCH /segments/{name}`, for whoever has the key."""
    wanted, one_at_a_time = f"Bearer {key}".encode(), asyncio.Lock()

    async def answer(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, wanted):
            return web.Response(status=401, text="the key is missing or another one\n")
        try:
            shipment = Shipment(
                request.match_info["name"], _number(request, "Upload-Length"), request.headers.get("Upload-Digest", "")
            )
            if request.method == "HEAD":
                async with one_at_a_time:
                    here, done = await asyncio.to_thread(inbox.offset, shipment)
            else:
                offset = _number(request, "Upload-Offset")
                piece = await read_body(request, MAX_PIECE_BYTES, codings=())
                async with one_at_a_time:
                    here, done = await asyncio.to_thread(inbox.take, shipment, offset, piece)
        except ShipmentRefused as error:
            headers = {"Upload-Offset": str(error.offset)}
            return web.Response(status=error.status, text=f"{error}\n", headers=headers)
        except BodyRefused as error:
            status = 503 if error.status == 400 else error.status  # the connection broke: the segment is not at fault
            return web.Response(status=status, text=f"{error}\n")
        return web.Response(status=201 if done else 200, headers={"Upload-Offset": str(here)})

    return [
        web.head("/segments/{name}", answer),
        web.patch("/segments/{name}", answer),
    ]


def _number(request: web.Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise ShipmentRefused(400, f"the header {header} is no number of bytes")
    return int(text)
