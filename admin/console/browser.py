"""Who looks at a page: the session cookie, the language, and whether a form was sent by a page of ours."""

import hmac
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, urlsplit

from aiohttp import web

from admin.access.principal import Principal
from admin.api.authentication import Authentication
from admin.api.problem import ApiError
from admin.api.requests import MAX_STRANGERS_BYTES
from admin.console.words import Words, choose_language, choose_zone, words_of
from core.errors import AccessError
from core.network.bodies import read_body

LANGUAGE_COOKIE = "grosz_language"
ZONE_COOKIE = "grosz_timezone"
"""The console's script sets it to the name of the browser's time zone."""
CSRF_FIELD = "csrf"

# The form of a line item with every targeting list filled is below 100 kB.
MAX_FORM_BYTES = 1024 * 1024


class Visitor:
    """Somebody at a page; `principal` None before the log-in. `address` is the page, "" for the answer to a form."""

    __slots__ = ("address", "principal", "words")

    def __init__(self, words: Words, principal: Principal | None, address: str = "") -> None:
        self.words = words
        self.principal = principal
        self.address = address

    @property
    def caller(self) -> Principal:
        """Who is logged in. Raises AccessError."""
        if self.principal is None:
            raise AccessError("not logged in", hint="log in")
        return self.principal


def address_of(request: web.Request) -> str:
    """The address that shows the page again; "" for the answer to a form, which has none."""
    return request.path_qs if request.method == "GET" else ""


def words_for(request: web.Request) -> Words:
    """The words of the browser's language, in its time zone."""
    language = choose_language(request.cookies.get(LANGUAGE_COOKIE, ""), request.headers.get("Accept-Language", ""))
    return words_of(language, choose_zone(request.cookies.get(ZONE_COOKIE, "")))


async def visitor_of(request: web.Request, authentication: Authentication) -> Visitor:
    """Who sends a request by a session cookie. Raises AccessError, ApiError 429."""
    return Visitor(words_for(request), await authentication.identify_browser(request), address_of(request))


async def read_form(request: web.Request, *, of_stranger: bool = False) -> list[tuple[str, str]]:
    """Fields of a form in their order. Raises ApiError for another content type or another site's form."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "cannot read this content type", hint="send a form")
    refuse_other_sites(request.headers, request.host)
    if of_stranger:
        body = await read_body(request, MAX_STRANGERS_BYTES, codings=())
    else:
        body = await read_body(request, MAX_FORM_BYTES)
    text = body.decode(errors="replace")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=2_000)
    except ValueError:
        raise ApiError(HTTPStatus.BAD_REQUEST, "the form has too many fields") from None


def refuse_other_sites(headers: Mapping[str, str], host: str) -> None:
    """Raises ApiError 403 for a form of another site's page, told by Fetch Metadata or else by Origin."""
    site = headers.get("Sec-Fetch-Site", "")
    origin = headers.get("Origin", "")
    # An origin is a scheme and a host (RFC 6454 section 7); it is compared as text, for urlsplit raises for "http://[".
    foreign = site not in ("", "same-origin", "none") or (not site and origin and origin.partition("://")[2] != host)
    if foreign:
        raise ApiError(HTTPStatus.FORBIDDEN, "the form was sent by another site", hint="use the console's own pages")


def require_csrf(caller: Principal, fields: Mapping[str, str]) -> None:
    """Raises ApiError 403 when a form lacks the token of its session."""
    sent = fields.get(CSRF_FIELD, "").encode(errors="surrogatepass")
    if not hmac.compare_digest(sent, caller.csrf_token.encode()):
        hint = "load the page again, then send the form"
        raise ApiError(HTTPStatus.FORBIDDEN, "the form's token is missing or old", hint=hint)


def login_address(request: web.Request) -> str:
    """Where somebody logs in and then comes back to the page that they wanted."""
    if request.method != "GET" or request.path == "/":
        return "/login"
    return f"/login?next={quote(request.path_qs, safe='')}"


def own_path(text: str) -> str:
    """A path of this console to go to after the log-in; "/" for anything that leads elsewhere."""
    is_path = text.startswith("/") and not text.startswith(("//", "/\\")) and "\\" not in text
    return text if is_path and text.isprintable() and not urlsplit(text).netloc else "/"
