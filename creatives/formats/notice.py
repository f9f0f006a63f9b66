"""Who paid for an ad and why it is shown, on the ad itself: for publishers who ask for it and do not show it.

Digital Services Act, article 26: people must see, on the ad, on whose behalf it is shown, who paid, and what it was
chosen by. On a banner a sign in the corner opens it without a script, so it works in every frame. Native ads and
videos have no markup of ours: what their pages and players show of us is a sign with a link (the privacy link, the icon
"AdChoices"), which leads to the same words on the tracker. Sound has nothing to look at, so where nobody else says it,
it is not bid.
"""

import html
from typing import Final, NamedTuple

import msgspec

from core.languages import preferred_language
from core.model import Creative
from creatives.formats.base import Ad, AdNotice
from creatives.formats.offer import Offer
from creatives.macros import Tracker

_STYLE: Final = (
    "position:absolute;left:0;top:0;max-width:100%;max-height:100%;overflow:auto;font:11px/1.4 sans-serif;"
    "color:#333;background:#fff;z-index:9"
)
_SUMMARY_STYLE: Final = "padding:0 4px;cursor:pointer"
_BODY_STYLE: Final = "padding:2px 6px 6px"
_PAGE_STYLE: Final = "font:16px/1.6 sans-serif;max-width:36em;margin:2em auto;padding:0 1em;color:#222;background:#fff"
_HEADING_STYLE: Final = "font-size:1.2em"


class _Words(NamedTuple):
    ad: str
    behalf: str
    paid: str
    why: str
    more: str
    reasons: dict[int, str]
    """What the ad was chosen by, in words, by `dsaparams`: 1 a profile, 3 a precise place, 2 anything else."""


_ENGLISH: Final = _Words(
    "Ad", "On behalf of {}", "Paid by {}", "You see it because of {}", "Who advertises, and how to object",
    {1: "what you looked at or put into a cart in this shop", 2: "the page and your device", 3: "the place you are at"},
)  # fmt: skip
_POLISH: Final = _Words(
    "Reklama", "W imieniu: {}", "Zapłacił: {}", "Widzisz ją ze względu na {}", "Kto reklamuje i jak się sprzeciwić",
    {
        1: "to, co w tym sklepie oglądano lub włożono do koszyka", 2: "stronę i urządzenie",
        3: "miejsce, w którym jesteś",
    },
)  # fmt: skip
_WORDS: Final = {"en": _ENGLISH, "pl": _POLISH}


def notice_lines(words: _Words, notice: AdNotice) -> tuple[str, ...]:
    """The sentences of the notice: on whose behalf, who paid and, where that is known, why it is shown."""
    reasons = ", ".join(words.reasons[number] for number in notice.chosen_by if number in words.reasons)
    lines = words.behalf.format(notice.behalf), words.paid.format(notice.paid)
    return (*lines, words.why.format(reasons)) if reasons else lines


def _language(creative: Creative) -> str:
    """The creative's language where we have words of it, otherwise English."""
    own = creative.language.partition("-")[0].lower()
    return own if own in _WORDS else "en"


def banner_with_notice(ad: Ad, offer: Offer, _tracker: Tracker, notice: AdNotice) -> Ad | None:
    """A banner with the notice above it; None where nobody can click, and so nobody could open the notice."""
    if not offer.can_click:
        return None
    words = _WORDS[_language(ad.creative)]
    shown = _body(ad.creative, words, notice)
    added = (
        f'<details style="{_STYLE}"><summary style="{_SUMMARY_STYLE}">{html.escape(words.ad)}</summary>'
        f'<div style="{_BODY_STYLE}">{shown}</div></details>'
    )
    return msgspec.structs.replace(ad, markup=ad.markup + added)


def notice_page(creative: Creative, notice: AdNotice, accepted: str = "") -> str:
    """The notice as a page of its own, to which the signs of native ads and videos lead.

    It is in the language that the browser accepts, where we have it, otherwise in the ad's own.
    """
    language = preferred_language(accepted, _WORDS, _language(creative))
    words = _WORDS[language]
    heading = html.escape(words.ad)
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{heading}</title>'
        f'<body style="{_PAGE_STYLE}"><h1 style="{_HEADING_STYLE}">{heading}</h1>'
        f"{_body(creative, words, notice)}</body></html>"
    )


def _body(creative: Creative, words: _Words, notice: AdNotice) -> str:
    shown = "".join(f"<div>{html.escape(line)}</div>" for line in notice_lines(words, notice))
    if not creative.privacy_url:
        return shown
    href, text = html.escape(creative.privacy_url), html.escape(words.more)
    return f'{shown}<a href="{href}" target="_blank" rel="noopener">{text}</a>'
