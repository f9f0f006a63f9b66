"""What a video or audio creative consists of: a spot, with the files that it can be played from."""

import enum

import msgspec


class DeliveryMethod(enum.StrEnum):
    """How a player gets a file (VAST 4.2 section 3.9.1, attribute `delivery`)."""

    PROGRESSIVE = "progressive"  # one file over HTTP
    STREAMING = "streaming"  # a playlist: HLS, DASH


class MediaFile(msgspec.Struct, frozen=True, kw_only=True):
    """One encoding of the spot."""

    url: str
    mime: str
    width: int = 0  # pixels; 0 for sound
    height: int = 0
    bitrate_kbps: int = 0  # 0: not known
    delivery: DeliveryMethod = DeliveryMethod.PROGRESSIVE
    codec: str = ""  # RFC 6381, such as "avc1.4d401f"


class Companion(msgspec.Struct, frozen=True, kw_only=True):
    """A picture or page that is shown beside the player. Exactly one of `image_url`, `frame_url` and `html` is set."""

    width: int
    height: int
    image_url: str = ""
    image_mime: str = "image/png"
    frame_url: str = ""
    html: str = ""
    alt_text: str = ""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement script by the Open Measurement interface (VAST 4.2 section 3.16)."""

    vendor: str  # "company.example-omid"
    url: str
    parameters: str = ""
    not_executed_url: str = ""  # called where the player did not run the script


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """A video or audio ad."""

    duration_ms: int
    media: tuple[MediaFile, ...]
    skip_after_s: int | None = None  # None: the spot itself offers no way to skip it
    companions: tuple[Companion, ...] = ()
    verifications: tuple[Verification, ...] = ()
    universal_ad_id: str = ""  # in `universal_ad_registry`, such as "ad-id.org"; "" for none
    universal_ad_registry: str = ""

    @property
    def seconds(self) -> int:
        """The length in whole seconds, rounded up: what a break has to have room for."""
        return -(-self.duration_ms // 1000)
