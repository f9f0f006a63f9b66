"""Macros and tracking addresses that markup of every format carries.

Own markup may use the macros below; OpenRTB's `${AUCTION_...}` macros pass through to the exchange.
"""

import re
import urllib.parse
from collections.abc import Iterable
from typing import NamedTuple

TOKEN = "@TOKEN@"  # noqa: S105 - a placeholder, not a secret
"""Stands for the signed token in prepared text; tokens are URL-safe, so it needs no escaping in HTML, JSON or a URL."""

TOKEN_MARK = "@"  # noqa: S105 - likewise
"""The sign at both ends of `TOKEN`. It is never percent-encoded: `%40TOKEN%40` would not be found and replaced."""

CLICK_URL = "${CLICK_URL}"  # counted click, for an href
CLICK_URL_ENCODED = "${CLICK_URL_ENC}"  # the same, percent-encoded, to hand on to another tracker
CACHE_BUSTER = "${CACHEBUSTER}"  # another one in each bid
WIDTH, HEIGHT = "${WIDTH}", "${HEIGHT}"

_LOOPBACK = re.compile(r"^http://(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?(?:/|$)", re.IGNORECASE)
_NAMES = re.compile(
    r"^http://(?:www\.w3\.org/|www\.iab\.com/VAST)", re.IGNORECASE
)  # XML namespaces are only names: nobody loads them


class Tracker(NamedTuple):
    """Where markup reports to."""

    url: str
    """The tracker's public address, without a slash at the end."""
    price: str = ""
    """The query by which the exchange's price macro comes with the impression; "" where it does not."""
    click_macro: str = ""
    """The exchange's macro of an address that counts a click for it and goes on to what is appended, percent-encoded;
    "" where it counts clicks in another way."""
    click_macro_encoded: str = ""
    """The same, where the address is itself a part of another one."""


def click_url(tracker: Tracker, landing_url: str) -> str:
    """Address that counts a click and redirects to the landing page; the token pins that page."""
    return f"{tracker.url}/t/click/{TOKEN}?to={urllib.parse.quote(landing_url, safe='')}"


def wrapped_click(tracker: Tracker, landing_url: str) -> tuple[str, str]:
    """`click_url` behind the exchange's own count of clicks, where it has one: as it stands, and percent-encoded."""
    url = click_url(tracker, landing_url)
    encoded = urllib.parse.quote(url, safe=TOKEN_MARK)
    if not tracker.click_macro:
        return url, encoded
    return tracker.click_macro + encoded, tracker.click_macro_encoded + urllib.parse.quote(encoded, safe=TOKEN_MARK)


def impression_url(tracker: Tracker) -> str:
    """Address of the pixel that counts the impression."""
    return f"{tracker.url}/t/imp/{TOKEN}" + (f"?{tracker.price}" if tracker.price else "")


def event_url(tracker: Tracker, path: str, event: str) -> str:
    """Where a page or a player reports an event of one bid (`pacing.notices.signals`)."""
    return f"{tracker.url}/t/{path}/{TOKEN}?e={event}"


def sign_url(tracker: Tracker) -> str:
    """The picture of the sign that leads to who advertises (`creatives.card`)."""
    return f"{tracker.url}/card/sign.png"


def notice_url(tracker: Tracker, chosen_by: Iterable[int]) -> str:
    """Where people read who paid for an ad, and what it was chosen by (`dsaparams`)."""
    return f"{tracker.url}/why/{TOKEN}?by={','.join(map(str, chosen_by))}"


def are_trustworthy(urls: Iterable[str]) -> bool:
    """Whether an https page may load each of these http addresses.

    Plain http on loopback counts: browsers treat it as potentially trustworthy (W3C Secure Contexts, section 3.1).
    """
    return all(_LOOPBACK.match(url) or _NAMES.match(url) for url in urls)
