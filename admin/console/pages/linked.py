"""Pages for whoever has a link: a report that is shared by it, and the agreement to reports by mail.

Nobody logs in to them: a link is of 128 bits, shows one report of one advertiser, ends, can be revoked, and no search
engine may keep it. They are in the language that the browser asks for, and run no script.
"""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from admin.access.limits import RateLimiter
from admin.api.problem import problem_of, status_of
from admin.console.browser import Visitor, address_of, words_for
from admin.console.fields import N_
from admin.console.pages.reports import report_view
from admin.console.rendering import page
from admin.reports.desk import ReportDesk
from admin.reports.saved import SavedReportDesk, SharedReport
from core.clock import Clock
from core.errors import GroszError, NotFoundError
from core.network.headers import CSP

LINKED_HEADERS: Final = {
    "X-Robots-Tag": "noindex, nofollow, noarchive", "Referrer-Policy": "no-referrer", "Vary": "Accept-Language",
    CSP: "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
}  # fmt: skip
# Nobody logs in to see a shared report, and each answer keeps the other questions waiting.
SHOWN_A_MINUTE: Final = 30
_FORMS: Final = ("json", "csv", "xlsx", "parquet")
_MAIL: Final = N_("Reports by mail")
_NOTHING: Final = N_("Nothing here")
_TOO_OFTEN: Final = N_("This was asked for too often: try again in {count} s.")
_WILL_COME: Final = N_("Reports will come to {address}.")


class LinkedPages:
    """What links in mails and links to reports lead to."""

    def __init__(self, saved: SavedReportDesk, reports: ReportDesk, clock: Clock) -> None:
        self._saved, self._reports = saved, reports
        self._limiter = RateLimiter(clock)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/shared/{token}", self.shared, allow_head=False),
            web.get("/confirm/{token}", self.confirming, allow_head=False),
            web.post("/confirm/{token}", self.confirm),
        ]

    async def shared(self, request: web.Request) -> web.Response:
        """GET /shared/{token}: one report of one advertiser, for whoever has the link."""
        token, visitor = request.match_info["token"][:64], _stranger(request)
        try:
            report = await self._saved.shared(token)
        except NotFoundError as error:
            return _refused(visitor, error, visitor.words.text(_NOTHING))
        _left, wait_s = self._limiter.take(token, SHOWN_A_MINUTE)
        if wait_s:
            text = visitor.words.text(_TOO_OFTEN).format(count=wait_s)
            answer = _page(visitor, HTTPStatus.TOO_MANY_REQUESTS, title=report.name, text=text)
            answer.headers["Retry-After"] = str(wait_s)
            return answer
        try:
            return await self._answer(visitor, report, request.query.get("format", ""))
        except GroszError as error:
            return _refused(visitor, error, report.name)

    async def _answer(self, visitor: Visitor, report: SharedReport, form: str) -> web.Response:
        """The report as a page, or as a file of the form that is asked for. Raises as ReportDesk.answer."""
        mine = frozenset((report.advertiser_id,))
        if form in _FORMS:
            wanted = msgspec.structs.replace(report.request, format=form, names=True)
            file = await self._reports.file(wanted, mine, report.name)
            headers = LINKED_HEADERS | {
                "Content-Disposition": f'attachment; filename="report.{file.ending}"',
                "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
            }  # fmt: skip
            return web.Response(body=file.body, content_type=file.content_type, headers=headers)
        visitor.words = visitor.words.in_zone(report.request.timezone)
        view = report_view(visitor.words, report.request, await self._reports.answer(report.request, mine))
        return _page(visitor, title=report.name, view=view)

    async def confirming(self, request: web.Request) -> web.Response:
        """GET /confirm/{token}: asks, and changes nothing; mail scanners open every link."""
        visitor = _stranger(request)
        return _page(visitor, title=visitor.words.text(_MAIL), token=request.match_info["token"][:64])

    async def confirm(self, request: web.Request) -> web.Response:
        """POST /confirm/{token}: the owner of an address agrees."""
        visitor = _stranger(request)
        try:
            address = await self._saved.confirm(request.match_info["token"][:64])
        except NotFoundError as error:
            return _refused(visitor, error, visitor.words.text(_NOTHING))
        return _page(
            visitor, title=visitor.words.text(_MAIL), text=visitor.words.text(_WILL_COME).format(address=address)
        )


def _stranger(request: web.Request) -> Visitor:
    return Visitor(words_for(request), None, address_of(request))


def _refused(visitor: Visitor, error: GroszError, title: str) -> web.Response:
    return _page(visitor, status_of(error), title=title, problem=problem_of(error))


def _page(visitor: Visitor, code: int = HTTPStatus.OK, **shown: Any) -> web.Response:  # noqa: ANN401
    answer = page("linked.html", visitor, code, **({"text": "", "token": "", "view": None, "problem": None} | shown))
    answer.headers.update(LINKED_HEADERS)
    return answer
