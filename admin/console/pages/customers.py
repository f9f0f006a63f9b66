"""Customer lists: audiences from a file that the browser hashes before anything leaves it."""

from collections.abc import Sequence

from aiohttp import web

from admin.api import requests
from admin.api.reading import Reader
from admin.console.browser import Visitor, require_csrf
from admin.console.rendering import go, page
from admin.store.lookups import active_segments
from admin.store.model import Scope
from admin.visitors.rosters import DEFAULT_DAYS, MAX_DAYS, RosterDesk
from segments.audiences.roster_rows import ALIASES, COLUMNS


class CustomerPages:
    """The lists of one advertiser. Files go to the API, by the script of the page."""

    def __init__(self, reader: Reader, desk: RosterDesk) -> None:
        self._reader = reader
        self._desk = desk

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /advertisers/{id}/customers"""
        advertiser = await self._reader.advertiser(visitor.caller, requests.object_id_of(request), Scope.READ)
        async with self._reader.store.database.read() as connection:
            segments = await active_segments(connection, advertiser.id)
        found = await self._desk.all(advertiser.id)
        return page(
            "customers.html", visitor, here="/advertisers", advertiser=advertiser, lists=found.items,
            audiences={segment.rule: segment.id for segment in segments}, days=DEFAULT_DAYS, most_days=MAX_DAYS,
            columns={**ALIASES, **{name: name for name in COLUMNS}},
            may_write=Scope.TRADE in visitor.caller.scopes,
        )  # fmt: skip

    async def drop(self, request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /advertisers/{id}/customers: delete a list"""
        sent = dict(fields)
        require_csrf(visitor.caller, sent)
        advertiser = await self._reader.advertiser(visitor.caller, requests.object_id_of(request), Scope.TRADE)
        await self._desk.drop(advertiser.id, sent.get("drop", ""))
        return go(f"/advertisers/{advertiser.id}/customers")
