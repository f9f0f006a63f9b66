"""Whether a shop's tags still fire: last time, today, yesterday, mean of the last seven days, by event name.

Counted by the worker as events are applied. A crash between a profile's commit and this count loses the count of that
batch: health needs no exactness.
"""

import collections
import datetime
import functools
from collections.abc import Sequence
from typing import Final

import msgspec

from core.keys import tag_health
from segments.facts.event import SERVER_ORIGIN, Event
from segments.facts.facts import DAY_S
from segments.profiles.reading import Command
from segments.profiles.store import ProfileStore

KEPT_DAYS: Final = 9
# Shops may name custom events freely; a page that generates names must not grow the hash without bound.
MAX_NAMES: Final = 200


class TagState(msgspec.Struct, frozen=True):
    """Health of one event name; `daily_mean` is over the seven days before today."""

    event: str
    last_ms: int
    today: int
    yesterday: int
    daily_mean: float


class TagHealth:
    """Writes (worker) and reads (admin) the counts; days are UTC."""

    def __init__(self, store: ProfileStore) -> None:
        self._store = store

    def commands(self, events: Sequence[Event], now_ms: int) -> list[Command]:
        """Commands that count these events on their days; `now_ms` is when they came, be it from last week's tills.

        Those passed on from another device, and our own, do not count; one that names a person does for each device.
        """
        counts: collections.Counter[tuple[int, str, str]] = collections.Counter()
        for event in events:
            if event.origin not in ("", SERVER_ORIGIN) or event.kind.startswith("_"):
                continue
            counts[(event.advertiser_id, event.kind, _day(event.at_ms))] += 1
        commands: list[Command] = [
            ("HINCRBY", tag_health(advertiser), f"{kind}:{day}", count)
            for (advertiser, kind, day), count in counts.items()
        ]
        seen = {(advertiser, kind) for advertiser, kind, _ in counts}
        commands += [("HSET", tag_health(advertiser), f"{kind}:last", now_ms) for advertiser, kind in seen]
        commands += [("EXPIRE", tag_health(advertiser), KEPT_DAYS * DAY_S) for advertiser in {key[0] for key in seen}]
        return commands

    async def report(self, advertiser_id: int, now_ms: int) -> list[TagState]:
        """State of every event name seen within the kept days, by name; drops counts of older days."""
        (reply,) = await self._store.commands([("HGETALL", tag_health(advertiser_id))])
        flat = reply if isinstance(reply, list) else []
        values = {flat[at].decode(): int(flat[at + 1]) for at in range(0, len(flat), 2)}
        days = [_day(now_ms - back * DAY_S * 1000) for back in range(KEPT_DAYS)]
        stale = [name for name in values if name.rpartition(":")[2] not in ("last", *days)]
        if stale:
            await self._store.commands([("HDEL", tag_health(advertiser_id), *stale)])
        names = sorted({name.rpartition(":")[0] for name in values})[:MAX_NAMES]
        return [
            TagState(
                event=name,
                last_ms=values.get(f"{name}:last", 0),
                today=values.get(f"{name}:{days[0]}", 0),
                yesterday=values.get(f"{name}:{days[1]}", 0),
                daily_mean=sum(values.get(f"{name}:{day}", 0) for day in days[1:8]) / 7,
            )
            for name in names
        ]


@functools.lru_cache(maxsize=64)
def _day_named(number: int) -> str:
    return datetime.datetime.fromtimestamp(number * DAY_S, datetime.UTC).strftime("%Y%m%d")


def _day(at_ms: int) -> str:
    return _day_named(at_ms // (DAY_S * 1000))
