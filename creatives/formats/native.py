"""Native ads: no markup, but the parts of an ad, which the publisher's page puts together in its own style.

A request lists the *assets* that the page can show, each with an id, a kind, how long or large it may be, and whether
the page can do without it. A creative holds its parts once; for each distinct list of assets those that suit it best
are put into JSON once (Native 1.2, section 5), and a bid then costs the same joins as a banner's.
"""

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from core.errors import Fault
from core.model import Creative, NativeAssets, Picture
from creatives.formats.base import Ad, AdFormat, AdNotice
from creatives.formats.landing import check_landing
from creatives.formats.offer import Offer, Shape, takes_mime
from creatives.macros import TOKEN, Tracker, are_trustworthy, click_url, impression_url, notice_url
from creatives.templates.library import template_of

NAME: Final = "native"

KINDS: Final = NativeAssets.__struct_fields__
"""The kinds of assets, by the names that creatives have them under."""

PICTURES: Final = ("images", "icon", "logo")

VERSIONS: Final = ("1.0", "1.1", "1.2")

IMPRESSION: Final = 1
"""Event that a tracker is called at (Native 1.2, list "Event Types")."""
BY_IMAGE: Final = 1
"""How a tracker is called (list "Event Tracking Methods"): by loading it as an image."""

HOLE: Final = '"@FILLED@"'
"""JSON that stands for an ad which is filled when the bid is made."""

# A picture is shown scaled; whether two have the same shape is not decided by the rounding of a pixel or two.
RATIO_TOLERANCE: Final = 0.02

_BIT_OF: Final = {kind: 1 << number for number, kind in enumerate(KINDS)}
_INSECURE: Final = re.compile(r"""http://[^\s"\\]+""", re.IGNORECASE)


class WantedAsset(NamedTuple):
    """One asset of a request. Lengths are characters, measures pixels; 0 where the request says nothing."""

    id: int
    kind: str
    """Of KINDS."""
    is_required: bool
    length: int = 0
    """The longest text."""
    width: int = 0
    height: int = 0
    least_width: int = 0
    least_height: int = 0
    mimes: tuple[str, ...] = ()
    type: int = 0
    """Its number in the list of image or data asset types; 0 where it has none."""

    @property
    def told(self) -> dict[str, object]:
        """The type, for the answer."""
        return {"type": self.type} if self.type else {}


class NativeRequest:
    """What a request says of the native ad that it wants, apart from what all formats say.

    Its hash is computed once: the same few requests come again and again, and each is part of the keys under which ads
    are remembered.
    """

    __slots__ = ("_hash", "_members")

    def __init__(
        self,
        assets: tuple[WantedAsset, ...],
        trackers: tuple[tuple[int, int], ...] | None = None,
        *,
        version: str = "1.2",
        wants_privacy: bool = False,
        is_wrapped: bool = False,
    ) -> None:
        self._members = (assets, trackers, version, wants_privacy, is_wrapped)
        self._hash = hash(self._members)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, NativeRequest) and self._members == other._members)

    @property
    def assets(self) -> tuple[WantedAsset, ...]:
        """In the request's order."""
        return self._members[0]

    @property
    def trackers(self) -> tuple[tuple[int, int], ...] | None:
        """(event, method) of the trackers that the page calls; None where it says nothing, as before 1.2."""
        return self._members[1]

    @property
    def version(self) -> str:
        """The version of the answer, one of VERSIONS."""
        return self._members[2]

    @property
    def wants_privacy(self) -> bool:
        """Whether the page shows a link that says who advertises."""
        return self._members[3]

    @property
    def is_wrapped(self) -> bool:
        """Whether the object is inside another one, as in 1.0: `{"native": {...}}`."""
        return self._members[4]

    @property
    def nbytes(self) -> int:
        """Roughly the bytes of memory that it takes."""
        return 400 + sum(300 + sum(60 + len(mime) for mime in asset.mimes) for asset in self.assets)


class NativeOffer(Offer, frozen=True, gc=False):
    """The offer of a native ad."""

    request: NativeRequest = NativeRequest(())


