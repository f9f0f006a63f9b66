"""The way in and out: the first administrator, log-in, log-out, one's own password, the language."""

import re
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import web

from admin.api import requests
from admin.api.authentication import COOKIE, Authentication
from admin.api.password_links import PasswordLinkDesk
from admin.api.password_mail import PasswordMail
from admin.api.problem import Problem, problem_of, status_of
from admin.api.reading import moment_text
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
from admin.console.fields import N_
from admin.console.rendering import go, page
from admin.console.words import LANGUAGES
from admin.mail.message import checked_address
from admin.store.accounts import AccountStore
from admin.validation.decode import decode
from core.errors import AccessError, GroszError, InputError
from core.network.headers import Edge

_YEAR_S = 365 * 86_400
_MAIL_SUBJECT = N_("A new password for Grosz")
_MAIL_TEXT = N_(
    "Somebody asked for a new password for this address. This link sets it, once, within an hour: {link} If it was not "
    "you, there is nothing to do: the password stays as it is."
)


class Entrance:
    """The pages that need no log-in, and those about one's own."""

    def __init__(
        self,
        sessions: Sessions,
        authentication: Authentication,
        edge: Edge,
        accounts: AccountStore,
        links: PasswordLinkDesk,
        mails: PasswordMail,
    ) -> None:
        self._accounts = accounts
        self._links = links
        self._mails = mails
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
            web.post("/account/sessions", self.end_sessions),
            web.get("/password", self.password_page),
            web.get("/password/forgotten", self.forgotten_page),
            web.post("/password/forgotten", self.forgotten),
            web.post("/password", self.set_password),
            web.post("/users/{id:[0-9]+}/password-link", self.make_password_link),
            web.post("/language", self.choose_language),
        ]

    async def login_page(self, request: web.Request) -> web.Response:
        """GET /login"""
        next_path = own_path(request.query.get("next", "/"))
        return page(
            "login.html",
            self._stranger(request),
            email="",
            next_path=next_path,
            problem=None,
            by_mail=self._mails.is_on,
            is_new=not await self._accounts.has_users(),
        )

    async def login(self, request: web.Request) -> web.Response:
        """POST /login"""
        fields = dict(await read_form(request, of_stranger=True))
        next_path = own_path(fields.get("next", "/"))
        wanted = LoginRequest(fields.get("email", "").strip().lower(), fields.get("password", ""))
        try:
            entered = await self._sessions.enter(request, wanted)
        except GroszError as error:
            shown: dict[str, object] = {"email": wanted.email, "next_path": next_path, "problem": problem_of(error)}
            shown |= {"by_mail": self._mails.is_on, "is_new": not await self._accounts.has_users()}
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
        wanted["email"] = wanted["email"].strip().lower()  # keyboards of phones begin with a capital
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
        return await self._account(request, await visitor_of(request, self._authentication), None, HTTPStatus.OK)

    async def change_password(self, request: web.Request) -> web.Response:
        """POST /account"""
        fields = dict(await read_form(request))
        visitor = await visitor_of(request, self._authentication)
        require_csrf(visitor.caller, fields)
        try:
            old, new = fields.get("old_password", ""), fields.get("new_password", "")
            await self._sessions.replace_password(request, visitor.caller, {"old_password": old, "new_password": new})
        except GroszError as error:
            return await self._account(request, visitor, problem_of(error), status_of(error))
        return await self._account(request, visitor, None, HTTPStatus.OK, done=True)

    async def end_sessions(self, request: web.Request) -> web.Response:
        """POST /account/sessions: log out another browser of one's own, or all others"""
        fields = dict(await read_form(request))
        visitor = await visitor_of(request, self._authentication)
        require_csrf(visitor.caller, fields)
        name = fields.get("session", "")
        if name and not re.fullmatch("[0-9a-f]{64}", name):
            raise InputError("this names no session", hint="load the page again")
        await self._accounts.close_sessions_of(visitor.caller.id, request.cookies[COOKIE], name or None)
        return go("/account")

    async def _account(
        self, request: web.Request, visitor: Visitor, problem: Problem | None, status: int, *, done: bool = False
    ) -> web.Response:
        sessions = await self._accounts.sessions_of(visitor.caller.id, request.cookies.get(COOKIE, ""))
        shown = [(one, moment_text(one.created_ms), moment_text(one.expires_ms)) for one in sessions]
        return page("account.html", visitor, status, problem=problem, done=done, here="/account", sessions=shown)

    async def make_password_link(self, request: web.Request) -> web.Response:
        """POST /users/{id}/password-link: a link by which a person sets a new password, shown once"""
        fields = dict(await read_form(request))
        visitor = await visitor_of(request, self._authentication)
        require_csrf(visitor.caller, fields)
        user_id = requests.object_id_of(request)
        token = await self._links.make(visitor.caller, user_id)
        scheme = "https" if self._edge.is_secure(request) else "http"
        link = f"{scheme}://{request.host}/password?token={quote(token, safe='')}"
        return page("link.html", visitor, here="/users", link=link, user_id=user_id)

    async def password_page(self, request: web.Request) -> web.Response:
        """GET /password?token="""
        return await self._password_form(request, request.query.get("token", ""), None, HTTPStatus.OK)

    async def set_password(self, request: web.Request) -> web.Response:
        """POST /password"""
        fields = dict(await read_form(request, of_stranger=True))
        token = fields.get("token", "")
        try:
            await self._links.use(request, token, fields.get("password", ""))
        except GroszError as error:
            return await self._password_form(request, token, problem_of(error), status_of(error))
        return go("/login")

    async def forgotten_page(self, request: web.Request) -> web.Response:
        """GET /password/forgotten"""
        return self._forgotten(request, None, HTTPStatus.OK)

    async def forgotten(self, request: web.Request) -> web.Response:
        """POST /password/forgotten: a link by mail, to whose address it is; says the same of every address"""
        fields = dict(await read_form(request, of_stranger=True))
        words = words_for(request)
        try:
            address = checked_address(fields.get("email", "").strip())
            text = words.text(_MAIL_TEXT)
            self._mails.ask(request, address, words.text(_MAIL_SUBJECT), lambda link: text.replace("{link}", link))
        except GroszError as error:
            return self._forgotten(request, problem_of(error), status_of(error))
        return self._forgotten(request, None, HTTPStatus.OK, asked=True)

    def _forgotten(
        self, request: web.Request, problem: Problem | None, status: int, *, asked: bool = False
    ) -> web.Response:
        visitor = self._stranger(request)
        visitor.address = "/password/forgotten"
        return page("forgotten.html", visitor, status, problem=problem, asked=asked, by_mail=self._mails.is_on)

    async def _password_form(
        self, request: web.Request, token: str, problem: Problem | None, status: int
    ) -> web.Response:
        usable = await self._links.knows(request, token)
        visitor = self._stranger(request)
        visitor.address = f"/password?token={quote(token, safe='')}"
        if not usable and status == HTTPStatus.OK:
            status = HTTPStatus.GONE
        return page("password.html", visitor, status, usable=usable, token=token, problem=problem)

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
