"""Moves members from where older versions and vendors put them to their place in OpenRTB 2.6.

The first place that has a value wins, in the order of the specification's own fallback table (docs/openrtb.md), so
the stages read one member each. What limits us is the exception: where two places say different things of a user's
privacy, the stricter counts, and of two texts that differ neither. Most of live traffic is 2.5 in this respect: this
runs on every request, hence the plain code instead of a table of paths (measured: 2 us against 6).
"""

from collections.abc import Sequence
from typing import Final

from bidder.openrtb.lenient import UNREADABLE_FLAG, UNREADABLE_SECTION, UNREADABLE_TEXT
from bidder.openrtb.tolerance import Tolerances
from bidder.openrtb.types import (
    App,
    BidRequest,
    Device,
    Dooh,
    Geo,
    Imp,
    Regs,
    RegsExt,
    Site,
    Source,
    User,
    UserExt,
    Video,
)

_NUMBER: Final[type[object]] = int
"""What a `Text` may be until it is settled; the type checker knows it as a text from the start."""


def settle(request: BidRequest, tolerances: Tolerances) -> None:
    """Fill every first-class member of `request` that only an older place has; make the identifiers text."""
    if type(request.id) is _NUMBER:
        request.id = _text(request.id, tolerances)
    _settle_imps(request.imp, tolerances)
    place = request.site or request.app or request.dooh
    if place is not None:
        _settle_place(place, tolerances)
    device, user, regs = request.device, request.user, request.regs
    if device is not None:
        _settle_device(device, tolerances)
    if regs is not None and regs.ext is not None:
        _settle_regs(regs, regs.ext, tolerances)
    if user is not None and (user.ext is not None or user.geo is not None or user.buyeruid is None):
        _settle_user(request, user, tolerances)
    if request.ext is not None or (request.source is not None and request.source.ext is not None):
        _settle_supply_chain(request, tolerances)


def _text(value: object, tolerances: Tolerances) -> str:
    tolerances.number_for_text += 1
    return str(value)


def _settle_imps(imps: Sequence[Imp], tolerances: Tolerances) -> None:
    for imp in imps:
        if type(imp.id) is _NUMBER:
            imp.id = _text(imp.id, tolerances)
        if type(imp.tagid) is _NUMBER:
            imp.tagid = _text(imp.tagid, tolerances)
        if type(imp.secure) is bool or type(imp.instl) is bool:
            tolerances.loose_flag += 1
        ext = imp.ext
        if ext is not None and imp.rwdd is None:
            imp.rwdd = ext.rewarded
            if imp.rwdd is None and ext.prebid is not None:
                imp.rwdd = ext.prebid.is_rewarded_inventory
            if imp.rwdd is not None:
                tolerances.old_place += 1
        if imp.video is not None:
            _settle_video(imp, imp.video, tolerances)


def _settle_video(imp: Imp, video: Video, tolerances: Tolerances) -> None:
    if video.plcmt is None and video.placement is not None:
        video.plcmt = video.placement
        tolerances.old_place += 1
    if video.protocols is None and video.protocol is not None:
        video.protocols = (video.protocol,)
        tolerances.old_place += 1
    if imp.rwdd is None and video.ext is not None and video.ext.rewarded is not None:
        imp.rwdd = video.ext.rewarded
        tolerances.old_place += 1


def _settle_device(device: Device, tolerances: Tolerances) -> None:
    if device.geo is not None:
        _settle_geo(device.geo, tolerances)
    if device.sua is not None and device.sua.platform is not None:
        device.os = device.sua.platform.brand or device.os  # preferred where both are there (OpenRTB 2.6, 3.2.18)
    if type(device.lmt) is bool or type(device.dnt) is bool:
        tolerances.loose_flag += 1


def _settle_place(place: Site | App | Dooh, tolerances: Tolerances) -> None:
    if type(place.id) is _NUMBER:
        place.id = _text(place.id, tolerances)
    publisher = place.publisher
    if publisher is not None and type(publisher.id) is _NUMBER:
        publisher.id = _text(publisher.id, tolerances)
    if type(place) is App and type(place.bundle) is _NUMBER:
        place.bundle = _text(place.bundle, tolerances)


