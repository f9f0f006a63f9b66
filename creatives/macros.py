"""Macros and tracking addresses that markup of every format carries.

Own markup may use the macros below; OpenRTB's `${AUCTION_...}` macros pass through to the exchange.
"""

import re
import urllib.parse
from collections.abc import Iterable
from typing import NamedTuple

TOKEN = "@TOKEN@"  # noqa: S105 - a placeholder, not a secret
"""Stands for the signed token in prepared text; tokens are URL-safe, so it needs no escaping in HTML, JSON or a URL."""

CLICK_URL = "${CLICK_URL}"  # counted click, for an href
CLICK_URL_ENCODED = "${CLICK_URL_ENC}"  # the same, percent-encoded, to hand on to another tracker
WIDTH, HEIGHT = "${WIDTH}", "${HEIGHT}"

_LOOPBACK = re.compile(r"^http://(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?(?:/|$)", re.IGNORECASE)
_NAMES = re.compile(
    r"^http://(?:www\.w3\.org/|www\.iab\.com/VAST)", re.IGNORECASE
)  # XML namespaces are names that nobody loads


class Tracker(NamedTuple):
    """Where markup reports to."""

    url: str
    """The tracker's public address, without a slash at the end."""
    price: str = ""
    """The query by which the exchange's price macro comes with the impression; "" where it does not."""


def click_url(tracker: Tracker, landing_url: str) -> str:
    """Address that counts a click and redirects to the landing page; the token pins that page."""
    return f"{tracker.url}/t/click/{TOKEN}?to={urllib.parse.quote(landing_url, safe='')}"


def impression_url(tracker: Tracker) -> str:
    """Address of the pixel that counts the impression."""
    return f"{tracker.url}/t/imp/{TOKEN}" + (f"?{tracker.price}" if tracker.price else "")


def are_trustworthy(urls: Iterable[str]) -> bool:
    """Whether an https page may load each of these http addresses.

    Plain http on loopback counts: browsers treat it as potentially trustworthy (W3C Secure Contexts, section 3.1).
    """
    return all(_LOOPBACK.match(url) or _NAMES.match(url) for url in urls)
