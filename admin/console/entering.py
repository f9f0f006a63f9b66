"""The way in and out: the first administrator, log-in, log-out, one's own password, the language."""

from http import HTTPStatus
from urllib.parse import quote

from aiohttp import web

from admin.api.authentication import COOKIE, Authentication
from admin.api.problem import problem_of, status_of
from admin.api.sessions import LoginRequest, Sessions, SetupRequest
from admin.console.browser import (
    LANGUAGE_COOKIE,
    Visitor,
    address_of,
    own_path,
    read_form,
    require_csrf,
    visitor_of,
    words_for,
)
from admin.console.rendering import go, page
from admin.console.words import LANGUAGES
from admin.validation.decode import decode
from core.errors import AccessError, GroszError
from core.network.headers import Edge

_YEAR_S = 365 * 86_400


class Entrance:
    """The pages that need no log-in, and those about one's own."""

    def __init__(self, sessions: Sessions, authentication: Authentication, edge: Edge) -> None:
        self._sessions = sessions
        self._authentication = authentication
        self._edge = edge

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/login", self.login_page),
            web.post("/login", self.login),
            web.post("/logout", self.logout),
            web.get("/setup", self.setup_page),
            web.post("/setup", self.setup),
            web.get("/account", self.account_page),
            web.post("/account", self.change_password),
            web.post("/language", self.choose_language),
        ]

    async def login_page(self, request: web.Request) -> web.Response:
        """GET /login"""
        next_path = own_path(request.query.get("next", "/"))
        return page("login.html", self._stranger(request), email="", next_path=next_path, problem=None)

    async def login(self, request: web.Request) -> web.Response:
        """POST /login"""
        fields = dict(await read_form(request, of_stranger=True))
        next_path = own_path(fields.get("next", "/"))
        wanted = LoginRequest(fields.get("email", "").strip(), fields.get("password", ""))
        try:
            entered = await self._sessions.enter(request, wanted)
        except GroszError as error:
            shown = {"email": wanted.email, "next_path": next_path, "problem": problem_of(error)}
            return page("login.html", self._stranger(request), status_of(error), **shown)
        response = go(next_path)
        self._sessions.set_cookie(request, response, entered.token)
        return response

    async def logout(self, request: web.Request) -> web.Response:
        """POST /logout"""
        fields = dict(await read_form(request))
        visitor = await visitor_of(request, self._authentication)
        require_csrf(visitor.caller, fields)
        await self._sessions.leave(request)
        response = go("/login")
        response.del_cookie(COOKIE, path="/")
        return response

    async def setup_page(self, request: web.Request) -> web.Response:
        """GET /setup"""
        token = request.query.get("token", "")
        return await self._setup_form(request, {"token": token}, None, HTTPStatus.OK)

    async def setup(self, request: web.Request) -> web.Response:
        """POST /setup"""
        fields = dict(await read_form(request, of_stranger=True))
        wanted = {name: fields.get(name, "") for name in ("token", "email", "name", "password")}
        try:
            asked = decode(wanted, SetupRequest)
            await self._sessions.create_administrator(request, asked)
            entered = await self._sessions.enter(request, LoginRequest(asked.email, asked.password))
        except GroszError as error:
            return await self._setup_form(request, wanted, error, status_of(error))
        response = go("/")
        self._sessions.set_cookie(request, response, entered.token)
        return response

    async def _setup_form(
        self, request: web.Request, fields: dict[str, str], error: GroszError | None, status: int
    ) -> web.Response:
        token = fields.get("token", "")
        try:
            usable = await self._sessions.knows_setup_link(request, token)
        except AccessError as refusal:
            usable, error, status = False, error or refusal, status_of(refusal)
        if not usable and status == HTTPStatus.OK:
            status = HTTPStatus.GONE
        shown = {name: fields.get(name, "") for name in ("token", "email", "name")}
        problem = problem_of(error) if error else None
        visitor = self._stranger(request)
        visitor.address = f"/setup?token={quote(token, safe='')}"
        return page("setup.html", visitor, status, usable=usable, problem=problem, **shown)

    async def account_page(self, request: web.Request) -> web.Response:
        """GET /account"""
        visitor = await visitor_of(request, self._authentication)
        return page("account.html", visitor, problem=None, done=False, here="/account")

    async def change_password(self, request: web.Request) -> web.Response:
        """POST /account"""
        fields = dict(await read_form(request))
        visitor = await visitor_of(request, self._authentication)
        require_csrf(visitor.caller, fields)
        try:
            old, new = fields.get("old_password", ""), fields.get("new_password", "")
            await self._sessions.replace_password(request, visitor.caller, {"old_password": old, "new_password": new})
        except GroszError as error:
            return page(
                "account.html", visitor, status_of(error), problem=problem_of(error), done=False, here="/account"
            )
        return page("account.html", visitor, problem=None, done=True, here="/account")

    async def choose_language(self, request: web.Request) -> web.Response:
        """POST /language"""
        fields = dict(await read_form(request, of_stranger=True))
        response = go(own_path(fields.get("next", "/")))
        language = fields.get("language", "")
        if language in LANGUAGES:
            secure = self._edge.is_secure(request)
            response.set_cookie(LANGUAGE_COOKIE, language, max_age=_YEAR_S, path="/", samesite="Lax", secure=secure)
        return response

    def _stranger(self, request: web.Request) -> Visitor:
        return Visitor(words_for(request), None, address_of(request))
