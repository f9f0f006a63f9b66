"""Reports that are kept on the server, for everybody who may see them: made of the address of a report.

Beside them who may be written to, and a form that asks an address.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from aiohttp import web

from admin.access.principal import Principal
from admin.api.problem import Problem, problem_of, status_of
from admin.console.browser import Visitor, require_csrf
from admin.console.desk import Desk
from admin.console.fields import id_of
from admin.console.pages.reports import wanted_of
from admin.console.rendering import go, page
from admin.mail.outbox import Outbox
from admin.reports.documents import ReportRequest
from admin.reports.inviting import invite
from admin.reports.saved import LinkRequest, RecipientRequest, ReportDraft, SavedReportDesk
from admin.store.model import Scope
from admin.validation.decode import decode
from core.errors import GroszError, InputError

_LIMIT: Final = 500


class SavedReportsPage:
    """The lists of saved reports, with their links, and of recipients. `public_url` is the console's own address."""

    def __init__(self, desk: Desk, saved: SavedReportDesk, outbox: Outbox, public_url: str) -> None:
        self._desk, self._saved = desk, saved
        self._outbox, self._public_url = outbox, public_url

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        """GET /reports/saved: `query` is a report's address to be saved"""
        visitor.caller.require(Scope.READ)
        return await self._page(visitor, {"query": request.query.get("query", "")}, None, 200)

    async def change(self, _request: web.Request, visitor: Visitor, fields: Sequence[tuple[str, str]]) -> web.Response:
        """POST /reports/saved: `action` save, delete, share (answers with the link), ask or forget an address"""
        sent, caller = dict(fields), visitor.caller
        require_csrf(caller, sent)
        caller.require(Scope.TRADE)
        mine, number = caller.advertiser_ids, id_of(sent.get("id", ""))
        try:
            if sent.get("action") == "save":
                await self._saved.save(_draft(caller, sent), mine)
            elif sent.get("action") == "ask":
                wanted, words = _recipient(sent), visitor.words
                await invite(self._saved, self._outbox, self._public_url, wanted, mine, words.text)
            elif sent.get("action") == "forget":
                await self._saved.forget_recipient(_recipient(sent), mine)
            elif number is None:
                raise InputError("the form names no report", hint="load the page again")
            elif sent.get("action") == "share":
                link = await self._saved.share(number, LinkRequest(), mine)
                return await self._page(visitor, {"link": link.path, "until": link.expires_at}, None, 200)
            else:
                await self._saved.delete(number, mine)
        except GroszError as error:
            return await self._page(visitor, sent, problem_of(error), status_of(error))
        return go("/reports/saved")

    async def _page(
        self, visitor: Visitor, shown: dict[str, str], problem: Problem | None, status: int
    ) -> web.Response:
        caller = visitor.caller
        reports = await self._saved.listed(caller.advertiser_ids)
        may_write = caller.has(Scope.TRADE)
        return page(
            "saved_reports.html",
            visitor,
            status,
            here="/reports",
            reports=[(one, _address(one.request)) for one in reports],
            advertisers=dict(await self._desk.choices(caller, "advertisers")),
            everywhere=caller.advertiser_ids is None,
            may_write=may_write,
            recipients=await self._saved.recipients(caller.advertiser_ids) if may_write else [],
            shown=shown,
            problem=problem,
        )


def _draft(caller: Principal, sent: dict[str, str]) -> ReportDraft:
    """Raises InputError."""
    asked = parse_qsl(sent.get("query", ""), max_num_fields=200)
    request = msgspec.to_builtins(wanted_of(asked, _LIMIT))
    raw = {"name": sent.get("name", "").strip(), "request": request}
    advertiser = id_of(sent.get("advertiser_id", ""))
    if advertiser is not None:
        raw["advertiser_id"] = advertiser
    elif caller.advertiser_ids is not None:
        raise InputError("choose the advertiser that the report is about")
    return decode(raw, ReportDraft, strict=False)


def _recipient(sent: dict[str, str]) -> RecipientRequest:
    """Raises InputError."""
    raw = {"address": sent.get("address", "").strip(), "advertiser_id": id_of(sent.get("advertiser_id", ""))}
    return decode(raw, RecipientRequest)


def _address(asked: ReportRequest) -> str:
    """The query of the page that shows a report."""
    pairs = [("by", name) for name in asked.dimensions] + [("measure", name) for name in asked.measures]
    for name, values in asked.filters.items():
        pairs += [("only", name), ("values", ",".join(map(str, values)))]
    for name in ("since", "until", "timezone", "currency", "sort"):
        value = getattr(asked, name, None)
        if value:
            pairs.append((name, str(value)))
    return urlencode(pairs)
