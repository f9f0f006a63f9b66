"""Auctions as they happen, for the API and the command line: a watch for the bidders, and what they sent for it."""

import zlib
from typing import Final

import msgspec

from admin.diagnosis.published import Commands
from bidder.decision.tailing import TailedAuction, Watching, shown_to
from bidder.door.tail import AUCTION_FIELD, MAX_WATCHES, WATCH_S, Watch, decode_watches
from core import keys
from core.clock import Clock
from core.errors import ConflictError

# Auctions that one question gets at most; the next question goes on from there.
MAX_PAGE: Final = 500


class TailPage(msgspec.Struct):
    """Auctions after those that were shown, oldest first. Ask again with `next` for what comes after them."""

    auctions: list[TailedAuction]
    next: str


class TailDesk:
    """Lets people watch. The bidders send auctions for as long as the question is repeated within half a minute."""

    def __init__(self, commands: Commands, clock: Clock) -> None:
        self._commands, self._clock = commands, clock

    async def take(self, who: str, watching: Watching, after: str) -> TailPage:
        """What happened after `after` ("": from now on) and is shown to `who`.

        Raises ConflictError where too many watch already, UnavailableError.
        """
        await self._watch(who, watching)
        if not after:
            (newest,) = await self._commands.commands([("XREVRANGE", keys.TAIL_AUCTIONS, "+", "-", "COUNT", 1)])
            return TailPage([], _last_id(newest) or "0-0")
        (entries,) = await self._commands.commands(
            [("XRANGE", keys.TAIL_AUCTIONS, f"({after}", "+", "COUNT", MAX_PAGE)]
        )
        shown = [shown_to(auction, watching) for auction in _auctions(entries)]
        return TailPage([auction for auction in shown if auction is not None], _last_id(entries) or after)

    async def _watch(self, who: str, watching: Watching) -> None:
        now_ms = self._clock.now_ms()
        packed = msgspec.json.encode(watching)
        field = f"{who}:{zlib.crc32(packed):08x}"
        (reply,) = await self._commands.commands([("HGETALL", keys.TAIL_WATCHES)])
        flat = reply if isinstance(reply, list) else []
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        gone = [name for name, value in fields.items() if not decode_watches([value], now_ms)]
        if len(fields) - len(gone) >= MAX_WATCHES and field.encode() not in fields:
            raise ConflictError(f"{MAX_WATCHES} people tail auctions already", hint="try again in half a minute")
        watch = msgspec.json.encode(Watch(now_ms + WATCH_S * 1000, watching))
        commands: list[tuple[bytes | str | int, ...]] = [
            ("HSET", keys.TAIL_WATCHES, field, watch), ("EXPIRE", keys.TAIL_WATCHES, 2 * WATCH_S)
        ]  # fmt: skip
        if gone:
            commands.append(("HDEL", keys.TAIL_WATCHES, *gone))
        await self._commands.commands(commands)


def _auctions(entries: object) -> list[TailedAuction]:
    found = []
    for entry in entries if isinstance(entries, list) else ():
        _id, flat = entry
        packed = dict(zip(flat[::2], flat[1::2], strict=True)).get(AUCTION_FIELD, b"")
        try:
            found.append(msgspec.json.decode(packed, type=TailedAuction))
        except msgspec.DecodeError:  # of a bidder of another release
            continue
    return found


def _last_id(entries: object) -> str:
    if not isinstance(entries, list) or not entries:
        return ""
    last: bytes = entries[-1][0]
    return last.decode()