class NativeAd(Ad, frozen=True):
    """A native ad, whose markup is JSON."""

    is_complete: bool = True
    """Whether everything that the page cannot do without is there, short and large enough."""
    is_wrapped: bool = False
    """Whether the JSON has the outer member `native`."""
    filled_for: tuple[Tracker, NativeRequest, str] | None = None
    """Set where the bid carries a product: the tracker, what the page asks for, and where its privacy link leads. The
    markup is `HOLE` then."""


def kinds_needed(assets: Iterable[WantedAsset]) -> int:
    """The kinds of the required assets, as bits: what `creatives.formats.offer.AssetsNeeded` holds."""
    needed = 0
    for asset in assets:
        if asset.is_required:
            needed |= _BIT_OF[asset.kind]
    return needed


def shapes(creative: Creative) -> tuple[Shape, ...]:
    """One shape: the set of the kinds of assets that the creative has. Many creatives share few such sets."""
    assets = creative.native
    return ((NAME, sum(bit for kind, bit in _BIT_OF.items() if getattr(assets, kind))),) if assets is not None else ()


def variant(offer: Offer) -> Hashable:
    """The whole native request: all of it shows in the markup."""
    return offer.request if isinstance(offer, NativeOffer) else None


def render(creative: Creative, offer: Offer, tracker: Tracker) -> Ad:
    """The ad as JSON with `TOKEN` in it."""
    wanted = offer.request if isinstance(offer, NativeOffer) else NativeRequest(())
    assets, is_complete = answers(creative.native or NativeAssets(), wanted.assets)
    markup = native_json(creative, wanted, tracker, assets, click_url(tracker, creative.landing_url))
    secure = are_trustworthy(_INSECURE.findall(markup))
    template = template_of(creative.template.name) if creative.template is not None else None
    filled = (tracker, wanted, creative.privacy_url) if template is not None and template.assets else None
    return NativeAd(
        creative, markup if filled is None else HOLE, secure, is_complete=is_complete, is_wrapped=wanted.is_wrapped,
        filled_for=filled,
    )  # fmt: skip


def native_json(
    creative: Creative, wanted: NativeRequest, tracker: Tracker, assets: list[dict[str, object]], link: str
) -> str:
    """The object that the page gets, of these assets."""
    native: dict[str, object] = {} if wanted.version == VERSIONS[0] else {"ver": wanted.version}
    native |= {"link": {"url": link}, "assets": assets}
    native |= _trackers(wanted, impression_url(tracker))
    if wanted.wants_privacy and creative.privacy_url:
        native["privacy"] = creative.privacy_url
    return msgspec.json.encode({NAME: native} if wanted.is_wrapped else native).decode()


def _trackers(wanted: NativeRequest, url: str) -> dict[str, object]:
    """The impression, by a tracker of the kind that the page says it calls; by `imptrackers` where it says nothing.

    A page that calls only scripts gets `imptrackers` too: 1.2 still has them, and we have no tracking script.
    """
    if wanted.trackers is not None and (IMPRESSION, BY_IMAGE) in wanted.trackers:
        return {"eventtrackers": [{"event": IMPRESSION, "method": BY_IMAGE, "url": url}]}
    return {"imptrackers": [url]}


def answers(own: NativeAssets, wanted: Sequence[WantedAsset]) -> tuple[list[dict[str, object]], bool]:
    """The assets of the answer, and whether all required ones are among them."""
    found: list[dict[str, object]] = []
    is_complete = True
    for asset in wanted:
        one = answer(own, asset)
        if one is not None:
            found.append({"id": asset.id, **one})
        elif asset.is_required:
            is_complete = False
    return found, is_complete


def answer(own: NativeAssets, asset: WantedAsset) -> dict[str, object] | None:
    """The answer to one asset. Types are told as the request has them: Prebid's renderer finds assets by them."""
    if asset.kind in PICTURES:
        picture = _picture(_all_of(own, asset.kind), asset)
        if picture is None:
            return None
        return {"img": {**asset.told, "url": picture.url, "w": picture.width, "h": picture.height}}
    text = _text(_all_of(own, asset.kind), asset.length)
    if text is None:
        return None
    return text_answer(asset, text)


def text_answer(asset: WantedAsset, text: object) -> dict[str, object]:
    """The answer to an asset that is a text."""
    return {"title": {"text": text}} if asset.kind == "titles" else {"data": {**asset.told, "value": text}}


