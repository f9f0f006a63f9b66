"""HTTP of `admin.roles.page_lists`: `GET /r/{advertiser}`, for scripts of the shop's own pages alone.

What comes back tells what a person has looked at, so a page of somebody else must not read it: only an origin that is
the advertiser's own domain, or one that it has declared, gets an answer, by name. There is no JSONP, and no answer to a
request without an origin, as an image, a script element or a frame sends it.
"""

import math
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import hdrs, web

from admin.roles.page_lists import Page, PageDesk, PageQuery
from core.clock import Clock
from core.errors import CatalogueError, Fault, InputError, UnavailableError
from core.ids import is_user_id
from core.model import Advertiser, ProductStrategy
from core.network.headers import Edge
from core.network.rates import MinuteRate
from core.query import query_pairs
from creatives.product import MAX_ID_CHARS
from segments.events.consent import EventConsentPolicy
from segments.events.privacy import members_of_query, signals_of
from segments.events.problems import problem
from segments.events.web import CLIENT_ID, COOKIE, OPT_OUT_COOKIE, SEC_GPC
from segments.identity.persons import Identities
from segments.profiles.directory import Directory

# A page has some boxes, and a visitor opens a page each few seconds.
ASKS_A_MINUTE: Final = 60
# Anybody can make up cookies, so an address has a bound, too: many people share one of a mobile operator.
ASKS_A_MINUTE_AN_ADDRESS: Final = 3_000
MAX_COUNT: Final = 20
DEFAULT_COUNT: Final = 4
MAX_STRATEGIES: Final = 6
MAX_QUERY_CHARS: Final = 8_192
_PAGES: Final[dict[str, Page]] = {"home": "home", "product": "product", "cart": "cart", "category": "category"}

_encoder: Final = msgspec.json.Encoder()


class ListPages:
    """The route's handlers; `secure`: the tracker is reached by https, and so are the shops' pages."""

    def __init__(
        self,
        desk: PageDesk,
        directory: Directory,
        identities: Identities,
        consent: EventConsentPolicy,
        clock: Clock,
        edge: Edge,
        *,
        secure: bool,
    ) -> None:
        self._desk = desk
        self._directory = directory
        self._identities = identities
        self._consent = consent
        self._edge = edge
        self._secure = secure
        self._browsers = MinuteRate(ASKS_A_MINUTE, clock.monotonic)
        self._addresses = MinuteRate(ASKS_A_MINUTE_AN_ADDRESS, clock.monotonic)

    async def show(self, request: web.Request) -> web.Response:
        """`GET /r/{advertiser}?strategy=&n=&context=`."""
        advertiser = self._advertiser(request)
        if advertiser is None or not self._is_own(request, advertiser):
            self._desk.count("foreign")
            return problem(
                403, "not one of the shop's pages", hint="set the advertiser's domain or origins", headers=_CLOSED
            )
        headers = _open_to(request)
        asked = members_of_query(query_pairs(request.rel_url.raw_query_string))
        wait_s = self._wait_s(request)
        if wait_s:
            self._desk.count("too_many")
            return problem(429, "too many questions", headers={**headers, hdrs.RETRY_AFTER: str(math.ceil(wait_s))})
        try:
            query = query_of(asked, len(request.rel_url.raw_query_string))
        except InputError as error:
            self._desk.count("invalid")
            return problem(400, error.message, faults=error.faults, headers=headers)
        try:
            user_id = await self._user(request, advertiser, asked)
            listed = await self._desk.products(advertiser.id, user_id, query)
        except (UnavailableError, CatalogueError, TimeoutError):
            self._desk.count("unavailable")
            return problem(503, "no list now", headers={**headers, hdrs.RETRY_AFTER: "1"})
        return web.Response(body=_encoder.encode(listed), content_type="application/json", headers=headers)

    def _advertiser(self, request: web.Request) -> Advertiser | None:
        text = request.match_info["advertiser"]
        return self._directory.advertiser(int(text)) if text.isascii() and text.isdigit() and len(text) <= 10 else None

    def _is_own(self, request: web.Request, advertiser: Advertiser) -> bool:
        origins = request.headers.getall(hdrs.ORIGIN, [])
        if len(origins) != 1:
            return False
        origin = origins[0]
        if origin in advertiser.origins:
            return not self._secure or origin.startswith("https://")
        return is_own_origin(origin, advertiser.domain, secure=self._secure)

    def _wait_s(self, request: web.Request) -> float:
        user_id = request.cookies.get(COOKIE, "")
        by_address = self._addresses.wait_s(self._edge.client_of(request))
        return by_address or (self._browsers.wait_s(user_id) if is_user_id(user_id) else 0.0)

    async def _user(self, request: web.Request, advertiser: Advertiser, asked: Mapping[str, str]) -> str:
        """Whom the list is for; '' where nothing may be known. Raises UnavailableError."""
        if OPT_OUT_COOKIE in request.cookies:
            return ""
        flags = self._consent.flags(signals_of(asked, sec_gpc=request.headers.get(SEC_GPC, "")))
        if not (flags.identifiers and flags.profile_write):
            return ""
        cookie = request.cookies.get(COOKIE, "")
        if is_user_id(cookie):
            return cookie
        client_id = asked.get("client", "")
        if not CLIENT_ID.fullmatch(client_id):
            return ""
        return await self._identities.user_of_client(advertiser.id, client_id) or ""


