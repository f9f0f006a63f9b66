"""Puts the console together: its pages on the admin port, beside the API."""

import functools
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from aiohttp import web

from admin.access.principal import Forbidden
from admin.api.app import Api
from admin.api.authentication import Authentication
from admin.api.problem import ApiError, problem_of, status_of
from admin.console.assets import serve_asset
from admin.console.beginning import Beginning
from admin.console.browser import Visitor, address_of, login_address, read_form, visitor_of, words_for
from admin.console.desk import Desk
from admin.console.entering import Entrance
from admin.console.example_request import ExampleRequests
from admin.console.kinds import NAVIGATION, PAGES
from admin.console.pages.audiences import AudiencesPage
from admin.console.pages.creatives import Creatives
from admin.console.pages.customers import CustomerPages
from admin.console.pages.exchanges import ExchangePages
from admin.console.pages.figures import FigurePages
from admin.console.pages.linked import LinkedPages
from admin.console.pages.lists import Lists
from admin.console.pages.live import LivePages
from admin.console.pages.objects import ObjectPages
from admin.console.pages.overview import Overview
from admin.console.pages.questions import QuestionPages
from admin.console.pages.rates import RatesPage
from admin.console.pages.reports import ReportPage
from admin.console.pages.saved_reports import SavedReportsPage
from admin.console.pages.shop import ShopPages
from admin.console.pages.traffic import TrafficPages
from admin.console.pages.visitors import Visitors
from admin.console.pages.wizard import Wizard
from admin.console.rendering import environment, go, go_whole, page
from admin.diagnosis.certification import CertificationDesk
from core.errors import AccessError, GroszError
from core.network.bodies import BodyRefused

Showing = Callable[[web.Request, Visitor], Awaitable[web.Response]]
Changing = Callable[[web.Request, Visitor, Sequence[tuple[str, str]]], Awaitable[web.Response]]
_Handler = Callable[[web.Request], Awaitable[web.Response]]

# The kinds by name: `/healthz` and what other modules serve are none.
_KIND = "/{kind:" + "|".join(PAGES) + "}"


def add_console(api: Api, bidder: str = "") -> None:
    """Adds the console's routes to the application of the API, whose objects it uses.

    `bidder` is the URL of the bidder where it is on this machine.
    """
    desk = Desk(api.reader, api.operations, api.resources)
    wizard, desks = Wizard(desk, api.desks.media), api.desks
    console = Console(
        api.authentication,
        Entrance(api.sessions, api.authentication, api.edge, api.accounts, api.password_links, api.password_mail),
        Overview(desk, api.budgets, api.doctoring, api.explanations, Beginning(desk, api.desks.audiences)),
        Lists(desk, api.budgets),
        ObjectPages(desk, api.changes),
        QuestionPages(desk, api.explanations),
        wizard,
        ShopPages(api.reader, api.desks),
        Creatives(api.reader),
        Visitors(desk, api.desks.visitors, api.clock),
        ReportPage(api.desks.reports, api.clock),
        FigurePages(desk, api.desks.reports, api.explanations, api.clock),
        LivePages(desk, api.tails, api.desks.audiences),
        TrafficPages(desk, desks.recorded, desks.forecasts, wizard),
        AudiencesPage(api.reader, desks.audiences, wizard),
        ExchangePages(
            desk,
            api.reader,
            api.approvals,
            desks.audiences,
            CertificationDesk(bidder, api.clock),
            ExampleRequests(desk, desks.audiences, bidder),
            desks.media.track_url,
        ),
        SavedReportsPage(desk, api.saved_reports, api.outbox, api.edge.public_url),
        CustomerPages(api.reader, api.desks.audiences.rosters),
        RatesPage(api.rates),
    )
    api.app.add_routes(LinkedPages(api.saved_reports, api.desks.reports, api.clock).routes())
    api.app.add_routes(console.routes())


