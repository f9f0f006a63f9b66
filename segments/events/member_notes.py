"""What a shop's events probably mean and do not say: kept for tag health, one note for each member of ours.

Bounded by the members that there are, whatever a page sends: a note says which member was meant, how it was last
written, and when.
"""

import logging
from collections.abc import Iterable
from typing import Final

import msgspec

from core.errors import Fault, UnavailableError
from core.keys import tag_members
from segments.events.members import NOTED_MEMBERS, UNKNOWN_MEMBER, meant_by
from segments.facts.facts import DAY_S
from segments.profiles.metrics import IntakeMetrics
from segments.profiles.reading import Command
from segments.profiles.store import ProfileStore

KEPT_DAYS: Final = 9
# A page with a mistake makes it on every view; a reader of tag health wants to know whether it was today.
AGAIN_MS: Final = 60_000
# So many pairs of shop and member does a process remember as noted; further ones are noted again.
_MAX_REMEMBERED: Final = 10_000

log = logging.getLogger(__name__)


class MemberNote(msgspec.Struct, frozen=True):
    """`written` stood where `meant` probably belongs, last at `last_ms`."""

    meant: str
    written: str
    last_ms: int


class MemberNotes:
    """Writes (tracker, imports) and reads (admin) the notes."""

    def __init__(self, store: ProfileStore, metrics: IntakeMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self._noted: dict[tuple[int, str], int] = {}

    async def take(self, advertiser_id: int, notes: Iterable[Fault], now_ms: int) -> None:
        """Keep a batch's notes, each member at most once a minute. Never raises: the events are stored already."""
        fresh: dict[str, str] = {}
        for note in notes:
            if note.code != UNKNOWN_MEMBER:
                continue
            written, meant = meant_by(note)
            self._metrics.unknown_members.labels(meant).inc()
            if meant in NOTED_MEMBERS and now_ms - self._noted.get((advertiser_id, meant), -AGAIN_MS) >= AGAIN_MS:
                fresh[meant] = written
        if not fresh:
            return
        key = tag_members(advertiser_id)
        commands: list[Command] = [("HSET", key, meant, f"{now_ms} {written}") for meant, written in fresh.items()]
        try:
            await self._store.commands([*commands, ("EXPIRE", key, KEPT_DAYS * DAY_S)])
        except UnavailableError as error:
            log.info("a note for tag health is left out, Redis does not answer: %s", error.message)
            return
        if len(self._noted) > _MAX_REMEMBERED:
            self._noted.clear()
        self._noted |= dict.fromkeys(((advertiser_id, meant) for meant in fresh), now_ms)

    async def report(self, advertiser_id: int) -> list[MemberNote]:
        """Notes of a shop, by the member that was meant. Raises UnavailableError."""
        (reply,) = await self._store.commands([("HGETALL", tag_members(advertiser_id))])
        flat = reply if isinstance(reply, list) else []
        notes = []
        for at in range(0, len(flat), 2):
            last_ms, _, written = flat[at + 1].decode().partition(" ")
            notes.append(MemberNote(flat[at].decode(), written, int(last_ms)))
        return sorted(notes, key=lambda note: note.meant)
