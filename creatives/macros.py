"""Macros and tracking addresses that markup of every format carries.

Own markup may use the macros below; OpenRTB's `${AUCTION_...}` macros pass through to the exchange.
"""

import re
import urllib.parse
from collections.abc import Iterable

TOKEN = "@TOKEN@"  # noqa: S105 - a placeholder, not a secret
"""Stands for the signed token in prepared text; tokens are URL-safe, so it needs no escaping in HTML, JSON or a URL."""

CLICK_URL = "${CLICK_URL}"  # counted click, for an href
CLICK_URL_ENCODED = "${CLICK_URL_ENC}"  # the same, percent-encoded, to hand on to another tracker
WIDTH, HEIGHT = "${WIDTH}", "${HEIGHT}"

_LOOPBACK = re.compile(r"^http://(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?(?:/|$)", re.IGNORECASE)
_NAMES = re.compile(r"^http://www\.w3\.org/", re.IGNORECASE)  # XML namespaces are names that nobody loads


def click_url(track_url: str, landing_url: str) -> str:
    """Address that counts a click and redirects to the landing page; the token pins that page."""
    return f"{track_url}/t/click/{TOKEN}?to={urllib.parse.quote(landing_url, safe='')}"


def impression_url(track_url: str) -> str:
    """Address of the pixel that counts the impression."""
    return f"{track_url}/t/imp/{TOKEN}"


def are_trustworthy(urls: Iterable[str]) -> bool:
    """Whether an https page may load each of these http addresses.

    Plain http on loopback counts: browsers treat it as potentially trustworthy (W3C Secure Contexts, section 3.1).
    """
    return all(_LOOPBACK.match(url) or _NAMES.match(url) for url in urls)
