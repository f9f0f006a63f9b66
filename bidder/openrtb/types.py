"""The part of an OpenRTB 2.x bid request that the product reads, as types that msgspec decodes straight from bytes.

Only members that something uses are declared: msgspec skips the rest without building objects, and a member that is not
declared cannot be of the wrong type. Names are those of OpenRTB. Every optional member is `None` when it is absent,
since msgspec refuses `null` for any other default. Older and vendor places of a member (`regs.ext.gdpr`)
are declared in the `...Ext` structs; `codec.decode_request` moves what they hold to the first-class member, which is
the one to read.

The structs form a tree and never refer back, so they need no tracking by the garbage collector (`gc=False`): fewer
objects to traverse on a path that makes some thirty of them a request.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

Int = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""Integers of the protocol fit 32 bits. msgspec decodes unbounded ones, which would fail later, in packed arrays."""

Number = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
"""Finite and far above any price or coordinate; the bounds also refuse `"nan"` and `"inf"`."""

Flag = Int | bool
"""0 or 1; live traffic also has `true` and `false`, which compare equal to them."""

if TYPE_CHECKING:
    Text = str
else:
    Text = str | int
    """Identifiers that live traffic most often sends as numbers; `decode_request` leaves only `str` in them."""

Texts = tuple[str, ...]
Ints = tuple[Int, ...]


class Format(msgspec.Struct, frozen=True, gc=False):
    w: Int | None = None
    h: Int | None = None
    wratio: Int | None = None
    hratio: Int | None = None
    wmin: Int | None = None


class Banner(msgspec.Struct, frozen=True, gc=False):
    format: tuple[Format, ...] | None = None
    w: Int | None = None
    h: Int | None = None
    wmin: Int | None = None  # ranges of 2.3 and before
    wmax: Int | None = None
    hmin: Int | None = None
    hmax: Int | None = None
    btype: Ints | None = None
    battr: Ints | None = None
    mimes: Texts | None = None
    api: Ints | None = None
    expdir: Ints | None = None
    pos: Int | None = None


class VideoExt(msgspec.Struct, frozen=True, gc=False):
    rewarded: Flag | None = None


class DurationFloor(msgspec.Struct, frozen=True, gc=False):
    """A floor for ads of some lengths (OpenRTB 2.6 section 3.2.35); a side without a bound is open."""

    mindur: Int | None = None
    maxdur: Int | None = None
    bidfloor: Number | None = None


class Video(msgspec.Struct, gc=False):
    mimes: Texts | None = None
    minduration: Int | None = None
    maxduration: Int | None = None
    maxextended: Int | None = None
    rqddurs: Ints | None = None
    protocols: Ints | None = None  # also from `protocol`
    protocol: Int | None = None  # of 2.2 and before: one of the above
    w: Int | None = None
    h: Int | None = None
    startdelay: Int | None = None
    plcmt: Int | None = None  # also from `placement`
    placement: Int | None = None
    linearity: Int | None = None
    skip: Flag | None = None
    playbackmethod: Ints | None = None
    delivery: Ints | None = None
    minbitrate: Int | None = None
    maxbitrate: Int | None = None
    boxingallowed: Flag | None = None
    companionad: tuple[Banner, ...] | None = None
    companiontype: Ints | None = None
    api: Ints | None = None
    battr: Ints | None = None
    pos: Int | None = None
    podid: Text | None = None
    podseq: Int | None = None
    slotinpod: Int | None = None
    poddur: Int | None = None
    maxseq: Int | None = None
    mincpmpersec: Number | None = None
    durfloors: tuple[DurationFloor, ...] | None = None
    poddedupe: Ints | None = None
    ext: VideoExt | None = None


class Audio(msgspec.Struct, gc=False):
    mimes: Texts | None = None
    minduration: Int | None = None
    maxduration: Int | None = None
    maxextended: Int | None = None
    rqddurs: Ints | None = None
    protocols: Ints | None = None
    startdelay: Int | None = None
    delivery: Ints | None = None
    minbitrate: Int | None = None
    maxbitrate: Int | None = None
    companionad: tuple[Banner, ...] | None = None
    companiontype: Ints | None = None
    api: Ints | None = None
    battr: Ints | None = None
    podid: Text | None = None
    podseq: Int | None = None
    slotinpod: Int | None = None
    poddur: Int | None = None
    maxseq: Int | None = None
    mincpmpersec: Number | None = None
    durfloors: tuple[DurationFloor, ...] | None = None
    poddedupe: Ints | None = None


