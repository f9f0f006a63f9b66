"""Telling profiles that a customer list names them, or no longer: what an import found, brought to the event log.

An import may find a hundred thousand devices. They wait in a sorted set, and the worker passes them on as events while
its log is nearly empty, so that what shops send meanwhile is applied as soon as ever. Each event says what holds, so
one that comes twice does no harm.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import UnavailableError
from core.keys import ROSTER_NEWS, event_stream
from segments.facts.event import LISTED, Event, pack_event
from segments.facts.facts import ListedTime
from segments.profiles.log import FIELD, PARTITIONS, partition_of
from segments.profiles.reading import Command
from segments.profiles.store import ProfileStore

log = logging.getLogger(__name__)

# Longer than the worker trusts what it knows of lists (rosters.KNOWN_S), and than a new segment takes to reach it.
SETTLE_MS: Final = 2_000
# A worker applies so many events in a fifth of a second. No batch is appended while more than this wait in the log.
BATCH: Final = 500
IDLE_S: Final = 0.5
BUSY_S: Final = 0.02
RETRY_S: Final = 1.0


class News(msgspec.Struct, array_like=True, frozen=True):
    """What one device is to hear of one list; `listed.until_s` is 0 where the list no longer names it."""

    advertiser_id: int
    name: str
    user_id: str
    listed: ListedTime


def news_commands(news: Iterable[News], now_ms: int) -> list[Command]:
    """Commands that queue this news; it is passed on after SETTLE_MS."""
    pairs = [(now_ms + SETTLE_MS, msgspec.msgpack.encode(one)) for one in news]
    return [
        ("ZADD", ROSTER_NEWS, *(part for pair in pairs[at : at + BATCH] for part in pair))
        for at in range(0, len(pairs), BATCH)
    ]


class RosterTeller:
    """Passes the news on, in the worker that owns the first partition."""

    def __init__(
        self,
        store: ProfileStore,
        owned: Callable[[], Collection[int]],
        clock: Clock,
        partitions: int = PARTITIONS,
    ) -> None:
        self._store = store
        self._owned = owned
        self._clock = clock
        self._partitions = partitions

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                told = await self.step()
            except UnavailableError as error:
                log.warning("news of customer lists wait: %s", error.message)
                await asyncio.sleep(RETRY_S)
                continue
            await asyncio.sleep(IDLE_S if told is None else BUSY_S)

    async def step(self) -> int | None:
        """Pass on one batch: how many events were appended, 0 while too many wait in the log; None without due news."""
        if 0 not in self._owned():
            return None
        now_ms = self._clock.now_ms()
        (found,) = await self._store.commands([("ZRANGEBYSCORE", ROSTER_NEWS, "-inf", now_ms, "LIMIT", 0, BATCH)])
        members = found if isinstance(found, list) else []
        if not members:
            return None
        lengths = await self._store.commands([("XLEN", event_stream(at)) for at in range(self._partitions)])
        if sum(int(str(length)) for length in lengths) > BATCH:
            return 0
        await self._store.commands(
            [self._append(msgspec.msgpack.decode(member, type=News), now_ms) for member in members]
        )
        await self._store.commands([("ZREM", ROSTER_NEWS, *members)])
        return len(members)

    def _append(self, news: News, now_ms: int) -> Command:
        event = Event(LISTED, news.advertiser_id, news.user_id, now_ms, lists={news.name: news.listed})
        return ("XADD", event_stream(partition_of(news.user_id, self._partitions)), "*", FIELD, pack_event(event))
