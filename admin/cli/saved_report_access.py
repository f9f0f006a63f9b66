"""Two ways to saved reports: the admin API, or the database of this machine."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from admin.cli.object_access import ApiAccess, Json
from admin.cli.opening import journal_of, open_migrated
from admin.cli.settings import settings_for
from admin.mail.outbox import Outbox
from admin.reports.deliveries import SentDeliveryPage, sent_delivery
from admin.reports.desk import ReportDesk
from admin.reports.documents import ReportAnswer
from admin.reports.inviting import invite
from admin.reports.saved import (
    LinkRequest,
    RecipientPage,
    RecipientRequest,
    ReportDraft,
    ReportLink,
    ReportLinkPage,
    SavedReport,
    SavedReportDesk,
    SavedReportPage,
    seen_by,
)
from admin.store.catalogue import CatalogueStore
from core.clock import SystemClock
from core.errors import NotFoundError


class SavedReportAccess(Protocol):
    """What the commands ask."""

    async def listed(self) -> SavedReportPage: ...

    async def get(self, number: int) -> SavedReport: ...

    async def save(self, draft: ReportDraft, number: int | None = None) -> SavedReport: ...

    async def delete(self, number: int) -> None: ...

    async def run(self, number: int) -> ReportAnswer: ...

    async def share(self, number: int, asked: LinkRequest) -> ReportLink: ...

    async def links(self, number: int) -> ReportLinkPage: ...

    async def revoke(self, number: int, link: int) -> None: ...

    async def recipients(self) -> RecipientPage: ...

    async def invite(self, asked: RecipientRequest) -> None: ...

    async def forget_recipient(self, asked: RecipientRequest) -> None: ...

    async def deliveries(self, state: str) -> SentDeliveryPage: ...

    async def send_again(self, number: int) -> None: ...

    def address(self, path: str) -> str:
        """Where a browser finds a path."""


class HttpSavedReports(ApiAccess):
    """Over the API."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(url, key)
        self._root = url.rstrip("/")

    async def listed(self) -> SavedReportPage:
        return self._call("GET", "/reports/saved", SavedReportPage)

    async def get(self, number: int) -> SavedReport:
        return self._call("GET", f"/reports/saved/{number}", SavedReport)

    async def save(self, draft: ReportDraft, number: int | None = None) -> SavedReport:
        method, path = ("POST", "/reports/saved") if number is None else ("PUT", f"/reports/saved/{number}")
        return self._call(method, path, SavedReport, draft)

    async def delete(self, number: int) -> None:
        self._call("DELETE", f"/reports/saved/{number}", Json)

    async def run(self, number: int) -> ReportAnswer:
        return self._call("POST", f"/reports/saved/{number}/run", ReportAnswer, long=True)

    async def share(self, number: int, asked: LinkRequest) -> ReportLink:
        return self._call("POST", f"/reports/saved/{number}/links", ReportLink, asked)

    async def links(self, number: int) -> ReportLinkPage:
        return self._call("GET", f"/reports/saved/{number}/links", ReportLinkPage)

    async def revoke(self, number: int, link: int) -> None:
        self._call("DELETE", f"/reports/saved/{number}/links/{link}", Json)

    async def recipients(self) -> RecipientPage:
        return self._call("GET", "/reports/recipients", RecipientPage)

    async def invite(self, asked: RecipientRequest) -> None:
        self._call("POST", "/reports/recipients", Json, asked)

    async def forget_recipient(self, asked: RecipientRequest) -> None:
        self._call("POST", "/reports/recipients/forget", Json, asked)

    async def deliveries(self, state: str) -> SentDeliveryPage:
        return self._call(
            "GET", f"/reports/deliveries?state={state}" if state else "/reports/deliveries", SentDeliveryPage
        )

    async def send_again(self, number: int) -> None:
        self._call("POST", f"/reports/deliveries/{number}/send-again", Json)

    def address(self, path: str) -> str:
        return self._root + path


class StoreSavedReports:
    """On the database itself, with all rights. A running admin role sends what is put into the outbox here."""

    def __init__(self, saved: SavedReportDesk, reports: ReportDesk, outbox: Outbox, public_url: str) -> None:
        self._saved, self._reports, self._outbox, self._public_url = saved, reports, outbox, public_url.rstrip("/")

    async def listed(self) -> SavedReportPage:
        return SavedReportPage(await self._saved.listed(None))

    async def get(self, number: int) -> SavedReport:
        return await self._saved.get(number, None)

    async def save(self, draft: ReportDraft, number: int | None = None) -> SavedReport:
        return await self._saved.save(draft, None, number)

    async def delete(self, number: int) -> None:
        await self._saved.delete(number, None)

    async def run(self, number: int) -> ReportAnswer:
        report = await self._saved.get(number, None)
        return await self._reports.answer(report.request, seen_by(report))

    async def share(self, number: int, asked: LinkRequest) -> ReportLink:
        return await self._saved.share(number, asked, None)

    async def links(self, number: int) -> ReportLinkPage:
        return ReportLinkPage(await self._saved.links(number, None))

    async def revoke(self, number: int, link: int) -> None:
        await self._saved.revoke(number, link, None)

    async def recipients(self) -> RecipientPage:
        return RecipientPage(await self._saved.recipients(None))

    async def invite(self, asked: RecipientRequest) -> None:
        await invite(self._saved, self._outbox, self._public_url, asked, None)

    async def forget_recipient(self, asked: RecipientRequest) -> None:
        await self._saved.forget_recipient(asked, None)

    async def deliveries(self, state: str) -> SentDeliveryPage:
        return SentDeliveryPage([sent_delivery(row) for row in await self._outbox.listed(None, state)])

    async def send_again(self, number: int) -> None:
        if not await self._outbox.again(number, None):
            raise NotFoundError(f"no delivery {number} was set aside")

    def address(self, path: str) -> str:
        return self._public_url + path


@contextlib.asynccontextmanager
async def open_saved(url: str, key: str, data: Path | None, config: Path | None) -> AsyncIterator[SavedReportAccess]:
    """Over HTTP when there is a URL, otherwise on this machine."""
    if url:
        yield HttpSavedReports(url, key)
        return
    settings, clock = settings_for(config), SystemClock()
    async with open_migrated(config, data) as database:
        desk = ReportDesk(journal_of(settings, data), CatalogueStore(database, clock), clock)
        try:
            yield StoreSavedReports(
                SavedReportDesk(database, clock), desk, Outbox(database, clock), settings.admin.public_url
            )
        finally:
            await desk.close()
