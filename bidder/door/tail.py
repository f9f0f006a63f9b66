"""Sends what somebody tails: watches come in from Redis once a second, summaries of auctions go out.

While nobody watches, the bid path has no tap and pays nothing.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Iterable
from typing import Any, Final, Protocol

import msgspec
from redis.exceptions import RedisError

from bidder.decision.recording import AuctionRecorder
from bidder.decision.tailing import MAX_A_SECOND, AuctionTap, Watching
from core import keys
from core.clock import Clock

POLL_S: Final = 1.0
SEND_S: Final = 0.25
# Seconds that a watch holds without being renewed, and that what was sent is kept.
WATCH_S: Final = 30
MAX_STREAM: Final = 1_000
AUCTION_FIELD: Final = b"a"
# More at once are refused where they begin (admin.diagnosis.tailing); bidders do not trust that.
MAX_WATCHES: Final = 20

_log = logging.getLogger("grosz.bidder.tail")


class Watch(msgspec.Struct, frozen=True):
    """What somebody tails, and until when (unix ms)."""

    until_ms: int
    watching: Watching


class TailStore(Protocol):
    """What is needed of redis-py's client."""

    def hgetall(self, name: str) -> Awaitable[dict[bytes, bytes]] | Any: ...  # noqa: ANN401 - as redis-py says

    def xadd(self, name: str, fields: dict[Any, Any], *, maxlen: int, approximate: bool) -> Awaitable[Any]: ...

    def expire(self, name: str, time: int) -> Awaitable[Any]: ...


class TailSender:
    """Loop of a bidder process: keeps `recorder.tap` in step with the watches."""

    def __init__(self, recorder: AuctionRecorder, store: TailStore, clock: Clock) -> None:
        self._recorder, self._store, self._clock = recorder, store, clock

    async def run(self) -> None:
        """Send until cancelled; while Redis is away nobody tails."""
        polled = adjusted = self._clock.monotonic() - POLL_S
        while True:
            now = self._clock.monotonic()
            try:
                if now - polled >= POLL_S:
                    polled = now
                    await self.poll()
                await self.send()
            except (RedisError, OSError) as error:
                self._recorder.tap = None
                _log.warning("nothing is tailed for now: %s", error)
            if now - adjusted >= POLL_S:
                self._recorder.adjust(now - adjusted)
                adjusted = now
            await asyncio.sleep(SEND_S)

    async def poll(self) -> None:
        """Read the watches, and begin, change or end the tap by them."""
        now_ms = self._clock.now_ms()
        watches = decode_watches((await self._store.hgetall(keys.TAIL_WATCHES)).values(), now_ms)
        watching = [watch.watching for watch in watches][:MAX_WATCHES]
        tap = self._recorder.tap
        if not watching:
            self._recorder.tap = None
        elif tap is None or tap.watching != tuple(watching):
            self._recorder.tap = AuctionTap(watching)

    async def send(self) -> None:
        """Send the summaries that the tap has gathered."""
        tap = self._recorder.tap
        if tap is None:
            return
        tap.room = math.ceil(MAX_A_SECOND * SEND_S)  # in parts: summaries from all of a second, not its first moment
        if not tap.waiting:
            return
        while tap.waiting:
            fields: dict[Any, Any] = {AUCTION_FIELD: msgspec.json.encode(tap.waiting.popleft())}
            await self._store.xadd(keys.TAIL_AUCTIONS, fields, maxlen=MAX_STREAM, approximate=True)
        await self._store.expire(keys.TAIL_AUCTIONS, WATCH_S)


def decode_watches(packed: Iterable[object], now_ms: int) -> list[Watch]:
    """The watches that still hold; what cannot be decoded is passed over."""
    found = []
    for each in packed:
        try:
            watch = msgspec.json.decode(each if isinstance(each, bytes) else b"", type=Watch)
        except msgspec.DecodeError:
            continue
        if watch.until_ms > now_ms:
            found.append(watch)
    return found
