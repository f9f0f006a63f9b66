"""What a bid request allows, read straight from its JSON by the exchange that wrote (or recorded) it.

The checks hold answers against these facts, not against anything the bidder understood. Recorded requests break
rules, so every member is read with care: what has the wrong type is taken as absent.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

Json = Mapping[str, Any]
Size = tuple[int, int]

MICROS = 1_000_000

BANNER, VIDEO, AUDIO, NATIVE = 1, 2, 3, 4
_FORMATS = (("banner", BANNER), ("video", VIDEO), ("audio", AUDIO), ("native", NATIVE))
_SPOTS = (("video", VIDEO), ("audio", AUDIO))

FIRST_PRICE = 1
FIXED_PRICE = 3


class DealFacts(NamedTuple):
    """One deal offered on an impression; the floor is in CPM micros of `currency`."""

    floor: int
    currency: str
    auction_type: int  # 0: as the request says
    seats: frozenset[str]
    domains: frozenset[str]


class SpotFacts(NamedTuple):
    """What a video or audio player takes. Durations are in seconds; empty sets and zeros restrict nothing."""

    mimes: frozenset[str]
    protocols: frozenset[int]
    least: float
    most: float
    exact: frozenset[int]
    blocked_attributes: frozenset[int]
    frameworks: frozenset[int]


class AssetFacts(NamedTuple):
    """One asset that a native ad may or must have; `least` is a picture's width and height, 0 where any will do."""

    kind: str  # title, img, data
    required: bool
    length: int
    least: Size


class NativeFacts(NamedTuple):
    """What a page wants of a native ad: assets by their id, and (event, method) of the trackers that it calls."""

    assets: Mapping[int, AssetFacts]
    trackers: frozenset[tuple[int, int]]
    is_wrapped: bool


class ImpressionFacts(NamedTuple):
    """One impression offered; the floor is in CPM micros of `currency`. Without sizes any size will do."""

    floor: int
    currency: str
    formats: frozenset[int]
    sizes: frozenset[Size]
    secure: bool
    blocked_attributes: frozenset[int]
    deals: Mapping[str, DealFacts]
    private: bool
    spots: Mapping[int, SpotFacts] = {}  # by format
    native: NativeFacts | None = None


class RequestFacts(NamedTuple):
    """What one bid request allows. Empty sets restrict nothing."""

    impressions: Mapping[str, ImpressionFacts]
    currencies: frozenset[str]
    blocked_categories: frozenset[str]
    blocked_domains: frozenset[str]
    seats: frozenset[str]
    blocked_seats: frozenset[str]
    first_price: bool
    is_test: bool
    tmax_ms: int
    profile_allowed: bool  # whether an ad may rest on the user's profile


def facts_of(request: Json, *, profile_allowed: bool | None = None) -> RequestFacts:
    """The facts of a parsed request. With `profile_allowed` None it follows from the privacy members alone (a consent
    string is not decoded)."""
    # There Prebid tells how large an ad on a full screen has to be; then its sizes restrict nothing exactly.
    ext = mapping(mapping(request.get("device")).get("ext"))
    is_scaled = mapping(mapping(ext.get("prebid")).get("interstitial")) != {}
    impressions = {}
    for imp in objects(request.get("imp")):
        key = text(imp.get("id"))
        if key:
            impressions[key] = _impression(imp, is_scaled=is_scaled)
    return RequestFacts(
        impressions=impressions,
        currencies=texts(request.get("cur")),
        blocked_categories=texts(request.get("bcat")),
        blocked_domains=frozenset(domain.lower() for domain in texts(request.get("badv"))),
        seats=texts(request.get("wseat")),
        blocked_seats=texts(request.get("bseat")),
        first_price=number(request.get("at")) == FIRST_PRICE,
        is_test=number(request.get("test")) == 1,
        tmax_ms=int(number(request.get("tmax"))) or 0,
        profile_allowed=_profile_allowed(request) if profile_allowed is None else profile_allowed,
    )


def _impression(imp: Json, *, is_scaled: bool) -> ImpressionFacts:
    banner = mapping(imp.get("banner"))
    pmp = mapping(imp.get("pmp"))
    return ImpressionFacts(
        floor=_micros(imp.get("bidfloor")),
        currency=text(imp.get("bidfloorcur")) or "USD",
        formats=frozenset(code for name, code in _FORMATS if imp.get(name) is not None),
        sizes=frozenset() if is_scaled and number(imp.get("instl")) == 1 else _sizes(banner),
        secure=number(imp.get("secure")) == 1,
        blocked_attributes=frozenset(int(number(value)) for value in listed(banner.get("battr"))),
        deals={text(deal["id"]): _deal(deal) for deal in objects(pmp.get("deals")) if text(deal.get("id"))},
        private=number(pmp.get("private_auction")) == 1,
        spots={code: _spot(mapping(imp.get(name))) for name, code in _SPOTS if imp.get(name) is not None},
        native=_native(mapping(imp.get("native"))) if imp.get("native") is not None else None,
    )


