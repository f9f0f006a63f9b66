"""Inline VAST 2.0 to 4.2, from a spot to XML whose only variable is the signed token.

Elements stand in the order of the schemas that the IAB publishes for each version: 4.x sorts them by name inside of
each block, 2.0 and 3.0 have an order of their own, and players that validate refuse any other. Nothing is written
without content, since players stop at an empty `<Creative>` or `<MediaFile>`, and addresses have no white space around
them.
"""

import html
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from core.spot import Companion, MediaFile, Spot, Verification
from creatives.card import SIGN_PIXELS
from creatives.macros import (
    CACHE_BUSTER,
    CLICK_URL,
    CLICK_URL_ENCODED,
    HEIGHT,
    TOKEN,
    TOKEN_MARK,
    WIDTH,
    Tracker,
    click_url,
    event_url,
    impression_url,
    sign_url,
)

NAMESPACE: Final = "http://www.iab.com/VAST"

# Tracking events of a player, by the names that the tracker has for them (docs/creatives.md).
QUARTILES: Final = {
    "start": "start",
    "firstQuartile": "first",
    "midpoint": "mid",
    "thirdQuartile": "third",
    "complete": "complete",
}

ERROR_CODE: Final = "[ERRORCODE]"
"""A macro that the player replaces by the number of an error (VAST 4.2 section 2.3.6)."""

UNKNOWN_AD_ID: Final = "unknown"
"""What `UniversalAdId` and its registry say of a spot that is registered nowhere (VAST 4.2 section 3.7.1)."""

# XML 1.0 has no way to write these characters, not even escaped (section 2.2): they are left out.
_NOT_XML: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(55296, 57344), 65534, 65535))


class VastVersion(msgspec.Struct, frozen=True):
    """One version as bids name it."""

    name: str
    protocol: int
    """AdCOM list "Creative Subtypes - Audio/Video", of inline documents."""

    @property
    def is_4(self) -> bool:
        return self.name >= "4"

    @property
    def has_ad_type(self) -> bool:
        """From 4.1 on a document says whether it is sound, and carries the id of the serving."""
        return self.name >= "4.1"


VAST_2, VAST_3 = VastVersion("2.0", 2), VastVersion("3.0", 3)
VAST_40, VAST_41, VAST_42 = VastVersion("4.0", 7), VastVersion("4.1", 11), VastVersion("4.2", 13)

VERSIONS: Final = {each.protocol: each for each in (VAST_42, VAST_41, VAST_40, VAST_3, VAST_2)}
"""By the number of OpenRTB's `protocols`, the best first."""


class VastTexts(msgspec.Struct, frozen=True):
    """What a document says besides the spot."""

    ad_id: str
    title: str
    landing_url: str  # "" where nothing can be clicked
    advertiser: str = ""
    privacy_url: str = ""  # where the icon leads; "" for none. Only from VAST 3.0 on, and of videos
    is_audio: bool = False


def text(value: str) -> str:
    """Text for XML: trimmed, without characters that XML cannot have, escaped for content and attributes alike."""
    return html.escape(value.translate(_NOT_XML).strip())


def clock_text(milliseconds: int) -> str:
    """A duration as VAST writes it: HH:MM:SS, with milliseconds where there are some."""
    seconds, rest = divmod(milliseconds, 1000)
    written = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{written}.{rest:03d}" if rest else written


def document(
    version: VastVersion,
    spot: Spot,
    media: Sequence[MediaFile],
    companions: Sequence[Companion],
    verifications: Sequence[Verification],
    texts: VastTexts,
    tracker: Tracker,
    *,
    skippable: bool,
) -> str:
    """The whole document. `media` is what the player can play, best first, and at least one file."""
    inline = _inline_4 if version.is_4 else _inline_3
    creatives = _creatives(version, spot, media, companions, texts, tracker, skippable=skippable)
    body = "".join(inline(version, creatives, verifications, texts, tracker))
    namespace = f' xmlns="{NAMESPACE}"' if version.is_4 else ""
    kind = f' adType="{"audio" if texts.is_audio else "video"}"' if version.has_ad_type else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><VAST version="{version.name}"{namespace}>'
        f'<Ad id="{text(texts.ad_id)}"{kind}><InLine>{body}</InLine></Ad></VAST>'
    )


