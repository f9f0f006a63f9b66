"""The tracker's routes for shops and browsers: events, the tag, cookie sync, opt-out.

Browsers are recognised by our cookie; one that keeps none by an id that the shop's own pages keep for it, which means
nothing anywhere else. Only a caller with an API key may name a user. An answer 2xx means that every event in it is
durable or was rightly dropped; 503 means that at least one is to be sent again.
"""

import base64
import hashlib
import importlib.resources
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from core.clock import Clock
from core.errors import Fault, InputError, UnavailableError
from core.ids import is_user_id, means_nobody, new_user_id
from core.languages import preferred_language
from core.model import Advertiser
from core.network.bodies import BodyRefused, read_body
from core.network.headers import CSP
from core.query import query_pairs
from segments.events.collect import EventCollector, Outcome
from segments.events.consent import EventConsentPolicy
from segments.events.intake import Context, split_batch
from segments.events.opt_out import LANGUAGES, OPT_OUT_STYLE, opt_out_page
from segments.events.privacy import members_of_query, signals_of, stricter
from segments.events.problems import problem
from segments.events.reading import read_json
from segments.events.source import host_of
from segments.events.texts import stripped
from segments.identity.cookie_sync import CookieSync
from segments.identity.persons import COOKIE_LIFETIME_S, Identities
from segments.profiles.directory import Directory
from segments.profiles.metrics import IntakeMetrics

COOKIE: Final = "grosz_uid"
SEC_GPC: Final = "Sec-GPC"
OPT_OUT_COOKIE: Final = "grosz_optout"

# MAX_BATCH events of half a kilobyte; a page's queue is under 10 KiB.
MAX_BODY_BYTES: Final = 512 * 1024
RETRY_AFTER_S: Final = 1
_TAG_AGE_S: Final = 3_600

# The tag makes UUIDs; there is room for ids that shops make themselves.
CLIENT_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
# A visitor's wish at one shop, sent by its pages; the opt-out everywhere is /optout, which no shop can press for them.
OPT_OUT_EVENT: Final = "opt_out"