class Native(msgspec.Struct, gc=False):
    request: str | dict[str, Any] | None = None
    """JSON text by the specification; an object from several exchanges."""
    ver: str | None = None
    assets: list[Any] | None = None
    """Set where the request was unwrapped into `imp.native` itself, as are the next two."""
    eventtrackers: list[Any] | None = None
    privacy: Flag | None = None
    api: Ints | None = None
    battr: Ints | None = None


class Deal(msgspec.Struct, gc=False):
    id: str | None = None
    bidfloor: Number | None = None
    bidfloorcur: str | None = None
    at: Int | None = None
    wseat: Texts | None = None
    wadomain: Texts | None = None
    guar: Flag | None = None
    mincpmpersec: Number | None = None
    durfloors: tuple[DurationFloor, ...] | None = None


class Pmp(msgspec.Struct, gc=False):
    private_auction: Flag | None = None
    deals: tuple[Deal, ...] | None = None


class Quantity(msgspec.Struct, gc=False):
    multiplier: Number | None = None


class ImpExtPrebid(msgspec.Struct, gc=False):
    is_rewarded_inventory: Flag | None = None


class ImpExt(msgspec.Struct, gc=False):
    billing_id: Texts | None = None  # of Google: the billing ids that may bid
    gpid: str | None = None
    rewarded: Flag | None = None
    prebid: ImpExtPrebid | None = None


class Imp(msgspec.Struct, gc=False):
    id: Text
    banner: Banner | None = None
    video: Video | None = None
    audio: Audio | None = None
    native: Native | None = None
    pmp: Pmp | None = None
    instl: Flag | None = None
    tagid: Text | None = None
    bidfloor: Number | None = None
    bidfloorcur: str | None = None
    secure: Flag | None = None
    exp: Int | None = None
    rwdd: Flag | None = None  # also from the three places of `rewarded`
    ssai: Int | None = None
    qty: Quantity | None = None
    ext: ImpExt | None = None


class Publisher(msgspec.Struct, gc=False):
    id: Text | None = None
    domain: str | None = None
    cat: Texts | None = None
    cattax: Int | None = None


class Producer(msgspec.Struct, gc=False):
    cat: Texts | None = None
    cattax: Int | None = None


class Content(msgspec.Struct, gc=False):
    title: str | None = None
    keywords: str | None = None
    kwarray: Texts | None = None
    cat: Texts | None = None
    cattax: Int | None = None
    language: str | None = None
    producer: Producer | None = None


class Site(msgspec.Struct, gc=False):
    id: Text | None = None
    name: str | None = None
    domain: str | None = None
    page: str | None = None
    cat: Texts | None = None
    sectioncat: Texts | None = None
    pagecat: Texts | None = None
    cattax: Int | None = None
    keywords: str | None = None
    kwarray: Texts | None = None
    publisher: Publisher | None = None
    content: Content | None = None


class App(msgspec.Struct, gc=False):
    id: Text | None = None
    name: str | None = None
    bundle: Text | None = None
    domain: str | None = None
    storeurl: str | None = None
    cat: Texts | None = None
    sectioncat: Texts | None = None
    pagecat: Texts | None = None
    cattax: Int | None = None
    keywords: str | None = None
    kwarray: Texts | None = None
    publisher: Publisher | None = None
    content: Content | None = None


class Dooh(msgspec.Struct, gc=False):
    id: Text | None = None
    name: str | None = None
    venuetype: Texts | None = None
    venuetypeid: Texts | None = None  # where the specification's own samples have them
    domain: str | None = None
    keywords: str | None = None
    kwarray: Texts | None = None
    publisher: Publisher | None = None
    content: Content | None = None


class Geo(msgspec.Struct, gc=False):
    country: str | None = None
    region: Text | None = None
    city: str | None = None
    zip: Text | None = None
    lat: Number | None = None
    lon: Number | None = None  # also from `long`
    long: Number | None = None
    type: Int | None = None
    accuracy: Number | None = None  # metres
    utcoffset: Int | None = None  # minutes


class BrandVersion(msgspec.Struct, gc=False):
    brand: str | None = None
    version: Texts | None = None


class UserAgent(msgspec.Struct, gc=False):
    browsers: tuple[BrandVersion, ...] | None = None
    platform: BrandVersion | None = None
    mobile: Flag | None = None


class Interstitial(msgspec.Struct, gc=False):
    """Prebid's `device.ext.prebid.interstitial`: how much of the screen an ad has to fill at least, in percent."""

    minwidthperc: Int | None = None
    minheightperc: Int | None = None


class DeviceExtPrebid(msgspec.Struct, gc=False):
    interstitial: Interstitial | None = None