def _inline_4(
    version: VastVersion, creatives: str, verifications: Sequence[Verification], texts: VastTexts, tracker: Tracker
) -> Iterator[str]:
    yield "<AdSystem>Grosz</AdSystem>"
    yield _element("Error", event_url(tracker, "error", ERROR_CODE))
    yield _element("Impression", impression_url(tracker))
    if not texts.is_audio:
        viewable = "".join(
            _element(name, event_url(tracker, "view", event))
            for name, event in (("Viewable", "viewable"), ("NotViewable", "not"), ("ViewUndetermined", "unknown"))
        )
        yield f"<ViewableImpression>{viewable}</ViewableImpression>"
    if version.has_ad_type:
        yield f"<AdServingId>{TOKEN}</AdServingId>"
    yield _element("AdTitle", texts.title)
    if verifications:
        yield _verifications(version, verifications)
    yield _element("Advertiser", texts.advertiser)
    yield creatives


def _inline_3(
    version: VastVersion, creatives: str, verifications: Sequence[Verification], texts: VastTexts, tracker: Tracker
) -> Iterator[str]:
    yield "<AdSystem>Grosz</AdSystem>"
    yield _element("AdTitle", texts.title)
    if version is VAST_3:
        yield _element("Advertiser", texts.advertiser)
    yield _element("Error", event_url(tracker, "error", ERROR_CODE))
    yield _element("Impression", impression_url(tracker))
    yield creatives
    if verifications:  # where Open Measurement looks for them before VAST 4
        yield f'<Extensions><Extension type="AdVerifications">{_verifications(VAST_42, verifications)}</Extension>'
        yield "</Extensions>"


def _verifications(version: VastVersion, verifications: Iterable[Verification]) -> str:
    found = []
    for each in verifications:
        parts = f'<JavaScriptResource apiFramework="omid"{_browser_optional(version)}>{text(each.url)}'
        parts += "</JavaScriptResource>"
        if has_content(each.not_executed_url) and version.has_ad_type:
            tracking = _element("Tracking", each.not_executed_url, ' event="verificationNotExecuted"')
            parts += f"<TrackingEvents>{tracking}</TrackingEvents>"
        if version.has_ad_type:
            parts += _element("VerificationParameters", each.parameters)
        found.append(f'<Verification vendor="{text(each.vendor)}">{parts}</Verification>')
    return f"<AdVerifications>{''.join(found)}</AdVerifications>"


def _browser_optional(version: VastVersion) -> str:
    return ' browserOptional="true"' if version.has_ad_type else ""


def _creatives(
    version: VastVersion,
    spot: Spot,
    media: Sequence[MediaFile],
    companions: Sequence[Companion],
    texts: VastTexts,
    tracker: Tracker,
    *,
    skippable: bool,
) -> str:
    ad_id = _universal_ad_id(version, spot)
    linear = _linear_4 if version.is_4 else _linear_3
    skip = ""
    if skippable and spot.skip_after_s is not None and version is not VAST_2:
        skip = f' skipoffset="{clock_text(spot.skip_after_s * 1000)}"'
    body = linear(spot, media, texts, tracker)
    made = f'<Creative sequence="1"><Linear{skip}>{body}</Linear>{ad_id}</Creative>'
    if companions:
        shown = "".join(_companion(version, each, texts, tracker) for each in companions)
        made += f"<Creative><CompanionAds>{shown}</CompanionAds>{ad_id}</Creative>"
    return f"<Creatives>{made}</Creatives>"


def _universal_ad_id(version: VastVersion, spot: Spot) -> str:
    if not version.is_4:
        return ""
    value = text(spot.universal_ad_id) or UNKNOWN_AD_ID
    registry = text(spot.universal_ad_registry) or UNKNOWN_AD_ID
    own = f' idValue="{value}"' if version is VAST_40 else ""  # an attribute of 4.0 alone
    return f'<UniversalAdId idRegistry="{registry}"{own}>{value}</UniversalAdId>'


