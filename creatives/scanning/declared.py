"""A creative's markup against its declaration, without loading anything: told whenever it is saved or read.

These are the things for which exchanges reject creatives (AdCOM list "Creative Attributes"): what plays, expands or
pops up without being declared, what an https page cannot load, a landing page of another domain than the one that is
advertised.
"""

import contextlib
import html
import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from core.errors import Fault
from core.model import Creative
from creatives.formats.spots import spot_of
from creatives.macros import are_trustworthy

AUDIO, EXPANDING, VIDEO, POP_UP = frozenset({1, 2}), frozenset({3, 4, 5}), frozenset({6, 7}), frozenset({8})
"""AdCOM list "Creative Attributes": each that begins by itself, and by what people do."""

MRAID: Final = frozenset({3, 5, 6})
"""AdCOM list "API Frameworks": MRAID 1 to 3."""

_INSECURE: Final = re.compile(r"""http://[^\s"'<>)\\]+""", re.IGNORECASE)
# Second-level labels under which shops register, so that a site has three: `com.pl` is no site, `shop.com.pl` is one.
_SECOND_LEVEL: Final = frozenset({"com", "co", "net", "org", "edu", "gov"})


class _Sign(NamedTuple):
    """Something that may be found in markup, and the attributes that declare it."""

    code: str
    pattern: re.Pattern[str]
    attributes: frozenset[int]
    text: str


_SIGNS: Final = (
    _Sign(
        "undeclared_video", re.compile(r"<video[\s>/]|createElement\(\s*[\"']video", re.IGNORECASE), VIDEO,
        "the markup has a video that the attributes do not declare",
    ),
    _Sign(
        "undeclared_audio", re.compile(r"<audio[\s>/]|new\s+Audio\s*\(|createElement\(\s*[\"']audio", re.IGNORECASE),
        AUDIO, "the markup has a sound that the attributes do not declare",
    ),
    _Sign(
        "undeclared_expansion", re.compile(r"mraid\.(?:expand|resize)\s*\(|\$sf\.ext\.expand\s*\("),
        EXPANDING,
        "the markup expands, which the attributes do not declare",
    ),
    _Sign(
        "undeclared_pop_up", re.compile(r"\b(?:alert|confirm|prompt)\s*\("), POP_UP,
        "the markup opens a dialogue, which the attributes do not declare",
    ),
)  # fmt: skip
_USES_MRAID: Final = re.compile(r"\bmraid\.|[\"'/]mraid\.js")


def findings(creative: Creative, advertised: str) -> list[Fault]:
    """What a reviewer would find, as warnings; `advertised` is the domain of creatives that name none."""
    return [*_insecure(creative), *_undeclared(creative), *_domain(creative, advertised)]


def _insecure(creative: Creative) -> Iterator[Fault]:
    text = "an address begins with http://: https pages, which are nearly all, do not load it, and get no bid"
    hint = "serve it by https, or upload it"
    for pointer, value in _texts(creative):
        plain = html.unescape(value).replace("\\/", "/")
        if not are_trustworthy(_INSECURE.findall(plain)):
            yield Fault(pointer, "insecure", text, hint)


def _texts(creative: Creative) -> Iterator[tuple[str, str]]:
    """(pointer, text) of all that a page or player loads."""
    yield "/html", creative.html
    yield "/frame_url", creative.frame_url
    yield "/image_url", creative.image_url
    native = creative.native
    if native is not None:
        for number, picture in enumerate(native.images):
            yield f"/native/images/{number}/url", picture.url
        for name in ("icon", "logo"):
            picture_or_none = getattr(native, name)
            if picture_or_none is not None:
                yield f"/native/{name}/url", picture_or_none.url
    spot = spot_of(creative)
    if spot is not None:
        own = f"/{creative.format.value}"
        for number, file in enumerate(spot.media):
            yield f"{own}/media/{number}/url", file.url
        for number, beside in enumerate(spot.companions):
            yield f"{own}/companions/{number}", f"{beside.image_url} {beside.frame_url} {beside.html}"
        for number, script in enumerate(spot.verifications):
            yield f"{own}/verifications/{number}", f"{script.url} {script.not_executed_url}"


def _undeclared(creative: Creative) -> Iterator[Fault]:
    spot = spot_of(creative)
    markup = html.unescape(" ".join((creative.html, *(each.html for each in (spot.companions if spot else ())))))
    for sign in _SIGNS:
        if sign.pattern.search(markup) and sign.attributes.isdisjoint(creative.attributes):
            numbers = " or ".join(map(str, sorted(sign.attributes)))
            yield Fault("/attributes", sign.code, sign.text, f"add {numbers}, or take it out")
    if _USES_MRAID.search(markup) and MRAID.isdisjoint(creative.apis):
        text = "the markup speaks MRAID, which `apis` does not say: it would be shown where nobody answers"
        yield Fault("/apis", "undeclared_api", text, "add 3, 5 or 6")


def _domain(creative: Creative, advertised: str) -> Iterator[Fault]:
    own, landing = creative.advertiser_domain or advertised, host_of(creative.landing_url)
    if own and landing and not is_same_site(landing, own):
        text = f"the landing page is on {landing}, the advertised domain is {own}: reviewers reject that"
        yield Fault("/landing_url", "other_domain", text, "name the domain that the click ends at")


def host_of(url: str) -> str:
    """The host of an address; "" where there is none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def is_same_site(host: str, domain: str) -> bool:
    """Whether a host and a domain belong to the same registered name (`www.shop.pl` and `img.shop.pl` do)."""
    return _registered(host) == _registered(domain.lower().removeprefix("www."))


def _registered(host: str) -> str:
    with contextlib.suppress(UnicodeError):  # `żółw.pl` and `xn--w-uga1v8h.pl` are one name
        host = host.encode("idna").decode()
    labels = host.lower().rstrip(".").split(".")
    size = 3 if len(labels) > 2 and labels[-2] in _SECOND_LEVEL and len(labels[-1]) == 2 else 2
    return ".".join(labels[-size:])
