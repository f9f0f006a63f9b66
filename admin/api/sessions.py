"""Logging in and out, one's own password, the first administrator by the one-time setup link, and who one is."""

from http import HTTPStatus
from typing import Any, NoReturn

import msgspec
from aiohttp import web

from admin.access.passwords import Passwords
from admin.access.principal import Forbidden, Principal
from admin.api import requests
from admin.api.authentication import COOKIE, Authentication
from admin.api.operations import Operations, Reply, Write
from admin.api.problem import ApiError
from admin.api.resource import Resource
from admin.store.accounts import SESSION_MS, AccountStore, Login, change_password_hash
from admin.store.catalogue import CatalogueWriter
from admin.store.model import Scope, User
from admin.validation.decode import decode
from admin.validation.fields import Email, Name, Password
from core.clock import Clock
from core.errors import AccessError, ConflictError, Fault, InputError
from core.network.headers import Edge

_SETUP = Principal("system", 0, "setup link", frozenset(Scope), None)


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An address and its password."""

    email: Email
    password: str


class PasswordRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The password that one has, and the one that takes its place."""

    old_password: str
    new_password: Password


class SetupRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The token of the setup link and the first administrator."""

    token: str
    email: Email
    name: Name
    password: Password


class Identity(msgspec.Struct):
    """Who is logged in. `advertiser_ids` null: all advertisers."""

    kind: str
    id: int
    name: str
    scopes: list[str]
    advertiser_ids: list[int] | None
    csrf_token: str = ""


class Entered(msgspec.Struct, frozen=True):
    """A new session: whose it is, the cookie's value, and the token that its writes carry."""

    user: User
    token: str
    csrf_token: str


