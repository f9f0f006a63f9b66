"""A creative as an `Ad` of AdCOM 1.0, and what exchanges answer, for the Ad Management API 1.0 of the IAB Tech Lab.

https://github.com/InteractiveAdvertisingBureau/AdManagementAPI: an ad is sent whole, and comes back with an `Audit`.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from admin.reviews.states import Decision, ReviewState
from core.errors import UnavailableError
from core.model import Creative, Format, NativeAssets, Picture
from core.spot import MediaFile
from creatives.formats.banner import preview_markup
from creatives.formats.spots import spot_of

# AdCOM list "Audit Status Codes". Pre-approved ads may be used until the audit is complete; changed ones may not.
_STATES: Final = {
    1: ReviewState.PENDING, 2: ReviewState.APPROVED, 3: ReviewState.APPROVED, 4: ReviewState.REJECTED,
    5: ReviewState.REJECTED, 6: ReviewState.EXPIRED,
}  # fmt: skip
_CHANGED: Final = 5
_CHANGED_REASON: Final = "it changed in a way that needs another submission"

# AdCOM lists "Creative Subtypes - Display" (HTML, image) and "Native Data Asset Types", "Native Image Asset Types".
_HTML, _IMAGE = 1, 2
_DATA_TYPES: Final = {
    "sponsored": 1, "texts": 2, "rating": 3, "likes": 4, "downloads": 5, "price": 6, "sale_price": 7, "phone": 8,
    "address": 9, "more_texts": 10, "display_url": 11, "call_to_action": 12,
}  # fmt: skip
_ICON, _LOGO, _MAIN = 1, 2, 3

MAX_REASON_CHARS: Final = 1_000

Json = dict[str, Any]


class AdAudit(msgspec.Struct):
    """What the exchange has found."""

    status: int = 1
    feedback: list[str] | str | None = None
    lastmod: int = 0


class AuditedAd(msgspec.Struct):
    """An ad of an answer, as far as it is read."""

    id: str | int
    audit: AdAudit = msgspec.field(default_factory=AdAudit)


class AdCollection(msgspec.Struct):
    """An answer: ads, and where the next ones are."""

    ads: list[AuditedAd] = []
    more: int | bool = 0
    nextPage: str | None = None


_decoder = msgspec.json.Decoder(AdCollection)


def ad_id(creative: Creative) -> str:
    """What the exchange knows the ad by, in reviews as in bids (`crid`)."""
    return f"{creative.id}-{creative.version}"


def ad_of(creative: Creative, domain: str, sample_url: str) -> Json:
    """The ad to be sent; `domain` is that of creatives that name none, `sample_url` a picture of it."""
    ad: Json = {
        "id": ad_id(creative),
        "adomain": [creative.advertiser_domain or domain],
        "iurl": sample_url,
        "cat": list(creative.categories),
        "cattax": 1,
        "lang": creative.language,
        "attr": list(creative.attributes),
        "secure": 1,
    }
    match creative.format:
        case Format.BANNER:
            ad["display"] = _banner(creative)
        case Format.NATIVE:
            assets = _assets(creative.native or NativeAssets())
            ad["display"] = {"native": {"link": _link(creative), "asset": assets}}
        case _:
            ad[creative.format.value] = _spot(creative)
    return {name: value for name, value in ad.items() if value not in ("", [])}


def _link(creative: Creative) -> Json:
    return {"url": creative.landing_url}


def _banner(creative: Creative) -> Json:
    display: Json = {"w": creative.width, "h": creative.height}
    if creative.apis:
        display["api"] = list(creative.apis)
    if creative.image_url:
        return display | {"ctype": _IMAGE, "banner": {"img": creative.image_url, "link": _link(creative)}}
    return display | {"ctype": _HTML, "mime": "text/html", "adm": preview_markup(creative)}


def _assets(own: NativeAssets) -> list[Json]:
    found: list[Json] = [{"title": {"text": text}} for text in own.titles]
    pictures: list[tuple[int, Picture]] = [(_MAIN, each) for each in own.images]
    pictures += [(kind, each) for kind, each in ((_ICON, own.icon), (_LOGO, own.logo)) if each is not None]
    found += [{"image": {"url": each.url, "w": each.width, "h": each.height, "type": kind}} for kind, each in pictures]
    for name, number in _DATA_TYPES.items():
        value: str | Sequence[str] = getattr(own, name)
        texts = (value,) if isinstance(value, str) else value
        found += [{"data": {"value": text, "type": number}} for text in texts if text]
    return [{"id": number, **asset} for number, asset in enumerate(found, 1)]


def _spot(creative: Creative) -> Json:
    spot = spot_of(creative)
    if spot is None:
        return {}
    return {
        "dur": spot.seconds,
        "mime": sorted({each.mime for each in spot.media}),
        # The standard sends VAST, which differs from bid to bid; reviewers need the files and where a click leads.
        "ext": {"media": [_file(each) for each in spot.media], "landing": creative.landing_url},
    }


def _file(file: MediaFile) -> Json:
    return {"url": file.url, "mime": file.mime, "w": file.width, "h": file.height, "kbps": file.bitrate_kbps}


def read_ads(body: bytes) -> AdCollection:
    """An answer of the exchange. Raises UnavailableError where it is none."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnavailableError(f"the review service answered what is no collection of ads: {error}") from None


def decision_of(ad: AuditedAd) -> Decision:
    """What the exchange says of one ad. An unknown status is no decision."""
    audit = ad.audit
    state = _STATES.get(audit.status, ReviewState.PENDING)
    if state is not ReviewState.REJECTED:
        return Decision(str(ad.id), state)
    feedback = audit.feedback or []
    reasons = [feedback] if isinstance(feedback, str) else feedback
    text = "; ".join(reasons) or (_CHANGED_REASON if audit.status == _CHANGED else "no reason was given")
    return Decision(str(ad.id), state, text[:MAX_REASON_CHARS])