PIXEL: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)  # the smallest transparent GIF that all browsers draw
_PIXEL_HEADERS: Final = {hdrs.CACHE_CONTROL: "no-store, private", "Cross-Origin-Resource-Policy": "cross-origin"}
_encoder = msgspec.json.Encoder()

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(OPT_OUT_STYLE.encode()).digest()).decode()
# Nothing is loaded, framed or run; the button sends its form to the page itself.
_OPT_OUT_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class TrackerSite:
    """Handlers of the routes; `secure` is false only where the tracker is reached by plain http (a loopback demo)."""

    def __init__(
        self,
        directory: Directory,
        collector: EventCollector,
        identities: Identities,
        sync: CookieSync,
        consent: EventConsentPolicy,
        clock: Clock,
        metrics: IntakeMetrics,
        *,
        secure: bool,
    ) -> None:
        self._directory = directory
        self._collector = collector
        self._identities = identities
        self._sync = sync
        self._consent = consent
        self._clock = clock
        self._metrics = metrics
        self._secure = secure
        self._tag = importlib.resources.files("segments.events").joinpath("tag.js").read_bytes()
        self._tag_etag = f'"{hashlib.sha256(self._tag).hexdigest()[:32]}"'

    async def post_events(self, request: web.Request) -> web.Response:
        """`POST /e/{advertiser}`: one event or a batch, from a browser or, with an API key, from a server."""
        advertiser = self._advertiser(request)
        key = _api_key(request)
        trusted = bool(key)
        if advertiser is None or (trusted and not self._directory.accepts_key(advertiser.id, key)):
            return _refuse(advertiser is None)
        cors = _cors(request)
        if not trusted and not _from_own_pages(request, advertiser, hdrs.ORIGIN):
            return _refuse_page(request.headers[hdrs.ORIGIN])
        try:
            payload = read_json(await read_body(request, MAX_BODY_BYTES))
            rows = split_batch(payload)
        except BodyRefused as error:
            refusal = problem(error.status, error.message, hint=error.hint, headers=cors)
            if error.closes:
                refusal.force_close()
            return refusal
        except InputError as error:
            return problem(400, error.message, faults=error.faults, headers=cors)
        own_page = not trusted and _is_own_page(request, advertiser)
        client_id = _client_id(payload) if own_page else ""
        if own_page and _leaves(rows):
            return await self._leave(request, advertiser, client_id, cors)
        return await self._answer(request, advertiser, rows, trusted=trusted, cors=cors, client_id=client_id)

    async def get_event(self, request: web.Request) -> web.Response:
        """`GET /e/{advertiser}?event=...`: one event as an image, for pages without scripts.

        Plain fields in the query, or a whole event as JSON in `d`. An image has no Origin, and its Referer may be left
        out by the page that shows it: the check keeps honest pages of other sites out.
        A HEAD request (link checkers, previews) is answered alike and stores nothing.
        """
        advertiser = self._advertiser(request)
        if advertiser is None:
            return _refuse(unknown=True)
        if not _from_own_pages(request, advertiser, hdrs.REFERER):
            return _refuse_page(request.headers[hdrs.REFERER])
        try:
            row = row_of_query(request.query)
        except InputError as error:
            return problem(400, error.message, faults=error.faults)
        if request.method == hdrs.METH_HEAD:
            outcomes = self._collector.look([row], self._context(request, advertiser, self._cookie(request)[0]))
            answer = _outcomes_response(outcomes, {}, trusted=False)
        else:
            answer = await self._answer(request, advertiser, [row], trusted=False, cors={})
        if answer.status not in (200, 204):
            return answer
        pixel = web.Response(body=PIXEL, content_type="image/gif", headers=_PIXEL_HEADERS)
        pixel.cookies.update(answer.cookies)
        return pixel

    async def preflight(self, request: web.Request) -> web.Response:
        """`OPTIONS /e/{advertiser}`."""
        headers = {
            **_cors(request),
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: "POST, GET",
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Content-Type",
            hdrs.ACCESS_CONTROL_MAX_AGE: "86400",
        }
        return web.Response(status=204, headers=headers)

    async def tag(self, request: web.Request) -> web.Response:
        """`GET /tag.js`."""
        headers = {
            hdrs.CACHE_CONTROL: f"public, max-age={_TAG_AGE_S}",
            hdrs.ETAG: self._tag_etag,
            hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",  # subresource integrity needs a CORS answer
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Content-Type-Options": "nosniff",
        }
        if request.headers.get(hdrs.IF_NONE_MATCH) == self._tag_etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._tag, content_type="text/javascript", charset="utf-8", headers=headers)

    async def sync(self, request: web.Request) -> web.Response:
        """`GET /sync/{exchange}`: with `uid` the exchange tells its id of this browser; without, it is told ours.

        A HEAD request is answered alike, and neither stores nor counts.
        """
        exchange = self._directory.exchange(request.match_info["exchange"])
        if exchange is None:
            return problem(404, "no such exchange")
        said = members_of_query(query_pairs(request.rel_url.raw_query_string))
        flags = self._consent.flags(signals_of(said, sec_gpc=request.headers.get(SEC_GPC, "")))
        user_id, is_new = self._cookie(request)
        outcome = await self._sync.handle(
            exchange,
            their_id=said.get("uid", ""),
            wants_redirect=request.query.get("redirect") == "1",
            user_id=user_id,
            is_new=is_new,
            permitted=flags.identifiers,
            opted_out=OPT_OUT_COOKIE in request.cookies,
            user_agent=request.headers.get(hdrs.USER_AGENT, ""),
            look_only=request.method == hdrs.METH_HEAD,
        )
        if outcome.fault is not None:
            return problem(outcome.status, outcome.fault.message, faults=[outcome.fault])
        headers = dict(_PIXEL_HEADERS)
        if outcome.location:
            headers[hdrs.LOCATION] = outcome.location
        answer = web.Response(
            status=302 if outcome.location else 200,
            body=None if outcome.location else PIXEL,
            content_type=None if outcome.location else "image/gif",
            headers=headers,
        )
        if outcome.set_cookie:
            self._set_cookie(answer, COOKIE, user_id)
        return answer

    async def opt_out_page(self, request: web.Request) -> web.Response:
        """`GET /optout`: says what the button does. A GET changes nothing, so that prefetching does not opt out."""
        accepted = request.headers.get(hdrs.ACCEPT_LANGUAGE, "")
        text = opt_out_page(preferred_language(accepted, LANGUAGES), is_out=OPT_OUT_COOKIE in request.cookies)
        headers = {
            hdrs.CACHE_CONTROL: "no-store", hdrs.VARY: hdrs.ACCEPT_LANGUAGE, "X-Frame-Options": "DENY",
            CSP: _OPT_OUT_POLICY,
        }  # fmt: skip
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def opt_out(self, request: web.Request) -> web.Response:
        """`POST /optout`: erase this browser's profile and remember the wish in a cookie without an id.

        Only from the page itself: a form on another site could otherwise make shops lose their visitors.
        """
        origin = request.headers.get(hdrs.ORIGIN, "")
        if origin and host_of(origin) != host_of(f"//{request.host}"):
            return problem(403, "not from this page", hint="open /optout and use the button")
        user_id = request.cookies.get(COOKIE, "")
        if is_user_id(user_id):
            try:
                await self._identities.opt_out(user_id, "visitor")
            except UnavailableError:
                return problem(503, "try again", headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_S)})
        answer = web.Response(status=303, headers={hdrs.LOCATION: "/optout", hdrs.CACHE_CONTROL: "no-store"})
        self._set_cookie(answer, OPT_OUT_COOKIE, "1")
        answer.del_cookie(COOKIE, path="/", secure=self._secure, samesite="None" if self._secure else "Lax")
        return answer

    async def _answer(
        self,
        request: web.Request,
        advertiser: Advertiser,
        rows: list[Any],
        *,
        trusted: bool,
        cors: dict[str, str],
        client_id: str = "",
    ) -> web.Response:
        user_id, is_new = self._cookie(request)
        if not trusted and OPT_OUT_COOKIE in request.cookies:
            return web.Response(status=204, headers=cors)
        context = self._context(request, advertiser, user_id, trusted=trusted)
        try:
            if is_new and client_id:
                context, is_new = await self._of_client(rows, context, client_id)
                user_id = context.user_id
            outcomes = await self._collector.collect(rows, context)
        except UnavailableError as error:
            return _try_again(cors, error.hint)
        answer = _outcomes_response(outcomes, cors, trusted=trusted)
        if is_new and not trusted and any(outcome.status == "accepted" for outcome in outcomes):
            self._set_cookie(answer, COOKIE, user_id)
        return answer

    def _context(self, request: web.Request, advertiser: Advertiser, user_id: str, *, trusted: bool = False) -> Context:
        referrer = request.headers.get(hdrs.REFERER, "")
        sec_gpc = "" if trusted else request.headers.get(SEC_GPC, "")  # a server's own header is no person's wish
        return Context(advertiser, self._directory.fx, self._clock.now_ms(), user_id, trusted, referrer, sec_gpc)

    async def _of_client(self, rows: list[Any], context: Context, client_id: str) -> tuple[Context, bool]:
        """The context with the user of a first-party id, and whether to set our cookie.

        A known first-party id belongs to a browser that did not keep the cookie, so none is set: what one shop's pages
        keep must not bring back an id that other shops know. Nothing is stored for events that may not be stored.
        """
        shop = context.advertiser.id
        known = await self._identities.user_of_client(shop, client_id)
        if known is not None:
            return msgspec.structs.replace(context, user_id=known), False
        if self._collector.permits(rows, context):
            adopted = await self._identities.adopt_client(shop, client_id, context.user_id)
            return msgspec.structs.replace(context, user_id=adopted), adopted == context.user_id
        return context, True

    async def _leave(
        self, request: web.Request, advertiser: Advertiser, client_id: str, cors: dict[str, str]
    ) -> web.Response:
        """One shop's pages stop: its part of the profile behind our cookie goes, or all that is behind its own id."""
        user_id, is_new = self._cookie(request)
        actor = f"visitor of {advertiser.id}"
        try:
            if not is_new:
                if not await self._collector.forget(advertiser.id, user_id):
                    return _try_again(cors)
                await self._identities.note("leave", user_id, actor)
            elif client_id:
                known = await self._identities.user_of_client(advertiser.id, client_id)
                if known is not None:
                    await self._identities.opt_out(known, actor)
        except UnavailableError as error:
            return _try_again(cors, error.hint)
        return web.Response(status=204, headers=cors)

    def _advertiser(self, request: web.Request) -> Advertiser | None:
        text = request.match_info["advertiser"]
        return self._directory.advertiser(int(text)) if text.isascii() and text.isdigit() and len(text) <= 10 else None

    def _cookie(self, request: web.Request) -> tuple[str, bool]:
        """(user id, whether it is new): a cookie that has not the form of our ids is replaced."""
        known = request.cookies.get(COOKIE, "")
        return (known, False) if is_user_id(known) else (new_user_id(), True)

    def _set_cookie(self, answer: web.Response, name: str, value: str) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=COOKIE_LIFETIME_S,
            path="/",
            httponly=True,
            secure=self._secure,
            samesite="None" if self._secure else "Lax",  # browsers refuse SameSite=None without Secure
        )


