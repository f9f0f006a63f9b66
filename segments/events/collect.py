"""From validated payloads to durable events: consent, opt-out, persons, the log; one outcome an event.

Both the web routes and the file import use it, so an event means the same whichever way it came.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from core.clock import Clock
from core.errors import Fault
from segments.events.consent import EventConsentPolicy
from segments.events.dropped import DroppedEvents
from segments.events.intake import Context, Incoming, read_event
from segments.events.member_notes import MemberNotes
from segments.events.members import NameBudget
from segments.facts.event import FORGET, SERVER_ORIGIN, Event
from segments.identity.persons import Identities
from segments.profiles.log import EventLog
from segments.profiles.metrics import IntakeMetrics

Status = Literal["accepted", "invalid", "dropped", "unmatched", "retry"]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one event.

    `accepted`: durable. `invalid`: see `errors`. `dropped`: no consent, or opted out (`reason`). `unmatched`: valid,
    but no device is known for the hashed e-mail. `retry`: the log is full, nothing is stored, send this one again.
    `warnings` name members that were ignored: probably meant to be known ones, or a place that is none. They are told
    whatever became of the event.
    """

    status: Status
    reason: str = ""
    errors: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


class EventCollector:
    """Takes events of one advertiser at a time."""

    def __init__(
        self,
        log: EventLog,
        identities: Identities,
        consent: EventConsentPolicy,
        clock: Clock,
        metrics: IntakeMetrics,
        notebook: MemberNotes,
        dropped: DroppedEvents,
    ) -> None:
        self._log = log
        self._dropped = dropped
        self._notebook = notebook
        self._identities = identities
        self._consent = consent
        self._clock = clock
        self._metrics = metrics

    async def collect(self, rows: Sequence[object], context: Context) -> list[Outcome]:
        """Outcomes in the order of `rows`. Raises UnavailableError when Redis does not answer."""
        outcomes: list[Outcome | None] = []
        judged: list[Incoming] = []
        events: list[tuple[int, Event]] = []
        names = NameBudget()
        for at, row in enumerate(rows):
            incoming = read_event(row, context, names)
            judged.append(incoming)
            for member in incoming.mended:
                self._metrics.mended.labels(member).inc()
            outcome = self._judge(incoming, context)
            outcomes.append(outcome)
            if outcome is None and incoming.event is not None:
                targets = await self._targets(incoming.event)
                events.extend((at, event) for event in targets)
                if not targets:
                    self._metrics.unmatched.inc()
                    outcomes[at] = Outcome("unmatched", "no device has logged in with this e-mail")
        stored = await self._log.append([event for _, event in events]) if events else []
        for (at, _), durable in zip(events, stored, strict=True):
            if not durable:
                outcomes[at] = Outcome("retry", "the event log is full")
            elif outcomes[at] is None:
                outcomes[at] = Outcome("accepted")
        told = [_told(outcome or Outcome("accepted"), one.notes) for outcome, one in zip(outcomes, judged, strict=True)]
        await self._tell_the_shop(told, judged, context)
        return told

    async def _tell_the_shop(self, told: Sequence[Outcome], judged: Sequence[Incoming], context: Context) -> None:
        """What people of the shop see beside the health of its tags. Never raises: the events are stored already."""
        notes = [note for incoming in judged for note in incoming.notes]
        if notes:
            await self._notebook.take(context.advertiser.id, notes, context.now_ms)
        dropped = [one.signals for outcome, one in zip(told, judged, strict=True) if outcome.status == "dropped"]
        if dropped:
            await self._dropped.count(context.advertiser.id, dropped, context.now_ms)

    def look(self, rows: Sequence[object], context: Context) -> list[Outcome]:
        """What would become of the events by their form alone, whatever consent says; nothing is stored or counted."""
        names = NameBudget()
        judged = [read_event(row, context, names) for row in rows]
        return [Outcome("accepted") if one.event else Outcome("invalid", errors=one.faults) for one in judged]

    async def forget(self, advertiser_id: int, user_id: str) -> bool:
        """Let the worker erase what one shop knows of a browser; False if the log is full.

        It goes through the log, so that what was sent before is forgotten too. Raises UnavailableError.
        """
        (durable,) = await self._log.append([Event(FORGET, advertiser_id, user_id, self._clock.now_ms())])
        return durable

    def permits(self, rows: Sequence[object], context: Context) -> bool:
        """Whether one of the events may be stored; counts nothing."""
        names = NameBudget()
        return any(
            incoming.event is not None and self._may_store(incoming, context)
            for incoming in (read_event(row, context, names) for row in rows)
        )

    def _judge(self, incoming: Incoming, context: Context) -> Outcome | None:
        """Why the event is not stored; None if it may be."""
        if incoming.event is None:
            self._metrics.invalid.inc()
            return Outcome("invalid", errors=incoming.faults)
        if not self._may_store(incoming, context):
            self._metrics.without_consent.inc()
            return Outcome("dropped", "no consent to write a profile")
        return None

    def _may_store(self, incoming: Incoming, context: Context) -> bool:
        flags = self._consent.flags(incoming.signals, vouched=context.trusted)
        return flags.profile_write and flags.identifiers

    async def _targets(self, event: Event) -> list[Event]:
        """The event for each profile that it concerns: the named user, or every device of the hashed e-mail."""
        if event.user_id:
            return [event]
        devices = await self._identities.devices(event.advertiser_id, event.person)
        return [msgspec.structs.replace(event, user_id=device, origin=SERVER_ORIGIN) for device in devices]


def _told(outcome: Outcome, notes: tuple[Fault, ...]) -> Outcome:
    return msgspec.structs.replace(outcome, warnings=notes) if notes else outcome