def _all_of(own: NativeAssets, kind: str) -> Sequence[object]:
    value = getattr(own, kind)
    return value if isinstance(value, tuple) else (value,) if value else ()


def _text(texts: Sequence[object], most: int) -> str | None:
    """The longest of the texts that fit, since it says most: none is cut to fit."""
    fitting = [text for text in texts if isinstance(text, str) and (not most or len(text) <= most)]
    return max(fitting, key=len, default=None)


def _picture(pictures: Sequence[object], asset: WantedAsset) -> Picture | None:
    """The picture that suits best: of the very size, otherwise the smallest of the same shape that is large enough."""
    fitting = [each for each in pictures if isinstance(each, Picture) and _suits(each, asset)]

    def unlikeness(picture: Picture) -> tuple[bool, int]:
        return (picture.width, picture.height) != (asset.width, asset.height), picture.width * picture.height

    return min(fitting, key=unlikeness, default=None)


def _suits(picture: Picture, asset: WantedAsset) -> bool:
    if picture.mime and not takes_mime(asset.mimes, picture.mime):
        return False
    if picture.width < asset.least_width or picture.height < asset.least_height:
        return False
    # It would be blown up. Where both measures are named, the ratio takes care of the height.
    is_smaller = picture.width < asset.width or (not asset.width and picture.height < asset.height)
    if is_smaller and not (asset.least_width or asset.least_height):
        return False
    if not (asset.width and asset.height):
        return True
    is_ratio = picture.width * asset.height / (picture.height * asset.width)
    return abs(is_ratio - 1) <= RATIO_TOLERANCE


def admits(ad: Ad, offer: Offer) -> bool:
    """Whether the page gets all that it needs, and allows the ad (OpenRTB 2.6 section 3.2.9)."""
    creative, blocked = ad.creative, offer.blocked_attributes
    if blocked and not set(creative.attributes).isdisjoint(blocked):
        return False
    if creative.apis and not set(creative.apis).issubset(offer.frameworks or ()):
        return False
    return isinstance(ad, NativeAd) and ad.is_complete and offer.can_click


def check(creative: Creative) -> list[Fault]:
    """What would keep a native ad from being served, told when it is saved; pointers are relative to the creative."""
    assets = creative.native
    if assets is None:
        missing = Fault("/native", "required", "a native ad has assets", "set native, with a title and an image")
        return [missing, *check_landing(creative)]
    faults = []
    if not assets.titles:
        text = "nearly all publishers need a title"
        faults.append(Fault("/native/titles", "required", text, "add one, at best of 25 characters"))
    if not assets.images and assets.icon is None:
        text = "nearly all publishers need a picture"
        faults.append(Fault("/native/images", "required", text, "add one, at best of 1200x627"))
    faults += [
        Fault(pointer, "reserved", f"'{TOKEN}' is reserved", "remove it")
        for pointer, text in _all_texts(assets)
        if TOKEN in text
    ]
    faults += [
        Fault(pointer, "empty", "it has no visible character", "remove it, or write something")
        for pointer, text in _all_texts(assets)
        if not text.strip()
    ]
    faults += check_landing(creative)
    return faults


def _all_texts(assets: NativeAssets) -> Iterable[tuple[str, str]]:
    """(pointer, text) of every text and address."""
    for kind in KINDS:
        value = getattr(assets, kind)
        for number, each in enumerate(_all_of(assets, kind)):
            pointer = f"/native/{kind}/{number}" if isinstance(value, tuple) else f"/native/{kind}"
            if isinstance(each, Picture):
                yield f"{pointer}/url", each.url
            elif isinstance(each, str):
                yield pointer, each


def with_notice(ad: Ad, offer: Offer, tracker: Tracker, notice: AdNotice) -> Ad | None:
    """The ad whose privacy link leads to the notice; None where the page shows no such link."""
    if not isinstance(offer, NativeOffer) or not offer.request.wants_privacy:
        return None
    linked = msgspec.structs.replace(ad.creative, privacy_url=notice_url(tracker, notice.chosen_by))
    return msgspec.structs.replace(render(linked, offer, tracker), creative=ad.creative)


FORMAT = AdFormat(
    name=NAME, shapes=shapes, check=check, render=render, admits=admits, variant=variant, with_notice=with_notice
)