class Sessions:
    """Handlers of login, logout, setup and identity."""

    def __init__(
        self,
        accounts: AccountStore,
        passwords: Passwords,
        authentication: Authentication,
        operations: Operations,
        users: Resource,
        clock: Clock,
        edge: Edge,
    ) -> None:
        self._edge = edge
        self._accounts = accounts
        self._passwords = passwords
        self._authentication = authentication
        self._operations = operations
        self._users = users
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/login", self.login),
            web.post("/v1/logout", self.logout),
            web.post("/v1/setup", self.setup),
            web.get("/v1/me", self.me, allow_head=False),
            web.post("/v1/me/password", self.change_password),
        ]

    async def login(self, request: web.Request) -> web.Response:
        """POST /v1/login"""
        self._authentication.refuse_guesser(request)
        wanted = decode(await requests.read_json(request, of_stranger=True), LoginRequest)
        entered = await self.enter(request, wanted)
        scopes = [scope.value for scope in entered.user.scopes]
        allowed = list(entered.user.advertiser_ids) or None
        body = Identity("user", entered.user.id, entered.user.email, scopes, allowed, entered.csrf_token)
        response = requests.respond_json(body)
        self.set_cookie(request, response, entered.token)
        return response

    async def enter(self, request: web.Request, wanted: LoginRequest) -> Entered:
        """A new session for an address and its password. Raises AccessError; ApiError 429 after too many failures."""
        self._authentication.refuse_guesser(request)
        found = await self._checked(request, wanted.email, wanted.password)
        if found is None:
            raise AccessError("the address or the password is wrong", hint="after five failures the account rests")
        token, csrf_token = await self._accounts.open_session(found.user)
        return Entered(found.user, token, csrf_token)

    def set_cookie(self, request: web.Request, response: web.Response, token: str) -> None:
        """Gives the browser its session."""
        # Strict: no other site can make the browser send it. Secure wherever the browser came by TLS.
        response.set_cookie(
            COOKIE,
            token,
            max_age=SESSION_MS // 1000,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._edge.is_secure(request),
        )

    async def logout(self, request: web.Request) -> web.Response:
        """POST /v1/logout"""
        await self.leave(request)
        response = web.Response(status=HTTPStatus.NO_CONTENT)
        response.del_cookie(COOKIE, path="/")
        return response

    async def leave(self, request: web.Request) -> None:
        """Ends the session of the request's cookie, if it has one."""
        if cookie := request.cookies.get(COOKIE):
            await self._accounts.close_session(cookie)

    async def setup(self, request: web.Request) -> web.Response:
        """POST /v1/setup"""
        self._authentication.refuse_guesser(request)
        wanted = decode(await requests.read_json(request, of_stranger=True), SetupRequest)
        write = Write()
        return requests.respond(await self.create_administrator(request, wanted), write, "/v1/users")

    async def knows_setup_link(self, request: web.Request, token: str) -> bool:
        """Whether a setup link can be used. A wrong one counts as a failure of its sender: ApiError 429 after many."""
        self._authentication.refuse_guesser(request)
        known = await self._accounts.knows_setup_link(token)
        if not known:
            self._authentication.count_failure(request)
        return known

    async def create_administrator(self, request: web.Request, wanted: SetupRequest) -> Reply:
        """The first administrator, by a setup link that is used up then. Raises AccessError, InputError."""
        if not await self.knows_setup_link(request, wanted.token):  # before a password is hashed for a stranger
            raise _unusable_link()
        raw: dict[str, Any] = {
            "email": wanted.email,
            "name": wanted.name,
            "password": wanted.password,
            "scopes": [scope.value for scope in Scope],
        }
        context = await self._users.hooks.before(_SETUP, raw)

        async def work(writer: CatalogueWriter) -> Reply:
            if not await self._accounts.use_setup_link(writer.connection, wanted.token):
                raise _unusable_link()
            return await self._operations.create(writer, _SETUP, self._users, raw, context)

        return await self._operations.run(_SETUP, Write(), work, requests.render)

    async def me(self, request: web.Request) -> web.Response:
        """GET /v1/me"""
        requests.reject_unknown(request, ())
        caller = request[requests.PRINCIPAL]
        allowed = None if caller.advertiser_ids is None else sorted(caller.advertiser_ids)
        scopes = sorted(scope.value for scope in caller.scopes)
        return requests.respond_json(Identity(caller.kind, caller.id, caller.name, scopes, allowed, caller.csrf_token))

    async def change_password(self, request: web.Request) -> web.Response:
        """POST /v1/me/password"""
        requests.reject_unknown(request, ())
        await self.replace_password(request, request[requests.PRINCIPAL], await requests.read_json(request))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def replace_password(self, request: web.Request, caller: Principal, raw: object) -> None:
        """Carry out a PasswordRequest of a logged-in person, whose other sessions end. Raises Forbidden, InputError."""
        if caller.kind != "user":
            raise Forbidden("only people have passwords", hint="log in at POST /v1/login")
        self._authentication.refuse_guesser(request)
        wanted = decode(raw, PasswordRequest)
        found = await self._checked(request, caller.name, wanted.old_password)
        if found is None:
            fault = Fault(
                "/old_password", "wrong", "this is not your password", "after five failures the account rests"
            )
            raise InputError("the input is not valid", faults=[fault])
        new_hash = await self._passwords.hash(wanted.new_password)

        async def work(writer: CatalogueWriter) -> Reply:
            if not await change_password_hash(writer.connection, found, new_hash, request.cookies[COOKIE]):
                raise ConflictError("the password was changed meanwhile", hint="log in again")
            await writer.note_secret(self._users.kind, caller.id, "password")
            return Reply(HTTPStatus.NO_CONTENT, {})

        await self._operations.run(caller, Write(), work, requests.render)

    async def _checked(self, request: web.Request, email: str, password: str) -> Login | None:
        """The login, if the password is right. A wrong one is counted; raises ApiError 429 while the address rests."""
        attempt = await self._accounts.begin_attempt(email)
        if not attempt.allowed:
            self._refuse_locked(attempt.locked_until_ms)
        found = await self._accounts.find_login(email)
        if await self._passwords.verify(found.password_hash if found else None, password):
            return found
        self._authentication.count_failure(request)
        if attempt.locked_until_ms:
            self._refuse_locked(attempt.locked_until_ms)
        return None

    def _refuse_locked(self, until_ms: int) -> NoReturn:
        left_s = max(1, -(-(until_ms - self._clock.now_ms()) // 1000))
        hint = "wait, or let an administrator set a new password"
        headers = {"Retry-After": str(left_s)}
        raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "the account rests", hint=hint, headers=headers)


def _unusable_link() -> AccessError:
    return AccessError("the setup link is used up or too old", hint="`grosz setup-link` makes a new one")
