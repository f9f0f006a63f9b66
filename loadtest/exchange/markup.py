"""What a page would load and link from an ad's markup: pixels to fetch when it is shown, the address behind a click.

Knows the three shapes of `adm`: HTML, native JSON, VAST. Read with patterns, not with a browser: the ads under test are
ours to keep findable.
"""

import html
import re
from collections.abc import Callable
from typing import NamedTuple

import orjson

from loadtest.traffic.facts import mapping, objects, text, texts

_IMAGE = re.compile(r"<img\b[^>]*?\bsrc\s*=\s*[\"']([^\"']+)[\"']", re.IGNORECASE)
_LINK = re.compile(r"<a\b[^>]*?\bhref\s*=\s*[\"']([^\"']+)[\"']", re.IGNORECASE)
_VAST_IMPRESSION = re.compile(r"<Impression\b[^>]*>\s*(?:<!\[CDATA\[)?\s*(https?://[^\s\]<]+)", re.IGNORECASE)
_VAST_CLICK = re.compile(r"<ClickThrough\b[^>]*>\s*(?:<!\[CDATA\[)?\s*(https?://[^\s\]<]+)", re.IGNORECASE)
_VAST_EVENT = re.compile(r"<Tracking\b[^>]*>\s*(?:<!\[CDATA\[)?\s*(https?://[^\s\]<]+)", re.IGNORECASE)


class Links(NamedTuple):
    """URLs of one ad."""

    pixels: tuple[str, ...]
    click: str
    events: tuple[str, ...] = ()
    """What a player reports while it plays, in the order of the document."""


def links_of(adm: str, is_ours: Callable[[str], bool]) -> Links:
    """Tracking URLs of a markup, as far as `is_ours` says that they belong to the bidder's tracker."""
    stripped, events = adm.lstrip(), []
    if stripped.startswith("{"):
        pixels, clicks = _native(stripped)
    elif "<vast" in stripped[:200].lower():
        pixels, clicks = (
            [html.unescape(url) for url in _VAST_IMPRESSION.findall(adm)],
            [html.unescape(url) for url in _VAST_CLICK.findall(adm)],
        )
        events = [html.unescape(url) for url in _VAST_EVENT.findall(adm)]
    else:
        pixels, clicks = (
            [html.unescape(url) for url in _IMAGE.findall(adm)],
            [html.unescape(url) for url in _LINK.findall(adm)],
        )
    return Links(tuple(filter(is_ours, pixels)), next(filter(is_ours, clicks), ""), tuple(filter(is_ours, events)))


def _native(adm: str) -> tuple[list[str], list[str]]:
    try:
        root = mapping(orjson.loads(adm))
    except ValueError:
        return [], []
    root = mapping(root.get("native")) or root
    pixels = [text(tracker.get("url")) for tracker in objects(root.get("eventtrackers"))]
    link = mapping(root.get("link"))
    return pixels + sorted(texts(root.get("imptrackers"))), [
        text(link.get("url")),
        *sorted(texts(link.get("clicktrackers"))),
    ]
