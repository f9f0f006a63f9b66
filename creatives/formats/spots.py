"""What video and audio ads have in common: which file of a spot a player gets, and whether it may play it at all."""

import html
from collections.abc import Hashable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from core.model import Creative, Format
from core.spot import Companion, DeliveryMethod, MediaFile, Spot, Verification
from creatives.formats.base import Ad, AdNotice
from creatives.formats.offer import Offer, Shape, Size, takes_mime
from creatives.formats.vast import (
    VAST_2,
    VAST_3,
    VERSIONS,
    VastTexts,
    VastVersion,
    document,
    has_content,
)
from creatives.macros import Tracker, are_trustworthy, notice_url

SKIPPABLE: Final = 16
"""AdCOM list "Creative Attributes": the ad itself can be skipped."""

OPEN_MEASUREMENT: Final = 7
"""AdCOM list "API Frameworks": OMID 1."""

STREAMED, PROGRESSIVE, DOWNLOADED = 1, 2, 3
"""AdCOM list "DeliveryMethod Methods"."""

PICTURE, PAGE, FRAME = 1, 2, 3
"""AdCOM list "Companion Types": static resource, HTML resource, iframe resource."""

# Players take the first file that they can play; more than a ladder of usual bitrates only makes bids longer.
MAX_FILES: Final = 6

# How far two ratios may differ and still fill the player without bars: a pixel in some hundred.
RATIO_TOLERANCE: Final = 0.02


class SpotOffer(Offer, frozen=True, gc=False):
    """What a player offers. Members that a request does not name are None or 0."""

    protocols: tuple[int, ...] | None = None
    """AdCOM list "Creative Subtypes - Audio/Video"."""
    skip: bool | None = None
    """Whether the player lets people skip; None where it is not said."""
    deliveries: tuple[int, ...] | None = None
    """AdCOM list "DeliveryMethod Methods"."""
    least_kbps: int = 0
    most_kbps: int = 0
    companion_sizes: tuple[Size, ...] = ()
    companion_kinds: tuple[int, ...] | None = None
    """AdCOM list "Companion Types"."""
    fills_frame: bool = False
    """Whether the picture must have the player's own ratio (`boxingallowed` is 0)."""


class SpotAd(Ad, frozen=True):
    """A rendered spot; `protocol` is 0 where the player can play none of its files."""

    protocol: int = 0
    seconds: int = 0
    size: Size = (0, 0)
    attributes: tuple[int, ...] = ()
    """What the markup itself brings comes first: some exchanges take a single one."""
    frameworks: tuple[int, ...] = ()


class _Served(NamedTuple):
    """The parts of a spot that one player gets."""

    media: tuple[MediaFile, ...]
    companions: tuple[Companion, ...]
    verifications: tuple[Verification, ...]
    version: VastVersion
    skippable: bool


def spot_of(creative: Creative) -> Spot | None:
    """The spot of a video or audio creative."""
    return creative.audio if creative.format == Format.AUDIO else creative.video


def shapes(creative: Creative) -> Iterator[Shape]:
    """One shape: the format and the duration in milliseconds; none for a creative without a spot."""
    spot = spot_of(creative)
    if spot is not None:
        yield (creative.format.value, spot.duration_ms)


def version_for(offer: SpotOffer) -> VastVersion | None:
    """The newest version that the player reads; VAST 3.0 where it names none, which all of them read."""
    if offer.protocols is None:
        return VAST_3
    for protocol, version in VERSIONS.items():
        if protocol in offer.protocols and (version is not VAST_2 or offer.format == "video"):
            return version
    return None


def render(creative: Creative, offer: Offer, tracker: Tracker) -> SpotAd:
    """The spot as inline VAST for a player."""
    spot = spot_of(creative)
    if spot is None or not isinstance(offer, SpotOffer) or (version := version_for(offer)) is None:
        return SpotAd(creative, "", secure=False)
    served = _served(spot, offer, version)
    if not served.media:
        return SpotAd(creative, "", secure=False)
    texts = VastTexts(
        f"{creative.id}-{creative.version}",
        creative.name if has_content(creative.name) else str(creative.id),
        creative.landing_url if offer.can_click else "",
        creative.advertiser_domain,
        creative.privacy_url if _shows_icon(creative, offer) else "",
        is_audio=creative.format == Format.AUDIO,
    )
    markup = document(
        version, spot, served.media, served.companions, served.verifications, texts, tracker, skippable=served.skippable
    )
    own = tuple(each for each in creative.attributes if each != SKIPPABLE)
    apis = tuple(each for each in creative.apis if each != OPEN_MEASUREMENT)
    return SpotAd(
        creative,
        markup,
        secure=are_trustworthy([url for url in _loaded(served, tracker) if url.lower().startswith("http:")]),
        protocol=version.protocol,
        seconds=spot.seconds,
        size=(served.media[0].width, served.media[0].height),
        attributes=(SKIPPABLE, *own) if served.skippable else own,
        frameworks=(*apis, OPEN_MEASUREMENT) if served.verifications else apis,
    )


