"""Memberships that begin at a moment and have a hook: how they lie in a partition's sorted set; names of what follows.

A member names the window, so that an event can replace exactly the entries of the windows it changes, and an erasure
can remove them from what the profile says. So does the name of the delivery that follows from it.
"""

import hashlib
from collections.abc import Iterable

from core.keys import due_entries
from segments.facts.layout import Window
from segments.profiles.log import PARTITIONS, partition_of
from segments.profiles.reading import Command


def due_command(advertiser_id: int, window: Window, user_id: str, at_s: int, partitions: int = PARTITIONS) -> Command:
    """Look at a membership at `at_s` (unix seconds)."""
    key = due_entries(partition_of(user_id, partitions))
    return ("ZADD", key, at_s, _member(advertiser_id, window, user_id))


def not_due_command(advertiser_id: int, window: Window, user_id: str, partitions: int = PARTITIONS) -> Command:
    """Do not look at a membership that will not begin."""
    key = due_entries(partition_of(user_id, partitions))
    return ("ZREM", key, _member(advertiser_id, window, user_id))


def taken_back(commands: Iterable[Command]) -> list[Command]:
    """Commands that undo these, which `due_command` made."""
    return [("ZREM", key, member) for _, key, _, member in commands]


def parse_due(member: str) -> tuple[int, int, int, str]:
    """(advertiser id, segment id, enter, user id) of a member."""
    advertiser, segment, enter, user_id = member.split(":", 3)
    return int(advertiser), int(segment), int(enter), user_id


def delivery_name(window: Window, user_id: str) -> str:
    """The id of the call that tells of a membership: always the same, so that it is queued once."""
    return hashlib.blake2b(f"{window[0]}:{user_id}:{window[1]}".encode(), digest_size=12).hexdigest()


def pseudonym(advertiser_id: int, user_id: str) -> str:
    """How one advertiser is told of a user: stable for it, unrelated to what others are told."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=16, key=b"grosz-hook", salt=advertiser_id.to_bytes(8, "big"))
    return digest.hexdigest()


def _member(advertiser_id: int, window: Window, user_id: str) -> str:
    return f"{advertiser_id}:{window[0]}:{window[1]}:{user_id}"
