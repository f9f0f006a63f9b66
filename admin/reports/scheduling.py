"""Scheduled reports: made when they are due, each once a period, and put into the outbox."""

import asyncio
import logging
from typing import Final

import msgspec

from admin.mail.outbox import ALL_SHOPS, Outbox, OutboxItem
from admin.reports.desk import ReportDesk
from admin.reports.saved import SavedReport, SavedReportDesk, addresses, seen_by, span_before
from core.errors import GroszError, UnavailableError
from journal.questions import span_of

POLL_S: Final = 30.0

log = logging.getLogger("grosz.reports")


class ScheduleLoop:
    """Makes what is due. A report that cannot be made is tried again at the next look."""

    def __init__(self, saved: SavedReportDesk, reports: ReportDesk, outbox: Outbox) -> None:
        self._saved, self._reports, self._outbox = saved, reports, outbox

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.step()
            except GroszError as error:
                log.warning("scheduled reports wait: %s", error)
            await asyncio.sleep(POLL_S)

    async def step(self) -> int:
        """Make the reports that are due; how many deliveries that are."""
        made = 0
        for report, moment_ms in await self._saved.due():
            try:
                made += await self._make(report, moment_ms)
            except GroszError as error:
                log.warning("a scheduled report waits", extra={"fields": {"report": report.id, "error": str(error)}})
                continue
            await self._saved.done(report, moment_ms)
        return made

    async def _make(self, report: SavedReport, moment_ms: int) -> int:
        schedule = report.schedule
        if schedule is None:
            return 0
        since, until = span_before(schedule.every, moment_ms, report.request.timezone)
        form = report.request.format
        form = "xlsx" if schedule.by == "mail" and form == "json" else form
        request = msgspec.structs.replace(report.request, since=since, until=until, format=form, names=True)
        _since_ms, until_ms = span_of(request.question(), moment_ms)
        if self._reports.stored_until() < until_ms:  # it is sent once: what comes later would never be in it
            raise UnavailableError(
                "the journal does not have the whole of its last day yet", hint="is the worker behind?"
            )
        file = await self._reports.file(request, seen_by(report), report.name)
        made = 0
        for target in addresses(schedule):
            made += await self._outbox.add(
                OutboxItem(
                    once=f"report:{report.id}:{moment_ms}:{target}",
                    advertiser_id=report.advertiser_id or ALL_SHOPS,
                    channel=schedule.by,
                    target=target,
                    subject=f"{report.name}, {since} to {until}",
                    text=f"{report.name}\n{since} to {until}, time zone {report.request.timezone}.\n",
                    attachment=file.body,
                    ending=file.ending,
                    content_type=file.content_type,
                )
            )
        return made
