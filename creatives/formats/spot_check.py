"""What would keep a spot from being served, told when it is saved; pointers are relative to the creative."""

from collections.abc import Iterator
from typing import Final

import msgspec

from core.errors import Fault
from core.model import Creative
from core.spot import DeliveryMethod, Spot
from creatives.formats.landing import is_web_address
from creatives.formats.spots import spot_of
from creatives.formats.vast import click_length, has_content
from creatives.macros import TOKEN

# The longest lists that a creative may have; longer ones are a mistake of the person who uploads.
MAX_MEDIA: Final = 20
MAX_COMPANIONS: Final = 10
MAX_VERIFICATIONS: Final = 5

# Browsers and proxies cut addresses beyond 2 kB; of a click's, the tracker's address and the token need up to 250.
MAX_URL_CHARS: Final = 2_000
MAX_LANDING_CHARS: Final = 1_800
MAX_COMPANION_HTML_CHARS: Final = 5_000

PLAYLISTS: Final = frozenset({
    "application/x-mpegurl", "application/vnd.apple.mpegurl", "application/dash+xml", "application/vnd.ms-sstr+xml",
})  # fmt: skip
"""Types of playlists: all else that is an application would be run, not played."""

# The longest spot: breaks have no room for ten minutes, and a duration in the wrong unit is caught by this bound.
MAX_DURATION_MS: Final = 600_000


def check(creative: Creative) -> list[Fault]:
    """All faults of a video or audio creative."""
    return list(_check(creative))


def _check(creative: Creative) -> Iterator[Fault]:
    spot, kinds = spot_of(creative), creative.format.value
    own = f"/{kinds}"
    if spot is None:
        yield Fault(own, "required", f"a creative of format {kinds} has a member {kinds!r}", "add it")
        return
    if not 1 <= spot.duration_ms <= MAX_DURATION_MS:
        hint = f"give milliseconds, at most {MAX_DURATION_MS}"
        yield Fault(f"{own}/duration_ms", "out_of_range", f"{spot.duration_ms} ms is no length of a spot", hint)
    if not has_content(creative.name):
        yield Fault("/name", "empty", "the name is the spot's title and has no visible character", "give it a name")
    yield from _check_landing(creative)
    yield from _check_media(spot, kinds)
    yield from _check_companions(spot, own)
    yield from _check_verifications(spot, own)
    if spot.skip_after_s is not None and not 0 <= spot.skip_after_s * 1000 < spot.duration_ms:
        message = f"can be skipped after {spot.skip_after_s} s, which is not before its end"
        yield Fault(f"{own}/skip_after_s", "out_of_range", message, "give seconds from its beginning, or leave it out")
    if bool(spot.universal_ad_id) != bool(spot.universal_ad_registry):
        message = "universal_ad_id and universal_ad_registry go together"
        yield Fault(f"{own}/universal_ad_id", "both_or_none", message, "give both or none")
    if TOKEN in msgspec.json.encode(creative).decode():
        yield Fault(own, "reserved", f"'{TOKEN}' is reserved", "remove it")


def _check_landing(creative: Creative) -> Iterator[Fault]:
    if not is_web_address(creative.landing_url):
        yield Fault("/landing_url", "not_a_url", "the landing page is not a web address", "start it with https://")
    elif (encoded := click_length(creative.landing_url)) > MAX_LANDING_CHARS:
        message = f"the landing page has {encoded} characters when percent-encoded, as the click URL carries it"
        yield Fault("/landing_url", "too_long", message, f"at most {MAX_LANDING_CHARS}")


def _check_media(spot: Spot, kinds: str) -> Iterator[Fault]:
    if not spot.media:
        yield Fault(f"/{kinds}/media", "required", "there is no file to play", "add at least one")
    if len(spot.media) > MAX_MEDIA:
        yield Fault(f"/{kinds}/media", "too_many", f"{len(spot.media)} files", f"at most {MAX_MEDIA}")
    for number, file in enumerate(spot.media):
        at = f"/{kinds}/media/{number}"
        yield from _check_url(file.url, f"{at}/url")
        kind = file.mime.partition("/")[0].lower()
        is_playlist = file.delivery is DeliveryMethod.STREAMING and file.mime.lower() in PLAYLISTS
        if kind != kinds and not is_playlist:
            yield Fault(f"{at}/mime", "wrong_type", f"{file.mime!r} is no type of {kinds}", f"such as {kinds}/mp4")
        if kinds == "video" and not (file.width > 0 and file.height > 0):
            yield Fault(f"{at}/width", "no_size", "a video has a width and a height in pixels", "set both")


def _check_companions(spot: Spot, own: str) -> Iterator[Fault]:
    if len(spot.companions) > MAX_COMPANIONS:
        yield Fault(f"{own}/companions", "too_many", f"{len(spot.companions)} companions", f"at most {MAX_COMPANIONS}")
    for number, each in enumerate(spot.companions):
        at = f"{own}/companions/{number}"
        ways = [way for way in (each.image_url, each.frame_url, each.html) if has_content(way)]
        if len(ways) != 1:
            message = "a companion has exactly one of image_url, frame_url and html"
            yield Fault(at, "exactly_one", message, "set one of the three")
        for name in ("image_url", "frame_url"):
            if getattr(each, name):
                yield from _check_url(getattr(each, name), f"{at}/{name}")
        if len(each.html) > MAX_COMPANION_HTML_CHARS:
            message = f"{len(each.html)} characters of markup"
            yield Fault(f"{at}/html", "too_long", message, f"at most {MAX_COMPANION_HTML_CHARS}")
        if each.width <= 0 or each.height <= 0:
            yield Fault(f"{at}/width", "no_size", "a companion has a width and a height in pixels", "set both")


def _check_verifications(spot: Spot, own: str) -> Iterator[Fault]:
    if len(spot.verifications) > MAX_VERIFICATIONS:
        message = f"{len(spot.verifications)} verifications"
        yield Fault(f"{own}/verifications", "too_many", message, f"at most {MAX_VERIFICATIONS}")
    for number, each in enumerate(spot.verifications):
        at = f"{own}/verifications/{number}"
        yield from _check_url(each.url, f"{at}/url")
        if each.not_executed_url:
            yield from _check_url(each.not_executed_url, f"{at}/not_executed_url")
        if not has_content(each.vendor):
            yield Fault(f"{at}/vendor", "required", "a verification names its vendor", "such as company.example-omid")


def _check_url(url: str, pointer: str) -> Iterator[Fault]:
    address = url.strip()
    if not address.lower().startswith(("https://", "http://")) or any(char.isspace() for char in address):
        yield Fault(pointer, "not_a_url", f"{url[:100]!r} is not a web address", "start it with https://")
    elif len(address) > MAX_URL_CHARS:
        yield Fault(pointer, "too_long", f"{len(address)} characters of address", f"at most {MAX_URL_CHARS}")
