"""Mails of audience hooks: at most one in each hour for a hook, with how many visitors entered which segment.

Visitors are counted, not named: what a mail says of a person could not be erased any more, and a pseudonym tells its
reader nothing. What is counted lies in Redis until the mail is in the outbox, so that an erasure takes it back. A
process that dies between the two counts those visitors once more.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from admin.mail.message import one_line
from admin.mail.outbox import Outbox, OutboxItem
from admin.reports.notifying import loud_ms
from admin.store.catalogue import CatalogueStore, agreed_recipients, objects_by_id
from admin.store.kinds import ADVERTISERS, SEGMENTS, WEBHOOKS
from admin.store.model import Webhook
from core.clock import Clock
from core.config import MailSettings
from core.errors import GroszError
from core.model import Advertiser, Segment, Status
from core.telemetry.metrics import Telemetry
from segments.audiences.mail_counts import take_counted, waiting_counts
from segments.profiles.store import ProfileStore

POLL_S: Final = 20.0
_HOUR_MS: Final = 3_600_000

log = logging.getLogger("grosz.notifications")


class AudienceMailer:
    """Puts into the outbox what hooks by mail have to tell. `console` is the console's address, "" where unknown."""

    def __init__(
        self,
        store: CatalogueStore,
        profiles: ProfileStore,
        outbox: Outbox,
        settings: MailSettings,
        clock: Clock,
        telemetry: Telemetry,
        console: str = "",
    ) -> None:
        self._store, self._profiles, self._outbox = store, profiles, outbox
        self._settings, self._clock, self._console = settings, clock, console.rstrip("/")
        self._visitors = telemetry.counter(
            "grosz_audience_mail_visitors_total", "Visitors that hooks by mail told of, by outcome.", ("outcome",)
        )

    async def run(self) -> None:
        """Look once at the beginning of each hour, until cancelled."""
        done = self._hour()
        while True:
            await asyncio.sleep(POLL_S)
            if self._hour() == done:
                continue
            hour = self._hour()
            try:
                await self.step()
            except GroszError as error:
                log.warning("mails of audience hooks wait: %s", error)
            else:
                done = hour

    async def step(self) -> int:
        """Look once; the number of mails that were put into the outbox."""
        counts = await waiting_counts(self._profiles)
        if not counts:
            return 0
        segments, hooks, owners, agreed = await self._told(sorted(counts))
        by_hook: dict[int, dict[int, int]] = {}
        for one, count in counts.items():
            segment = segments.get(one)
            hook = hooks.get(segment.webhook_id or 0) if segment is not None else None
            if hook is None or (hook.advertiser_id, hook.mail) not in agreed:
                await self._forget({one: count}, "nobody to tell")
            elif not count:  # all visitors who had entered were erased
                await self._forget({one: 0}, "told")
            else:
                by_hook.setdefault(hook.id, {})[one] = count
        mails = 0
        for number, found in by_hook.items():
            if await self._tell(hooks[number], owners[hooks[number].advertiser_id], segments, found):
                mails += 1
                await self._forget(found, "told")
        return mails

    async def _told(
        self, ids: Sequence[int]
    ) -> tuple[dict[int, Segment], dict[int, Webhook], dict[int, Advertiser], frozenset[tuple[int, str]]]:
        """The segments, their active webhooks by mail, their advertisers, and the (advertiser, address) that agreed."""
        async with self._store.database.read() as connection:
            found = await objects_by_id(connection, SEGMENTS, ids)
            segments: dict[int, Segment] = {number: one.value for number, one in found.items()}
            wanted = sorted({one.webhook_id for one in segments.values() if one.webhook_id is not None})
            found = await objects_by_id(connection, WEBHOOKS, wanted)
            hooks: dict[int, Webhook] = {
                number: one.value
                for number, one in found.items()
                if one.value.mail and one.value.status is Status.ACTIVE
            }
            found = await objects_by_id(connection, ADVERTISERS, sorted({one.advertiser_id for one in hooks.values()}))
            owners: dict[int, Advertiser] = {number: one.value for number, one in found.items()}
            return segments, hooks, owners, await agreed_recipients(connection, hooks.values())

    async def _tell(
        self, hook: Webhook, owner: Advertiser, segments: Mapping[int, Segment], found: Mapping[int, int]
    ) -> bool:
        """Put a mail into the outbox, but not in quiet hours and not twice in an hour; whether it was put there."""
        now_ms = self._clock.now_ms()
        if loud_ms(now_ms, owner.timezone, self._settings) > now_ms:
            return False
        lines = [
            f"{count} {_visitors(count)} entered segment {one}, {one_line(segments[one].name)}."
            + (f"\n{self._console}/segments/{one}" if self._console else "")
            for one, count in sorted(found.items())
        ]
        total = sum(found.values())
        end = (
            f"Webhook {hook.id}, {one_line(hook.name)}, sends this, at most once an hour. Pause it to end these mails."
        )
        return await self._outbox.add(
            OutboxItem(
                once=f"audience:{hook.id}:{now_ms // _HOUR_MS}",
                advertiser_id=hook.advertiser_id,
                channel="mail",
                target=hook.mail,
                subject=f"{owner.name}: {total} {_visitors(total)} entered your audiences",
                text="\n\n".join([*lines, end]) + "\n",
            )
        )

    async def _forget(self, found: Mapping[int, int], outcome: str) -> None:
        self._visitors.labels(outcome).inc(sum(found.values()))
        for one, count in found.items():
            await take_counted(self._profiles, one, count)

    def _hour(self) -> int:
        return self._clock.now_ms() // _HOUR_MS


def _visitors(count: int) -> str:
    return "visitor" if count == 1 else "visitors"
