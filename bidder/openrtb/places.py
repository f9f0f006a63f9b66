"""Moves members from where older versions and vendors put them to their place in OpenRTB 2.6.

The first place that has a value wins, in the order of the specification's own fallback table (docs/openrtb.md), so
the stages read one member each. Most of live traffic is 2.5 in this respect: this runs on every request, hence
the plain code instead of a table of paths (measured: 2 us against 6).
"""

from collections.abc import Sequence
from typing import Final

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
    if regs.gdpr is None and ext.gdpr is not None:
        regs.gdpr = ext.gdpr
        tolerances.old_place += 1
    if regs.us_privacy is None and ext.us_privacy is not None:
        regs.us_privacy = ext.us_privacy
        tolerances.old_place += 1
    if regs.gpp is None and ext.gpp is not None:
        regs.gpp = ext.gpp
        tolerances.old_place += 1
    if regs.gpp_sid is None and ext.gpp_sid is not None:
        regs.gpp_sid = ext.gpp_sid
        tolerances.old_place += 1
    if regs.gpc is None:
        regs.gpc = ext.gpc  # its own place, so nothing to count


def _settle_user(request: BidRequest, user: User, tolerances: Tolerances) -> None:
    if user.geo is not None:
        _settle_geo(user.geo, tolerances)
    if user.buyeruid is None and user.buyerid is not None:
        user.buyeruid = user.buyerid
        tolerances.old_place += 1
    ext = user.ext
    if ext is None:
        return
    if user.consent is None and ext.consent is not None:
        user.consent = ext.consent
        tolerances.old_place += 1
    if user.eids is None and ext.eids is not None:
        user.eids = ext.eids
        tolerances.old_place += 1
    if ext.gdpr is not None or ext.us_privacy is not None:
        _settle_regs_of_user(request, ext, tolerances)


def _settle_regs_of_user(request: BidRequest, ext: UserExt, tolerances: Tolerances) -> None:
    regs = request.regs
    if regs is None:
        regs = request.regs = Regs()
    if regs.gdpr is None and ext.gdpr is not None:
        regs.gdpr = ext.gdpr
        tolerances.old_place += 1
    if regs.us_privacy is None and ext.us_privacy is not None:
        regs.us_privacy = ext.us_privacy
        tolerances.old_place += 1


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