def routes(site: TrackerSite) -> list[web.RouteDef]:
    """Routes for the tracker's application."""
    return [
        web.post("/e/{advertiser}", site.post_events),
        web.get("/e/{advertiser}", site.get_event),
        web.options("/e/{advertiser}", site.preflight),
        web.get("/tag.js", site.tag),
        web.get("/sync/{exchange}", site.sync),
        web.get("/optout", site.opt_out_page),
        web.post("/optout", site.opt_out),
    ]


def _refuse(unknown: bool) -> web.Response:
    if unknown:
        return problem(404, "no such advertiser")
    return problem(401, "the API key is not valid for this advertiser", headers={hdrs.WWW_AUTHENTICATE: "Bearer"})


def _refuse_page(page: str) -> web.Response:
    fault = Fault("", "origin", f"pages of {page[:200]} may not send events here")
    return problem(403, "not one of the shop's pages", faults=[fault], hint="set the advertiser's domain or origins")


def _api_key(request: web.Request) -> str:
    bearer = request.headers.get(hdrs.AUTHORIZATION, "")
    return request.headers.get("X-API-Key", "") or bearer.removeprefix("Bearer ").strip()


def _cors(request: web.Request) -> dict[str, str]:
    origin = request.headers.get(hdrs.ORIGIN, "")
    if not origin:
        return {}
    return {
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin,
        hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS: "true",
        hdrs.VARY: hdrs.ORIGIN,
    }