def with_notice(ad: Ad, offer: Offer, tracker: Tracker, notice: AdNotice) -> Ad | None:
    """The video whose icon leads to the notice; None where there is no icon, or nobody who can click on it."""
    if not isinstance(ad, SpotAd) or not isinstance(offer, SpotOffer) or not _shows_icon(ad.creative, offer):
        return None
    linked = msgspec.structs.replace(ad.creative, privacy_url=notice_url(tracker, notice.chosen_by))
    return msgspec.structs.replace(render(linked, offer, tracker), creative=ad.creative)


def _shows_icon(creative: Creative, offer: SpotOffer) -> bool:
    """Whether a player shows a sign above the spot: VAST 3.0 and later have such icons, sound has no place for one."""
    return creative.format == Format.VIDEO and offer.can_click and version_for(offer) not in (None, VAST_2)


def admits(ad: Ad, offer: Offer) -> bool:
    """Whether the offer's rules allow the spot (OpenRTB 2.6 sections 3.2.7, 3.2.8)."""
    if not isinstance(ad, SpotAd) or not ad.protocol:
        return False
    if offer.blocked_attributes and not set(ad.attributes).isdisjoint(offer.blocked_attributes):
        return False
    return set(ad.frameworks).issubset(offer.frameworks or ())


def variant(offer: Offer) -> Hashable:
    """All members of an offer that decide which files, companions and scripts are served, and in which version."""
    if not isinstance(offer, SpotOffer):
        return None
    measures = OPEN_MEASUREMENT in (offer.frameworks or ())
    return (
        version_for(offer), offer.mimes, offer.deliveries, offer.least_kbps, offer.most_kbps, offer.sizes[:1],
        offer.fills_frame, offer.skip, _may_skip(offer), offer.companion_sizes, offer.companion_kinds, measures,
        offer.can_click,
    )  # fmt: skip


def _may_skip(offer: SpotOffer) -> bool:
    """Whether the spot may bring its button: somebody can press it, and the player neither has one nor forbids it."""
    return offer.can_click and offer.skip is None and SKIPPABLE not in (offer.blocked_attributes or ())


def _served(spot: Spot, offer: SpotOffer, version: VastVersion) -> _Served:
    return _Served(
        playable(spot.media, offer),
        tuple(each for each in spot.companions if _fits_beside(each, offer)),
        spot.verifications if OPEN_MEASUREMENT in (offer.frameworks or ()) else (),
        version,
        skippable=spot.skip_after_s is not None and version is not VAST_2 and _may_skip(offer),
    )


def playable(media: Sequence[MediaFile], offer: SpotOffer) -> tuple[MediaFile, ...]:
    """The files that a player can play, best first: the largest that is no larger than the player, then by bitrate."""
    width, height = offer.sizes[0] if offer.sizes else (0, 0)
    fitting = [each for each in media if _can_play(each, offer) and _keeps_ratio(each, width, height, offer)]

    def order(each: MediaFile) -> tuple[bool, int, int]:
        too_large = bool(width and height) and (each.width > width or each.height > height)
        pixels = each.width * each.height
        return (too_large, pixels if too_large else -pixels, -each.bitrate_kbps)

    return tuple(sorted(fitting, key=order)[:MAX_FILES])


def _can_play(file: MediaFile, offer: SpotOffer) -> bool:
    if not takes_mime(offer.mimes, file.mime):
        return False
    if offer.deliveries:
        wanted = {STREAMED} if file.delivery is DeliveryMethod.STREAMING else {PROGRESSIVE, DOWNLOADED}
        if wanted.isdisjoint(offer.deliveries):
            return False
    if not file.bitrate_kbps:  # not known: no reason to leave it out
        return True
    return file.bitrate_kbps >= offer.least_kbps and (not offer.most_kbps or file.bitrate_kbps <= offer.most_kbps)


def _keeps_ratio(file: MediaFile, width: int, height: int, offer: SpotOffer) -> bool:
    if not offer.fills_frame or not (width and height and file.width and file.height):
        return True
    return abs(file.width * height / (file.height * width) - 1) <= RATIO_TOLERANCE


def _fits_beside(companion: Companion, offer: SpotOffer) -> bool:
    kind = PICTURE if companion.image_url else FRAME if companion.frame_url else PAGE
    if offer.companion_kinds and kind not in offer.companion_kinds:
        return False
    return (companion.width, companion.height) in offer.companion_sizes


def _loaded(served: _Served, tracker: Tracker) -> Iterator[str]:
    """Everything that the player's page loads."""
    yield tracker.url
    yield from (each.url for each in served.media)
    for companion in served.companions:
        yield companion.image_url
        yield companion.frame_url
        plain = html.unescape(companion.html).replace("\\/", "/").lower()
        yield from (f"http:{part}" for part in plain.split("http:")[1:])
    for verification in served.verifications:
        yield verification.url
        yield verification.not_executed_url