def _native(native: Json) -> NativeFacts | None:
    """What the page wants; None where that cannot be read, so that nothing can be judged."""
    request = native.get("request", native)
    if isinstance(request, str):
        try:
            request = orjson.loads(request)
        except ValueError:
            return None
    root = mapping(request)
    wanted = mapping(root.get("native")) or root
    assets = {}
    for asset in objects(wanted.get("assets")):
        kind = next((name for name in ("title", "img", "data") if mapping(asset.get(name))), "")
        rules = mapping(asset.get(kind))
        if kind and asset.get("id") is not None:
            least = (whole(rules.get("wmin")), whole(rules.get("hmin")))
            is_required = number(asset.get("required")) == 1
            assets[whole(asset["id"])] = AssetFacts(kind, is_required, whole(rules.get("len")), least)
    trackers = frozenset(
        (whole(each.get("event")), whole(method))
        for each in objects(wanted.get("eventtrackers"))
        for method in listed(each.get("methods"))
    )
    return NativeFacts(assets, trackers, "native" in root)


def _spot(player: Json) -> SpotFacts:
    most, extended = number(player.get("maxduration")), number(player.get("maxextended"))
    return SpotFacts(
        mimes=frozenset(mime.lower() for mime in texts(player.get("mimes"))),
        protocols=_wholes(player.get("protocols")) or _wholes(player.get("protocol")),
        least=number(player.get("minduration")),
        most=0.0 if extended < 0 or most <= 0 else most + extended,
        exact=frozenset(length for length in _wholes(player.get("rqddurs")) if length > 0),
        blocked_attributes=_wholes(player.get("battr")),
        frameworks=_wholes(player.get("api")),
    )


def _wholes(value: object) -> frozenset[int]:
    return frozenset(map(whole, listed(value)))


def _deal(deal: Json) -> DealFacts:
    return DealFacts(
        floor=_micros(deal.get("bidfloor")),
        currency=text(deal.get("bidfloorcur")) or "USD",
        auction_type=int(number(deal.get("at"))),
        seats=texts(deal.get("wseat")),
        domains=frozenset(domain.lower() for domain in texts(deal.get("wadomain"))),
    )


def _sizes(banner: Json) -> frozenset[Size]:
    """Sizes of a banner: `format` where it has one, otherwise `w` and `h`; flexible ones and ranges restrict nothing
    exactly."""
    formats = objects(banner.get("format"))
    pairs = [(entry.get("w"), entry.get("h")) for entry in formats] or [(banner.get("w"), banner.get("h"))]
    if any(entry.get("wratio") is not None for entry in formats) or banner.get("wmax") is not None:
        return frozenset()
    return frozenset((int(number(w)), int(number(h))) for w, h in pairs if number(w) > 0 and number(h) > 0)


def _profile_allowed(request: Json) -> bool:
    """Whether the privacy members leave room for a profile at all: no COPPA, no opt-out, no GDPR without a consent
    string."""
    regs, device, user = (mapping(request.get(name)) for name in ("regs", "device", "user"))
    if number(regs.get("coppa")) == 1 or number(device.get("lmt")) == 1 or number(device.get("dnt")) == 1:
        return False
    gdpr = first(regs.get("gdpr"), mapping(regs.get("ext")).get("gdpr"))
    consent = first(user.get("consent"), mapping(user.get("ext")).get("consent"))
    return number(gdpr) != 1 or bool(text(consent))


def first(*values: object) -> object:
    """The first value that is not None."""
    return next((value for value in values if value is not None), None)


def mapping(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def listed(value: object) -> Iterable[object]:
    """Members of a list; a scalar counts as a list of one."""
    if isinstance(value, list):
        return value
    return () if value is None else (value,)


def text(value: object) -> str:
    """Text of a string or a number (ids are sent as either); empty for everything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def texts(value: object) -> frozenset[str]:
    return frozenset(entry for entry in map(text, listed(value)) if entry)


def number(value: object) -> float:
    """A finite number, also from its text; 0 for everything else."""
    if isinstance(value, bool | int | float | str):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            return 0.0
        return found if math.isfinite(found) else 0.0
    return 0.0


def whole(value: object) -> int:
    """A whole number, also from its text or cut off from a fraction; 0 for everything else."""
    return value if type(value) is int else int(number(value))


def _micros(value: object) -> int:
    """CPM micros of a wire price; a negative floor is no floor."""
    return max(0, round(number(value) * MICROS))
