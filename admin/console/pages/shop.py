"""What a shop sends and has: health of its tags, sizes of its segments, its products, runs of its feeds."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from admin.api import requests
from admin.api.app import Desks
from admin.api.problem import problem_of
from admin.api.reading import Reader
from admin.console.browser import Visitor, require_csrf
from admin.console.fields import id_of
from admin.console.rendering import go, page
from admin.console.snippets import NO_CONSENT_NEEDED, OWN_STRING, snippets_of
from admin.products.documents import ProductQuery
from admin.store.lookups import active_segments
from admin.store.model import Scope
from admin.validation.decode import decode
from core.errors import GroszError, InputError, UnavailableError
from creatives.feeds.faults import KINDS

_PRODUCTS_SHOWN = 24
# A page waits so long for Redis, then shows the rest.
_PATIENCE_S = 3
# Somebody waits beside the text of a rule, not longer than this.
_COUNT_S = 10
# Every three seconds for ten minutes: a page that nobody looks at any more must not ask for ever.
_MOST_LOOKS = 200


class ShopPages:
    """Pages of one advertiser's data."""

    def __init__(self, reader: Reader, desks: Desks) -> None:
        self._reader = reader
        self._desks = desks

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /advertisers/{id}/shop: tags, segments, ids against the feed, products that fit `q`"""
        advertiser = await self._reader.advertiser(visitor.caller, requests.object_id_of(request), Scope.READ)
        async with self._reader.store.database.read() as connection:
            segments = await active_segments(connection, advertiser.id)
        query = decode({"q": request.query.get("q", ""), "limit": _PRODUCTS_SHOWN}, ProductQuery)
        snippets = snippets_of(advertiser, self._desks.media.track_url)
        values: dict[str, Any] = {
            "advertiser": advertiser, "search": query.q, "available": True, "snippets": snippets,
            "no_consent_needed": NO_CONSENT_NEEDED, "own_string": OWN_STRING,
        }  # fmt: skip
        try:
            async with asyncio.timeout(_PATIENCE_S):
                values["tags"] = await self._desks.audiences.tags(advertiser.id)
                values["sizes"] = await self._desks.audiences.sizes(segments)
                values["match"] = await self._desks.products.match(advertiser.id)
                values["products"] = await self._desks.products.search(advertiser.id, query)
        except (TimeoutError, UnavailableError):
            values["available"] = False
        return page("shop.html", visitor, here="/advertisers", **values)

    async def events(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /advertisers/{id}/events: the last events as rows, and when to look again"""
        advertiser = await self._reader.advertiser(visitor.caller, requests.object_id_of(request), Scope.READ)
        looked = id_of(request.query.get("looked", "")) or 0
        last = await self._desks.audiences.last_events(advertiser.id)
        return page("last_events.html", visitor, advertiser=advertiser, last=last, looked=min(looked, _MOST_LOOKS) + 1,
                    again=looked < _MOST_LOOKS)  # fmt: skip

    async def feed(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /feeds/{id}/runs: how the feed's last runs went, and each fault with its line"""
        feed = await self._reader.feed(visitor.caller, requests.object_id_of(request), Scope.READ)
        report = await self._desks.products.report(feed)
        asked = "asked" in request.query
        return page("feed.html", visitor, here="/feeds", feed=feed, report=report, asked=asked, fault_kinds=KINDS)

    async def refresh(self, request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /feeds/{id}/runs: load it now"""
        sent = dict(fields)
        require_csrf(visitor.caller, sent)
        feed = await self._reader.feed(visitor.caller, requests.object_id_of(request), Scope.TRADE)
        await self._desks.products.refresh(feed, force=sent.get("force") == "1")
        return go(f"/feeds/{feed.id}/runs?asked")

    async def count(self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /count: how many visitors a rule has now, or what is wrong with it, beside its text"""
        sent = dict(fields)
        require_csrf(visitor.caller, sent)
        values: dict[str, Any] = {"counts": None, "problem": None, "said": ""}
        try:
            advertiser_id = id_of(sent.get("advertiser_id", ""))
            if advertiser_id is None:
                raise InputError("choose an advertiser first")
            advertiser = await self._reader.advertiser(visitor.caller, advertiser_id, Scope.READ)
            async with asyncio.timeout(_COUNT_S):
                values["counts"] = await self._desks.audiences.count(advertiser, [sent.get("rule", "")])
        except TimeoutError:
            values["problem"] = problem_of(UnavailableError("it takes too long to count", hint="try again in a minute"))
        except GroszError as error:
            values["problem"] = problem_of(error)
        return page("count.html", visitor, **values)
