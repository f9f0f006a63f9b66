"""How many events of a shop were not stored for want of consent: told beside the health of its tags.

A browser is answered 204 for an event that is stored and for one that is dropped, so a shop's page shows nothing of it.
Who sends nothing about consent has forgotten something; who sends a refusal has a visitor who refused.
"""

import collections
import logging
from typing import Final

import msgspec

from core.errors import UnavailableError
from core.keys import tag_dropped
from core.moments import utc_day
from segments.events.privacy import Signals
from segments.facts.facts import DAY_S
from segments.profiles.reading import Command
from segments.profiles.store import ProfileStore

# Anybody may send events, so a process writes the count of a shop no more often than this.
AGAIN_MS: Final = 2_000
_KEPT_S: Final = 3 * DAY_S

log = logging.getLogger(__name__)


class Dropped(msgspec.Struct, frozen=True):
    """Events of today and yesterday (UTC): without a word about consent, and refused by what came with them."""

    unsaid: int = 0
    refused: int = 0


class DroppedEvents:
    """Writes (tracker, imports) and reads (admin) the counts.

    What is dropped within AGAIN_MS of a writing waits for the next event that is dropped, so counts may lag behind.
    """

    def __init__(self, store: ProfileStore) -> None:
        self._store = store
        self._waiting: dict[int, collections.Counter[str]] = {}
        self._written: dict[int, int] = {}

    async def count(self, advertiser_id: int, dropped: list[Signals], now_ms: int) -> None:
        """Count the events whose signals these are. Never raises: nothing depends on it."""
        waiting = self._waiting.setdefault(advertiser_id, collections.Counter())
        waiting.update("refused" if _says_something(signals) else "unsaid" for signals in dropped)
        if now_ms - self._written.get(advertiser_id, -AGAIN_MS) < AGAIN_MS:
            return
        del self._waiting[advertiser_id]
        self._written[advertiser_id] = now_ms
        key = _key(advertiser_id, now_ms)
        commands: list[Command] = [("HINCRBY", key, why, count) for why, count in waiting.items()]
        try:
            await self._store.commands([*commands, ("EXPIRE", key, _KEPT_S)])
        except UnavailableError as error:
            log.info("dropped events are not counted, Redis does not answer: %s", error.message)

    async def report(self, advertiser_id: int, now_ms: int) -> Dropped:
        """The counts of a shop. Raises UnavailableError."""
        keys = (_key(advertiser_id, at_ms) for at_ms in (now_ms, now_ms - DAY_S * 1000))
        replies = await self._store.commands([("HMGET", key, "unsaid", "refused") for key in keys])
        counts = [[int(one or 0) for one in reply] for reply in replies if isinstance(reply, list)]
        return Dropped(*(sum(day) for day in zip(*counts, strict=True)))


def _says_something(signals: Signals) -> bool:
    return bool(signals.refusal or signals.consent or signals.gpp or signals.sections)


def _key(advertiser_id: int, at_ms: int) -> str:
    return tag_dropped(advertiser_id, f"{utc_day(at_ms):%Y%m%d}")