def _try_again(cors: dict[str, str], hint: str = "") -> web.Response:
    headers = {**cors, hdrs.RETRY_AFTER: str(RETRY_AFTER_S)}
    return problem(503, "events cannot be stored now", hint=hint or "send them again", headers=headers)


def _leaves(rows: list[Any]) -> bool:
    """Whether one of the events is the visitor's wish to be forgotten by the shop."""
    return any(_is_wish(row.get("event")) or _is_wish(row.get("name")) for row in rows if isinstance(row, dict))


def _is_wish(name: object) -> bool:
    return isinstance(name, str) and stripped(name) == OPT_OUT_EVENT


def _client_id(payload: object) -> str:
    """The id that the shop's own pages keep for a browser; '' if there is none of the right shape."""
    client_id = payload.get("client_id") if isinstance(payload, dict) else None
    if not isinstance(client_id, str) or not CLIENT_ID.fullmatch(client_id) or means_nobody(client_id):
        return ""
    return client_id


def _is_own_page(request: web.Request, advertiser: Advertiser) -> bool:
    """Whether it is certain that one of the shop's pages sent the request."""
    known = bool(advertiser.domain and request.headers.get(hdrs.ORIGIN))
    return known and _from_own_pages(request, advertiser, hdrs.ORIGIN)


def _from_own_pages(request: web.Request, advertiser: Advertiser, name: str) -> bool:
    """Whether the header `name` admits that a page of the shop sent the request: others may not write its profiles."""
    header = request.headers.get(name, "")
    own = advertiser.domain.lower().removeprefix("www.")
    if not header or not own:
        return True
    if any(header == each or header.startswith(f"{each}/") for each in advertiser.origins):
        return True
    origin = host_of(header)  # '' for "null", which is what a sandboxed frame of any site sends
    return origin == own or origin.endswith("." + own)


def row_of_query(query: Mapping[str, str]) -> dict[str, Any]:
    """The event of an image's query. Raises InputError for a `d` that is no event object."""
    said = members_of_query(query.items())
    row: dict[str, Any] = {name: value for name, value in said.items() if name not in ("d", "items")}
    if "items" in query:  # id:price:quantity, comma separated
        row["items"] = [_item_of(text) for text in query["items"].split(",") if text]
    if "d" in query:
        event = _event_object(query["d"])
        row |= event | stricter(row, event)
    return row


def _event_object(text: str) -> dict[str, Any]:
    """An event as JSON. Raises InputError for anything else."""
    try:
        event = read_json(text.encode("utf-8", errors="replace"))
    except InputError as error:
        raise InputError("not JSON", faults=[Fault("/d", "json", error.message)]) from None
    if not isinstance(event, dict):
        raise InputError("not an event", faults=[Fault("/d", "type", "expected an event object")])
    return event


def _item_of(text: str) -> dict[str, str]:
    names = ("item_id", "price", "quantity")
    return {name: urllib.parse.unquote(value) for name, value in zip(names, text.split(":"), strict=False) if value}


def _outcomes_response(outcomes: list[Outcome], cors: dict[str, str], *, trusted: bool) -> web.Response:
    """204 for a browser when all is well; otherwise the outcomes, under the status of the worst."""
    statuses = {outcome.status for outcome in outcomes}
    results = [msgspec.to_builtins(outcome) for outcome in outcomes]
    if "retry" in statuses:
        headers = {**cors, hdrs.RETRY_AFTER: str(RETRY_AFTER_S)}
        return problem(
            503, "the event log is full: send the items marked retry again", results=results, headers=headers
        )
    if "invalid" in statuses and (len(outcomes) == 1 or statuses == {"invalid"}):
        faults = [
            msgspec.structs.replace(fault, pointer=f"/events/{at}{fault.pointer}") if len(outcomes) > 1 else fault
            for at, outcome in enumerate(outcomes)
            for fault in outcome.errors
        ]
        return problem(400, "the event is not valid", faults=faults, headers=cors)
    if not trusted and "invalid" not in statuses and not any(outcome.warnings for outcome in outcomes):
        return web.Response(status=204, headers=cors)
    return web.Response(body=_encoder.encode({"results": results}), content_type="application/json", headers=cors)