class DeviceExt(msgspec.Struct, gc=False):
    atts: Int | None = None
    ifa_type: str | None = None
    prebid: DeviceExtPrebid | None = None


class Device(msgspec.Struct, gc=False):
    ua: str | None = None
    sua: UserAgent | None = None
    ip: str | None = None
    ipv6: str | None = None
    geo: Geo | None = None
    dnt: Flag | None = None
    lmt: Flag | None = None
    devicetype: Int | None = None
    w: Int | None = None  # of the screen, in pixels
    h: Int | None = None
    os: str | None = None  # also from `sua.platform.brand`, which wins
    language: str | None = None
    langb: str | None = None
    connectiontype: Int | None = None
    ifa: str | None = None
    ext: DeviceExt | None = None


class Uid(msgspec.Struct, gc=False):
    id: str | None = None
    atype: Int | None = None


class Eid(msgspec.Struct, gc=False):
    source: str | None = None
    uids: tuple[Uid, ...] | None = None
    mm: Int | None = None


class UserExt(msgspec.Struct, gc=False):
    consent: str | None = None
    eids: tuple[Eid, ...] | None = None
    gdpr: Flag | None = None
    us_privacy: str | None = None


NO_DATA: Final = msgspec.Raw(b"null")
"""What `User.data` is where there is none: unlike other members it may be `null`."""


class User(msgspec.Struct, gc=False):
    id: str | None = None
    buyeruid: str | None = None  # also from `buyerid`
    buyerid: str | None = None
    consent: str | None = None  # also from `user.ext.consent`
    eids: tuple[Eid, ...] | None = None  # also from `user.ext.eids`
    geo: Geo | None = None
    data: msgspec.Raw = NO_DATA  # unread, but where an exchange's ids are in it
    ext: UserExt | None = None


class Dsa(msgspec.Struct, gc=False):
    dsarequired: Int | None = None
    pubrender: Int | None = None
    datatopub: Int | None = None


class RegsExt(msgspec.Struct, gc=False):
    dsa: Dsa | None = None
    s22580: Flag | None = None
    gdpr: Flag | None = None
    us_privacy: str | None = None
    gpp: str | None = None
    gpp_sid: Ints | None = None
    gpc: Flag | str | None = None


class Regs(msgspec.Struct, gc=False):
    """Each member but `coppa` also from `regs.ext`; `gdpr` and `us_privacy` from `user.ext` when both lack it."""

    coppa: Flag | None = None
    gdpr: Flag | None = None
    us_privacy: str | None = None
    gpp: str | None = None
    gpp_sid: Ints | None = None
    gpc: Flag | str | None = None
    """Global Privacy Control, a member of `regs.ext`; the text "1" is its documented form."""
    dsa: Dsa | None = None
    """Who pays for the ad must be told: a member of `regs.ext`, which some exchanges send here."""
    ext: RegsExt | None = None


class SupplyNode(msgspec.Struct, gc=False):
    asi: str | None = None
    sid: str | None = None
    hp: Flag | None = None
    rid: str | None = None


class SupplyChain(msgspec.Struct, gc=False):
    complete: Flag | None = None
    nodes: tuple[SupplyNode, ...] | None = None
    ver: str | None = None


class SupplyExt(msgspec.Struct, gc=False):
    """`source.ext` (2.5) and the request's own `ext` (2.4 and before), where the supply chain used to be."""

    schain: SupplyChain | None = None


class Source(msgspec.Struct, gc=False):
    tid: str | None = None
    schain: SupplyChain | None = None  # also from `source.ext` and `ext`
    ext: SupplyExt | None = None


class RequestExtPrebid(msgspec.Struct, gc=False):
    returnallbidstatus: Flag | None = None  # asks why there is no bid on an impression


class RequestExt(SupplyExt, gc=False):
    prebid: RequestExtPrebid | None = None


class BidRequest(msgspec.Struct, gc=False):
    id: Text
    imp: tuple[Imp, ...]
    site: Site | None = None
    app: App | None = None
    dooh: Dooh | None = None
    device: Device | None = None
    user: User | None = None
    test: Flag | None = None
    at: Int | None = None
    tmax: Int | None = None
    wseat: Texts | None = None
    bseat: Texts | None = None
    cur: Texts | None = None
    wlang: Texts | None = None
    wlangb: Texts | None = None
    acat: Texts | None = None
    bcat: Texts | None = None
    cattax: Int | None = None
    badv: Texts | None = None
    bapp: Texts | None = None
    source: Source | None = None
    regs: Regs | None = None
    ext: RequestExt | None = None
