"""Moves members from where older versions and vendors put them to their place in OpenRTB 2.6.

The first place that has a value wins, in the order of the specification's own fallback table (spec: openrtb, section 2),
so the stages read one member each. Most of live traffic is 2.5 in this respect: this runs on every request.
"""

from bidder.openrtb.tolerance import Tolerance, Tolerances
from bidder.openrtb.types import App, BidRequest, Device, Dooh, Geo, Imp, Regs, Site, Source, User


def settle(request: BidRequest, tolerances: Tolerances) -> None:
    """Fill every first-class member of `request` that only an older place has; make the identifiers text."""
    if type(request.id) is not str:
        request.id = _text(request.id, tolerances)
    for imp in request.imp:
        _settle_imp(imp, tolerances)
    place = request.site or request.app or request.dooh
    if place is not None:
        _settle_place(place, tolerances)
    device, user, regs = request.device, request.user, request.regs
    if device is not None:
        _settle_device(device, tolerances)
    if user is not None:
        _settle_user(user, tolerances)
        if user.ext is not None and (user.ext.gdpr is not None or user.ext.us_privacy is not None):
            regs = request.regs = regs or Regs()
            _settle_regs(regs, user, tolerances)
    if regs is not None and regs.ext is not None:
        _settle_regs(regs, user, tolerances)
    _settle_supply_chain(request, tolerances)


def _text(value: object, tolerances: Tolerances) -> str:
    tolerances.add(Tolerance.NUMBER_FOR_TEXT)
    return str(value)


def _settle_imp(imp: Imp, tolerances: Tolerances) -> None:
    if type(imp.id) is not str:
        imp.id = _text(imp.id, tolerances)
    if imp.tagid is not None and type(imp.tagid) is not str:
        imp.tagid = _text(imp.tagid, tolerances)
    if type(imp.secure) is bool or type(imp.instl) is bool:
        tolerances.add(Tolerance.LOOSE_FLAG)
    ext, video = imp.ext, imp.video
    if ext is not None and imp.rwdd is None:
        imp.rwdd = ext.rewarded
        if imp.rwdd is None and ext.prebid is not None:
            imp.rwdd = ext.prebid.is_rewarded_inventory
        if imp.rwdd is not None:
            tolerances.add(Tolerance.OLD_PLACE)
    if video is not None:
        if video.plcmt is None and video.placement is not None:
            video.plcmt = video.placement
            tolerances.add(Tolerance.OLD_PLACE)
        if imp.rwdd is None and video.ext is not None and video.ext.rewarded is not None:
            imp.rwdd = video.ext.rewarded
            tolerances.add(Tolerance.OLD_PLACE)


def _settle_place(place: Site | App | Dooh, tolerances: Tolerances) -> None:
    if place.id is not None and type(place.id) is not str:
        place.id = _text(place.id, tolerances)
    publisher = place.publisher
    if publisher is not None and publisher.id is not None and type(publisher.id) is not str:
        publisher.id = _text(publisher.id, tolerances)
    if type(place) is App and place.bundle is not None and type(place.bundle) is not str:
        place.bundle = _text(place.bundle, tolerances)


def _settle_device(device: Device, tolerances: Tolerances) -> None:
    if device.geo is not None:
        _settle_geo(device.geo, tolerances)
    if type(device.lmt) is bool or type(device.dnt) is bool:
        tolerances.add(Tolerance.LOOSE_FLAG)


def _settle_geo(geo: Geo, tolerances: Tolerances) -> None:
    if geo.zip is not None and type(geo.zip) is not str:
        geo.zip = _text(geo.zip, tolerances)
    if geo.region is not None and type(geo.region) is not str:
        geo.region = _text(geo.region, tolerances)
    if geo.lon is None and geo.long is not None:
        geo.lon = geo.long
        tolerances.add(Tolerance.OLD_PLACE)


def _settle_user(user: User, tolerances: Tolerances) -> None:
    if user.buyeruid is None and user.buyerid is not None:
        user.buyeruid = user.buyerid
        tolerances.add(Tolerance.OLD_PLACE)
    ext = user.ext
    if ext is not None:
        if user.consent is None and ext.consent is not None:
            user.consent = ext.consent
            tolerances.add(Tolerance.OLD_PLACE)
        if user.eids is None and ext.eids is not None:
            user.eids = ext.eids
            tolerances.add(Tolerance.OLD_PLACE)
    if user.geo is not None:
        _settle_geo(user.geo, tolerances)


# One table for the members that wandered; `regs.ext` comes before `user.ext` as in the specification's own order.
_REGS_MEMBERS = ("gdpr", "us_privacy", "gpp", "gpp_sid", "gpc")
_USER_MEMBERS = ("gdpr", "us_privacy")


def _settle_regs(regs: Regs, user: User | None, tolerances: Tolerances) -> None:
    ext = regs.ext
    if ext is not None:
        for name in _REGS_MEMBERS:
            if getattr(regs, name) is None and getattr(ext, name) is not None:
                setattr(regs, name, getattr(ext, name))
                tolerances.add(Tolerance.OLD_PLACE)
    if user is not None and user.ext is not None:
        for name in _USER_MEMBERS:
            if getattr(regs, name) is None and getattr(user.ext, name) is not None:
                setattr(regs, name, getattr(user.ext, name))
                tolerances.add(Tolerance.OLD_PLACE)


def _settle_supply_chain(request: BidRequest, tolerances: Tolerances) -> None:
    source = request.source
    if source is not None and source.schain is None and source.ext is not None and source.ext.schain is not None:
        source.schain = source.ext.schain
        tolerances.add(Tolerance.OLD_PLACE)
    if request.ext is not None and request.ext.schain is not None:
        if source is None:
            source = request.source = Source()
        if source.schain is None:
            source.schain = request.ext.schain
            tolerances.add(Tolerance.OLD_PLACE)