# Headers of an answer that no other page may read: it is stored nowhere, and differs by who asks.
_CLOSED: Final = {
    hdrs.CACHE_CONTROL: "no-store", hdrs.VARY: "Origin, Cookie", "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


def _open_to(request: web.Request) -> dict[str, str]:
    """Headers of an answer that the page may read."""
    return {
        **_CLOSED,
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: request.headers[hdrs.ORIGIN],
        hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS: "true",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


def is_own_origin(origin: str, domain: str, *, secure: bool) -> bool:
    """Whether an origin is the shop's domain, or that with `www.`: by https on its usual port where `secure`."""
    own = domain.lower().removeprefix("www.")
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not own or host not in (own, f"www.{own}"):
        return False
    if secure:
        return origin.lower() == f"https://{host}"
    return origin.lower() == f"{parts.scheme}://{host}" + (f":{port}" if port else "") and parts.scheme in _SCHEMES


_SCHEMES: Final = frozenset({"http", "https"})


def query_of(asked: Mapping[str, str], chars: int) -> PageQuery:
    """The question. Raises InputError with all that is wrong with it."""
    faults: list[Fault] = []
    if chars > MAX_QUERY_CHARS:
        faults.append(Fault("", "too_long", f"the query is longer than {MAX_QUERY_CHARS} characters"))
    names = [name for name in asked.get("strategy", "").lower().split(",") if name]
    unknown = [name for name in names if name not in _STRATEGIES]
    if unknown or len(names) > MAX_STRATEGIES:
        text = f"{unknown[0][:40]!r} is no strategy" if unknown else f"more than {MAX_STRATEGIES} strategies"
        faults.append(Fault("/strategy", "strategy", text, allowed=tuple(_STRATEGIES)))
    count = asked.get("n", "") or str(DEFAULT_COUNT)
    if not (count.isascii() and count.isdigit() and len(count) <= 2 and int(count) <= MAX_COUNT):
        faults.append(Fault("/n", "count", f"n is a whole number from 0 to {MAX_COUNT}"))
    kind, _, about = asked.get("context", "home").partition(":")
    page = _PAGES.get(kind or "home")
    needs = page in ("product", "category")
    if page is None or needs != bool(about) or len(about) > 2 * MAX_ID_CHARS:
        hint = "home, cart, product:ID or category:NAME"
        faults.append(Fault("/context", "context", "the context is not one of a page", hint))
    if faults or page is None:
        raise InputError("the question is not valid", faults=faults)
    return PageQuery(int(count), tuple(dict.fromkeys(_STRATEGIES[name] for name in names)), page, about)


_STRATEGIES: Final = {strategy.value: strategy for strategy in ProductStrategy}


def list_routes(pages: ListPages) -> list[web.RouteDef]:
    """GET alone: a HEAD has no use, and a simple GET needs no preflight."""
    return [web.get("/r/{advertiser}", pages.show, allow_head=False)]
