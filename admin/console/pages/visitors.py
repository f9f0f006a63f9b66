"""The card of one visitor, and the erasure of what is known of them (GDPR articles 15 and 17)."""

from collections.abc import Sequence

import msgspec
from aiohttp import web

from admin.access.principal import Principal
from admin.console.browser import Visitor, require_csrf
from admin.console.rendering import HEADERS, page
from admin.store.model import Scope
from admin.visitors.visitor_desk import VisitorDesk


class Visitors:
    """Pages of visitors, who belong to no shop: for administrators of the whole installation."""

    def __init__(self, desk: VisitorDesk) -> None:
        self._desk = desk

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /visitors?id=: the card; each look is noted in the audit stream"""
        actor = _actor(visitor.caller)
        user_id = request.query.get("id", "").strip()
        report = await self._desk.show(user_id, actor) if user_id else None
        if report is not None and "export" in request.query:
            headers = HEADERS | {"Content-Disposition": f'attachment; filename="{user_id}.json"'}
            body = msgspec.json.format(msgspec.json.encode(report))
            return web.Response(body=body, content_type="application/json", headers=headers)
        return page("visitor.html", visitor, here="/visitors", user_id=user_id, report=report, erased=None)

    async def forget(self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /visitors: erase everything of a visitor, and of devices linked to them by a log-in"""
        sent = dict(fields)
        require_csrf(visitor.caller, sent)
        actor = _actor(visitor.caller)
        erased = await self._desk.forget(sent.get("id", "").strip(), actor)
        return page("visitor.html", visitor, here="/visitors", user_id="", report=None, erased=erased)


def _actor(caller: Principal) -> str:
    """Who looks, for the audit stream. Raises Forbidden."""
    caller.require(Scope.ADMIN, everywhere=True)
    return f"{caller.kind}:{caller.id}"
