"""Banner ads: what the browser gets, as HTML whose only variable is the signed token.

Markup is rendered once per creative and tracker address; a bid then costs one `bytes.join` of the prepared parts around
its token.
"""

import html
import mimetypes
import re
import urllib.parse
from collections.abc import Hashable, Mapping

from core.errors import Fault
from core.model import Creative
from creatives.formats.base import Ad, AdFormat
from creatives.formats.dynamic import inline_markup, is_filled_in_bid, loaded_markup, static_link
from creatives.formats.landing import check_landing
from creatives.formats.measuring import measuring_script
from creatives.formats.notice import banner_with_notice
from creatives.formats.offer import Offer, Size, SizeRatio, fits, takes_mime
from creatives.macros import (
    CACHE_BUSTER,
    CLICK_URL,
    CLICK_URL_ENCODED,
    HEIGHT,
    TOKEN,
    WIDTH,
    Tracker,
    are_trustworthy,
    impression_url,
    wrapped_click,
)

# 10 kB of markup a bid is far above what exchanges accept without complaint (OpenX prefers answers below 1 kB).
MAX_MARKUP_CHARS = 10_000

TYPE_HTML, TYPE_SCRIPT, TYPE_IFRAME = 2, 3, 4
"""OpenRTB 2.x, list "Banner Ad Types": XHTML banner, JavaScript ad, iframe."""

MARKUP_MIMES = ("text/html", "application/javascript")
"""A request that names MIME types admits markup by these, a picture by its own as well."""

FRAME_PERMISSIONS = "allow-scripts allow-popups allow-popups-to-escape-sandbox"
"""What the page of a banner by URL may do: run, and open the landing page, which is then a page like any other. It has
no origin, so it reaches neither cookies nor storage, and it cannot lead the publisher's page away."""

_URL = re.compile(r"""http://[^\s"'<>)]+""", re.IGNORECASE)  # anywhere: also in srcset, poster, scripts and styles
_HANDLER = re.compile(r"""[\s"'/]on[a-z]+\s*=""")  # an attribute that is a script, such as onclick
SIGN_TITLE = "Who advertises here, and how to object"
_SIGN_STYLE = (
    "position:absolute;right:0;top:0;width:15px;height:15px;font:bold 12px/15px sans-serif;text-align:center;"
    "text-decoration:none;color:#333;background:#fff"
)
_PIXEL_STYLE = "position:absolute;left:0;top:0;width:1px;height:1px;border:0"


def shapes(creative: Creative) -> tuple[Size, ...]:
    """A banner fits where its size is offered, alone or among others."""
    return ((creative.width, creative.height),)


class BannerAd(Ad, frozen=True):
    """A rendered banner; `ratio` is set where it flexes, which means that it fits by its ratio alone."""

    ratio: SizeRatio | None = None
    filled_for: Tracker | None = None
    """The tracker, where the bid carries the products of a template: the markup has `creatives.formats.dynamic.FILLING`
    for them. Otherwise None."""


def render(creative: Creative, offer: Offer, tracker: Tracker) -> Ad:
    """The banner as an ad. Where scripts are blocked it has none of ours, which tells whether it was seen."""
    ratio = _ratio((creative.width, creative.height), offer)
    if not offer.can_click:
        markup = screen_markup(creative, tracker)
        return BannerAd(creative, markup, _is_secure(markup), _types(creative), ratio)
    takes_scripts = _takes_scripts(offer)
    markup = banner_markup(creative, tracker, is_measured=takes_scripts)
    filled = is_filled_in_bid(creative, tracker, takes_scripts=takes_scripts)
    return BannerAd(creative, markup, _is_secure(markup), _types(creative), ratio, tracker if filled else None)


def _takes_scripts(offer: Offer) -> bool:
    return TYPE_SCRIPT not in (offer.blocked_types or ())


def _ratio(size: Size, offer: Offer) -> SizeRatio | None:
    fitting = [shape for shape in offer.shapes if fits(size, shape)]
    ratios = [shape for shape in fitting if isinstance(shape, SizeRatio)]
    return ratios[0] if ratios and len(ratios) == len(fitting) else None


def variant(offer: Offer) -> Hashable:
    """What changes the ad: the ratios that it may fit by, whether scripts may run, whether people can click."""
    ratios = offer.shapes if any(isinstance(shape, SizeRatio) for shape in offer.shapes) else None
    return ratios, _takes_scripts(offer), offer.can_click


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
    if not offer.can_click:
        return bool(creative.image_url) and takes_mime(offer.mimes, _picture_type(creative.image_url))
    mimes = (*MARKUP_MIMES, _picture_type(creative.image_url)) if creative.image_url else MARKUP_MIMES
    return any(takes_mime(offer.mimes, mime) for mime in mimes)


def _picture_type(url: str) -> str:
    """The MIME type of a picture, guessed from its name, since nobody loads it; "" where the name does not tell."""
    return mimetypes.guess_type(urllib.parse.urlsplit(url).path)[0] or ""


