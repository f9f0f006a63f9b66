"""Banners of the protocol: which sizes an impression offers (OpenRTB 2.6 sections 3.2.6, 3.2.10)."""

import functools

from bidder.openrtb.formats.base import FormatCodec
from bidder.openrtb.types import Banner, Format, Imp
from core.errors import Fault
from creatives.formats.base import Ad
from creatives.formats.offer import Offer, Size

NAME = "banner"

MARKUP_TYPE = 1
"""`mtype` (OpenRTB 2.6, section 4.2.3): which of the impression's formats the markup is."""

NO_SIZE = Fault("/banner", "no_size", "has no exact size above zero, in `format` or `w` and `h`")

# Sizes worth looking for in the ranges of OpenRTB 2.3 and before: the fixed sizes of the IAB's portfolio.
KNOWN_SIZES: tuple[Size, ...] = (
    (300, 250), (336, 280), (728, 90), (970, 90), (970, 250), (160, 600), (120, 600), (300, 600), (300, 1050),
    (320, 50), (320, 100), (320, 480), (480, 320), (468, 60), (234, 60), (250, 250), (200, 200), (180, 150),
    (300, 50), (300, 100), (216, 36), (168, 28), (120, 20), (750, 100), (750, 200), (750, 300), (930, 180),
)  # fmt: skip


def read(imp: Imp) -> Offer | Fault | None:
    """The banner that an impression offers."""
    banner = imp.banner
    if banner is None:
        return None
    sizes = banner_sizes(banner)
    if not sizes:
        return NO_SIZE
    return Offer(NAME, sizes, sizes, banner.pos, banner.btype, banner.battr, banner.api, banner.mimes)


def banner_sizes(banner: Banner) -> tuple[Size, ...]:
    """The exact sizes a banner offers.

    `format` decides where it holds a size (OpenRTB 2.6, section 3.2.6); otherwise `w` and `h`, and, where all four
    bounds of 2.3 are there, the known sizes between them. Flexible sizes (`wratio`, `hratio`) are not offered: they
    need a creative that says that it flexes.
    """
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
    width, height = banner.w or 0, banner.h or 0
    sizes: tuple[Size, ...] = ((width, height),) if width > 0 and height > 0 else ()
    if banner.wmin and banner.wmax and banner.hmin and banner.hmax:
        between = _known_sizes_between(banner.wmin, banner.wmax, banner.hmin, banner.hmax)
        sizes += tuple([size for size in between if size not in sizes])
    return sizes


def _is_unsound(item: Format) -> bool:
    """A negative ratio or minimum says that the sender's numbers cannot be relied upon."""
    return min(item.wratio or 0, item.hratio or 0, item.wmin or 0) < 0


@functools.lru_cache(maxsize=1024)  # publishers repeat a handful of ranges
def _known_sizes_between(wmin: int, wmax: int, hmin: int, hmax: int) -> tuple[Size, ...]:
    return tuple([(w, h) for w, h in KNOWN_SIZES if wmin <= w <= wmax and hmin <= h <= hmax])


def write(ad: Ad) -> dict[str, object]:
    """Its size, and that it is a banner."""
    return {"w": ad.creative.width, "h": ad.creative.height, "mtype": MARKUP_TYPE}


CODEC = FormatCodec(name=NAME, read=read, write=write)