def _linear_4(spot: Spot, media: Sequence[MediaFile], texts: VastTexts, tracker: Tracker) -> str:
    return (
        f"{_icons(texts, tracker)}{_tracking(tracker)}<Duration>{clock_text(spot.duration_ms)}</Duration>"
        f"{_media(media)}{_clicks(texts, tracker)}"
    )


def _linear_3(spot: Spot, media: Sequence[MediaFile], texts: VastTexts, tracker: Tracker) -> str:
    return (
        f"{_icons(texts, tracker)}<Duration>{clock_text(spot.duration_ms)}</Duration>"
        f"{_tracking(tracker)}{_clicks(texts, tracker)}{_media(media)}"
    )


def _tracking(tracker: Tracker) -> str:
    events = "".join(
        _element("Tracking", event_url(tracker, "quartile", told), f' event="{event}"')
        for event, told in QUARTILES.items()
    )
    return f"<TrackingEvents>{events}</TrackingEvents>"


def _clicks(texts: VastTexts, tracker: Tracker) -> str:
    if not texts.landing_url:
        return ""
    return f"<VideoClicks>{_element('ClickThrough', click_url(tracker, texts.landing_url))}</VideoClicks>"


def _icons(texts: VastTexts, tracker: Tracker) -> str:
    """The sign that leads to who advertises, and how to object (VAST 3.0 section 2.3.5.5)."""
    link = _element("IconClickThrough", texts.privacy_url)
    if not link:
        return ""
    place = f'program="AdChoices" width="{SIGN_PIXELS}" height="{SIGN_PIXELS}" xPosition="right" yPosition="top"'
    picture = _element("StaticResource", sign_url(tracker), ' creativeType="image/png"')
    return f"<Icons><Icon {place}>{picture}<IconClicks>{link}</IconClicks></Icon></Icons>"


def _media(media: Iterable[MediaFile]) -> str:
    files = []
    for each in media:
        attributes = f' delivery="{each.delivery}" type="{text(each.mime)}" width="{each.width}" height="{each.height}"'
        if each.bitrate_kbps:
            attributes += f' bitrate="{each.bitrate_kbps}"'
        files.append(_element("MediaFile", each.url, attributes))
    return f"<MediaFiles>{''.join(files)}</MediaFiles>"


def _companion(version: VastVersion, companion: Companion, texts: VastTexts, tracker: Tracker) -> str:
    if companion.image_url:
        resource = _element("StaticResource", companion.image_url, f' creativeType="{text(companion.image_mime)}"')
    elif companion.frame_url:
        resource = _element("IFrameResource", _filled(companion.frame_url, companion, texts, tracker))
    else:
        resource = _element("HTMLResource", _filled(companion.html, companion, texts, tracker))
    click = _element("CompanionClickThrough", click_url(tracker, texts.landing_url)) if texts.landing_url else ""
    alternative = _element("AltText", companion.alt_text)
    body = f"{resource}{alternative}{click}" if version.is_4 else f"{resource}{click}{alternative}"
    return f'<Companion width="{companion.width}" height="{companion.height}">{body}</Companion>'


def _filled(written: str, companion: Companion, texts: VastTexts, tracker: Tracker) -> str:
    """What a companion shows, with the macros of banners filled in."""
    click = click_url(tracker, texts.landing_url) if texts.landing_url else ""
    values = {
        CLICK_URL_ENCODED: urllib.parse.quote(click, safe=TOKEN_MARK), CLICK_URL: html.escape(click),
        CACHE_BUSTER: TOKEN, WIDTH: str(companion.width), HEIGHT: str(companion.height),
    }  # fmt: skip
    for macro, value in values.items():
        written = written.replace(macro, value)
    return written


def _element(name: str, content: str, attributes: str = "") -> str:
    """An element around a text; "" where the text has no character that XML can have."""
    written = text(content)
    return f"<{name}{attributes}>{written}</{name}>" if written else ""


def has_content(value: str) -> bool:
    """Whether a text has characters that XML can have: players stop at an element without content."""
    return bool(text(value))


def click_length(landing_url: str) -> int:
    """How many characters a landing page takes within the click address, which carries it percent-encoded."""
    return len(urllib.parse.quote(landing_url, safe=""))
