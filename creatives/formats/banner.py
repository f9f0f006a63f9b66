"""Banner ads: what the browser gets, as HTML whose only variable is the signed token.

Markup is rendered once per creative and tracker address; a bid then costs one `bytes.join` of the prepared parts around
its token.
"""

import html
import re
import urllib.parse
from collections.abc import Hashable

from core.errors import Fault
from core.model import Creative
from creatives.formats.base import Ad, AdFormat
from creatives.formats.landing import check_landing
from creatives.formats.offer import Offer, Size, SizeRatio, fits
from creatives.macros import (
    CLICK_URL,
    CLICK_URL_ENCODED,
    HEIGHT,
    WIDTH,
    Tracker,
    are_trustworthy,
    click_url,
    impression_url,
)

# 10 kB of markup a bid is far above what exchanges accept without complaint (OpenX prefers answers below 1 kB).
MAX_MARKUP_CHARS = 10_000

TYPE_HTML, TYPE_SCRIPT, TYPE_IFRAME = 2, 3, 4
"""OpenRTB 2.x, list "Banner Ad Types": XHTML banner, JavaScript ad, iframe."""

MARKUP_MIMES = frozenset({"text/html", "application/javascript"})
"""A request that names MIME types admits markup by these."""

FRAME_PERMISSIONS = "allow-scripts allow-popups allow-popups-to-escape-sandbox"
"""What the page of a banner by URL may do: run, and open the landing page, which is then a page like any other. It has
no origin, so it reaches neither cookies nor storage, and it cannot lead the publisher's page away."""

_URL = re.compile(r"""http://[^\s"'<>)]+""", re.IGNORECASE)  # anywhere: also in srcset, poster, scripts and styles
_PIXEL_STYLE = "position:absolute;left:0;top:0;width:1px;height:1px;border:0"


def shapes(creative: Creative) -> tuple[Size, ...]:
    """A banner fits where its size is offered, alone or among others."""
    return ((creative.width, creative.height),)


class BannerAd(Ad, frozen=True):
    """A banner; `ratio` where it flexes: it fits by its ratio alone."""

    ratio: SizeRatio | None = None


def render(creative: Creative, offer: Offer, tracker: Tracker) -> Ad:
    """The banner as an ad; it looks the same whatever else the offer says."""
    ratio = _ratio((creative.width, creative.height), offer)
    secure = is_secure(creative, tracker)
    return BannerAd(creative, banner_markup(creative, tracker), secure, _types(creative), ratio)


def _ratio(size: Size, offer: Offer) -> SizeRatio | None:
    fitting = [shape for shape in offer.shapes if fits(size, shape)]
    ratios = [shape for shape in fitting if isinstance(shape, SizeRatio)]
    return ratios[0] if ratios and len(ratios) == len(fitting) else None


def variant(offer: Offer) -> Hashable:
    """Where an offer has ratios, how a banner fits is told the exchange."""
    return offer.shapes if any(isinstance(shape, SizeRatio) for shape in offer.shapes) else None


def admits(ad: Ad, offer: Offer) -> bool:
    """Whether the offer's rules allow the banner (OpenRTB 2.6 section 3.2.6)."""
    creative = ad.creative
    if offer.blocked_types and not ad.types.isdisjoint(offer.blocked_types):
        return False
    blocked = offer.blocked_attributes
    if creative.attributes and blocked and not set(creative.attributes).isdisjoint(blocked):
        return False
    if creative.apis and not set(creative.apis).issubset(offer.frameworks or ()):
        return False
    return not offer.mimes or not MARKUP_MIMES.isdisjoint(offer.mimes)


def banner_markup(creative: Creative, tracker: Tracker) -> str:
    """HTML of a banner with `TOKEN` in it."""
    click = click_url(tracker, creative.landing_url)
    if creative.html:
        body = (
            creative.html.replace(CLICK_URL_ENCODED, urllib.parse.quote(click, safe="@"))
            .replace(CLICK_URL, html.escape(click))
            .replace(WIDTH, str(creative.width))
            .replace(HEIGHT, str(creative.height))
        )
    elif creative.frame_url:
        source = creative.frame_url.replace(CLICK_URL_ENCODED, urllib.parse.quote(click, safe="@"))
        body = (
            f'<iframe src="{html.escape(source)}" width="{creative.width}" height="{creative.height}" '
            f'sandbox="{FRAME_PERMISSIONS}" scrolling="no" title="{html.escape(creative.alt_text or "ad")}" '
            'style="border:0;display:block"></iframe>'
        )
    else:
        body = (
            f'<a href="{html.escape(click)}" target="_blank" rel="noopener">'
            f'<img src="{html.escape(creative.image_url)}" width="{creative.width}" height="{creative.height}" '
            f'alt="{html.escape(creative.alt_text)}" style="border:0"></a>'
        )
    pixel = f'<img src="{html.escape(impression_url(tracker))}" width="1" height="1" alt="" style="{_PIXEL_STYLE}">'
    return body + pixel


def is_secure(creative: Creative, tracker: Tracker) -> bool:
    """Whether every URL of the markup may be loaded by an https page."""
    markup = html.unescape(banner_markup(creative, tracker)).replace("\\/", "/")  # scripts may write http:\/\/
    return are_trustworthy(_URL.findall(markup))


def _types(creative: Creative) -> frozenset[int]:
    markup = html.unescape(creative.html).lower()
    kinds = {TYPE_HTML}
    if "<script" in markup or "javascript:" in markup:
        kinds.add(TYPE_SCRIPT)
    if creative.frame_url or "<iframe" in markup:
        kinds.add(TYPE_IFRAME)
    return frozenset(kinds)


def check_banner(creative: Creative) -> list[Fault]:
    """What would keep a banner from being served, told when it is saved; pointers are relative to the creative."""
    faults: list[Fault] = []
    if sum(map(bool, (creative.html, creative.frame_url, creative.image_url))) != 1:
        text = "a banner has one of html, frame_url and image_url"
        faults.append(Fault("/html", "exactly_one", text, "set one of the three"))
    if creative.html and CLICK_URL not in creative.html and CLICK_URL_ENCODED not in creative.html:
        faults.append(Fault("/html", "no_click_macro", "the markup does not count clicks", f'link to "{CLICK_URL}"'))
    if creative.frame_url and CLICK_URL_ENCODED not in creative.frame_url:
        hint = f'hand it on: "https://cdn.example/ad.html?click={CLICK_URL_ENCODED}", and let the page link to it'
        faults.append(Fault("/frame_url", "no_click_macro", "the page does not know where clicks are counted", hint))
    if len(creative.html) > MAX_MARKUP_CHARS:
        faults.append(
            Fault("/html", "too_long", f"{len(creative.html)} characters of markup", f"at most {MAX_MARKUP_CHARS}")
        )
    if creative.width <= 0 or creative.height <= 0:
        faults.append(Fault("/width", "no_size", "a banner has a width and a height in pixels", "set both"))
    faults += check_landing(creative)
    return faults


FORMAT = AdFormat(name="banner", shapes=shapes, check=check_banner, render=render, admits=admits, variant=variant)
