"""Video and audio creatives for tests, and players that offer to show them."""

from typing import Any

import msgspec

from core.model import Creative, Format
from core.spot import Companion, DeliveryMethod, MediaFile, Spot, Verification
from creatives.formats.offer import DurationRange
from creatives.formats.spots import SpotOffer
from creatives.macros import Tracker
from tests.kit.catalogues import creative

TRACKER = Tracker("https://track.example", "p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}")

FILES = (
    MediaFile(url="https://cdn.example/360.mp4?v=1&q=2", mime="video/mp4", width=640, height=360, bitrate_kbps=800),
    MediaFile(url="https://cdn.example/heels-720.mp4", mime="video/mp4", width=1280, height=720, bitrate_kbps=2_500),
    MediaFile(url="https://cdn.example/heels-720.webm", mime="video/webm", width=1280, height=720, bitrate_kbps=2_000),
    MediaFile(
        url="https://cdn.example/heels.m3u8", mime="application/x-mpegURL", width=1920, height=1080,
        delivery=DeliveryMethod.STREAMING,
    ),
)  # fmt: skip

VIDEO = Spot(
    duration_ms=15_000,
    media=FILES,
    skip_after_s=5,
    companions=(
        Companion(width=300, height=250, image_url="https://cdn.example/heels.png", alt_text="Heels & more"),
        Companion(width=728, height=90, html='<a href="${CLICK_URL}">Heels</a>'),
        Companion(width=320, height=50, frame_url="https://cdn.example/heels.html"),
    ),
    verifications=(
        Verification(
            vendor="meter.example-omid", url="https://meter.example/omid.js", parameters='{"shop": 1}',
            not_executed_url="https://meter.example/no?reason=[REASON]",
        ),
    ),
    universal_ad_id="CNPA0484000H",
    universal_ad_registry="ad-id.org",
)  # fmt: skip

SOUND = Spot(
    duration_ms=30_500,
    media=(MediaFile(url="https://cdn.example/heels.mp3", mime="audio/mpeg", bitrate_kbps=128),),
)


def video_creative(number: int = 1, advertiser: int = 1, spot: Spot = VIDEO, **members: object) -> Creative:
    """A video that passes every check."""
    return creative(number, advertiser, (0, 0), format=Format.VIDEO, html="", video=spot, **members)


def audio_creative(number: int = 1, advertiser: int = 1, spot: Spot = SOUND, **members: object) -> Creative:
    """A sound that passes every check."""
    return creative(number, advertiser, (0, 0), format=Format.AUDIO, html="", audio=spot, **members)


def player(kind: str = "video", **members: Any) -> SpotOffer:  # noqa: ANN401 - of every member its own type
    """A player of 640x360 that takes every length and everything that a spot may bring along."""
    offer = SpotOffer(
        kind, (DurationRange(kind, 0, 600_000),), ((640, 360),) if kind == "video" else (), frameworks=(7,),
        mimes=("video/mp4", "video/webm", "audio/mpeg"), companion_sizes=((300, 250), (728, 90), (320, 50)),
    )  # fmt: skip
    return msgspec.structs.replace(offer, **members)
