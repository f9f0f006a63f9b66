"""What is stored of one visitor, its erasure, and events from a trusted sender: for the API and the command line."""

from collections.abc import Sequence
from typing import Any

import msgspec

from admin.validation.days import date_of
from admin.visitors.documents import VisitorErased, VisitorReport
from admin.visitors.user_ids import checked_user_id
from core.clock import Clock
from core.keys import user_touches
from core.model import Advertiser
from core.money import FxTable
from pacing.notices.touches import Touch, unpack_touch
from segments.audiences.sizes import SegmentSizes
from segments.events.collect import EventCollector, Outcome
from segments.events.consent import EventConsentPolicy
from segments.events.dropped import DroppedEvents
from segments.events.intake import Context
from segments.events.member_notes import MemberNotes
from segments.identity.persons import Identities, PseudonymsOf
from segments.profiles.log import EventLog
from segments.profiles.metrics import IntakeMetrics
from segments.profiles.reading import Pipeline
from segments.profiles.store import ProfileStore


class VisitorDesk:
    """Shows and erases what is stored of a visitor (GDPR articles 15 and 17).

    Every access is noted in the audit stream with `actor`.
    """

    def __init__(
        self, profiles: ProfileStore, clock: Clock, pseudonyms: PseudonymsOf = lambda _user_id, _until_ms: ()
    ) -> None:
        """`pseudonyms` gives the pseudonyms that the journal may have a user under, to be erased there, too."""
        self._profiles = profiles
        self._identities = Identities(profiles, SegmentSizes(profiles), clock, pseudonyms)

    async def show(self, user_id: str, actor: str) -> VisitorReport:
        """Everything stored of the user. Raises InputError for what is no user id."""
        checked_user_id(user_id)
        (records,) = await self._profiles.commands([("LRANGE", user_touches(user_id), 0, -1)])
        touches = [unpack_touch(record) for record in records] if isinstance(records, list) else []
        ads = [_shown(touch) for touch in touches if touch is not None]
        export = msgspec.to_builtins(await self._identities.export(user_id, actor))
        return msgspec.convert({**export, "ads": ads}, VisitorReport)

    async def forget(self, user_id: str, actor: str) -> VisitorErased:
        """Erase the user at every advertiser, and the devices linked to them by a login. Raises InputError."""
        erased = await self._identities.forget(checked_user_id(user_id), actor)
        return VisitorErased(list(erased.user_ids), erased.advertisers, erased.exchange_ids)


class EventDesk:
    """Takes events of a trusted sender, such as the operator or a shop's back office."""

    def __init__(
        self,
        redis: Pipeline,
        profiles: ProfileStore,
        consent: EventConsentPolicy,
        clock: Clock,
        metrics: IntakeMetrics,
    ) -> None:
        identities = Identities(profiles, SegmentSizes(profiles), clock)
        log, notes = EventLog(redis, clock, metrics), MemberNotes(profiles, metrics)
        self._collector = EventCollector(log, identities, consent, clock, metrics, notes, DroppedEvents(profiles))
        self._clock = clock

    async def collect(self, advertiser: Advertiser, fx: FxTable, rows: Sequence[object]) -> list[Outcome]:
        """What became of each event, in order."""
        return await self._collector.collect(rows, Context(advertiser, fx, self._clock.now_ms(), trusted=True))


def _shown(touch: Touch) -> dict[str, Any]:
    return {**touch._asdict(), "kind": touch.kind.name.lower(), "day": date_of(touch.day).isoformat()}
