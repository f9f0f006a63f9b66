"""Banners of the protocol: which sizes an impression offers (OpenRTB 2.6 sections 3.2.6, 3.2.10)."""

import msgspec

from bidder.openrtb.formats.base import FormatCodec
from bidder.openrtb.formats.remembered import RememberedOffers
from bidder.openrtb.types import Banner, Device, Format, Imp
from core.errors import Fault
from creatives.formats.banner import BannerAd
from creatives.formats.base import Ad
from creatives.formats.offer import Offer, Shape, Size, SizeRange, SizeRatio

NAME = "banner"

MARKUP_TYPE = 1
"""`mtype` (OpenRTB 2.6, section 4.2.3): which of the impression's formats the markup is."""

NO_SIZE = Fault("/banner", "no_size", "offers no size above zero: no exact one, no range and no ratio")

# So many flexible entries of `format` are read; real requests have one.
MAX_RATIOS = 16


_offers: RememberedOffers[Offer] = RememberedOffers()


def read(imp: Imp) -> Offer | Fault | None:
    """The banner that an impression offers."""
    banner = imp.banner
    if banner is None:
        return None
    return _offers.known.get(banner) or _offers.learn(banner, banner, offer_of(banner))


def offer_of(banner: Banner) -> Offer | Fault:
    """What a banner offers, read anew."""
    sizes = banner_sizes(banner)
    shapes: tuple[Shape, ...] = sizes
    if banner.wmax or (banner.format and len(sizes) < len(banner.format)):
        shapes, sizes = _with_open_shapes(banner, sizes)
    if not shapes:
        return NO_SIZE
    return Offer(NAME, shapes, sizes, banner.pos, banner.btype, banner.battr, banner.api, banner.mimes)


def banner_sizes(banner: Banner) -> tuple[Size, ...]:
    """The exact sizes a banner offers: those of `format` where it holds one (OpenRTB 2.6, section 3.2.6), otherwise
    `w` and `h`."""
    if banner.format:
        offered = []
        for item in banner.format:
            width, height = item.w, item.h
            if width and height and width > 0 and height > 0:
                flexes = item.wratio is not None or item.hratio is not None or item.wmin is not None
                if not flexes or not _is_unsound(item):
                    offered.append((width, height))
        if offered:
            return tuple(offered)
        if any(map(_ratio, banner.format)):
            return ()
    width, height = banner.w or 0, banner.h or 0
    return ((width, height),) if width > 0 and height > 0 else ()


def _with_open_shapes(banner: Banner, sizes: tuple[Size, ...]) -> tuple[tuple[Shape, ...], tuple[Size, ...]]:
    """Exact sizes with the ranges of 2.3 and the ratios of flex ads; and the sizes of the space, as far as known."""
    shapes: list[Shape] = list(sizes)
    shapes += [ratio for ratio in map(_ratio, (banner.format or ())[:MAX_RATIOS]) if ratio is not None]
    between = _between(banner)
    if between is not None:
        shapes.append(between)
        sizes = sizes or ((between.most_width, between.most_height),)
    return tuple(shapes), sizes


def _between(banner: Banner) -> SizeRange | None:
    """The sizes that the four bounds of OpenRTB 2.3 and before admit; None without all of them."""
    bounds = (banner.wmin, banner.wmax, banner.hmin, banner.hmax)
    if any(bound is None or bound <= 0 for bound in bounds):
        return None
    found = SizeRange(*[bound for bound in bounds if bound is not None])
    return found if found.least_width <= found.most_width and found.least_height <= found.most_height else None


def _ratio(item: Format) -> SizeRatio | None:
    """The ratio of a flexible entry of `format` (OpenRTB 2.6, section 3.2.10); None for an exact or unsound one."""
    if (item.w and item.h) or not item.wratio or not item.hratio or _is_unsound(item) or item.hratio < 0:
        return None
    return SizeRatio(item.wratio, item.hratio, max(item.wmin or 1, 1))


def _is_unsound(item: Format) -> bool:
    """Whether a ratio or minimum is negative: then the sender's numbers cannot be relied upon."""
    return min(item.wratio or 0, item.hratio or 0, item.wmin or 0) < 0


def interstitial(offer: Offer, device: Device) -> Offer:
    """A full-screen banner with all sizes down to the least share of the screen that Prebid says.

    `device.ext.prebid.interstitial`: the largest size is the first of the banner, and that of the screen where this is
    1x1 or missing. Without it the offer stays as it is.
    """
    ext = device.ext
    told = ext.prebid.interstitial if ext is not None and ext.prebid is not None else None
    if told is None or offer.format != NAME:
        return offer
    width, height = next((size for size in offer.sizes if size != (1, 1)), (device.w or 0, device.h or 0))
    if width <= 0 or height <= 0:
        return offer
    least = (_share(width, told.minwidthperc), _share(height, told.minheightperc))
    shapes = (*(shape for shape in offer.shapes if shape != (1, 1)), SizeRange(least[0], width, least[1], height))
    return msgspec.structs.replace(offer, shapes=shapes, sizes=((width, height), *offer.sizes))


def _share(pixels: int, percent: int | None) -> int:
    """So many percent of a measure, rounded up; all of it where the sender does not say, or says nonsense."""
    share = percent if percent is not None and 0 < percent <= 100 else 100
    return -(-pixels * share // 100)


def write(ad: Ad) -> dict[str, object]:
    """What a bid says of its banner: its size, and its ratio where it flexes (OpenRTB 2.6 section 4.2.3, `wratio`)."""
    members: dict[str, object] = {"w": ad.creative.width, "h": ad.creative.height, "mtype": MARKUP_TYPE}
    if isinstance(ad, BannerAd) and ad.ratio is not None:
        members |= {"wratio": ad.ratio.width, "hratio": ad.ratio.height}
    return members


CODEC = FormatCodec(name=NAME, member=NAME, read=read, write=write)
