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
from admin.console.browser import Visitor, address_of, login_address, read_form, visitor_of, words_for
from admin.console.desk import Desk
from admin.console.entering import Entrance
from admin.console.kinds import NAVIGATION, PAGES
from admin.console.pages.creatives import Creatives
from admin.console.pages.lists import Lists
from admin.console.pages.objects import ObjectPages
from admin.console.pages.overview import Overview
from admin.console.pages.questions import QuestionPages
from admin.console.pages.shop import ShopPages
from admin.console.pages.visitors import Visitors
from admin.console.pages.wizard import Wizard
from admin.console.rendering import environment, go, go_whole, page
from core.errors import AccessError, GroszError
from core.network.bodies import BodyRefused

Showing = Callable[[web.Request, Visitor], Awaitable[web.Response]]
Changing = Callable[[web.Request, Visitor, Sequence[tuple[str, str]]], Awaitable[web.Response]]
_Handler = Callable[[web.Request], Awaitable[web.Response]]

# The kinds by name: `/healthz` and what other modules serve are none.
_KIND = "/{kind:" + "|".join(PAGES) + "}"


def add_console(api: Api) -> None:
    """Adds the console's routes to the application of the API, whose objects it uses."""
    desk = Desk(api.reader, api.operations, api.resources)
    console = Console(
        api.authentication,
        Entrance(api.sessions, api.authentication, api.edge),
        Overview(desk, api.budgets, api.doctoring, api.explanations),
        Lists(desk, api.budgets),
        ObjectPages(desk, api.changes),
        QuestionPages(desk, api.explanations),
        Wizard(desk),
        ShopPages(api.reader, api.desks),
        Creatives(api.reader),
        Visitors(api.desks.visitors),
    )
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
    ) -> None:
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
        environment().globals.update(navigation=NAVIGATION, pages=PAGES)

    def routes(self) -> list[web.RouteDef]:
        """The console's routes."""
        shows: list[tuple[str, Showing]] = [
            ("/", self._overview.show),
            ("/attention", self._overview.attention),
            ("/explain", self._questions.form),
            ("/start", self._wizard.form),
            ("/visitors", self._visitors.show),
            ("/advertisers/{id:[0-9]+}/shop", self._shop.show),
            ("/feeds/{id:[0-9]+}/runs", self._shop.feed),
            ("/creatives/{id:[0-9]+}/ad", self._creatives.ad),
            ("/line-items/{id}/delivery", self._overview.delivery),
            ("/line-items/{id}/findings", self._overview.findings),
            (f"{_KIND}.csv", self._lists.csv),
            (f"{_KIND}/new", self._objects.new),
            (f"{_KIND}/{{id:[0-9]+}}", self._objects.show),
            (f"{_KIND}", self._lists.show),
        ]
        changes: list[tuple[str, Changing]] = [
            ("/explain", self._questions.answer),
            ("/start", self._wizard.make),
            ("/visitors", self._visitors.forget),
            ("/count", self._shop.count),
            ("/feeds/{id:[0-9]+}/runs", self._shop.refresh),
            (f"{_KIND}/new", self._objects.create),
            (f"{_KIND}/{{id:[0-9]+}}/cell", self._lists.change_cell),
            (f"{_KIND}/{{id:[0-9]+}}/{{action:[a-z]+}}", self._objects.act),
            (f"{_KIND}/{{id:[0-9]+}}", self._objects.save),
            (f"{_KIND}", self._lists.change_many),
        ]
        return [
            web.get("/console/{digest}/{name:.+}", serve_asset),
            *(web.route(one.method, one.path, self._shown(one.handler)) for one in self._entrance.routes()),
            *(web.get(path, self._shown(self._behind_login(show)), allow_head=False) for path, show in shows),
            *(web.post(path, self._shown(self._of_form(change))) for path, change in changes),
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
                missing = ApiError(HTTPStatus.NOT_FOUND, "there is no such page", hint="go back to the overview")
                return await self._refused(request, missing)
            if not isinstance(response, web.Response):
                raise TypeError("a page is an ordinary answer")
            return response

        return answer

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
        response = page("problem.html", visitor, status_of(error), problem=problem_of(error))
        if isinstance(error, ApiError):
            response.headers.update(error.headers)
        if isinstance(error, BodyRefused) and error.closes:
            response.force_close()
        return response
