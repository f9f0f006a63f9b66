"""What an erasure finds beside the user's keys: audience hooks that wait or were given up, events set aside,
and news of customer lists.

Both streams of what went wrong are empty in normal operation and bounded, so they are read whole; what nobody erases
goes after KEPT_DAYS.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from core.keys import ROSTER_NEWS, WEBHOOK_BODIES, WEBHOOK_DEAD, WEBHOOK_QUEUE, event_dead, webhook_mail
from segments.audiences.due import delivery_name, pseudonym
from segments.facts.facts import DAY_S
from segments.facts.layout import Window
from segments.profiles.log import partition_of
from segments.profiles.reading import Command
from segments.profiles.store import ProfileStore

# As long as impressions and clicks are kept: time to find the fault, and to send again by hand what was lost.
KEPT_DAYS: Final = 30


async def erase_leftovers(store: ProfileStore, user_id: str, windows: Mapping[int, Collection[Window]]) -> None:
    """Remove what is left of a user with these windows by advertiser. Raises UnavailableError."""
    commands = uncalled_commands(user_id, [window for rows in windows.values() for window in rows])
    names = [pseudonym(advertiser_id, user_id).encode() for advertiser_id in windows]
    marks = {WEBHOOK_DEAD: names, event_dead(partition_of(user_id)): [user_id.encode()]}
    for stream, entries in zip(
        marks, await store.commands([("XRANGE", stream, "-", "+") for stream in marks]), strict=True
    ):
        commands += _removals(stream, entries, marks[stream])
    await store.commands(commands)
    await _erase_news(store, user_id)


async def _erase_news(store: ProfileStore, user_id: str) -> None:
    """Remove what the user's device was to hear of customer lists; it is empty but for the minute of an import."""
    cursor = b"0"
    while True:
        (reply,) = await store.commands([("ZSCAN", ROSTER_NEWS, cursor, "MATCH", f"*{user_id}*", "COUNT", 1_000)])
        cursor, found = reply if isinstance(reply, list) else (b"0", [])
        if found:
            await store.commands([("ZREM", ROSTER_NEWS, *found[::2])])
        if cursor == b"0":
            return


def uncalled_commands(user_id: str, windows: Collection[Window]) -> list[Command]:
    """Commands that take back calls, and counts of the next mail, that wait to tell of these memberships."""
    waiting = [delivery_name(window, user_id) for window in windows]
    if not waiting:
        return []
    counted = [("SREM", webhook_mail(window[0]), name) for window, name in zip(windows, waiting, strict=True)]
    return [("ZREM", WEBHOOK_QUEUE, *waiting), ("HDEL", WEBHOOK_BODIES, *waiting), *counted]


def expiry_commands(partitions: Iterable[int], now_ms: int) -> list[Command]:
    """Commands that remove dead letters and events that were set aside more than KEPT_DAYS ago."""
    oldest_ms = now_ms - KEPT_DAYS * DAY_S * 1000
    return [("XTRIM", stream, "MINID", oldest_ms) for stream in (WEBHOOK_DEAD, *map(event_dead, partitions))]


def _removals(stream: str, entries: object, marks: Collection[bytes]) -> list[Command]:
    """Commands that remove the entries of a stream that have one of the marks in a field."""
    found = [
        entry_id
        for entry_id, fields in (entries if isinstance(entries, list) else [])
        if any(mark in value for mark in marks for value in fields)
    ]
    return [("XDEL", stream, *found)] if found else []
