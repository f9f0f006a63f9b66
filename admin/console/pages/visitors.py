"""The card of one visitor, and the erasure of what is known of them (GDPR articles 15 and 17)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from admin.access.principal import Principal
from admin.console.browser import Visitor, require_csrf
from admin.console.card import Card, card_of
from admin.console.desk import Desk
from admin.console.rendering import HEADERS, page
from admin.store.model import Scope
from admin.visitors.visitor_desk import VisitorDesk
from core.clock import Clock


class Visitors:
    """Pages of visitors, who belong to no shop: for administrators of the whole installation."""

    def __init__(self, desk: Desk, visitors: VisitorDesk, clock: Clock) -> None:
        self._desk = desk
        self._visitors = visitors
        self._clock = clock

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /visitors?id=: the card; each look is noted in the audit stream"""
        actor = _actor(visitor.caller)
        user_id = request.query.get("id", "").strip()
        report = await self._visitors.show(user_id, actor) if user_id else None
        if report is not None and "export" in request.query:
            headers = HEADERS | {"Content-Disposition": f'attachment; filename="{user_id}.json"'}
            body = msgspec.json.format(msgspec.json.encode(report))
            return web.Response(body=body, content_type="application/json", headers=headers)
        shops = [await self._shop(visitor, shop) for shop in report.advertisers] if report is not None else []
        return page("visitor.html", visitor, here="/visitors", user_id=user_id, report=report, shops=shops, erased=None)

    async def forget(self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /visitors: erase everything of a visitor, and of devices linked to them by a log-in"""
        sent = dict(fields)
        require_csrf(visitor.caller, sent)
        actor = _actor(visitor.caller)
        erased = await self._visitors.forget(sent.get("id", "").strip(), actor)
        return page("visitor.html", visitor, here="/visitors", user_id="", report=None, shops=[], erased=erased)

    async def _shop(self, visitor: Visitor, shop: Mapping[str, Any]) -> tuple[Mapping[str, Any], Card]:
        """An advertiser and its part of the card."""
        advertiser = await self._desk.read(visitor.caller, "advertisers", shop["advertiser_id"])
        segments = dict(await self._desk.choices(visitor.caller, "segments", advertiser["id"]))
        now_s = self._clock.now_ms() // 1000
        return advertiser, card_of(shop, advertiser["currency"], segments, now_s, visitor.words)


def _actor(caller: Principal) -> str:
    """Who looks, for the audit stream. Raises Forbidden."""
    caller.require(Scope.ADMIN, everywhere=True)
    return f"{caller.kind}:{caller.id}"
