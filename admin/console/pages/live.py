"""What happens now: auctions as bidders answer them, and calls of audience hooks that were given up."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from admin.api.tailing import TailQuery, watching_of
from admin.console.browser import Visitor, require_csrf
from admin.console.desk import Desk
from admin.console.fields import id_of
from admin.console.rendering import go, page
from admin.diagnosis.tailing import TailDesk
from admin.store.model import Scope
from admin.validation.decode import decode
from admin.visitors.audience_desk import AudienceDesk
from bidder.decision.tailing import TailedAuction
from core.model import Status
from core.reasons import NoBid

_TEXTS: Final = {reason.name.lower(): reason.text for reason in NoBid}
# Names of so many line items are looked up for each look at the auctions.
_NAMES: Final = 100


class LivePages:
    """Pages that show events one by one."""

    def __init__(self, desk: Desk, tails: TailDesk, audiences: AudienceDesk) -> None:
        self._desk = desk
        self._tails = tails
        self._audiences = audiences

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /live: the frame, which asks for what comes; without a script each loading shows the last half minute"""
        return await self._rows(request, visitor, "live.html")

    async def rows(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /live/rows: what came since `after`, and where to go on"""
        return await self._rows(request, visitor, "live_rows.html")

    async def _rows(self, request: web.Request, visitor: Visitor, template: str) -> web.Response:
        caller, asked = visitor.caller, dict(request.query)
        everywhere = caller.advertiser_ids is None
        chosen = {name: asked.get(name, "").strip() for name in ("line_item_id", "exchange")}
        nobid = everywhere and "nobid" in asked
        line_item = id_of(chosen["line_item_id"])
        raw: dict[str, Any] = {"nobid": nobid, "exchange": chosen["exchange"], "after": asked.get("after", "")}
        raw |= {} if line_item is None else {"line_item_id": line_item}
        query = decode(raw, TailQuery)
        found = await self._tails.take(caller.key, watching_of(caller, query), query.after)
        auctions = list(reversed(found.auctions))
        following = {"after": found.next, **{name: text for name, text in chosen.items() if text}}
        return page(
            template,
            visitor,
            here="/live",
            auctions=auctions,
            names=await self._names(visitor, auctions),
            reasons=_TEXTS,
            following=urlencode(following | ({"nobid": "1"} if nobid else {})),
            chosen=chosen,
            nobid=nobid,
            everywhere=everywhere,
        )

    async def _names(self, visitor: Visitor, auctions: Sequence[TailedAuction]) -> dict[int, str]:
        ids = {bid.line_item_id for auction in auctions for bid in (*auction.bids, *auction.considered)}
        if not ids:
            return {}
        query = [("id", str(one)) for one in sorted(ids)[:_NAMES]] + [("status", status.value) for status in Status]
        found = await self._desk.page(visitor.caller, "line-items", [*query, ("limit", str(_NAMES))])
        return {item["id"]: item["name"] for item in found["items"]}

    async def given_up(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /given-up: calls of audience hooks that were given up after their last try"""
        visitor.caller.require(Scope.READ, everywhere=True)
        found = await self._audiences.given_up()
        sent = id_of(request.query.get("sent", ""))
        calls = [(call, call.given_up.isoformat()) for call in reversed(found.items)]
        return page("given_up.html", visitor, here="/given-up", calls=calls, sent=sent)

    async def send_again(
        self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]
    ) -> web.Response:
        """POST /given-up: all of them are called again, with all their tries"""
        require_csrf(visitor.caller, dict(fields))
        visitor.caller.require(Scope.TRADE, everywhere=True)
        return go(f"/given-up?sent={(await self._audiences.send_again()).sent_again}")