def _settle_geo(geo: Geo, tolerances: Tolerances) -> None:
    if type(geo.zip) is _NUMBER:
        geo.zip = _text(geo.zip, tolerances)
    if type(geo.region) is _NUMBER:
        geo.region = _text(geo.region, tolerances)
    if geo.lon is None and geo.long is not None:
        geo.lon = geo.long
        tolerances.old_place += 1


def _settle_regs(regs: Regs, ext: RegsExt, tolerances: Tolerances) -> None:
    if ext.gdpr is not None:
        _settle_gdpr(regs, ext.gdpr, tolerances)
    if ext.us_privacy is not None:
        regs.us_privacy = _settled_sale(regs.us_privacy, ext.us_privacy, tolerances)
    if ext.gpp is not None:
        regs.gpp = _settled_text(regs.gpp, ext.gpp, tolerances)
    sections = ext.gpp_sid
    if sections is not None and sections != regs.gpp_sid:
        if regs.gpp_sid is None:
            regs.gpp_sid = sections
            tolerances.old_place += 1
        elif sections != _UNREADABLE_SECTIONS:
            regs.gpp_sid = (*regs.gpp_sid, *sections)
    if regs.gpc is None or (ext.gpc is not None and regs.gpc in _NO):
        regs.gpc = ext.gpc  # its own place, so nothing to count
    if ext.dsa is not None and (regs.dsa is None or (regs.dsa.dsarequired or 0) < (ext.dsa.dsarequired or 0)):
        regs.dsa = ext.dsa  # likewise


_UNREADABLE_SECTIONS = (UNREADABLE_SECTION,)
_NO = (0, "0", "")


def _settle_gdpr(regs: Regs, gdpr: int, tolerances: Tolerances) -> None:
    if regs.gdpr is None:
        regs.gdpr = gdpr
        tolerances.old_place += 1
    elif not regs.gdpr and gdpr != UNREADABLE_FLAG:  # "no" beside anything else
        regs.gdpr = gdpr


def _settled_text(first: str | None, other: str, tolerances: Tolerances) -> str:
    """A text of the user's choices that two places may have: the one, or neither where they differ."""
    if first is None:
        tolerances.old_place += 1
        return other
    if first == other or not other or first.strip() == other.strip():
        return first
    return UNREADABLE_TEXT if first else other


def _settled_sale(first: str | None, other: str, tolerances: Tolerances) -> str:
    """As `_settled_text` of US privacy strings, of which one that opts out says enough."""
    if first is not None and other[_SALE] in ("Y", "y"):
        return other
    return first if first is not None and first[_SALE] in ("Y", "y") else _settled_text(first, other, tolerances)


_SALE = slice(2, 3)


def _settle_user(request: BidRequest, user: User, tolerances: Tolerances) -> None:
    if user.geo is not None:
        _settle_geo(user.geo, tolerances)
    if user.buyeruid is None and user.buyerid is not None:
        user.buyeruid = user.buyerid
        tolerances.old_place += 1
    ext = user.ext
    if ext is None:
        return
    if ext.consent is not None:
        user.consent = _settled_text(user.consent, ext.consent, tolerances)
    if user.eids is None and ext.eids is not None:
        user.eids = ext.eids
        tolerances.old_place += 1
    if ext.gdpr is not None or ext.us_privacy is not None:
        _settle_regs_of_user(request, ext, tolerances)


def _settle_regs_of_user(request: BidRequest, ext: UserExt, tolerances: Tolerances) -> None:
    regs = request.regs
    if regs is None:
        regs = request.regs = Regs()
    if ext.gdpr is not None:
        _settle_gdpr(regs, ext.gdpr, tolerances)
    if ext.us_privacy is not None:
        regs.us_privacy = _settled_sale(regs.us_privacy, ext.us_privacy, tolerances)


def _settle_supply_chain(request: BidRequest, tolerances: Tolerances) -> None:
    source = request.source
    if source is not None and source.schain is None and source.ext is not None and source.ext.schain is not None:
        source.schain = source.ext.schain
        tolerances.old_place += 1
    if request.ext is not None and request.ext.schain is not None:
        if source is None:
            source = request.source = Source()
        if source.schain is None:
            source.schain = request.ext.schain
            tolerances.old_place += 1
