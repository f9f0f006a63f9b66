"""Who sends a request: an API key in `Authorization: Bearer`, or a browser's session cookie with CSRF token."""

import hmac
from http import HTTPStatus

from aiohttp import web

from admin.access.limits import RateLimiter
from admin.access.principal import Principal
from admin.api.problem import ApiError, Handler, respond_problem
from admin.api.requests import PRINCIPAL
from admin.store.accounts import KEY_PREFIX, AccountStore
from admin.store.model import ApiKey, Scope, User
from core.clock import Clock
from core.errors import AccessError, GroszError
from core.network.headers import Edge

COOKIE = "grosz_session"
CSRF_HEADER = "X-CSRF-Token"

# A person's browser: a console page makes up to ten requests at once.
SESSION_REQUESTS_PER_MINUTE = 1_200
# Wrong keys, cookies and passwords from one address: a script with a typo is told, a guesser gets nowhere.
FAILURES_PER_MINUTE = 30

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PUBLIC = frozenset({"/v1/login", "/v1/setup"})

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Authentication:
    """The middleware of `/v1`, and the limits that it keeps."""

    def __init__(self, accounts: AccountStore, clock: Clock, failures_per_minute: int, edge: Edge) -> None:
        self._edge = edge
        self._accounts = accounts
        self._limiter = RateLimiter(clock)
        self._failures_per_minute = failures_per_minute

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Sets the caller of the request; refuses with 401, 403 or 429."""
        if not request.path.startswith("/v1/"):
            return await handler(request)
        headers = dict(_HEADERS)
        try:
            if request.path not in _PUBLIC:
                principal = await self.identify(request)
                headers |= self._limit(principal)
                request[PRINCIPAL] = principal
            response = await handler(request)
        except GroszError as error:
            response = respond_problem(error)
        response.headers.update(headers)
        return response

    async def identify(self, request: web.Request) -> Principal:
        """The caller. Raises AccessError (401), ApiError 403 without CSRF token or 429 after too many failures."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        cookie = request.cookies.get(COOKIE, "")
        if scheme.lower() == "bearer" and secret:
            return await self._by_key(request, secret.strip())
        if cookie:
            return await self._by_session(request, cookie)
        raise AccessError("not logged in", hint="send Authorization: Bearer KEY, or log in at POST /v1/login")

    def count_failure(self, request: web.Request) -> None:
        """Counts a wrong secret from an address. Raises ApiError 429 when there were too many."""
        _, wait_s = self._limiter.take(self._failures_of(request), self._failures_per_minute)
        _refuse_until(wait_s)

    def refuse_guesser(self, request: web.Request) -> None:
        """Raises ApiError 429 after too many wrong secrets from the address, whatever it sends now.

        For passwords, which can be guessed: the right one among many tries must not get in either. Keys cannot be.
        """
        _refuse_until(self._limiter.wait_s(self._failures_of(request), self._failures_per_minute))

    def _failures_of(self, request: web.Request) -> str:
        return f"failures:{self._edge.client_of(request)}"

    async def _by_key(self, request: web.Request, secret: str) -> Principal:
        key = await self._accounts.find_key(secret) if secret.startswith(KEY_PREFIX) else None
        if key is None:
            self.count_failure(request)
            raise AccessError("the API key is not valid", hint="it may be revoked or expired; make a new one")
        return principal_of_key(key)

    async def identify_browser(self, request: web.Request) -> Principal:
        """The person whose session a page is asked in, within their rate. Forms carry their CSRF token as a field.

        Raises AccessError (401), ApiError 429.
        """
        principal = await self._of_session(request, request.cookies.get(COOKIE, ""))
        self._limit(principal)
        return principal

    async def _of_session(self, request: web.Request, cookie: str) -> Principal:
        session = await self._accounts.find_session(cookie) if cookie else None
        if session is None and cookie:
            self.count_failure(request)
        if session is None:
            raise AccessError("the session is over", hint="log in again at POST /v1/login")
        return principal_of_user(session.user, session.csrf_token)

    async def _by_session(self, request: web.Request, cookie: str) -> Principal:
        principal = await self._of_session(request, cookie)
        sent = request.headers.get(CSRF_HEADER, "").encode(errors="surrogatepass")
        if request.method not in _SAFE_METHODS and not hmac.compare_digest(sent, principal.csrf_token.encode()):
            hint = f"send the csrf_token of the login in {CSRF_HEADER}"
            raise ApiError(HTTPStatus.FORBIDDEN, "the CSRF token is missing or wrong", hint=hint)
        return principal

    def _limit(self, principal: Principal) -> dict[str, str]:
        limit = principal.requests_per_minute
        left, wait_s = self._limiter.take(principal.key, limit)
        headers = {"RateLimit-Limit": str(limit), "RateLimit-Remaining": str(left)}
        if wait_s:
            headers["Retry-After"] = str(wait_s)
            hint = f"at most {limit} requests a minute; use bulk requests"
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "too many requests", hint=hint, headers=headers)
        return headers


def _refuse_until(wait_s: int) -> None:
    if wait_s:
        headers = {"Retry-After": str(wait_s)}
        hint = "check the secret, then wait"
        raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong secrets", hint=hint, headers=headers)


def principal_of_key(key: ApiKey) -> Principal:
    """The principal of an API key: what the key may do."""
    restricted = frozenset(key.advertiser_ids) or None
    return Principal("api_key", key.id, key.name, frozenset(key.scopes), restricted, "", key.requests_per_minute)


def principal_of_user(user: User, csrf_token: str) -> Principal:
    """The principal of a person: what the person may do."""
    restricted = frozenset(user.advertiser_ids) or None
    scopes: frozenset[Scope] = frozenset(user.scopes)
    return Principal("user", user.id, user.email, scopes, restricted, csrf_token, SESSION_REQUESTS_PER_MINUTE)
