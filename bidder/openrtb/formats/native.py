"""Native ads of the protocol: which assets an impression wants (OpenRTB 2.6 section 3.2.9; Native 1.0 to 1.2).

What is wanted is JSON inside the JSON: `imp.native.request` is a text. Several exchanges send an object there, some its
members in `imp.native` itself; those of 1.0 put it into one more object. All are read.
"""

import functools
from typing import Any, Final

import msgspec

from bidder.openrtb.formats.base import FormatCodec
from bidder.openrtb.types import Flag, Imp, Int, Native, Texts
from core.errors import Fault
from creatives.formats.base import Ad
from creatives.formats.native import NAME, VERSIONS, NativeOffer, NativeRequest, WantedAsset, kinds_needed
from creatives.formats.offer import AssetsNeeded

MARKUP_TYPE: Final = 4
"""`mtype` (OpenRTB 2.6, section 4.2.3)."""

MAIN_IMAGE: Final = 3

PICTURE_TYPES: Final = {1: "icon", 2: "logo", 3: "images"}
"""Native 1.2, list "Image Asset Types"; 2 is of earlier versions."""

DATA_TYPES: Final = {
    1: "sponsored", 2: "texts", 3: "rating", 4: "likes", 5: "downloads", 6: "price", 7: "sale_price", 8: "phone",
    9: "address", 10: "more_texts", 11: "display_url", 12: "call_to_action",
}  # fmt: skip
"""Native 1.2, list "Data Asset Types"."""

# Requests have about eight assets.
MAX_ASSETS: Final = 50

LISTS: Final = frozenset({"methods", "mimes"})
"""Members that are lists; some pages send their only value instead."""

# Requests of native ads are written by a publisher once, and come again with each impression.
MAX_REMEMBERED_CHARS: Final = 8_192


class _Title(msgspec.Struct):
    len: Int | None = None


class _Image(msgspec.Struct):
    type: Int | None = None
    w: Int | None = None
    h: Int | None = None
    wmin: Int | None = None
    hmin: Int | None = None
    mimes: Texts | None = None


class _Data(msgspec.Struct):
    type: Int | None = None
    len: Int | None = None


class _Asset(msgspec.Struct):
    id: Int | None = None
    required: Flag | None = None
    title: _Title | None = None
    img: _Image | None = None
    data: _Data | None = None


class _Tracker(msgspec.Struct):
    event: Int | None = None
    methods: tuple[Int, ...] | None = None


class _Request(msgspec.Struct):
    ver: str | float | None = None
    assets: tuple[_Asset, ...] | None = None
    eventtrackers: tuple[_Tracker, ...] | None = None
    privacy: Flag | None = None


class _Root(_Request):
    native: _Request | None = None


_decoder = msgspec.json.Decoder(_Root, strict=False)


def read(imp: Imp) -> NativeOffer | Fault | None:
    """The native ad that an impression wants."""
    native = imp.native
    if native is None:
        return None
    text = _text_of(native)
    wanted = (_remembered if len(text) <= MAX_REMEMBERED_CHARS else _parsed)(text, native.ver or "")
    if isinstance(wanted, Fault):
        return wanted
    request, shape = wanted
    return NativeOffer(NAME, (shape,), blocked_attributes=native.battr, frameworks=native.api, request=request)


def _text_of(native: Native) -> str:
    """The request as JSON, wherever the sender has put it."""
    if isinstance(native.request, str):
        return native.request
    if native.request is not None:
        return msgspec.json.encode(native.request).decode()
    members: dict[str, Any] = {"ver": native.ver, "assets": native.assets, "eventtrackers": native.eventtrackers}
    return msgspec.json.encode({**members, "privacy": native.privacy}).decode()


def _parsed(text: str, version: str) -> tuple[NativeRequest, AssetsNeeded] | Fault:
    """What a request wants, or why no ad can be made for it. `version` is used where the request itself names none."""
    try:
        root = _decoded(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return Fault("/native/request", "bad_request", f"cannot be read: {str(error)[:200]}")
    request = root.native or root
    assets, seen = list[WantedAsset](), set[int | None]()
    for number, asset in enumerate(request.assets or ()):
        # A page that gets two answers of one id cannot tell them apart.
        found = _asset(asset) if asset.id not in seen and number < MAX_ASSETS else None
        seen.add(asset.id)
        if found is not None:
            assets.append(found)
        elif asset.required:
            text = (
                f"needs more than {MAX_ASSETS} assets"
                if number >= MAX_ASSETS
                else "needs an asset of a kind that no ad has"
            )
            return Fault(f"/native/request/assets/{number}", "unknown_asset", text)
    if not assets:
        return Fault("/native/request", "no_asset", "wants nothing that an ad has")
    trackers = None
    if request.eventtrackers is not None:
        trackers = tuple(
            (tracker.event, method)
            for tracker in request.eventtrackers
            if tracker.event is not None
            for method in tracker.methods or ()
        )
    wanted = NativeRequest(
        tuple(assets), trackers, version=_version(request.ver if request.ver is not None else version),
        wants_privacy=bool(request.privacy), is_wrapped=root.native is not None,
    )  # fmt: skip
    return wanted, AssetsNeeded(kinds_needed(assets))


def _decoded(text: str) -> _Root:
    """Decode a request; where its types are wrong, once more without nulls in lists, and with lists of one value."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError:
        return msgspec.convert(_mended(msgspec.json.decode(text)), _Root, strict=False)


def _mended(value: object) -> object:
    """Leave out nulls in lists, and make a list of a single value in LISTS. What limits an ad stays as it is."""
    if isinstance(value, list):
        return [_mended(each) for each in value if each is not None]
    if isinstance(value, dict):
        return {
            name: [each] if name in LISTS and isinstance(each, int | str) else _mended(each)
            for name, each in value.items()
        }
    return value


_remembered = functools.lru_cache(maxsize=1024)(_parsed)


def _asset(asset: _Asset) -> WantedAsset | None:
    """An asset that there may be an answer to; None for one without an id, or of another kind."""
    if asset.id is None:
        return None
    required = bool(asset.required)
    if asset.title is not None:
        return WantedAsset(asset.id, "titles", required, max(asset.title.len or 0, 0))
    if asset.img is not None:
        image = asset.img
        number = image.type if image.type is not None else MAIN_IMAGE
        kind = PICTURE_TYPES.get(number)
        if kind is None:
            return None
        width, height, least_width, least_height = (
            max(each or 0, 0) for each in (image.w, image.h, image.wmin, image.hmin)
        )
        mimes = image.mimes or ()
        return WantedAsset(asset.id, kind, required, 0, width, height, least_width, least_height, mimes, number)
    if asset.data is not None:
        number = asset.data.type or 0
        kind = DATA_TYPES.get(number)
        if kind is not None:
            return WantedAsset(asset.id, kind, required, max(asset.data.len or 0, 0), type=number)
    return None


def _version(said: str | float) -> str:
    """The version to answer in: that of the request, the newest that we know where it is a later one."""
    text = str(said).strip()
    if text in ("1", "1.0"):
        return VERSIONS[0]
    return text if text in VERSIONS else VERSIONS[-1]


def write(_ad: Ad) -> dict[str, object]:
    """What a bid says of its native ad: that it is one. It has no measures."""
    return {"mtype": MARKUP_TYPE}


CODEC = FormatCodec(name=NAME, member=NAME, read=read, write=write)