def banner_markup(creative: Creative, tracker: Tracker, *, is_measured: bool = False) -> str:
    """HTML of a banner with `TOKEN` in it: its own, our measuring script, the counting pixel, the privacy sign."""
    if creative.template is not None:
        parts = [_of_template(creative, tracker, takes_scripts=is_measured)]
    else:
        click, encoded = wrapped_click(tracker, creative.landing_url)
        parts = [_body(creative, click, encoded, TOKEN)]
    if is_measured:
        parts.append(measuring_script(tracker))
    if creative.privacy_url:
        parts.append(
            f'<a href="{html.escape(creative.privacy_url)}" target="_blank" rel="noopener" title="{SIGN_TITLE}" '
            f'style="{_SIGN_STYLE}">i</a>'
        )
    parts.append(_pixel(tracker))
    return "".join(parts)


def _pixel(tracker: Tracker) -> str:
    url = html.escape(impression_url(tracker))
    return f'<img src="{url}" width="1" height="1" alt="" style="{_PIXEL_STYLE}">'


def screen_markup(creative: Creative, tracker: Tracker) -> str:
    """A picture for a screen in a public place, and what counts it: nobody clicks there, and no script runs."""
    return f"{_picture(creative)}{_pixel(tracker)}"


def _of_template(creative: Creative, tracker: Tracker, *, takes_scripts: bool) -> str:
    if is_filled_in_bid(creative, tracker, takes_scripts=takes_scripts):
        return inline_markup(creative)
    return loaded_markup(creative, tracker, takes_scripts=takes_scripts)


def preview_markup(creative: Creative) -> str:
    """HTML of a banner as people see it, that counts nothing: its links lead straight to the landing page.

    Of a template it is what people see before its products.
    """
    if creative.template is not None:
        size = f"width:{creative.width}px;height:{creative.height}px;overflow:hidden"
        return f'<div style="{size}">{static_link(creative, creative.landing_url)}</div>'
    return _body(creative, creative.landing_url, urllib.parse.quote(creative.landing_url, safe=""), "0")


def _body(creative: Creative, click: str, encoded: str, cache_buster: str) -> str:
    size = f'width="{creative.width}" height="{creative.height}"'
    if creative.html:
        values = {
            CLICK_URL_ENCODED: encoded, CLICK_URL: html.escape(click), CACHE_BUSTER: cache_buster,
            WIDTH: str(creative.width), HEIGHT: str(creative.height),
        }  # fmt: skip
        return _filled(creative.html, values)
    if creative.frame_url:
        values = {
            CLICK_URL_ENCODED: encoded, CACHE_BUSTER: cache_buster,
            WIDTH: str(creative.width), HEIGHT: str(creative.height),
        }  # fmt: skip
        return (
            f'<iframe src="{html.escape(_filled(creative.frame_url, values))}" {size} '
            f'sandbox="{FRAME_PERMISSIONS}" title="{html.escape(creative.alt_text or "ad")}" '
            'style="border:0;display:block"></iframe>'
        )
    return f'<a href="{html.escape(click)}" target="_blank" rel="noopener">{_picture(creative)}</a>'


def _picture(creative: Creative) -> str:
    return (
        f'<img data-ad src="{html.escape(creative.image_url)}" width="{creative.width}" height="{creative.height}" '
        f'alt="{html.escape(creative.alt_text)}" style="border:0;display:block">'
    )


def _filled(text: str, values: Mapping[str, str]) -> str:
    for macro, value in values.items():
        text = text.replace(macro, value)
    return text


def _is_secure(markup: str) -> bool:
    """Whether every URL of the markup may be loaded by an https page."""
    plain = html.unescape(markup).replace("\\/", "/")  # scripts may write http:\/\/
    return are_trustworthy(_URL.findall(plain))


def _types(creative: Creative) -> frozenset[int]:
    markup = html.unescape(creative.html).lower()
    kinds = {TYPE_HTML}
    if "<script" in markup or "javascript:" in markup or _HANDLER.search(markup):
        kinds.add(TYPE_SCRIPT)
    if creative.frame_url or creative.template is not None or "<iframe" in markup:
        kinds.add(TYPE_IFRAME)
    return frozenset(kinds)


def check_banner(creative: Creative) -> list[Fault]:
    """What would keep a banner from being served, told when it is saved; pointers are relative to the creative."""
    faults: list[Fault] = []
    if sum(map(bool, (creative.html, creative.frame_url, creative.image_url, creative.template))) != 1:
        text = "a banner has one of html, frame_url, image_url and template"
        faults.append(Fault("/html", "exactly_one", text, "set one of the four"))
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


FORMAT = AdFormat(
    name="banner", shapes=shapes, check=check_banner, render=render, admits=admits, variant=variant,
    with_notice=banner_with_notice,
)  # fmt: skip
