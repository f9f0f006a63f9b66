"""Whether a shop's tags still fire: last time, today, yesterday, mean of the last seven days, by event name.

Counted by the worker as events are applied. A crash between a profile's commit and this count loses the count of that
batch: health needs no exactness.

A page may name its events as it likes, so names are bounded: those that come when MAX_NAMES are known are counted
together as OTHERS, and a name that has not come for KEPT_DAYS makes room.
"""

import collections
import functools
from collections.abc import Sequence
from typing import Final

import msgspec

from core.keys import tag_events, tag_health
from core.moments import utc_day
from segments.facts.event import SERVER_ORIGIN, Event
from segments.facts.facts import DAY_S
from segments.profiles.reading import Command
from segments.profiles.scripts import Argument, Script
from segments.profiles.store import ProfileStore

KEPT_DAYS: Final = 9
# A shop has some twenty names, a large one with a tag manager of many hands a hundred.
MAX_NAMES: Final = 200
# As many events as a person who tries a tag can take in at a glance.
MAX_LAST: Final = 20
SHOWN_PRODUCTS: Final = 3
OTHERS: Final = "(others)"
"""What names beyond MAX_NAMES are counted as; no event can be called so."""

# KEYS: tag:{advertiser}. ARGV: now (unix ms), its day, oldest day that is kept, oldest moment of a name that is kept
# (unix ms), most names, time to live (s), name of the others, then (event name, day, count) each.
# The fields `:day` and `:names` say when the hash was last tidied, and how many names it has.
_COUNT: Final = Script(
    """
    local key = KEYS[1]
    if redis.call('HGET', key, ':day') ~= ARGV[2] then
      local all, kept, gone = redis.call('HGETALL', key), {}, {}
      local names = 0
      for i = 1, #all, 2 do
        local name, part = string.match(all[i], '^(.*):([^:]*)$')
        if name and name ~= '' and part == 'last' and tonumber(all[i + 1]) >= tonumber(ARGV[4]) then
          if name == ARGV[7] then
            kept[name] = true
          elseif names < tonumber(ARGV[5]) then
            kept[name] = true
            names = names + 1
          end
        end
      end
      for i = 1, #all, 2 do
        local name, part = string.match(all[i], '^(.*):([^:]*)$')
        if name ~= '' and (not name or not kept[name] or (part ~= 'last' and part < ARGV[3])) then
          gone[#gone + 1] = all[i]
        end
      end
      for i = 1, #gone, 1000 do
        redis.call('HDEL', key, unpack(gone, i, math.min(i + 999, #gone)))
      end
      redis.call('HSET', key, ':day', ARGV[2], ':names', names)
    end
    for i = 8, #ARGV, 3 do
      local name = ARGV[i]
      if name ~= ARGV[7] and redis.call('HEXISTS', key, name .. ':last') == 0 then
        if tonumber(redis.call('HGET', key, ':names')) >= tonumber(ARGV[5]) then
          name = ARGV[7]
        else
          redis.call('HINCRBY', key, ':names', 1)
        end
      end
      if ARGV[i + 1] >= ARGV[3] then
        redis.call('HINCRBY', key, name .. ':' .. ARGV[i + 1], ARGV[i + 2])
      end
      redis.call('HSET', key, name .. ':last', ARGV[1])
    end
    redis.call('EXPIRE', key, ARGV[6])
    return 1
    """
)


class TagState(msgspec.Struct, frozen=True):
    """Health of one event name; `daily_mean` is over the seven days before today."""

    event: str
    last_ms: int
    today: int
    yesterday: int
    daily_mean: float


class LastEvent(msgspec.Struct, array_like=True, frozen=True):
    """One of the last events of a shop, without its user: the first ids of its products, and how many it had."""

    event: str
    at_ms: int
    products: tuple[str, ...] = ()
    count: int = 0
    value_micros: int | None = None


class TagHealth:
    """Writes (worker) and reads (admin) the counts; days are UTC."""

    def __init__(self, store: ProfileStore) -> None:
        self._store = store

    async def count(self, events: Sequence[Event], now_ms: int) -> None:
        """Count these events on their days; `now_ms` is when they came, be it from last week's tills.

        Events passed on from another device, and our own, do not count; one that names a person counts for each device.
        Raises UnavailableError.
        """
        counts: dict[int, collections.Counter[tuple[str, str]]] = {}
        for event in events:
            if not _is_sent(event):
                continue
            counts.setdefault(event.advertiser_id, collections.Counter())[(str(event.kind), _day(event.at_ms))] += 1
        oldest_ms = now_ms - (KEPT_DAYS - 1) * DAY_S * 1000
        limits = (now_ms, _day(now_ms), _day(oldest_ms), oldest_ms, MAX_NAMES, KEPT_DAYS * DAY_S, OTHERS)
        calls = []
        for advertiser, counted in counts.items():
            arguments: list[Argument] = [*limits]
            for (kind, day), count in counted.items():
                arguments += [kind, day, count]
            calls.append(_COUNT.call([tag_health(advertiser)], arguments))
        if calls:
            await self._store.script(_COUNT, calls)
            await self._store.commands(_last_commands(events))

    async def last(self, advertiser_id: int) -> list[LastEvent]:
        """The last events, the newest first. Raises UnavailableError."""
        (reply,) = await self._store.commands([("LRANGE", tag_events(advertiser_id), 0, MAX_LAST - 1)])
        return [msgspec.msgpack.decode(one, type=LastEvent) for one in reply] if isinstance(reply, list) else []

    async def report(self, advertiser_id: int, now_ms: int) -> list[TagState]:
        """State of every event name seen within the kept days, by name."""
        (reply,) = await self._store.commands([("HGETALL", tag_health(advertiser_id))])
        flat = reply if isinstance(reply, list) else []
        values = {flat[at].decode(): int(flat[at + 1]) for at in range(0, len(flat), 2)}
        days = [_day(now_ms - back * DAY_S * 1000) for back in range(KEPT_DAYS)]
        fields = [name.rpartition(":") for name in values]
        names = sorted({name for name, _, part in fields if name and part in ("last", *days)})[: MAX_NAMES + 1]
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


def _last_commands(events: Sequence[Event]) -> list[Command]:
    """Commands that keep the newest of these events of each shop."""
    newest: dict[int, collections.deque[bytes]] = {}
    for event in events:
        if _is_sent(event):
            ids = tuple(item.id for item in event.items[:SHOWN_PRODUCTS])
            last = LastEvent(str(event.kind), event.at_ms, ids, len(event.items), event.value_micros)
            kept = newest.setdefault(event.advertiser_id, collections.deque(maxlen=MAX_LAST))
            kept.append(msgspec.msgpack.encode(last))
    commands: list[Command] = []
    for advertiser_id, kept in newest.items():
        key = tag_events(advertiser_id)
        commands += [("LPUSH", key, *kept), ("LTRIM", key, 0, MAX_LAST - 1), ("EXPIRE", key, DAY_S)]
    return commands


def _is_sent(event: Event) -> bool:
    """Whether a shop sent the event: it is not passed on from another device, nor one of our own."""
    return event.origin in ("", SERVER_ORIGIN) and not event.kind.startswith("_")


@functools.lru_cache(maxsize=64)
def _day_named(number: int) -> str:
    return f"{utc_day(number * DAY_S * 1000):%Y%m%d}"


def _day(at_ms: int) -> str:
    return _day_named(at_ms // (DAY_S * 1000))
