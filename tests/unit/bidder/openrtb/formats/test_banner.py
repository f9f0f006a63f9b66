"""Which sizes an impression offers."""

import msgspec
import pytest

from bidder.openrtb.formats.banner import CODEC, MAX_RATIOS, banner_sizes, interstitial
from bidder.openrtb.types import Banner, Device, DeviceExt, DeviceExtPrebid, Format, Imp, Interstitial
from core.errors import Fault
from creatives.formats.banner import FORMAT
from creatives.formats.offer import Offer, Shape, SizeRange, SizeRatio
from creatives.macros import Tracker
from tests.kit.catalogues import creative

TRACKER = Tracker("https://track.example")


@pytest.mark.parametrize(
    ("banner", "sizes"),
    [
        (Banner(w=300, h=250), ((300, 250),)),
        (Banner(w=300, h=250, format=(Format(w=728, h=90), Format(w=970, h=90))), ((728, 90), (970, 90))),
        (Banner(w=300, h=250, format=()), ((300, 250),)),
        (Banner(w=300, h=250, format=(Format(w=0, h=90),)), ((300, 250),)),
        (Banner(format=(Format(w=30, h=0), Format(w=30, h=20))), ((30, 20),)),
        (Banner(format=(Format(w=50, h=50, wratio=-1),)), ()),
        (Banner(format=(Format(w=50, h=50, hratio=-1),)), ()),
        (Banner(format=(Format(w=50, h=50, wmin=-1),)), ()),
        (Banner(format=(Format(w=50, h=50, wratio=1, hratio=1, wmin=20),)), ((50, 50),)),
        (Banner(format=(Format(wratio=16, hratio=9, wmin=200),)), ()),
        (Banner(w=300), ()),
        (Banner(h=300), ()),
        (Banner(w=-1, h=50), ()),
        (Banner(), ()),
        (Banner(w=300, h=250, wmax=400, hmax=300), ((300, 250),)),
    ],
)
def test_offered_sizes(banner: Banner, sizes: tuple[tuple[int, int], ...]) -> None:
    assert banner_sizes(banner) == sizes


def offer(banner: Banner) -> Offer:
    found = CODEC.read(Imp("1", banner=banner))
    assert isinstance(found, Offer)
    return found


@pytest.mark.parametrize(
    ("banner", "shapes", "sizes"),
    [
        (Banner(wmin=300, wmax=340, hmin=240, hmax=290), (SizeRange(300, 340, 240, 290),), ((340, 290),)),
        (
            Banner(w=320, h=280, wmin=300, wmax=340, hmin=240, hmax=290),
            ((320, 280), SizeRange(300, 340, 240, 290)),
            ((320, 280),),
        ),
        (Banner(w=300, h=250, wmin=400, wmax=340, hmin=240, hmax=290), ((300, 250),), ((300, 250),)),
        (Banner(w=300, h=250, wmin=-1, wmax=340, hmin=240, hmax=290), ((300, 250),), ((300, 250),)),
        (Banner(format=(Format(wratio=16, hratio=9, wmin=200),)), (SizeRatio(16, 9, 200),), ()),
        (Banner(w=1, h=1, format=(Format(wratio=1, hratio=1),)), (SizeRatio(1, 1, 1),), ()),
        (
            Banner(format=(Format(w=300, h=250), Format(wratio=6, hratio=5, wmin=200))),
            ((300, 250), SizeRatio(6, 5, 200)),
            ((300, 250),),
        ),
    ],
)
def test_ranges_and_ratios_are_offered(
    banner: Banner, shapes: tuple[Shape, ...], sizes: tuple[tuple[int, int], ...]
) -> None:
    assert (offer(banner).shapes, offer(banner).sizes) == (shapes, sizes)


@pytest.mark.parametrize("item", [Format(wratio=-1, hratio=1), Format(wratio=1, hratio=-1), Format(wratio=1, hratio=0)])
def test_a_ratio_that_makes_no_sense_is_none(item: Format) -> None:
    assert isinstance(CODEC.read(Imp("1", banner=Banner(format=(item,)))), Fault)


def test_ratios_are_bounded() -> None:
    assert len(offer(Banner(format=tuple(Format(wratio=n, hratio=1) for n in range(1, 500)))).shapes) == MAX_RATIOS


def screen(width: int | None, height: int | None, least_width: int | None, least_height: int | None) -> Device:
    told = DeviceExtPrebid(Interstitial(least_width, least_height))
    return Device(w=width, h=height, ext=DeviceExt(prebid=told))


@pytest.mark.parametrize(
    ("banner", "device", "added"),
    [
        (Banner(w=320, h=480), screen(400, 800, 80, 60), SizeRange(256, 320, 288, 480)),
        (Banner(format=(Format(w=1, h=1),)), screen(400, 801, 80, 50), SizeRange(320, 400, 401, 801)),
        (Banner(w=320, h=480), screen(None, None, 80, None), SizeRange(256, 320, 480, 480)),
        (Banner(w=320, h=480), screen(None, None, 800, -1), SizeRange(320, 320, 480, 480)),
    ],
)
def test_a_full_screen_takes_what_fills_enough_of_it(banner: Banner, device: Device, added: SizeRange) -> None:
    found = interstitial(offer(banner), device)
    assert found.shapes[-1] == added
    assert found.sizes[0] == (added.most_width, added.most_height)
    assert (1, 1) not in found.shapes


def test_a_screen_that_is_not_told_changes_nothing() -> None:
    plain = offer(Banner(w=1, h=1))
    assert interstitial(plain, screen(None, None, 80, 80)) is plain
    assert interstitial(plain, Device(ext=DeviceExt())) is plain


def test_a_banner_that_fits_by_its_ratio_says_so() -> None:
    flexible = offer(Banner(format=(Format(wratio=6, hratio=5, wmin=200), Format(w=728, h=90))))
    flexing = CODEC.write(FORMAT.render(creative(1, 1), flexible, TRACKER))
    assert flexing == {"w": 300, "h": 250, "mtype": 1, "wratio": 6, "hratio": 5}
    exact = CODEC.write(FORMAT.render(creative(1, 1, (728, 90)), flexible, TRACKER))
    assert exact == {"w": 728, "h": 90, "mtype": 1}
    assert FORMAT.variant(flexible) != FORMAT.variant(offer(Banner(w=300, h=250)))
    assert msgspec.json.encode(flexing)
