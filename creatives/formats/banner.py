"""Banner markup: what the browser gets, as a template whose only variable is the signed token.

Markup is rendered once per creative and tracker address; a bid then costs one `bytes.join` of the prepared parts around
its token. Own markup may use the macros below; OpenRTB's `${AUCTION_...}` macros pass through to the exchange.
"""

import html
import re
import urllib.parse

from core.errors import Fault
from core.model import Creative

TOKEN = "@TOKEN@"  # noqa: S105 - a placeholder, not a secret
"""Stands for the signed token in prepared text; tokens are URL-safe, so it needs no escaping in HTML, JSON or a URL."""

CLICK_URL = "${CLICK_URL}"  # counted click, for an href
CLICK_URL_ENCODED = "${CLICK_URL_ENC}"  # the same, percent-encoded, to hand on to another tracker
WIDTH, HEIGHT = "${WIDTH}", "${HEIGHT}"

# 10 kB of markup a bid is far above what exchanges accept without complaint (OpenX prefers answers below 1 kB).
MAX_MARKUP_CHARS = 10_000

# Browsers, proxies and exchanges take URLs of 2 kB; the tracker's address and the token need up to 250 of them.
MAX_LANDING_CHARS = 1_800

_URL = re.compile(r"""http://[^\s"'<>)]+""", re.IGNORECASE)  # anywhere: also in srcset, poster, scripts and styles
_NAMES = re.compile(r"^http://www\.w3\.org/", re.IGNORECASE)  # XML namespaces are names that nobody loads
_LOOPBACK = re.compile(r"^http://(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?(?:/|$)", re.IGNORECASE)
_PIXEL_STYLE = "position:absolute;left:0;top:0;width:1px;height:1px;border:0"


def click_url(track_url: str, landing_url: str) -> str:
    """Address that counts a click and redirects to the landing page; the token pins that page."""
    return f"{track_url}/t/click/{TOKEN}?to={urllib.parse.quote(landing_url, safe='')}"


def impression_url(track_url: str) -> str:
    """Address of the pixel that counts the impression."""
    return f"{track_url}/t/imp/{TOKEN}"


def banner_markup(creative: Creative, track_url: str) -> str:
    """HTML of a banner with `TOKEN` in it; `track_url` is the tracker's public address, without a slash at the end."""
    click = click_url(track_url, creative.landing_url)
    if creative.html:
        body = (
            creative.html.replace(CLICK_URL_ENCODED, urllib.parse.quote(click, safe="@"))
            .replace(CLICK_URL, html.escape(click))
            .replace(WIDTH, str(creative.width))
            .replace(HEIGHT, str(creative.height))
        )
    else:
        body = (
            f'<a href="{html.escape(click)}" target="_blank" rel="noopener">'
            f'<img src="{html.escape(creative.image_url)}" width="{creative.width}" height="{creative.height}" '
            f'alt="{html.escape(creative.alt_text)}" style="border:0"></a>'
        )
    pixel = f'<img src="{html.escape(impression_url(track_url))}" width="1" height="1" alt="" style="{_PIXEL_STYLE}">'
    return body + pixel


def is_secure(creative: Creative, track_url: str) -> bool:
    """Whether every URL of the markup may be loaded by an https page.

    Plain http on loopback counts: browsers treat it as potentially trustworthy (W3C Secure Contexts, section 3.1).
    """
    markup = html.unescape(banner_markup(creative, track_url)).replace("\\/", "/")  # scripts may write http:\/\/
    return all(_LOOPBACK.match(url) or _NAMES.match(url) for url in _URL.findall(markup))


def check_banner(creative: Creative) -> list[Fault]:
    """What would keep a banner from being served, told when it is saved; pointers are relative to the creative."""
    faults: list[Fault] = []
    if bool(creative.html) == bool(creative.image_url):
        faults.append(Fault("/html", "exactly_one", "a banner has either html or image_url", "set one of the two"))
    if creative.html and CLICK_URL not in creative.html and CLICK_URL_ENCODED not in creative.html:
        faults.append(Fault("/html", "no_click_macro", "the markup does not count clicks", f'link to "{CLICK_URL}"'))
    if len(creative.html) > MAX_MARKUP_CHARS:
        faults.append(
            Fault("/html", "too_long", f"{len(creative.html)} characters of markup", f"at most {MAX_MARKUP_CHARS}")
        )
    faults += [
        Fault(f"/{name}", "reserved", f"'{TOKEN}' is reserved", "remove it")
        for name in ("html", "image_url", "alt_text", "landing_url", "sample_url")
        if TOKEN in getattr(creative, name)
    ]
    if creative.width <= 0 or creative.height <= 0:
        faults.append(Fault("/width", "no_size", "a banner has a width and a height in pixels", "set both"))
    if not creative.landing_url.startswith(("https://", "http://")):
        faults.append(
            Fault("/landing_url", "not_a_url", "the landing page is not a web address", "start it with https://")
        )
    encoded = len(urllib.parse.quote(creative.landing_url, safe=""))
    if encoded > MAX_LANDING_CHARS:
        message = f"the landing page has {encoded} characters when percent-encoded, as the click URL carries it"
        faults.append(Fault("/landing_url", "too_long", message, f"at most {MAX_LANDING_CHARS}"))
    return faults
