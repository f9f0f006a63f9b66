"""Two ways to what exchanges say of creatives: the admin API, or the database of this machine."""

import contextlib
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import msgspec

from admin.cli.object_access import ApiAccess
from admin.cli.opening import installed_settings, open_store
from admin.reviews.desk import ReviewDesk
from admin.reviews.documents import ApprovalPage, ApprovalQuery, ApprovalRequest, ApprovalView
from admin.store.catalogue import CatalogueStore
from admin.store.changes import CLI
from admin.store.kinds import ADVERTISERS, CREATIVES, EXCHANGES
from core.clock import SystemClock
from core.config import Settings
from core.model import Advertiser, Creative, Exchange
from creatives.scanning.loaded import CreativeScanner, ScanReport


class Approvals(Protocol):
    """What the commands ask."""

    async def page(self, query: ApprovalQuery) -> ApprovalPage:
        """What exchanges say of creatives."""

    async def note(self, creative_id: int, exchange_id: int, wanted: ApprovalRequest) -> ApprovalView:
        """Note what an exchange has said to a person."""

    async def submit(self, creative_id: int, exchange_id: int) -> ApprovalView:
        """Let an exchange look at a creative again."""

    async def scan(self, creative_id: int) -> ScanReport:
        """What a reviewer would find in a creative."""

    async def creative(self, creative_id: int) -> Creative:
        """A creative as it is now."""


class HttpApprovals(ApiAccess):
    """Over the API."""

    async def page(self, query: ApprovalQuery) -> ApprovalPage:
        named = {name: value for name, value in msgspec.to_builtins(query).items() if value is not None}
        return self._call("GET", f"/approvals?{urllib.parse.urlencode(named)}", ApprovalPage)

    async def note(self, creative_id: int, exchange_id: int, wanted: ApprovalRequest) -> ApprovalView:
        return self._call("PUT", f"/creatives/{creative_id}/approvals/{exchange_id}", ApprovalView, wanted)

    async def submit(self, creative_id: int, exchange_id: int) -> ApprovalView:
        return self._call("POST", f"/creatives/{creative_id}/approvals/{exchange_id}/submit", ApprovalView)

    async def scan(self, creative_id: int) -> ScanReport:
        return self._call("POST", f"/creatives/{creative_id}/scan", ScanReport, long=True)

    async def creative(self, creative_id: int) -> Creative:
        return self._call("GET", f"/creatives/{creative_id}", Creative)


class StoreApprovals:
    """On the database itself, with all rights."""

    def __init__(self, store: CatalogueStore, settings: Settings) -> None:
        self._store = store
        self._scanner = CreativeScanner(settings.track.public_url, allow_private=settings.worker.private_feeds)
        # A running admin role sees the new version in the database by itself, within a fraction of a second.
        self._desk = ReviewDesk(store, SystemClock(), lambda: None)

    async def page(self, query: ApprovalQuery) -> ApprovalPage:
        return await self._desk.page(query, None)

    async def note(self, creative_id: int, exchange_id: int, wanted: ApprovalRequest) -> ApprovalView:
        return await self._desk.note(*await self._named(creative_id, exchange_id), wanted, CLI)

    async def submit(self, creative_id: int, exchange_id: int) -> ApprovalView:
        return await self._desk.submit(*await self._named(creative_id, exchange_id), CLI)

    async def scan(self, creative_id: int) -> ScanReport:
        creative = await self.creative(creative_id)
        owner: Advertiser = (await self._store.get(ADVERTISERS, creative.advertiser_id)).value
        return await self._scanner.scan(creative, owner.domain)

    async def creative(self, creative_id: int) -> Creative:
        found: Creative = (await self._store.get(CREATIVES, creative_id)).value
        return found

    async def _named(self, creative_id: int, exchange_id: int) -> tuple[Creative, Exchange]:
        creative = await self.creative(creative_id)
        exchange: Exchange = (await self._store.get(EXCHANGES, exchange_id)).value
        return creative, exchange


@contextlib.asynccontextmanager
async def open_approvals(url: str, key: str, data: Path | None, config: Path | None) -> AsyncIterator[Approvals]:
    """Over HTTP when there is a URL, otherwise on this machine."""
    if url:
        yield HttpApprovals(url, key)
        return
    async with open_store(config, data) as store:
        yield StoreApprovals(store, installed_settings(config, data))