class Console:
    """All pages behind the log-in, and the way in."""

    def __init__(
        self,
        authentication: Authentication,
        entrance: Entrance,
        overview: Overview,
        lists: Lists,
        objects: ObjectPages,
        questions: QuestionPages,
        wizard: Wizard,
        shop: ShopPages,
        creatives: Creatives,
        visitors: Visitors,
        reports: ReportPage,
        figures: FigurePages,
        live: LivePages,
        traffic: TrafficPages,
        audiences: AudiencesPage,
        exchanges: ExchangePages,
        saved_reports: SavedReportsPage,
        customers: CustomerPages,
        rates: RatesPage,
    ) -> None:
        self._rates = rates
        self._authentication = authentication
        self._entrance = entrance
        self._overview = overview
        self._lists = lists
        self._objects = objects
        self._questions = questions
        self._wizard = wizard
        self._shop = shop
        self._creatives = creatives
        self._visitors = visitors
        self._reports = reports
        self._figures = figures
        self._live = live
        self._traffic = traffic
        self._audiences = audiences
        self._exchanges = exchanges
        self._saved_reports = saved_reports
        self._customers = customers
        environment().globals.update(navigation=NAVIGATION, pages=PAGES)

    def routes(self) -> list[web.RouteDef]:
        """The console's routes."""
        shows: list[tuple[str, Showing]] = [
            ("/", self._overview.show),
            ("/attention", self._overview.attention),
            ("/explain", self._questions.form),
            ("/start", self._wizard.form),
            ("/visitors", self._visitors.show),
            ("/reports", self._reports.show),
            ("/reports.csv", self._reports.csv),
            ("/reports.xlsx", self._reports.xlsx),
            ("/figures", self._figures.overview),
            ("/live", self._live.show),
            ("/live/rows", self._live.rows),
            ("/given-up", self._live.given_up),
            ("/rates", self._rates.show),
            ("/approvals", self._exchanges.approvals),
            ("/exchanges/{id:[0-9]+}/traffic", self._exchanges.traffic),
            ("/reports/saved", self._saved_reports.show),
            ("/advertisers/{id:[0-9]+}/audiences", self._audiences.show),
            ("/line-items/{id:[0-9]+}/recorded", self._traffic.recorded),
            ("/line-items/{id:[0-9]+}/forecast", self._traffic.forecast),
            ("/line-items/{id}/hours", self._figures.hours),
            ("/advertisers/{id:[0-9]+}/shop", self._shop.show),
            ("/advertisers/{id:[0-9]+}/customers", self._customers.show),
            ("/advertisers/{id:[0-9]+}/events", self._shop.events),
            ("/feeds/{id:[0-9]+}/runs", self._shop.feed),
            ("/creatives/{id:[0-9]+}/ad", self._creatives.ad),
            ("/line-items/{id}/delivery", self._overview.delivery),
            ("/line-items/{id}/findings", self._overview.findings),
            (f"{_KIND}.csv", self._lists.csv),
            (f"{_KIND}/new", self._objects.new),
            (f"{_KIND}/{{id:[0-9]+}}", self._objects.show),
            (f"{_KIND}", self._lists.show),
        ]
        return [
            web.get("/console/{digest}/{name:.+}", serve_asset),
            *(web.route(one.method, one.path, self._shown(one.handler)) for one in self._entrance.routes()),
            *(web.get(path, self._shown(self._behind_login(show)), allow_head=False) for path, show in shows),
            *(web.post(path, self._shown(self._of_form(change))) for path, change in self._changes()),
            web.post("/start/picture", self._shown(self._behind_login(self._wizard.keep_picture))),
            web.get("/{address:(?!v1/).*}", self._unknown),  # the last: what no other route has
        ]

    def _changes(self) -> list[tuple[str, Changing]]:
        return [
            ("/explain", self._questions.answer),
            ("/start", self._wizard.make),
            ("/start/count", self._audiences.of_wizard),
            ("/start/forecast", self._traffic.of_wizard),
            ("/rates", self._rates.change),
            ("/approvals", self._exchanges.decide),
            ("/exchanges/{id:[0-9]+}/traffic", self._exchanges.certify),
            ("/reports/saved", self._saved_reports.change),
            ("/visitors", self._visitors.forget),
            ("/given-up", self._live.send_again),
            ("/count", self._shop.count),
            ("/advertisers/{id:[0-9]+}/customers", self._customers.drop),
            ("/feeds/{id:[0-9]+}/runs", self._shop.refresh),
            (f"{_KIND}/new", self._objects.create),
            (f"{_KIND}/{{id:[0-9]+}}/cell", self._lists.change_cell),
            (f"{_KIND}/{{id:[0-9]+}}/{{action:[a-z]+}}", self._objects.act),
            (f"{_KIND}/{{id:[0-9]+}}", self._objects.save),
            (f"{_KIND}", self._lists.change_many),
        ]

    def _behind_login(self, show: Showing) -> _Handler:
        @functools.wraps(show)
        async def handler(request: web.Request) -> web.Response:
            return await show(request, await visitor_of(request, self._authentication))

        return handler

    def _of_form(self, change: Changing) -> _Handler:
        @functools.wraps(change)
        async def handler(request: web.Request) -> web.Response:
            visitor = await visitor_of(request, self._authentication)
            return await change(request, visitor, await read_form(request))

        return handler

    def _shown(self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> _Handler:
        """Refusals as pages; whoever is not logged in is led to the log-in."""

        async def answer(request: web.Request) -> web.Response:
            try:
                response = await handler(request)
            except GroszError as error:
                return await self._refused(request, error)
            except web.HTTPNotFound:
                return await self._refused(request, _no_page())
            if not isinstance(response, web.Response):
                raise TypeError("a page is an ordinary answer")
            return response

        return answer

    async def _unknown(self, request: web.Request) -> web.Response:
        """GET of any other address: a page for browsers; programs get the API's answer"""
        if "text/html" not in request.headers.get("Accept", ""):
            raise web.HTTPNotFound
        return await self._refused(request, _no_page())

    async def _refused(self, request: web.Request, error: GroszError) -> web.Response:
        is_stranger = isinstance(error, AccessError) and not isinstance(error, Forbidden)
        if is_stranger:
            if request.headers.get("HX-Request") == "true":
                # A script would put the log-in into the part of the page that it asked for: the whole page goes there.
                return go_whole("/login")
            return go(login_address(request))
        try:
            visitor = await visitor_of(request, self._authentication)
        except GroszError:
            visitor = Visitor(words_for(request), None, address_of(request))
        kind = PAGES.get(request.path.split("/")[1])
        response = page("problem.html", visitor, status_of(error), problem=problem_of(error), kind=kind)
        if isinstance(error, ApiError):
            response.headers.update(error.headers)
        if isinstance(error, BodyRefused) and error.closes:
            response.force_close()
        return response


def _no_page() -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, "there is no such page", hint="go back to the overview")
